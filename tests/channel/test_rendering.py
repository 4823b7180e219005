"""twisted.web's requests on our connections, of both lanes, in this process."""

from __future__ import annotations

import gc
import http.client

import pytest
from house import TCP, House
from twisted.internet.defer import Deferred
from twisted.protocols import tls
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import File

from hendrix.channel.reactor_lane import PIECE
from hendrix.channel.resources import Resources

LANES = ["fast", "tls"]


class Page(Resource):
    """A leaf whose rendering is a function of the request."""

    isLeaf = True

    def __init__(self, render, namespace="page"):
        super().__init__()
        self.namespace, self.render = namespace, render


@pytest.fixture(params=LANES)
def serve(request, monkeypatch, certificate):
    """Serves a resource as /page, on each lane."""
    houses = []
    monkeypatch.setattr(tls, "_get_default_clock", lambda: houses[-1].reactor)

    def start(resource, **options):
        if callable(resource):
            resource = Page(resource)
        resources = Resources([], [resource])
        resources.load()
        listen = TCP if request.param == "fast" else f"ssl:0:privateKey={certificate.key}:certKey={certificate.cert}:interface=127.0.0.1"
        houses.append(House(listen=(listen,), mounts=resources, **options))
        return houses[-1].start()

    yield start
    for house in houses:
        house.close()


def ask(house, path="/page", method="GET", body=None, fields=()):
    """The response, read."""

    def run():
        connection = http.client.HTTPConnection("localhost")
        connection.sock = house.connect()
        try:
            connection.request(method, path, body, dict(fields))
            response = connection.getresponse()
            response.body = response.read()
            return response
        finally:
            connection.close()

    return house.call(run)


def test_the_request_is_whole(serve):
    seen = {}

    def render(request):
        seen.update(
            method=request.method, uri=request.uri, args=request.args, postpath=request.postpath, content=request.content.read(),
            cookie=request.getCookie(b"c"), field=request.getHeader("x-y"), client=request.getClientAddress().host,
            host=request.getRequestHostname(), port=request.getHost().port, secure=request.isSecure(), version=request.clientproto,
        )  # fmt: skip
        return b""

    house = serve(render)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "c=d", "X-Y": "z", "Host": "example.org"}
    answer = ask(house, "/page/%C3%A4%20b/c%2Fd?q=3", "POST", b"x=1&y=2", form)
    assert answer.status == 200
    [listener] = house.sockets.listeners
    assert seen == {
        "method": b"POST", "uri": b"/page/%C3%A4%20b/c%2Fd?q=3", "args": {b"q": [b"3"], b"x": [b"1"], b"y": [b"2"]},
        "postpath": ["ä b".encode(), b"c/d"], "content": b"x=1&y=2", "cookie": b"d", "field": "z", "client": "127.0.0.1",
        "host": b"example.org", "port": listener.port.getHost().port, "secure": listener.secure, "version": b"HTTP/1.1",
    }  # fmt: skip


def test_the_response_is_whole_but_for_what_is_ours_to_say(serve):
    def render(request):
        request.setResponseCode(201, b"Made")
        request.setHeader("X-Y", "z")
        request.setHeader("Connection", "close")
        request.setHeader("Transfer-Encoding", "gzip")
        request.addCookie("a", "b")
        return b"page"

    answer = ask(serve(render))
    assert (answer.status, answer.reason, answer.body) == (201, "Made", b"page")
    fields = {name: value for name, value in answer.getheaders() if name != "Date"}
    assert fields == {"X-Y": "z", "Set-Cookie": "a=b", "Content-Type": "text/html", "Content-Length": "4", "Server": "hendrix"}


def test_a_resource_that_raises_is_a_500_of_twisted(serve):
    answer = ask(serve(lambda request: 1 / 0))
    assert answer.status == 500
    assert b"Processing Failed" in answer.body


def test_a_form_that_is_none_is_a_400(serve):
    answer = ask(serve(lambda request: b""), "/page", "POST", b"x", {"Content-Type": "multipart/form-data; boundary=y"})
    assert (answer.status, answer.getheader("Connection")) == (400, "close")


@pytest.mark.parametrize("part", [slice(None), slice(100, 70001)])
def test_a_file_is_served_and_so_is_a_part_of_it(serve, tmp_path, part):
    data = bytes(range(256)) * 5000
    (tmp_path / "data").write_bytes(data)
    files = File(str(tmp_path))
    files.namespace = "files"
    asked = {} if part == slice(None) else {"Range": f"bytes={part.start}-{part.stop - 1}"}
    answer = ask(serve(files), "/files/data", fields=asked)
    assert answer.status == (206 if asked else 200)
    assert answer.body == data[part]


def test_head_has_the_fields_of_get_and_no_content(serve):
    house = serve(lambda request: b"page")
    answer = ask(house, method="HEAD")
    assert (answer.status, answer.getheader("Content-Length"), answer.body) == (200, "4", b"")


def started(house, *requests):
    """A connection that has asked."""
    connection = house.call(house.connect)
    connection.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode() for path in requests))
    return connection


def read_until(house, connection, end):
    def read():
        data = b""
        while end not in data:
            piece = connection.recv(65536)
            assert piece, data
            data += piece
        return data

    return house.call(read)


def test_pieces_are_sent_as_they_come_and_the_connection_goes_on(serve):
    requests = []

    def render(request):
        if requests:
            return b"the next"
        requests.append(request)
        request.write(b"one")
        return NOT_DONE_YET

    house = serve(render)
    with started(house, "/page") as connection:
        assert read_until(house, connection, b"3\r\none\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        requests[0].write(b"two!")
        assert read_until(house, connection, b"!\r\n") == b"4\r\ntwo!\r\n"
        requests[0].finish()
        assert read_until(house, connection, b"0\r\n\r\n") == b"0\r\n\r\n"
        connection.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_until(house, connection, b"next").startswith(b"HTTP/1.1 200 OK\r\n")
        assert not house.web._fast


def test_pipelined_requests_are_answered_in_order_whoever_answers(serve):
    waiting = []

    def render(request):
        if request.path == b"/page/slow":
            waiting.append(request)
            return NOT_DONE_YET
        return request.path

    house = serve(render)
    paths = ["/a", "/page/slow", "/b", "/page/1", "/page/2", "/c", *(f"/page/{n}" for n in range(100, 200)), "/page/end"]
    with started(house, *paths) as connection:
        house.until(lambda: bool(waiting))
        waiting[0].write(b"slow")
        waiting[0].finish()
        data = read_until(house, connection, b"/page/end")
        places = [data.index(b"\r\n\r\n/page/%d" % n) for n in (1, 2, *range(100, 200))]
        assert places == sorted(places)
        assert data.index(b"slow") < places[0]
        assert data.count(b"HTTP/1.1 200 OK\r\n") == len(paths)


def test_an_http10_client_hears_the_end_by_the_end_of_the_connection(serve):
    house = serve(lambda request: request.write(b"whole") or request.finish() or NOT_DONE_YET)
    with house.call(house.connect) as connection:
        connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        data = read_until(house, connection, b"whole")
        assert b"chunked" not in data
        assert b"Connection: close" in data
        assert house.call(lambda: connection.recv(10)) == b""


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


def test_a_push_producer_is_paused_and_resumed_once_each(serve):
    producers = []
    house = serve(lambda request: producers.append(Pushing(request)) or NOT_DONE_YET)
    with started(house, "/page") as connection:
        house.until(lambda: bool(producers))
        [producer] = producers
        written = 0
        while not producer.told:
            producer.request.write(bytes(PIECE))
            written += PIECE
        for _ in range(200):  # more than a socket takes
            producer.request.write(bytes(PIECE))
            written += PIECE
        assert producer.told == ["pause"]

        def read():
            taken = 0
            while taken < written:
                piece = connection.recv(1 << 20)
                assert piece
                taken += len(piece)

        house.call(read)
        house.until(lambda: len(producer.told) > 1)
        assert producer.told == ["pause", "resume"]
        producer.request.unregisterProducer()
        producer.request.finish()


@pytest.mark.parametrize("writes", [b"x", b""])
def test_a_client_that_leaves_is_told_to_the_resource(serve, writes):
    lost, producers = [], []

    def render(request):
        producers.append(Pushing(request))
        request.notifyFinish().addErrback(lost.append)
        request.write(writes)
        return NOT_DONE_YET

    house = serve(render)
    with started(house, "/page"):
        house.until(lambda: bool(producers))
    house.until(lambda: bool(lost))
    assert producers[0].told == ["stop"]
    producers[0].request.write(b"into the void")
    house.until(lambda: not house.web.connections)


def test_a_resource_that_does_not_wait_for_its_client_is_closed_by_loseConnection(serve):
    ends = []

    def render(request):
        request.notifyFinish().addErrback(ends.append)
        request.setHeader("Content-Length", "100")
        request.write(b"some")
        request.loseConnection()
        return NOT_DONE_YET

    house = serve(render)
    with started(house, "/page") as connection:
        read_until(house, connection, b"some")
        assert house.call(lambda: connection.recv(10)) == b""
    assert len(ends) == 1


def test_the_framing_is_true_whatever_a_resource_says(serve):
    def render(request):
        request.setHeader("Content-Length", b"4")
        request.write(b"1234")
        request.write(b"56")
        request.finish()
        return NOT_DONE_YET

    house = serve(render)
    assert [ask(house).body for _ in range(2)] == [b"1234"] * 2


def test_a_field_that_is_none_is_a_500(serve):
    def render(request):
        request.setHeader("X-Y", b"a\x01b")
        return b"never"

    answer = ask(serve(render))
    assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n")


def test_the_drain_waits_for_what_is_rendered_and_cuts_it_when_the_grace_is_over(serve):
    requests, lost = [], []

    def render(request):
        requests.append(request)
        request.notifyFinish().addErrback(lost.append)
        return NOT_DONE_YET

    house = serve(render)
    with started(house, "/page") as first, started(house, "/page") as second:
        house.until(lambda: len(requests) == 2)
        over = Deferred()
        house.web.stopService().addBoth(over.callback)
        house.until(lambda: all(connection.leaving for connection in house.web.connections))
        requests[0].write(b"in time")
        requests[0].finish()
        served = first if requests[0].getClientAddress().port == first.getsockname()[1] else second
        assert b"Connection: close" in read_until(house, served, b"in time")
        assert not lost
        house.web.hurry()
        house.until(lambda: over.called and bool(lost))
        assert len(lost) == 1


def test_a_connection_that_moves_leaves_nothing_behind(serve):
    house = serve(lambda request: b"page")
    for _ in range(20):
        assert ask(house).body == b"page"
    house.until(lambda: not house.web.connections)
    gc.collect()
    readers = [reader for reader in house.reactor.getReaders() if type(reader).__name__ == "Server"]
    assert not readers
