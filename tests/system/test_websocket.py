"""WebSockets through a real process, on each lane: let in and refused, handlers, what breaks, the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sockets import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Answered, Client, Stream, endpoints, eventually, frame, seen

from certificates import Certificate
from harness import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Site]:
    with Site("realtime:app", "--threads=4", "--access-log=-", listen=endpoints(tmp_path_factory.mktemp("unix"), certificate)) as site:
        yield site


@pytest.fixture(params=range(3), ids=["tcp", "unix", "tls"])
def lane(request: pytest.FixtureRequest) -> int:
    return int(request.param)


# Messages.


@pytest.mark.parametrize("deflate", [False, True])
def test_echo(site: Site, lane: int, deflate: bool) -> None:
    with Client(site, "/echo", address=lane, deflate=deflate) as client:
        for message in ("hello", "", "ü" * 300, b"", b"\0\xff", "x" * 1_000_000, b"y" * (1 << 20)):
            client.send(message)
            assert client.receive() == message
        client.send(*(str(number) for number in range(500)))
        assert [client.receive() for _ in range(500)] == [str(number) for number in range(500)]
        client.close(1000)
        assert client.closed() == 1000


def test_what_comes_in_pieces_is_one_message(site: Site, lane: int) -> None:
    with Client(site, "/echo", address=lane) as client:
        whole = frame(TEXT, "grüße".encode()[:3], first=0) + frame(PING, b"?") + frame(CONTINUATION, "grüße".encode()[3:])
        for byte in whole:
            client.socket.sendall(bytes((byte,)))
        assert client.next() == (PONG, b"?")
        assert client.receive() == "grüße"


def test_json_is_what_is_neither_text_nor_bytes(site: Site) -> None:
    with Client(site, "/act") as client:
        assert client.receive() == "welcome"
        client.send('["send", {"a": [1, null]}]', '["send", "text"]', '["send", 7]')
        assert [client.receive() for _ in range(3)] == ['{"a":[1,null]}', "text", "7"]


def test_what_the_view_sends_arrives_first(site: Site, lane: int) -> None:
    with Client(site, "/echo?early=good+evening", address=lane) as client:
        client.send("hello")
        assert [client.receive(), client.receive()] == ["good evening", "hello"]


# Let in, and refused.


def test_the_fields_and_cookies_of_the_view_go_out_with_the_101(site: Site, lane: int) -> None:
    with Client(site, "/echo", address=lane) as client:
        assert "Set-Cookie: guitar=strat" in client.head
        assert "X-View: yes" in client.head
        assert "Content-" not in client.head


@pytest.mark.parametrize("status", ["403 Forbidden", "302 Found", "500 Broken"])
def test_any_other_status_refuses_and_goes_out_as_the_view_wrote_it(site: Site, lane: int, status: str) -> None:
    with pytest.raises(Answered) as answer:
        Client(site, f"/echo?status={status.replace(' ', '+')}", {"Connection": "Upgrade, close"}, address=lane)
    assert answer.value.head.startswith(f"HTTP/1.1 {status}")
    assert "Set-Cookie: guitar=strat" in answer.value.head
    assert answer.value.body == b"ordinary\n"


def test_a_view_that_does_not_accept_answers_as_ever(site: Site, lane: int) -> None:
    with pytest.raises(Answered) as answer:
        Client(site, "/ordinary", {"Connection": "Upgrade, close"}, address=lane)
    assert (answer.value.status, answer.value.body) == (200, b"ordinary\n")


REFUSED: dict[str, tuple[dict[str, str | None], int]] = {
    "no key": ({"Sec-WebSocket-Key": None}, 400),
    "a short key": ({"Sec-WebSocket-Key": "AAAA"}, 400),
    "a key that is no base64": ({"Sec-WebSocket-Key": "!" * 24}, 400),
    "two keys": ({"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="}, 400),
    "no version": ({"Sec-WebSocket-Version": None}, 400),
    "an old version": ({"Sec-WebSocket-Version": "8"}, 426),
    "Connection without upgrade": ({"Connection": "keep-alive"}, 400),
    "another site": ({"Origin": "https://evil.example"}, 403),
    "another port": ({"Origin": "http://localhost:81"}, 403),
    "a sandboxed page": ({"Origin": "null"}, 403),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_a_handshake_that_is_none(site: Site, case: str) -> None:
    fields, status = REFUSED[case]
    with pytest.raises(Answered) as answer:
        Client(site, "/echo", fields)
    assert answer.value.status == status
    assert ("Sec-WebSocket-Version: 13" in answer.value.head) == (status == 426)
    assert "guitar" not in answer.value.head


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/echo", {"Origin": "http://localhost"}),
        ("/echo", {"Origin": "https://localhost", "Host": "LOCALHOST:443"}),
        ("/echo", {"Connection": "keep-alive, UPGRADE", "Upgrade": "WebSocket"}),
        ("/origins", {"Origin": "https://chat.example.com"}),
    ],
)
def test_a_handshake_that_is_one(site: Site, path: str, fields: dict[str, str | None]) -> None:
    with Client(site, path, fields) as client:
        client.send("hello")
        assert client.receive() == "hello"


def test_a_client_that_does_not_wait_for_the_answer_is_refused(site: Site, lane: int) -> None:
    fields: dict[str, str | None] = {"Sec-WebSocket-Version": "13\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost"}
    with pytest.raises(Answered) as answer:
        Client(site, "/echo", fields, address=lane)
    assert answer.value.status == 400
    assert b"smuggled" not in answer.value.body


def test_subprotocols(site: Site) -> None:
    for offered, chosen in (("chat.v1, chat.v2", "chat.v1"), ("soap", ""), ("soap, chat.v2", "chat.v2")):
        with Client(site, "/protocols", {"Sec-WebSocket-Protocol": offered}) as client:
            assert (f"Sec-WebSocket-Protocol: {chosen}" in client.head) == bool(chosen)
            client.send('["about"]')
            assert client.receive_json()["subprotocol"] == chosen


def test_no_compression_where_the_view_wants_none(site: Site) -> None:
    with Client(site, "/plain", {"Sec-WebSocket-Extensions": "permessage-deflate"}) as client:
        assert "Extensions" not in client.head


def test_tasks_follow_the_101_and_the_access_log_has_it(site: Site, lane: int) -> None:
    with Client(site, f"/echo?task={lane}", address=lane) as client:
        eventually(lambda: ["task", str(lane)] in seen(site))
        client.send("still here")
        assert client.receive() == "still here"
    eventually(lambda: f'"GET /echo?task={lane} HTTP/1.1" 101 ' in site.log)


def test_a_question_for_the_fields_alone_is_answered_as_ever(site: Site, lane: int) -> None:
    response = site.request("HEAD", "/echo", address=lane)
    assert (response.status, response.headers["Content-Length"], response.body) == (200, "9", b"")


# Handlers.


def test_handlers_know_who_it_is(site: Site) -> None:
    with Client(site, "/act") as client:
        assert client.receive() == "welcome"
        client.send('["about"]')
        about = client.receive_json()
        assert (about["user"], about["state"]) == ("jimi", {"guitar": "strat"})
        site.get(f"/send?id={about['id']}&text=from+afar")
        assert client.receive() == "from afar"


def test_the_end_reaches_on_close_once_with_its_code(site: Site, lane: int) -> None:
    with Client(site, f"/act/{lane}/one", address=lane) as client:
        client.receive()
        client.close(4321, "bye")
        assert client.closed() == 4321
    with Client(site, f"/act/{lane}/two", address=lane) as client:
        client.receive()
    with Client(site, f"/act/{lane}/three", address=lane) as client:
        client.receive()
        client.send('["close", 4000, "enough"]')
        assert client.next() == (CLOSE, (4000, "enough"))
        client.close(4000)
        assert client.next() == (-1, None)

    def codes() -> dict[str, list[int]]:
        found: dict[str, list[int]] = {"one": [], "two": [], "three": []}
        for what, path, *code in seen(site):
            if what == "close" and path.startswith(f"/act/{lane}/"):
                found[path.rpartition("/")[2]] += code
        return found

    eventually(lambda: codes() == {"one": [4321], "two": [1006], "three": [4000]})


def test_a_handler_that_raises(site: Site) -> None:
    with Client(site, "/fail") as client:
        client.send("hello", "fail", "never")
        assert client.receive() == "hello"
        opcode, (code, _) = client.next()
        assert (opcode, code) == (CLOSE, 1011)
    assert "as asked" in site.log
    with Client(site, "/forgive") as client:
        client.send("fail", "hello")
        assert client.receive() == "hello"


def test_a_handler_that_blocks_delays_nobody(site: Site, tmp_path: Path) -> None:
    """Three of the four threads are held, one for each lane, until all others have had what they asked for."""
    gate = tmp_path / "gate"
    with Client(site, "/hold") as first, Client(site, "/hold", address=1) as second, Client(site, "/hold", address=2) as third:
        for client in (first, second, third):
            client.send(str(gate), str(gate))
        for lane in range(3):
            with Client(site, "/echo", address=lane) as other:
                for number in range(20):
                    other.send(str(number))
                    assert other.receive() == str(number)
                    assert site.get("/", address=lane).status == 200
        gate.touch()
        for client in (first, second, third):
            assert [client.receive(), client.receive()] == ["released"] * 2


def test_messages_of_one_connection_are_handled_in_order(site: Site, lane: int) -> None:
    with Client(site, "/slow", address=lane) as client:
        client.send("0.2", "0", "0.1", "0")
        assert [client.receive() for _ in range(4)] == ["slept 0.2", "slept 0", "slept 0.1", "slept 0"]


def test_a_logout_closes_the_connections_of_the_user_and_no_others(site: Site) -> None:
    with Client(site, "/act") as jimi, Client(site, "/act", address=2) as again, Client(site, "/echo") as other:
        assert (jimi.receive(), again.receive()) == ("welcome", "welcome")
        site.get("/close?user=jimi")
        assert jimi.next() == (CLOSE, (1008, "logged out"))
        assert again.next() == (CLOSE, (1008, "logged out"))
        other.send("still here")
        assert other.receive() == "still here"


# Silence.


def test_silence(site: Site) -> None:
    """A silent client is pinged and then dropped; an idle one is let go; a stream is written to."""
    with Client(site, "/idle") as idle, Client(site, "/beat") as client, Stream(site, "/beat") as stream:
        assert client.next() == (PING, b"")
        assert client.next() == (-1, None), "it has not answered"
        assert idle.next() == (CLOSE, (1000, "idle"))
        assert [stream.raw(), stream.raw()] == [":", ":"]


# What breaks the protocol.

BROKEN: dict[str, tuple[bytes, int]] = {
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "text that ends in the middle of a character": (frame(TEXT, "ü".encode()[:1]), 1007),
    "a reserved bit": (frame(TEXT, b"hi", first=0x90), 1002),
    "compressed without having agreed on it": (frame(TEXT, b"hi", first=0xC0), 1002),
    "a reserved opcode": (frame(0x3, b"hi"), 1002),
    "no mask": (frame(TEXT, b"hi", masked=False), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"hi"), 1002),
    "a message inside another": (frame(TEXT, b"a", first=0) + frame(TEXT, b"b"), 1002),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "a ping in pieces": (frame(PING, b"x", first=0), 1002),
    "a close frame of one byte": (frame(CLOSE, b"x"), 1002),
    "a close code that may not be sent": (frame(CLOSE, b"\x03\xee"), 1002),
    "a terabyte": (frame(BINARY, b"x", length=1 << 40), 1009),
    "a length beyond all": (frame(BINARY, b"x", length=1 << 63), 1002),
    "a byte too much": (frame(BINARY, length=(1 << 20) + 1), 1009),
    "too much in pieces": ((frame(BINARY, bytes(65536), first=0) + frame(CONTINUATION, bytes(65536), first=0) * 16), 1009),
    "empty pieces without end": (frame(BINARY, first=0) + frame(CONTINUATION, first=0) * 70_000, 1009),
}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.replace(" ", "-"))
def test_what_breaks_the_protocol(site: Site, case: str) -> None:
    data, code = BROKEN[case]
    with Client(site, "/echo") as other, Client(site, "/echo") as client:
        client.send("before")
        assert client.receive() == "before"
        client.socket.sendall(data)
        assert client.closed() == code
        other.send("still here")
        assert other.receive() == "still here"


def test_a_deflate_bomb_is_never_blown_up(site: Site) -> None:
    """A gibibyte in a megabyte; and many messages of the allowed size in a few bytes, to a handler that is busy."""
    before = site.memory
    with Client(site, "/echo", deflate=True) as client:
        client.send(bytes(64 << 20))
        assert client.closed() == 1009
    with Client(site, "/slow", deflate=True) as client:
        client.send("0.5", *(["0" * (1 << 20)] * 100))
        assert client.receive() == "slept 0.5"
        assert site.memory - before < 40 << 20
