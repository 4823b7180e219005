"""The import of hendrix 5."""

from __future__ import annotations

import subprocess
import sys

import hendrix
import hendrix.experience


def test_it_is_the_same_object() -> None:
    assert hendrix.experience.crosstown_traffic is hendrix.crosstown_traffic


def test_it_is_used_as_in_hendrix_5() -> None:
    ran: list[str] = []

    @hendrix.experience.crosstown_traffic()
    def bare() -> None:
        ran.append("at once: there is no response")

    @hendrix.experience.crosstown_traffic(
        same_thread=False, no_go_status_codes=["5xx", "4xx"], fail_without_response=False, block_without_response=True
    )
    def with_keywords() -> None:
        ran.append("too")

    assert ran == ["at once: there is no response", "too"]


def test_the_import_installs_no_reactor_and_starts_nothing() -> None:
    program = """
import hendrix.experience, sys, threading
assert "twisted.internet.reactor" not in sys.modules
assert threading.active_count() == 1
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
