"""The doors by which others publish: tokens, HTTP beside the application, commands."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest
from hubs import Reader, Tree

from hendrix.control.commands import Commands
from hendrix.errors import PeerError
from hendrix.hey_joe import branch as branches
from hendrix.hey_joe.commands import add_hub
from hendrix.hey_joe.door import Door
from hendrix.hey_joe.message import LARGEST
from hendrix.hey_joe.tokens import Refused, check, sign

SECRET = "0123456789abcdef"


def at(now):
    return lambda: now


# Tokens.


def test_a_token_is_for_its_topics_and_its_time():
    token = sign(SECRET, ["stock.*", "chat.lobby"], 60, at(1000))
    for topic in ("stock.ACME", "chat.lobby"):
        check(SECRET, token, topic, at(1060))
    for topic in ("stock", "chat.other", "$presence.a"):
        with pytest.raises(Refused, match=r"the token is not for .*, but for stock\.\*, chat\.lobby") as caught:
            check(SECRET, token, topic, at(1000))
        assert caught.value.status == 403
    with pytest.raises(Refused, match="the token has expired") as caught:
        check(SECRET, token, "stock.ACME", at(1061))
    assert caught.value.status == 401


def test_a_token_that_was_changed_is_none():
    token = sign(SECRET, ["a"], 60)
    kind, claims, signature = token.split(".")
    wrong = [
        "", "x", ".", "..", "hx1..", "é", "x" * 10000, f"{kind}.{claims}.", f"{kind}.{claims}", f"hx2.{claims}.{signature}",
        f"{kind}.{claims}.{signature[:-1]}", f"{kind}.{claims[:-2]}AA.{signature}", token + "A", sign("another secret of ours", ["a"], 60),
    ]  # fmt: skip
    for each in wrong:
        with pytest.raises(Refused, match="not one that was signed here") as caught:
            check(SECRET, each, "a")
        assert caught.value.status == 401
    for changed in range(len(token)):
        flipped = token[:changed] + ("A" if token[changed] != "A" else "B") + token[changed + 1 :]
        if changed != len(token) - 1:  # the last character has bits that mean nothing
            with pytest.raises(Refused):
                check(SECRET, flipped, "a")


@pytest.mark.parametrize(
    ("secret", "patterns", "seconds"), [("short", ["a"], 1), (SECRET, [], 1), (SECRET, ["a b"], 1), (SECRET, ["a"], 0)]
)
def test_nonsense_makes_no_token(secret, patterns, seconds):
    with pytest.raises(ValueError):
        sign(secret, patterns, seconds)


# HTTP.


@pytest.fixture
def tree(monkeypatch):
    tree = Tree()
    monkeypatch.setattr(branches, "current", tree.branches[0])
    monkeypatch.delitem(sys.modules, "django.conf", raising=False)
    return tree


def application(environ, start_response):
    start_response("200 OK", [])
    return [b"the application"]


def post(content=b'{"price": 42}', query="topic=stock.ACME", token=None, method="POST", path="/.hendrix/publish", secret=SECRET, **more):
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": io.BytesIO(content), **more}
    if token != "":
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token or sign(SECRET, ['stock.*'], 60)}"
    answered = []
    body = b"".join(Door(secret).beside(application)(environ, lambda status, fields: answered.append((status, dict(fields)))))
    ((status, fields),) = answered
    return int(status.split()[0]), fields, body.decode()


def test_what_is_posted_is_published(tree):
    reader = Reader(tree.branches[0], "stock.*")
    tree.settle()
    status, fields, body = post()
    tree.settle()
    assert (status, json.loads(body)) == (202, {"published": "stock.ACME"})
    assert fields["Content-Type"] == "application/json" and fields["Cache-Control"] == "no-store"
    assert reader.payloads == [{"price": 42}]


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"method": "GET"}, 405, "publishing is a POST"),
        ({"token": ""}, 401, "a token is needed"),
        ({"token": "x"}, 401, "not one that was signed here"),
        ({"HTTP_AUTHORIZATION": "Basic eDp5", "token": ""}, 401, "a token is needed"),
        ({"token": sign(SECRET, ["stock.*"], 60, at(0))}, 401, "expired"),
        ({"query": "topic=chat.lobby"}, 403, "the token is not for chat.lobby, but for stock.*"),
        ({"query": ""}, 400, "the topic is given as /.hendrix/publish?topic=chat.lobby, once"),
        ({"query": "topic=a&topic=b"}, 400, "once"),
        ({"query": "topic=stock.*"}, 400, "a topic is levels of"),
        ({"query": "topic=%24presence.a"}, 400, "the hub's own"),
        ({"content": b"{"}, 400, "the content is not JSON"),
        ({"content": b""}, 400, "the content is not JSON"),
        ({"content": b"\xff"}, 400, "the content is not JSON"),
        ({"content": b"NaN"}, 400, "the content is not JSON"),
        ({"content": b"[" * 100_000}, 400, "the content is not JSON"),
        ({"content": b" " * (LARGEST + 1)}, 413, "at most"),
        ({"secret": None}, 403, "without --secret"),
        ({"secret": "short"}, 403, "too short"),
    ],
)
def test_what_cannot_be_published_is_refused(tree, given, status, words, monkeypatch):
    monkeypatch.setitem(sys.modules, "django.conf", None)  # others here have a project
    got, fields, body = post(**given)
    assert got == status
    assert words in json.loads(body)["error"]
    assert ("WWW-Authenticate" in fields) == (status == 401)
    assert fields.get("Allow") == ("POST" if status == 405 else None)
    assert not tree.posted


def test_everything_else_is_the_applications(tree):
    for path in ("/", "/.hendrix/publish/", "/.hendrix/publishing", "/x/.hendrix/publish"):
        assert post(path=path)[2] == "the application"


def test_at_the_end_the_answer_is_503(tree, monkeypatch):
    monkeypatch.setattr(branches, "current", None)
    assert post()[0] == 503


def test_without_a_secret_that_of_django_is_used(tree, monkeypatch):
    settings = SimpleNamespace(configured=True, SECRET_KEY=SECRET)
    monkeypatch.setitem(sys.modules, "django.conf", SimpleNamespace(settings=settings))
    assert post(secret=None)[0] == 202
    assert post(secret="another secret of ours")[0] == 401
    settings.configured = False
    assert post(secret=None)[0] == 403


# Commands.


class Caller:
    def __init__(self):
        self.room, self.events = True, []

    def event(self, event):
        self.events.append(event)

    def watch(self, gone, room=None):
        self.gone, self.again = gone, room


@pytest.fixture
def run(tree):
    commands = Commands()
    add_hub(commands, lambda: branches.current)

    def run(name, caller=None, **arguments):
        answers = []
        commands.run(name, arguments, caller).addCallbacks(answers.append, lambda failure: answers.append(failure.value))
        tree.settle()
        return answers[0]

    return run


def test_commands_publish_and_ask(tree, run):
    from hendrix.hey_joe.rules import Rule

    tree.branches[0].rule("a", Rule(history=5))
    reader = Reader(tree.branches[0], "a", who="ann")
    assert run("publish", topic="a", payload=[1]) == {"published": "a"}
    assert reader.payloads == [[1]]
    assert run("history", topic="a") == [{"topic": "a", "id": "e-1", "time": 1000.0, "payload": [1]}]
    assert run("presence", topic="a") == {"connections": 1, "who": ["ann"]}


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("publish", {"topic": "a"}, "there is no payload"),
        ("publish", {"payload": 1}, "topic: give it as text"),
        ("publish", {"topic": "a*", "payload": 1}, "a topic is levels"),
        ("publish", {"topic": "$queue.a", "payload": 1}, "the hub's own"),
        ("history", {"topic": 7}, "topic: give it as text"),
        ("presence", {"topic": ""}, "a topic is levels"),
        ("publish", {"topic": "a", "payload": 1, "tpoic": 2}, "takes no such argument"),
    ],
)
def test_commands_refuse_nonsense(run, name, arguments, words):
    error = run(name, **arguments)
    assert isinstance(error, PeerError) and words in str(error)


def test_a_caller_subscribes_until_it_leaves(tree, run):
    from hendrix.hey_joe.rules import Rule

    tree.branches[0].rule("a", Rule(history=1))
    run("publish", topic="a", payload=1)
    run("publish", topic="a", payload=2)
    caller = Caller()
    assert run("subscribe", caller, topic="a", since="e-0") == {"id": "e-2"}
    assert caller.events == [{"gap": "a", "lost": None, "reason": "history"}, {"topic": "a", "id": "e-2", "time": 1000.0, "payload": 2}]
    caller.events.clear()
    caller.room = False
    run("publish", topic="a", payload=3)
    assert caller.events == []
    caller.room = True
    caller.again()
    assert [event["payload"] for event in caller.events] == [3]
    caller.gone()
    run("publish", topic="a", payload=4)
    assert len(caller.events) == 1 and tree.hub.numbers()["subscribers"] == 0


def test_a_subscription_to_nonsense_leaves_nothing(tree, run):
    assert "a pattern is a topic" in str(run("subscribe", Caller(), topic="a..b"))
    assert tree.branches[0].subscribers == 0


def test_before_the_hub_runs_commands_say_so(run, monkeypatch):
    monkeypatch.setattr(branches, "current", None)
    assert "does not run yet" in str(run("publish", topic="a", payload=1))
