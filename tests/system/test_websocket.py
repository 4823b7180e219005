"""WebSockets through a real process, on each lane: let in and refused, handlers, limits, what breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sockets import Client

from certificates import Certificate
from harness import Site

LANES = ["tcp", "unix", "tls"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Site]:
    listen = (
        "tcp:0:interface=127.0.0.1",
        f"unix:{tmp_path_factory.mktemp('unix')}/socket",
        f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}",
    )
    with Site("realtime:app", listen=listen) as site:
        yield site


@pytest.fixture(params=range(3), ids=LANES)
def lane(request: pytest.FixtureRequest) -> int:
    return int(request.param)


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


def test_the_fields_and_cookies_of_the_view_go_out_with_the_101(site: Site, lane: int) -> None:
    with Client(site, "/echo", address=lane) as client:
        assert "Set-Cookie: guitar=strat" in client.head
        assert "X-View: yes" in client.head
        assert "Content-" not in client.head
