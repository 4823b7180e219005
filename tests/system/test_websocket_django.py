"""WebSockets of a Django project: the session and the permissions of the handshake decide, and a logout ends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sockets import CLOSE, Answered, Client

from harness import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    database: Path = tmp_path_factory.mktemp("lounge") / "lounge.sqlite3"
    with Site("lounge.application", "--threads=4", env={"LOUNGE_DATABASE": str(database)}) as site:
        yield site


def logged_in(site: Site, name: str, more: str = "") -> dict[str, str | None]:
    """The cookies of somebody who has logged in, as fields for a request."""
    response = site.get(f"/login?name={name}{more}")
    assert response.text == "welcome"
    cookies = [value.partition(";")[0] for value in response.headers.get_all("Set-Cookie") or ()]
    return {"Cookie": "; ".join(cookies)}


def refused(site: Site, path: str, fields: dict[str, str | None]) -> Answered:
    with pytest.raises(Answered) as answer:
        Client(site, path, {"Connection": "Upgrade, close", **fields})
    return answer.value


def test_who_is_logged_in_is_let_in_and_known_to_the_handlers(site: Site) -> None:
    with Client(site, "/chat/lobby", logged_in(site, "jimi")) as client:
        client.send("hello", "again")
        for text in ("hello", "again"):
            said = client.receive_json()
            assert (said["user"], said["said"], said["room"]) == ("jimi", text, "lobby")
            assert said["on"].startswith("crew-")
            assert not said["left_open"], "connections are given back after each handler, as after a request"


def test_who_is_not_is_sent_to_the_login(site: Site) -> None:
    answer = refused(site, "/chat/lobby", {})
    assert answer.status == 302
    assert "/login?next=/chat/lobby" in answer.head


def test_a_session_that_has_expired_opens_nothing(site: Site) -> None:
    cookies = logged_in(site, "noel")
    Client(site, "/chat/lobby", cookies).socket.close()
    site.get("/expire")
    assert refused(site, "/chat/lobby", cookies).status == 302


def test_permissions(site: Site) -> None:
    assert refused(site, "/staff", logged_in(site, "mitch")).status == 403
    with Client(site, "/staff", logged_in(site, "chas", "&staff")) as client:
        client.send("hello")
        assert client.receive() == "hello"


def test_a_logout_ends_what_is_connected(site: Site) -> None:
    cookies = logged_in(site, "billy")
    with Client(site, "/chat/lobby", cookies) as client, Client(site, "/chat/lobby", logged_in(site, "buddy")) as other:
        assert site.get("/logout", {"Cookie": cookies["Cookie"] or ""}).text == "bye"
        assert client.next() == (CLOSE, (1008, "logged out"))
        other.send("still here")
        assert other.receive_json()["said"] == "still here"
    assert refused(site, "/chat/lobby", cookies).status == 302


def test_a_page_of_another_origin_is_refused_whoever_is_logged_in(site: Site) -> None:
    answer = refused(site, "/chat/lobby", {**logged_in(site, "jimi"), "Origin": "https://evil.example"})
    assert answer.status == 403
    assert "sessionid" not in answer.head
