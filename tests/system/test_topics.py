"""What is published reaches who subscribes: by WebSocket, event stream and long poll; what was missed, and what a client may ask for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sockets import BINARY, CLOSE, TEXT, Client, Stream, endpoints, eventually, publish, seen, subscribed

from certificates import Certificate
from harness import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Site]:
    with Site("realtime:app", "--threads=4", listen=endpoints(tmp_path_factory.mktemp("unix"), certificate)) as site:
        yield site


@pytest.fixture(params=range(3), ids=["tcp", "unix", "tls"])
def lane(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def poll(site: Site, since: str | None = None, address: int = 0) -> Any:
    response = site.get("/topics" + (f"?since={since}" if since else ""), address=address)
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    return json.loads(response.body)


# What is published.


def test_each_kind_of_connection_gets_the_same_messages_in_order(site: Site, lane: int) -> None:
    with Client(site, "/topics", address=lane) as client, Stream(site, "/topics", address=lane) as stream:
        since = subscribed(client, "news.*", "chat.lobby")
        assert stream.event()["event"] == "at"
        for number in range(20):
            publish(site, "news.london" if number % 2 else "chat.lobby", {"n": number, "text": "ü\n\u2028"})
        publish(site, "chat.kitchen", "not for them")
        publish(site, "chat.lobby", "last")
        by_socket = [client.receive_json() for _ in range(21)]
        by_stream = [stream.message() for _ in range(21)]
        by_poll = poll(site, since, lane)["messages"]
        assert by_socket == by_stream == by_poll
        assert [message["payload"] for message in by_socket] == [{"n": number, "text": "ü\n\u2028"} for number in range(20)] + ["last"]
        assert by_socket[1]["topic"] == "news.london"


def test_the_stream_is_one_and_has_the_fields_of_the_view(site: Site, lane: int) -> None:
    with Stream(site, "/topics", address=lane) as stream:
        assert stream.head.startswith("HTTP/1.1 200 OK")
        for field in (
            "Content-Type: text/event-stream; charset=utf-8",
            "Cache-Control: no-store",
            "Set-Cookie: guitar=strat",
            "X-View: yes",
        ):
            assert field in stream.head
        assert "text/html" not in stream.head


def test_text_of_many_lines_is_one_event(site: Site) -> None:
    with Stream(site, "/act?early=one%0Atwo%0D%0Athree") as stream:
        assert stream.raw() == "data: one\ndata: two\ndata: three"
        assert stream.raw() == "data: welcome"


# What was missed.


def test_a_client_that_comes_back_gets_what_it_missed(site: Site, lane: int) -> None:
    with Client(site, "/topics", address=lane) as client:
        subscribed(client, "news.*", "chat.lobby")
        publish(site, "chat.lobby", "before")
        id = client.receive_json()["id"]
    for payload in ("one", "two"):
        publish(site, "chat.lobby", payload)
    with Client(site, f"/topics?since={id}", address=lane) as client:
        assert [client.receive_json()["payload"] for _ in range(2)] == ["one", "two"]
        publish(site, "chat.lobby", "three")
        payloads = []
        while len(payloads) < 1:
            said = client.receive_json()
            if "hey_joe" not in said:
                payloads.append(said["payload"])
        assert payloads == ["three"]
    with Stream(site, "/topics", {"Last-Event-ID": id}, lane) as stream:
        assert [stream.message()["payload"] for _ in range(3)] == ["one", "two", "three"]
    answer = poll(site, id, lane)
    assert [message["payload"] for message in answer["messages"]] == ["one", "two", "three"]
    assert answer["id"] == answer["messages"][-1]["id"]


def test_what_cannot_be_made_up_for_is_a_gap(site: Site) -> None:
    with Client(site, "/topics?since=another-5") as client:
        gaps = [client.receive_json(), client.receive_json()]
        assert sorted(gap["gap"] for gap in gaps) == ["chat.lobby", "news.*"]
        assert {gap["reason"] for gap in gaps} == {"history"}
    with Stream(site, "/topics?since=another-5") as stream:
        assert {stream.event()["event"], stream.event()["event"]} == {"gap"}


def test_a_long_poll_answers_at_once_with_a_place_to_begin_and_waits_from_there(site: Site, lane: int) -> None:
    first = poll(site, address=lane)
    assert first["messages"] == []
    with site.connect(lane) as waiting:
        waiting.sendall(f"GET /topics?since={first['id']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        waiting.settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        waiting.settimeout(30)
        publish(site, "news.tokyo", 7)
        answer = b"".join(iter(lambda: waiting.recv(65536), b""))
    assert b"Set-Cookie: guitar=strat" in answer
    said = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert [message["payload"] for message in said["messages"]] == [7]
    assert said["id"] == said["messages"][0]["id"]


# What a client may ask for.


def test_a_client_may_subscribe_to_what_the_view_allows_and_to_nothing_else(site: Site) -> None:
    with Client(site, "/topics") as client:
        subscribed(client, "news.*", "chat.lobby")
        client.send_json({"hey_joe": "subscribe", "topic": "free.beer.now"})
        subscribed(client, "free.beer.now")
        publish(site, "free.beer.now", "cheers")
        assert client.receive_json()["payload"] == "cheers"
        for topic in ("secret", "**", "chat.*", "free.*", "", "a b", "$presence.chat.lobby"):
            client.send_json({"hey_joe": "subscribe", "topic": topic})
            said = client.receive_json()
            assert (said["hey_joe"], said["topic"]) == ("refused", topic)
        client.send_json({"hey_joe": "unsubscribe", "topic": "free.beer.now"})
        assert client.receive_json() == {"hey_joe": "unsubscribed", "topic": "free.beer.now"}
        publish(site, "free.beer.now", "not for us")
        publish(site, "news.tokyo", "for us")
        assert client.receive_json()["payload"] == "for us"
        odd = [
            '{"hey_joe":"dance"}',
            '{"hey_joe":',
            '{"hey_joe": []}',
            '{"hey_joe":' + "[" * 900,
            '{"hey_joe":' + "[" * 9000,
            '{"hx_subscribe":{}}',
        ]
        client.send(*odd)
        assert [client.receive_json()["hey_joe"] for _ in odd] == ["refused"] * len(odd)


def test_a_handler_may_subscribe_its_client(site: Site) -> None:
    with Client(site, "/act") as client:
        assert client.receive() == "welcome"
        client.send('["subscribe", "chat.cellar"]')
        subscribed(client, "chat.cellar")
        publish(site, "chat.cellar", "down here")
        assert client.receive_json()["payload"] == "down here"
        client.send('["unsubscribe", "chat.cellar"]', '["send", "done"]')
        assert client.receive() == "done"
        publish(site, "chat.cellar", "not for us")
        client.send('["subscribe", "no topic"]')
        opcode, (code, _) = client.next()
        assert (opcode, code) == (CLOSE, 1011)
    assert "a pattern is a topic in which a level may be" in site.log


def test_a_client_may_not_subscribe_without_end(site: Site) -> None:
    with Client(site, "/old") as client:
        for number in range(1001):
            client.send_json({"hey_joe": "subscribe", "topic": f"topic.{number}"})
            said = client.receive_json()
            assert said["hey_joe"] == ("subscribed" if number < 1000 else "refused")


def test_a_client_asks_again_for_what_it_missed(site: Site) -> None:
    with Client(site, "/topics") as client:
        since = subscribed(client, "news.*", "chat.lobby")
        publish(site, "free.jazz", 1)
        client.send_json({"hey_joe": "subscribe", "topic": "free.jazz", "since": since})
        assert client.receive_json()["payload"] == 1


def test_a_client_of_hendrix_5(site: Site) -> None:
    with Client(site, "/old") as client:
        client.send('{"hx_subscribe": "YOU"}', '{"hx_subscribe": "stock"}')
        assert client.receive() == "Subscribed to stock"
        publish(site, "stock", {"price": 42})
        assert client.receive() == '["stock",{"price":42}]'
        client.send('{"hx_subscribe": "states"}')
        assert client.receive() == '["states","of joy"]'
        publish(site, "states", "of mind")
        assert client.receive() == '["states","of mind"]'
        site.request("POST", "/broadcast", b'"to all"')
        assert client.receive() == '["BROADCAST","to all"]'


# Slow clients.


def test_a_client_that_never_reads_is_bounded_and_nobody_else_notices(site: Site, lane: int) -> None:
    """Its messages are dropped, and it hears of that once it reads."""
    with Client(site, "/long", address=lane) as lazy, Client(site, "/long", address=lane) as other:
        subscribed(lazy, "long")
        subscribed(other, "long")
        before = site.memory
        text = "x" * 200_000
        for number in range(100):
            publish(site, "long", [number, text])
            assert other.receive_json()["payload"][0] == number
        assert site.memory - before < 15 << 20
        got, lost = [], 0
        while not got or got[-1] != 99:
            said = lazy.receive_json()
            if "gap" in said:
                lost += said["lost"]
                assert said["reason"] == "slow"
            else:
                got.append(said["payload"][0])
        assert got == sorted(got)
        assert lost == 100 - len(got) > 0


def test_a_client_that_never_reads_is_cut_where_the_topic_wants_that(site: Site, lane: int) -> None:
    with Client(site, "/strict", address=lane) as lazy:
        subscribed(lazy, "strict")
        text = "x" * 200_000
        for number in range(60):
            publish(site, "strict", [number, text])
        codes = []
        while not codes:
            opcode, payload = lazy.next()
            if opcode not in (TEXT, BINARY):
                codes.append(payload[0] if opcode == CLOSE else opcode)
        assert codes == [4008]


def test_a_handler_that_sends_more_than_its_client_reads_waits_for_it(site: Site) -> None:
    with Client(site, "/act/flood") as lazy:
        assert lazy.receive() == "welcome"
        before = site.memory
        lazy.send('["flood", 200, 100000]')
        with Client(site, "/echo") as other:
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                other.send("still here")
                assert other.receive() == "still here"
                assert site.memory - before < 10 << 20
                time.sleep(0.02)
        numbers = [int(lazy.receive()[:7]) for _ in range(200)]
        assert numbers == list(range(200)), "a client that reads in the end gets all"


def test_an_echo_that_nobody_reads_stops_reading(site: Site, lane: int) -> None:
    before = site.memory
    with Client(site, "/echo", address=lane, timeout=0.5) as lazy:
        with pytest.raises(TimeoutError):
            lazy.send(*[bytes(1 << 20)] * 100)
        assert site.memory - before < 30 << 20
    assert site.get("/").status == 200


def test_who_is_slow_for_too_long_is_cut(tmp_path: Path, certificate: Certificate) -> None:
    """By the write timeout; and on_close is called."""
    with Site("realtime:app", "--write-timeout=1", listen=endpoints(tmp_path, certificate)) as site:
        lazy = [Client(site, f"/act/{address}", address=address) for address in range(3)]
        for client in lazy:
            client.send('["flood", 200, 100000]')
        eventually(lambda: sorted(entry for entry in seen(site) if entry[0] == "close") == [["close", f"/act/{n}", 4008] for n in range(3)])
        for client in lazy:
            client.socket.close()
