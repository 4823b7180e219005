"""Resources of twisted.web to serve beside hello:app, and a Klein application."""

from __future__ import annotations

import hashlib
import os
import threading

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import File

klein = Klein()
held = []


@klein.route("/whoami")
def whoami(request):
    return f"{os.getpid()} {threading.current_thread() is threading.main_thread()}"


@klein.route("/digest", methods=["POST"])
def digest(request):
    return hashlib.sha256(request.content.read()).hexdigest()


@klein.route("/form", methods=["POST"])
def form(request):
    return repr(sorted(request.args.items()))


@klein.route("/stream")
def stream(request):
    """A line, and then those that somebody says."""
    request.write(b"begin\n")
    over = Deferred()
    held.append((request, over))
    request.notifyFinish().addErrback(lambda _: print("a listener has gone", flush=True))
    return over


@klein.route("/say/<word>")
def say(request, word):
    """To all that listen; "end" ends them."""
    count = len(held)
    for listener, over in held:
        if word == "end":
            over.callback(None)
        else:
            listener.write(word.encode() + b"\n")
    if word == "end":
        held.clear()
    return str(count)


@klein.route("/later")
def later(request):
    """Never answers."""
    answer = Deferred()
    print("somebody waits", flush=True)
    request.notifyFinish().addErrback(lambda _: print("and has gone", flush=True))
    return answer


class Page(Resource):
    """Has children of its own, and counts."""

    isLeaf = True

    def render_GET(self, request):
        return b" ".join([request.clientproto, request.uri, *request.postpath])

    def render_PUT(self, request):
        request.setHeader("Content-Length", "10")
        request.write(b"short")
        request.finish()
        return NOT_DONE_YET

    def render_DELETE(self, request):
        request.setHeader("X-Bad", b"a\x01b")
        return b"never"


class Pushing(Resource):
    """16 MiB from a producer that tells when it was told to wait."""

    isLeaf = True

    def render_GET(self, request):
        self.request, self.left, self.paused, self.waits = request, 256, False, 0
        request.registerProducer(self, True)
        self.resumeProducing()
        return NOT_DONE_YET

    def pauseProducing(self):
        self.paused = True
        self.waits += 1

    def resumeProducing(self):
        self.paused = False
        while not self.paused and self.left:
            self.left -= 1
            self.request.write(bytes(1 << 16))
        if not self.left and self.request is not None:
            request, self.request = self.request, None
            print("it waited" if self.waits else "it never waited", flush=True)
            request.unregisterProducer()
            request.finish()

    def stopProducing(self):
        print("the producer was stopped", flush=True)


def files():
    return File(os.environ["FILES"])


number = 42
