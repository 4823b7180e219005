"""A crew that a test steps by hand, and a response that is out when the test says so."""

from __future__ import annotations

import threading
from collections import deque

from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.task import enclosing
from hendrix.crosstown.traffic import current


class Hands:
    """The worker that a job sees."""

    def dispatch(self):
        pass


class Crew:
    """Jobs run when the test steps, on the thread of the test or on one of their own."""

    size = 8

    def __init__(self):
        self.jobs = deque()

    def submit(self, job):
        self.jobs.append(job)

    def step(self):
        self.jobs.popleft().run(Hands())

    def step_all(self):
        while self.jobs:
            self.step()

    def step_aside(self):
        """Start the next job on a thread of its own."""
        thread = threading.Thread(target=self.jobs.popleft().run, args=(Hands(),))
        thread.start()
        return thread


class Response:
    """One that is out. `follow_with` does as the channel's does."""

    failed = gone = False
    out = closed = True
    out_at = 0.0
    last = None
    request_id = "one"

    def __init__(self, dispatcher, code="200", title="GET /", out=True):
        self.after, self.code, self.title, self.dispatcher = [], code, title, dispatcher
        self.out = out

    def follow_with(self, task):
        around = enclosing.get()
        if around is not None and around.contains(task):
            return
        self.dispatcher.queue(self, task)
        if self.out:
            self.dispatcher.follow(self)

    def __enter__(self):
        self.token = current.set(self)
        return self

    def __exit__(self, *exception):
        current.reset(self.token)


def pair(threads=3, queue=1000, **options):
    """A dispatcher on a crew of its own, and a response that is not out."""
    crew = Crew()
    dispatcher = Dispatcher(crew, threads, queue)
    return crew, dispatcher, Response(dispatcher, out=False, **options)
