"""The public names, and that asking for them installs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hendrix

PUBLIC = [
    "HendrixDeploy",
    "HendrixDeployTLS",
    "LogHandler",
    "Options",
    "Settings",
    "crosstown_traffic",
    "errors",
    "gather",
    "hey_joe",
    "makeService",
    "request_id",
    "testing",
]

IMPORT_ALL = """
import pkgutil, sys, hendrix
untouched = [name for name in sys.modules if name.startswith(("twisted", "hendrix.", "httptools"))]
assert not untouched, untouched
for module in pkgutil.walk_packages(hendrix.__path__, "hendrix."):
    if not module.name.startswith(("hendrix.django", "hendrix.siblings.irc_client")):  # twisted.words installs one
        __import__(module.name)
for name in hendrix.__all__:
    getattr(hendrix, name)
assert "twisted.internet.reactor" not in sys.modules
import threading
assert threading.active_count() == 1, threading.enumerate()
"""


def test_the_surface_is_pinned() -> None:
    assert sorted(hendrix.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(hendrix))
    assert hendrix.__version__ == "6.0.0.dev0"


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_there(name: str) -> None:
    value = getattr(hendrix, name)
    assert value is getattr(hendrix, name)
    assert getattr(value, "__name__", name) in (name, f"hendrix.{name}")  # crosstown_traffic is an object


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'purple_haze'"):
        hendrix.purple_haze  # noqa: B018


def test_imports_install_no_reactor_and_start_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
