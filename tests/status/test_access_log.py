"""`hendrix.status.access_log`: its file and its bounds."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
from pathlib import Path

import pytest

from hendrix.access.record import Record
from hendrix.errors import ConfigurationError
from hendrix.status import access_log
from hendrix.status.access_log import AccessLog

RECORD = Record(
    "request", 5.0, 5.0, 5.0, 5.0, 5.0, "", "203.0.113.1", "", "GET", "/a?b=c", "HTTP/1.1", "", "200", 0, 2326, "http://a.example/",
    "Mozilla/5.0", "", 0,
)  # fmt: skip


def line(text: str) -> str:
    """Without the time."""
    return "".join(part.partition("]")[2] if "[" in part else part for part in text.splitlines(keepends=True))


LINE = ' "GET /a?b=c HTTP/1.1" 200 2326 "http://a.example/" "Mozilla/5.0"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def written(path: Path, *records: Record, form: str = "combined") -> str:
    log = AccessLog(str(path), form)
    for record in records:
        log.append(record)
    log.close()
    return path.read_text("ascii")


class TestFile:
    def test_appends(self, path: Path) -> None:
        written(path, RECORD)
        assert line(written(path, RECORD)) == LINE * 2

    def test_flush_writes_and_close_flushes(self, path: Path) -> None:
        log = AccessLog(str(path))
        log.append(RECORD)
        assert path.read_text() == ""
        log.flush()
        log.flush()
        assert line(path.read_text()) == LINE
        log.append(RECORD)
        log.close()
        log.close()
        assert line(path.read_text()) == LINE * 2

    def test_after_close_all_is_dropped(self, path: Path) -> None:
        log = AccessLog(str(path))
        log.close()
        log.append(RECORD)
        assert log.dropped == 1
        log.flush()
        assert path.read_text() == ""

    def test_reopen_after_rotation(self, path: Path) -> None:
        log = AccessLog(str(path))
        log.append(RECORD)
        rotated = path.rename(path.with_suffix(".1"))
        log.reopen()
        log.append(RECORD._replace(status="204"))
        log.close()
        assert line(rotated.read_text()) == LINE
        assert line(path.read_text()) == LINE.replace(" 200 ", " 204 ")

    def test_failing_reopen_keeps_the_file(self, tmp_path: Path) -> None:
        directory = tmp_path / "logs"
        directory.mkdir()
        log = AccessLog(str(directory / "log"))
        moved = directory.rename(tmp_path / "moved")
        with pytest.raises(ConfigurationError):
            log.reopen()
        log.append(RECORD)
        log.close()
        assert line((moved / "log").read_text()) == LINE

    def test_leaves_no_descriptor(self, path: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        log = AccessLog(str(path))
        log.reopen()
        log.close()
        assert len(os.listdir("/proc/self/fd")) == before

    def test_dash_is_the_standard_output(self, capfd: pytest.CaptureFixture[str]) -> None:
        log = AccessLog("-")
        log.append(RECORD)
        log.reopen()
        log.close()
        os.write(1, b"still open\n")
        assert line(capfd.readouterr().out) == LINE + "still open\n"

    @pytest.mark.parametrize("place", ["missing/log", "."])
    def test_cannot_open(self, tmp_path: Path, place: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^--access-log=/[^\n]*; give a file"):
            AccessLog(str(tmp_path / place))

    def test_full_disk_loses_lines_and_counts_them(self, path: Path) -> None:
        """RLIMIT_FSIZE stands in for the disk: the first line fits, the rest does not, and nothing is raised."""
        log = AccessLog(str(path))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINE) + 60, limits[1]))
            for _ in range(3):
                log.append(RECORD)
            log.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert log.dropped == 2
        assert line(path.read_text()).startswith(LINE)
        log.close()


class TestQueue:
    def test_is_bounded_and_counts_drops(self, path: Path) -> None:
        log = AccessLog(str(path), limit=10)
        for _ in range(15):
            log.append(RECORD)
        log.flush()
        log.append(RECORD)
        log.close()
        assert log.dropped == 5
        assert line(path.read_text()) == LINE * 11

    def test_what_is_large_is_bounded_by_its_size(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that clients with the largest heads there may be do not fill the memory when the disk stands still."""
        monkeypatch.setattr(access_log, "MOST", 100_000)
        log = AccessLog(str(path))
        large = RECORD._replace(user_agent="x" * 30_000, received=30_100)
        for _ in range(10):
            log.append(large)
            log.append(RECORD)
        assert log.dropped == 7 and len(log.queue) == 13
        log.flush()
        log.append(large)
        assert len(log.queue) == 1
        log.close()

    def test_many_threads_lose_nothing(self, path: Path) -> None:
        """Each of 8 threads appends 2,000 records while another flushes: every line is there, whole, each thread's in order."""
        log = AccessLog(str(path), "json")
        done = threading.Event()

        def append(number: int) -> None:
            for count in range(2000):
                log.append(RECORD._replace(close_code=number, sent=count))

        def flush() -> None:
            while not done.is_set():
                log.flush()

        flusher = threading.Thread(target=flush)
        threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
        for thread in [flusher, *threads]:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        flusher.join()
        log.close()
        assert log.dropped == 0
        seen: dict[int, list[int]] = {number: [] for number in range(8)}
        for line in path.read_text().splitlines():
            record = json.loads(line)
            seen[record["close_code"]].append(record["sent"])
        assert all(counts == list(range(2000)) for counts in seen.values())
