"""Connections held for a test: what was let in, what its handlers do, what it hears; under plain WSGI and the clients of frameworks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import flask
import pytest
from webtest import TestApp

from hendrix import hey_joe
from hendrix.testing import HeldConnection, held_connections

happened: list[Any] = []


def said(ws: Any, message: Any) -> None:
    happened.append((ws.user, message))
    if message == "fail":
        raise RuntimeError("a string broke")
    if message == "leave":
        ws.close(4001, "as you like")
    if message == "more":
        ws.subscribe("news.*")
        ws.unsubscribe("chat.lobby")
    ws.send({"heard": message if isinstance(message, str) else None})
    hey_joe.publish("chat.lobby", "a message was heard")


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    status = environ["QUERY_STRING"] or "200 OK"
    if environ["PATH_INFO"] == "/live":
        hey_joe.accept(
            environ,
            topics="chat.lobby",
            on_open=lambda ws: ws.send("welcome"),
            on_message=said,
            on_close=lambda ws, code: happened.append(code),
            user="jimi",
            who="jimi",
            subprotocols="chat.v2",
            max_message=10,
        )
    start_response(status, [("Content-Type", "text/plain")])
    return [b"a view"]


@pytest.fixture(autouse=True)
def client() -> Any:
    happened.clear()
    return TestApp(app)


def test_a_view_lets_a_client_in_who_speaks_and_goes(client: Any) -> None:
    with held_connections() as held:
        ws = held.open(client.get("/live"))
        assert (ws.kind, ws.user, ws.topics, ws.path, ws.state) == ("WebSocket", "jimi", ("chat.lobby",), "/live", {})
        assert hey_joe.presence("chat.lobby") == {"connections": 1, "who": ["jimi"]}
        ws.receive("hello")
        ws.receive(b"bytes")
        assert happened == [("jimi", "hello"), ("jimi", b"bytes")]
        assert ws.sent == ["welcome", {"heard": "hello"}, {"heard": None}]
        assert [(event.topic, event.payload) for event in ws.events] == [("chat.lobby", "a message was heard")] * 2
        ws.receive("more")
        hey_joe.publish("news.world", 1)
        assert ws.topics == ("news.*",)
        assert [event.topic for event in ws.events[2:]] == ["news.world"]
        ws.leave(1001)
        assert (ws.closed, happened[-1], ws.topics) == (1001, 1001, ())
        assert hey_joe.presence("chat.lobby") == {"connections": 0, "who": []}
        with pytest.raises(AssertionError, match="closed with 1001"):
            ws.receive("too late")
        assert not ws.send("too late")
        assert "news.world" in [event.topic for event in held.published]


def test_what_a_handler_raises_is_the_tests_and_closes(client: Any) -> None:
    with held_connections() as held:
        ws = held.open(client.get("/live"))
        with pytest.raises(RuntimeError, match="a string broke"):
            ws.receive("fail")
        assert (ws.closed, ws.reason, happened[-1]) == (1011, "the server failed", 1011)


def test_the_application_closes(client: Any) -> None:
    with held_connections() as held:
        ws = held.open(client.get("/live"))
        ws.receive("leave")
        assert (ws.closed, ws.reason, happened[-1]) == (4001, "as you like", 4001)
        assert ws.sent == ["welcome"]
        other = held.open(client.get("/live"))
        other.receive("much too long for it")
        assert (other.closed, happened[-1]) == (1009, 1009)


def test_orders_reach_whom_they_mean(client: Any) -> None:
    with held_connections() as held:
        one, other = held.open(client.get("/live")), held.open(client.get("/live"))
        hey_joe.send_to(one.id, b"bytes")
        hey_joe.send_to(other.id, {"to": "other"})
        hey_joe.close_for(id=one.id, code=4002)
        assert (one.sent[1:], other.sent[1:], one.closed, other.closed) == ([b"bytes"], [{"to": "other"}], 4002, None)
        hey_joe.close_for("jimi")
        assert (one.closed, other.closed, other.reason) == (4002, 1008, "logged out")
        assert len(held) == 2


def test_who_is_refused_is_not_let_in(client: Any) -> None:
    with held_connections() as held:
        with pytest.raises(AssertionError, match="nobody was let in: the view has answered 200"):
            held.open(client.get("/"))
        with pytest.raises(AssertionError, match="the view has answered 403"):
            held.open(client.get("/live?403 No", expect_errors=True))
        response = client.get("/live", headers={"Origin": "https://elsewhere.example"})
        assert held[-1].refused == 403
        with pytest.raises(AssertionError, match="refused with 403"):
            held.open(response)
        assert happened == []


def test_an_event_stream_and_a_subprotocol(client: Any) -> None:
    with held_connections() as held:
        assert held.open(client.get("/live", headers={"Accept": "text/event-stream"})).kind == "event stream"
        ws = held.open(client.get("/live", headers={"Sec-WebSocket-Protocol": "chat.v3, chat.v2"}))
        assert ws.subprotocol == "chat.v2"


def test_under_the_client_of_flask() -> None:
    site = flask.Flask("site")

    @site.get("/live")
    def live() -> str:
        hey_joe.accept(flask.request, topics="chat.*", on_message=said)
        return ""

    with held_connections() as held:
        ws: HeldConnection = held.open(site.test_client().get("/live"))
        ws.receive("hello")
        assert ws.sent == [{"heard": "hello"}]
        assert [event.payload for event in ws.events] == ["a message was heard"]


def test_rules_hold_and_end_with_the_block(client: Any) -> None:
    hey_joe.topic("kept.testing", history=3)
    with held_connections():
        hey_joe.publish("kept.testing", 1)
        assert [event.payload for event in hey_joe.history("kept.testing")] == [1]
    with held_connections():
        assert hey_joe.history("kept.testing") == []
    with pytest.raises(hey_joe.NoHub):
        hey_joe.publish("kept.testing", 1)
    with pytest.raises(hey_joe.NotServed):
        client.get("/live")


def test_importing_it_installs_no_reactor() -> None:
    done = subprocess.run([sys.executable, "-c", "import hendrix.testing, sys; sys.exit('twisted.internet.reactor' in sys.modules)"])
    assert done.returncode == 0
