"""`hendrix.control.address`: where the socket is, who may connect, and whose place is not taken."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hendrix.control.address import Address, Unavailable, address, bound
from hendrix.errors import ConfigurationError


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose name is short enough for a unix socket."""
    directory = tmp_path_factory.mktemp("c")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    return directory


def test_it_is_where_it_is_told_to_be_or_beside_the_pid_file_or_in_a_directory_of_the_user() -> None:
    assert address("off", {}) is None
    assert address("/run/x", {"pidfile": "/run/site.pid"}) == Address("/run/x", chosen=True)
    assert address(None, {"pidfile": "/run/site.pid"}) == Address("/run/site.control")
    assert address(None, {"pidfile": "/run/pidfile"}) == Address("/run/pidfile.control")
    assert address(None, {"pidfile": ""}) == address(None, {}) == Address()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_its_owner_is_who_the_process_is_going_to_be() -> None:
    assert address(None, {"uid": 65534, "gid": None}) == Address(owner=(65534, -1))
    assert address(None, {"uid": None, "gid": 65534}) == Address(owner=(-1, 65534))
    assert address(None, {"uid": None, "gid": None}) == Address()


def test_only_its_user_may_connect_whatever_the_umask(here: Path) -> None:
    before = os.umask(0)
    try:
        with bound(Address(str(here / "a"))):
            status = os.stat(here / "a")
        assert os.umask(0) == 0, "the umask is as it was"
    finally:
        os.umask(before)
    assert stat.S_IMODE(status.st_mode) == 0o600 and stat.S_ISSOCK(status.st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_it_to_the_user_of_the_process(here: Path) -> None:
    with bound(Address(str(here / "a"), owner=(65534, -1))):
        assert os.stat(here / "a").st_uid == 65534


def test_a_socket_that_nobody_listens_on_any_longer_is_replaced(here: Path) -> None:
    bound(Address(str(here / "a"))).close()
    with bound(Address(str(here / "a"))):
        pass


def test_one_that_somebody_listens_on_is_left_alone_also_when_he_is_busy(here: Path) -> None:
    path = str(here / "a")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client, socket.socket(socket.AF_UNIX) as other:
        busy.bind(path)
        busy.listen(0)
        for each in (client, other):  # what the kernel queues
            each.setblocking(False)
            each.connect_ex(path)
        with pytest.raises(ConfigurationError, match=f"^--control={path}: another hendrix listens there; stop it, or give another path$"):
            bound(Address(path))
    assert os.path.exists(path)


def test_a_file_of_that_name_is_left_alone(here: Path) -> None:
    (here / "a").write_text("precious")
    with pytest.raises(ConfigurationError, match="there is a file of that name"):
        bound(Address(str(here / "a")))
    assert (here / "a").read_text() == "precious"


@pytest.mark.parametrize("path", ["no/such/directory", "x" * 200])
def test_a_path_that_cannot_be_is_named(here: Path, path: str) -> None:
    with pytest.raises(Unavailable, match=path):
        bound(Address(str(here / path)))


def test_a_place_of_our_own_has_our_number_and_a_second_one_another(here: Path) -> None:
    with bound(Address()) as first, bound(Address()) as second:
        assert first.getsockname() == f"{here}/hendrix/{os.getpid()}.control"
        assert second.getsockname() == f"{here}/hendrix/{os.getpid()}-2.control"
    assert stat.S_IMODE(os.stat(here / "hendrix").st_mode) == 0o700
    with bound(Address()) as again:
        assert again.getsockname() == f"{here}/hendrix/{os.getpid()}.control"


def test_what_the_dead_have_left_there_is_swept_up(here: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    (here / "hendrix").mkdir(0o700)
    for name in (f"{int(ended.stdout)}.control", f"{int(ended.stdout)}-2.control", "1.control", "mine.control", f"{os.getpid()}.txt"):
        (here / "hendrix" / name).touch()
    with bound(Address()):
        assert sorted(os.listdir(here / "hendrix")) == sorted(["1.control", "mine.control", f"{os.getpid()}.txt", f"{os.getpid()}.control"])


def test_a_directory_that_others_may_enter_is_not_ours(here: Path) -> None:
    (here / "hendrix").mkdir(0o755)
    os.chmod(here / "hendrix", 0o755)
    with pytest.raises(Unavailable, match="only this user may enter"):
        bound(Address())


def test_a_symbolic_link_in_its_place_is_not_followed(here: Path) -> None:
    (here / "elsewhere").mkdir(0o700)
    (here / "hendrix").symlink_to(here / "elsewhere")
    with pytest.raises(Unavailable, match="it must be a directory"):
        bound(Address())
