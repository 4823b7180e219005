"""`hendrix.status.access_log`: its two formats, its bounds, and that nobody can forge a line."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
import time
import timeit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hendrix.errors import ConfigurationError
from hendrix.status import access_log
from hendrix.status.access_log import AccessLog, Format, Record

RECORD = Record(971186136.5, "203.0.113.1", "GET", "/a?b=c", "HTTP/1.1", 200, 2326, "http://a.example/", "Mozilla/5.0", 0.0125)
LINE = '203.0.113.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326 "http://a.example/" "Mozilla/5.0"\n'
NASTY = "".join(map(chr, range(0x100))) + '"}\\n\u2028\U0001f600\ud800'


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    access_log._stamp.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    access_log._stamp.cache_clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def written(path: Path, *records: Record, form: Format = "combined") -> str:
    log = AccessLog(str(path), form)
    for record in records:
        log.append(record)
    log.close()
    return path.read_text("ascii")


class TestCombined:
    def test_line(self, path: Path) -> None:
        assert written(path, RECORD, RECORD) == LINE * 2

    def test_absent_values_are_dashes(self, path: Path) -> None:
        bare = RECORD._replace(remote_addr="", method="", target="", protocol="", status=400, sent=0, referer="", user_agent="")
        assert written(path, bare) == '- - - [10/Oct/2000:13:55:36 +0000] "-" 400 - "-" "-"\n'

    @pytest.mark.parametrize(
        ("zone", "stamp"), [("XXX+7", "06:55:36 -0700"), ("XXX-5:45", "19:40:36 +0545"), ("XXX+3:30", "10:25:36 -0330")]
    )
    def test_local_time(self, path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, stamp: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        access_log._stamp.cache_clear()
        assert f"[10/Oct/2000:{stamp}]" in written(path, RECORD._replace(time=971186136.25))

    def test_escapes_as_apache(self, path: Path) -> None:
        assert r'"a\"b\\c\x0d\x0a\x1b\x7f\xe9\u2028" ' in written(path, RECORD._replace(referer='a"b\\c\r\n\x1b\x7fé\u2028'))

    @pytest.mark.parametrize("field", ["remote_addr", "method", "target", "protocol", "referer", "user_agent"])
    def test_no_field_can_forge_a_line(self, path: Path, field: str) -> None:
        """Whatever a field holds: one line, printable, and its quotes are balanced."""
        nasty: dict[str, Any] = {field: NASTY}
        text = written(path, RECORD._replace(**nasty))
        assert text.count("\n") == 1
        assert text[:-1].isprintable()
        assert text.replace("\\\\", "").replace('\\"', "").count('"') == 6
        assert text.index(" - - [") == text.index(" ")


class TestJson:
    def test_line(self, path: Path) -> None:
        lines = written(path, RECORD, RECORD, form="json").splitlines()
        assert [json.loads(line) for line in lines] == [RECORD._asdict()] * 2

    def test_no_field_can_forge_a_line(self, path: Path) -> None:
        names = ["remote_addr", "method", "target", "protocol", "referer", "user_agent"]
        every: dict[str, Any] = dict.fromkeys(names, NASTY)
        nasty = RECORD._replace(**every)
        text = written(path, nasty, form="json")
        assert text.count("\n") == 1
        assert text[:-1].isprintable()
        assert json.loads(text) == nasty._asdict()


class TestFile:
    def test_appends(self, path: Path) -> None:
        assert written(path, RECORD) + LINE == written(path, RECORD)

    def test_flush_writes_and_close_flushes(self, path: Path) -> None:
        log = AccessLog(str(path))
        log.append(RECORD)
        assert path.read_text() == ""
        log.flush()
        log.flush()
        assert path.read_text() == LINE
        log.append(RECORD)
        log.close()
        log.close()
        assert path.read_text() == LINE * 2

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
        log.append(RECORD._replace(status=204))
        log.close()
        assert rotated.read_text() == LINE
        assert path.read_text() == LINE.replace(" 200 ", " 204 ")

    def test_failing_reopen_keeps_the_file(self, tmp_path: Path) -> None:
        directory = tmp_path / "logs"
        directory.mkdir()
        log = AccessLog(str(directory / "log"))
        moved = directory.rename(tmp_path / "moved")
        with pytest.raises(ConfigurationError):
            log.reopen()
        log.append(RECORD)
        log.close()
        assert (moved / "log").read_text() == LINE

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
        assert capfd.readouterr().out == LINE + "still open\n"

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
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINE) + 10, limits[1]))
            for _ in range(3):
                log.append(RECORD)
            log.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert log.dropped == 2
        assert path.read_text().startswith(LINE)
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
        assert path.read_text() == LINE * 11

    def test_many_threads_lose_nothing(self, path: Path) -> None:
        """Each of 8 threads appends 2,000 records while another flushes: every line is there, whole, each thread's in order."""
        log = AccessLog(str(path), "json")
        done = threading.Event()

        def append(number: int) -> None:
            for count in range(2000):
                log.append(RECORD._replace(status=number, sent=count))

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
            seen[record["status"]].append(record["sent"])
        assert all(counts == list(range(2000)) for counts in seen.values())

    @pytest.mark.alone
    def test_append_costs_under_a_microsecond(self, path: Path) -> None:
        """Making the record included: the best of several runs, as the machine is shared."""
        log = AccessLog(str(path), limit=1_000_000)
        cost = min(timeit.repeat(lambda: log.append(Record(*RECORD)), number=5000, repeat=10)) / 5000
        log.close()
        assert cost < 1e-6, f"{cost * 1e9:.0f} ns"
