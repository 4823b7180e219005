"""twisted.web resources through WSGI: twisted.web on a reactor thread of its own, the worker here."""

from __future__ import annotations

import io
import queue
import threading

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import File

from hendrix.errors import ConfigurationError, Disconnected
from hendrix.wsgi.resources import HIGH, LOW, Rendering, Resources


class Reactor(MemoryReactorClock):
    """What the other thread is asked to do, it does, in order; with `step`, when the test says so."""

    def __init__(self):
        super().__init__()
        self.turns = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def callFromThread(self, function, *args):
        self.turns.put((function, args))

    def callLater(self, seconds, function, *args):
        if seconds:
            return super().callLater(seconds, function, *args)
        return self.turns.put((function, args))

    def step(self):
        function, args = self.turns.get(timeout=30)
        function(*args)

    def _run(self):
        while (call := self.turns.get())[0] is not None:
            call[0](*call[1])


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    if reactor.thread.is_alive():
        reactor.callFromThread(None)
        reactor.thread.join(30)


def named(resource, namespace):
    resource.namespace = namespace
    return resource


class Page(Resource):
    """A leaf whose rendering is a function of the request."""

    isLeaf = True

    def __init__(self, namespace, render):
        super().__init__()
        self.namespace, self.render = namespace, render


def environ_of(path="/page", method="GET", content=b"", query="", **more):
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(content)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "1234",
        "HTTP_HOST": "example.org",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(content),
        **more,
    }


def application(environ, start_response):
    start_response("200 OK", [])
    return [b"the application"]


class Answer:
    """Calls the application as a WSGI server does; `status` and `fields` are there at once, the content is ``pieces``."""

    def __init__(self, resources, environ):
        self.pieces = resources.beside(application)(environ, self._start)

    def _start(self, status, fields, exc_info=None):
        self.status, self.fields = status, dict(fields)

    @property
    def content(self):
        return b"".join(self.pieces)


def ask(reactor, resource, **environ):
    reactor.thread.start()
    return Answer(Resources(reactor, [resource], 1), environ_of(**environ))


@pytest.mark.parametrize(
    ("path", "served"),
    [
        ("/page", "page of /page"),
        ("/page/", "page of /page/"),
        ("/page/a/b", "page of /page/a/b"),
        ("/a/b", "a/b of /a/b"),
        ("/a/b/c", "a/b of /a/b/c"),
        ("/pages", "the application"),
        ("/a", "the application"),
        ("/", "the application"),
        ("", "the application"),
    ],
)
def test_a_resource_has_its_path_and_all_below_the_application_the_rest(reactor, path, served):
    def page(name):
        return Page(name, lambda request: b"%s of %s" % (name.strip("/").encode(), request.path))

    reactor.thread.start()
    resources = Resources(reactor, [page("page"), page("/a/b/")], 1)
    assert resources.describe() == "/page, /a/b"
    assert Answer(resources, environ_of(path)).content == served.encode()


def test_a_resource_may_stand_below_another(reactor):
    reactor.thread.start()
    resources = Resources(reactor, [Page(b"a/b", lambda request: b"below"), named(Resource(), b"a")], 1)
    assert Answer(resources, environ_of("/a/b")).content == b"below"
    assert Answer(resources, environ_of("/a/c")).status == "404 Not Found"


@pytest.mark.parametrize("namespace", [None, "", "/", b"", 1])
def test_a_resource_without_a_path_is_refused(reactor, namespace):
    with pytest.raises(ConfigurationError, match=r"^resources: .+; give it the path to serve it under"):
        Resources(reactor, [named(Resource(), namespace)], 1)


def test_the_request_is_whole(reactor):
    seen = {}

    def render(request):
        seen.update(
            method=request.method, uri=request.uri, args=request.args, postpath=request.postpath, content=request.content.read(),
            cookie=request.getCookie(b"c"), field=request.getHeader("x-y"), client=request.getClientAddress().host,
            host=request.getRequestHostname(), port=request.getHost().port, secure=request.isSecure(),
        )  # fmt: skip
        return b""

    answer = ask(
        reactor, Page("page", render), path="/page/\xc3\xa4 b", method="POST", content=b"x=1&y=2", query="q=3", HTTP_COOKIE="c=d",
        HTTP_X_Y="z", CONTENT_TYPE="application/x-www-form-urlencoded", **{"wsgi.url_scheme": "https"},
    )  # fmt: skip
    assert answer.status == "200 OK"
    assert seen == {
        "method": b"POST", "uri": b"/page/%C3%A4%20b?q=3", "args": {b"q": [b"3"], b"x": [b"1"], b"y": [b"2"]},
        "postpath": ["ä b".encode()], "content": b"x=1&y=2", "cookie": b"d", "field": "z", "client": "192.0.2.1",
        "host": b"example.org", "port": 8000, "secure": True,
    }  # fmt: skip


@pytest.mark.parametrize(("address", "host"), [("2001:db8::1", "2001:db8::1"), ("", None)])
def test_the_client_may_be_on_any_kind_of_socket(reactor, address, host):
    answer = ask(reactor, Page("page", lambda request: repr(getattr(request.client, "host", None)).encode()), REMOTE_ADDR=address)
    assert answer.content == repr(host).encode()


def test_the_response_is_whole_but_for_what_is_ours_to_say(reactor):
    def render(request):
        request.setResponseCode(201, b"Made")
        request.setHeader("X-Y", "z")
        request.setHeader("Connection", "close")
        request.addCookie("a", "b")
        return b"page"

    answer = ask(reactor, Page("page", render))
    assert (answer.status, answer.content) == ("201 Made", b"page")
    assert answer.fields == {"X-Y": "z", "Set-Cookie": "a=b", "Content-Type": "text/html", "Content-Length": "4"}


def test_a_resource_that_raises_is_a_500_of_twisted(reactor):
    answer = ask(reactor, Page("page", lambda request: 1 / 0))
    assert answer.status == "500 Internal Server Error"
    assert b"Processing Failed" in answer.content


def test_pieces_are_passed_on_as_they_come(reactor):
    later = []

    def render(request):
        request.write(b"one")
        later.append(request)
        return NOT_DONE_YET

    answer = ask(reactor, Page("page", render))
    assert next(answer.pieces) == b"one"
    reactor.callFromThread(later[0].write, b"two")
    assert next(answer.pieces) == b"two"
    reactor.callFromThread(later[0].finish)
    assert list(answer.pieces) == []


@pytest.mark.parametrize("part", [slice(None), slice(100, 70001)])
def test_a_file_is_served_and_so_is_a_part_of_it(reactor, tmp_path, part):
    data = bytes(range(256)) * 5000
    (tmp_path / "data").write_bytes(data)
    asked = {} if part == slice(None) else {"HTTP_RANGE": f"bytes={part.start}-{part.stop - 1}"}
    answer = ask(reactor, named(File(str(tmp_path)), "files"), path="/files/data", **asked)
    assert answer.status == ("206 Partial Content" if asked else "200 OK")
    assert answer.content == data[part]


def test_a_pull_producer_waits_for_the_worker(reactor, tmp_path):
    (tmp_path / "data").write_bytes(b"x" * (4 * HIGH))
    resources = Resources(reactor, [named(File(str(tmp_path)), "files")], 1)
    rendering = begun(resources, reactor, "/files/data")
    while not reactor.turns.empty():
        reactor.step()
    waiting = rendering._waiting
    assert HIGH <= waiting <= HIGH + 65536
    assert rendering.head().status == "200 OK"
    taken = 0
    while reactor.turns.empty():
        assert taken < waiting
        taken += len(next(rendering))
    assert waiting - taken <= LOW, "it is asked again when there is room"
    reactor.thread.start()
    assert taken + sum(map(len, rendering)) == 4 * HIGH


class Pushing:
    """A push producer that notes what it is told."""

    def __init__(self, request):
        self.request, self.told = request, []
        request.registerProducer(self, True)

    def pauseProducing(self):
        self.told.append("pause")

    def resumeProducing(self):
        self.told.append("resume")

    def stopProducing(self):
        self.told.append("stop")


def begun(resources, reactor, path="/page"):
    """A rendering after its first step on the reactor thread, which is this one."""
    rendering = Rendering(resources, environ_of(path))
    rendering.begin()
    return rendering


def test_a_push_producer_is_paused_and_resumed_once_each(reactor):
    producers = []
    resources = Resources(reactor, [Page("page", lambda request: producers.append(Pushing(request)) or NOT_DONE_YET)], 1)
    rendering = begun(resources, reactor)
    [producer] = producers
    for _ in range(4):
        producer.request.write(b"x" * HIGH)
    assert producer.told == ["pause"]
    rendering.head()
    for _ in range(4):
        next(rendering)
    assert producer.told == ["pause"]
    reactor.step()
    assert producer.told == ["pause", "resume"]
    assert reactor.turns.empty()


def test_a_client_that_leaves_is_told_to_the_resource(reactor):
    lost, producers = [], []

    def render(request):
        producers.append(Pushing(request))
        request.notifyFinish().addErrback(lost.append)
        request.write(b"x")
        return NOT_DONE_YET

    resources = Resources(reactor, [Page("page", render)], 1)
    rendering = begun(resources, reactor)
    rendering.head()
    rendering.close()
    reactor.step()
    assert len(lost) == 1
    assert producers[0].told == ["stop"]
    assert not resources.rendering
    producers[0].request.write(b"into the void")


def test_closing_what_is_complete_asks_nothing(reactor):
    rendering = begun(Resources(reactor, [Page("page", lambda request: b"done")], 1), reactor)
    rendering.head()
    assert list(rendering) == [b"done"]
    rendering.close()
    assert reactor.turns.empty()


def test_a_start_response_that_refuses_loses_the_request(reactor):
    def start_response(status, fields):
        raise Disconnected("gone")

    resources = Resources(reactor, [Page("page", lambda request: request.write(b"x") or NOT_DONE_YET)], 1)
    reactor.thread.start()
    with pytest.raises(Disconnected):
        resources.beside(application)(environ_of(), start_response)
    reactor.callFromThread(None)
    reactor.thread.join(30)
    assert not resources.rendering


def test_what_is_still_rendered_when_the_grace_is_over_is_cut(reactor):
    resources = Resources(reactor, [Page("page", lambda request: request.write(b"x") or NOT_DONE_YET)], 5)
    resources.startService()
    rendering = begun(resources, reactor)
    rendering.head()
    next(rendering)
    assert resources.stopService() is None
    assert resources.rendering
    reactor.advance(5)
    assert not resources.rendering
    with pytest.raises(Disconnected):
        next(rendering)
    assert next(rendering, "over") == "over"


def test_a_request_that_twisted_cannot_take_is_an_error_of_the_worker(reactor):
    with pytest.raises(UnicodeEncodeError):
        ask(reactor, Page("page", lambda request: b""), HTTP_X="\u2603")
