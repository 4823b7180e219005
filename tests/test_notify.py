"""`hendrix.notify`: what the service manager is told, and when."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from hendrix.notify import Notify


class Manager:
    """A `NOTIFY_SOCKET`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(0)

    @property
    def told(self) -> list[list[str]]:
        """What has come since one looked last."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode().splitlines())
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "@name"])
def manager(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    directory = tmp_path_factory.mktemp("n")
    manager = Manager(f"@hendrix-test-{os.getpid()}" if request.param == "@name" else str(directory / "notify"))
    yield manager
    manager.socket.close()


def made(manager: Manager, clock: Clock, status: list[str], **environ: str) -> Notify:
    node = Notify.of_environment(clock, {"NOTIFY_SOCKET": manager.address, **environ}, lambda: status[-1])
    assert node is not None
    return node


def test_ready_status_and_stopping(manager: Manager) -> None:
    clock, status = Clock(), ["serving"]
    node = made(manager, clock, status)
    assert manager.told == []
    node.startService()
    assert manager.told == [["READY=1"], ["STATUS=serving"]]
    clock.advance(5)
    assert manager.told == []
    status.append("busy")
    clock.advance(5)
    assert manager.told == [["STATUS=busy"]]
    node.stopService()
    clock.pump([5] * 3)
    assert manager.told == [["STOPPING=1", "STATUS=draining"]]


def test_the_watchdog_has_a_sign_of_life_twice_as_often_as_it_wants(manager: Manager) -> None:
    clock = Clock()
    node = made(manager, clock, ["serving"], WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    node.startService()
    assert manager.told == [["READY=1"], ["WATCHDOG=1", "STATUS=serving"]]
    clock.pump([1.5, 1.5])
    assert manager.told == [["WATCHDOG=1"], ["WATCHDOG=1"]]
    assert node.describe() == "a sign of life every 1.5 s"
    node.stopService()


@pytest.mark.parametrize("environ", [{"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "nonsense"}, {}])
def test_a_watchdog_of_another_process_is_not_ours(manager: Manager, environ: dict[str, str]) -> None:
    clock = Clock()
    node = made(manager, clock, ["serving"], **environ)
    node.startService()
    clock.pump([5] * 3)
    assert not any("WATCHDOG=1" in lines for lines in manager.told)
    node.stopService()


def test_a_reload_is_told_with_its_time_and_its_end_however_it_ends(manager: Manager) -> None:
    node, done = made(manager, Clock(), [""]), Deferred[None]()
    reload = node.around(lambda argument: done)
    result = reload({})
    ((first, second),) = manager.told
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=") and second.partition("=")[2].isdecimal()
    done.errback(ValueError())
    assert manager.told == [["READY=1"]]
    result.addErrback(lambda failure: failure.trap(ValueError))


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1"])
def test_without_a_manager_there_is_no_node(address: str) -> None:
    assert Notify.of_environment(Clock(), {"NOTIFY_SOCKET": address}, str) is None


def test_a_manager_that_has_gone_costs_a_line_of_the_log(tmp_path: Path) -> None:
    node = Notify(Clock(), str(tmp_path / "none"), 0, str)
    with capturedLogs() as logs:
        node.tell("READY=1")
    assert [event["log_format"] for event in logs] == ["the service manager could not be told: {error}"]
