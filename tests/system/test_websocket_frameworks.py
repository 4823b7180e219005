"""`accept` takes the request of each framework, and its response decides."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sockets import Answered, Client

from harness import Site


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site("frameworks:app") as site:
        yield site


@pytest.mark.parametrize("framework", ["flask", "pyramid", "bottle", "generator"])
def test_let_in_and_refused(site: Site, framework: str) -> None:
    with Client(site, f"/{framework}/echo") as client:
        assert f"by={framework}" in client.head
        client.send("hello")
        assert client.receive() == f"{framework}: hello"
    with pytest.raises(Answered) as answer:
        Client(site, f"/{framework}/refused", {"Connection": "Upgrade, close"})
    assert answer.value.status == 403
