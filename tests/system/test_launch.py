"""What cannot start ends at every door with one line on standard error and exit code 1, and leaves nothing behind."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from doors import command

DOORS = ["twistd", "daemon", "twist", "hx", "tac", "deploy"]
APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]

text = "no application"
"""
BROKEN = """
import missing_dependency
"""


@pytest.fixture
def here(tmp_path):
    (tmp_path / "site_app.py").write_text(APP)
    (tmp_path / "broken_app.py").write_text(BROKEN)
    return tmp_path


def refused(door, here, *options, wsgi="site_app:app", listen="tcp:0:interface=127.0.0.1"):
    """Start what must not start; gives what it says on standard error."""
    given = [f"--wsgi={wsgi}", *options, f"--listen={listen}"]
    done = subprocess.run(command(door, given, [], here), cwd=here, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done
    wait_for(lambda: not (here / "pid").exists())  # twistd tells its parent first
    return done.stderr


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_one_line(text, pattern):
    assert re.fullmatch(f"hendrix: error: {pattern}\n", text), text


@pytest.mark.parametrize("door", DOORS)
def test_a_busy_port(door, here):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        listen = f"tcp:{busy.getsockname()[1]}:interface=127.0.0.1"
        is_one_line(refused(door, here, listen=listen), f"--listen={listen}: Address already in use; .+")


@pytest.mark.parametrize("door", DOORS)
def test_an_application_that_is_not_there(door, here):
    is_one_line(refused(door, here, wsgi="site_app:ap"), r"--wsgi=site_app:ap: module site_app has no attribute 'ap'; did you mean app\?")


@pytest.mark.parametrize("door", DOORS)
def test_an_application_that_raises_on_import_shows_its_traceback_once(door, here):
    said = refused(door, here, wsgi="broken_app:app")
    assert said.count("Traceback") == 1
    assert said.count("missing_dependency\n") == 1, "the line of code"
    assert said.splitlines()[-1].startswith("hendrix: error: --wsgi=broken_app:app: importing broken_app raised ModuleNotFoundError: ")


@pytest.mark.parametrize("door", DOORS)
def test_a_number_out_of_range(door, here):
    is_one_line(refused(door, here, "--threads=0"), "--threads=0: give a whole number from 1 to 1024")


def test_a_variable_of_the_environment_is_named(here, monkeypatch):
    monkeypatch.setenv("HENDRIX_THREADS", "0")
    is_one_line(refused("twistd", here), "HENDRIX_THREADS=0: give a whole number from 1 to 1024")


@pytest.mark.parametrize(
    ("changed", "pattern"),
    [
        ({"wsgi": "no_such_module:app"}, r"--wsgi=no_such_module:app: there is no module 'no_such_module' in .+"),
        ({"wsgi": "site_app:text"}, r"--wsgi=site_app:text: site_app.text is of type str and cannot be called; .+"),
        ({"wsgi": "site_app"}, r"--wsgi=site_app: write it as .+"),
        ({"listen": "8000"}, r"--listen=8000: there is no endpoint type '8000'; write .+"),
        ({"listen": "tcp:0:interfaces=1"}, r"--listen=tcp:0:interfaces=1: .+"),
        ({"listen": "unix:/no/such/directory/socket"}, r"--listen=unix:/no/such/directory/socket: No such file or directory; .+"),
        ({"listen": "tls:/no/such"}, r"--listen=tls:/no/such: there is no directory /no/such; give one with keys and .+"),
        ({"listen": "systemd"}, r"--listen=systemd: systemd has handed over no socket; .+"),
        ({"listen": "ssl:0:privateKey=site_app.py"}, r"--key=site_app.py: this is not a private key in PEM; .+"),
        ({"options": ["--port-file=/no/such/directory/ports"]}, r"--port-file=/no/such/directory/ports: No such file or directory; .+"),
    ],
)
def test_bad_input_names_the_flag_the_value_and_what_to_do(changed, pattern, here):
    keywords = {**changed}
    is_one_line(refused("twistd", here, *keywords.pop("options", []), **keywords), pattern)


def test_a_daemon_says_it_in_its_log_too(here):
    line = refused("daemon", here, wsgi="site_app:ap")
    assert line.strip() in (here / "log").read_text()


LATE = """
from twisted.application.service import Application, Service
from twisted.internet import reactor
from twisted.internet.task import deferLater
from hendrix import makeService
from hendrix.errors import ConfigurationError

class Slow(Service):
    def startService(self):
        def fail():
            raise ConfigurationError("--listen=onion:80: there is no tor")
        return deferLater(reactor, 0.01, fail)

application = Application("site")
site = makeService({"wsgi": "site_app:app", "listen": "tcp:0:interface=127.0.0.1"})
site.addService(Slow())
site.setServiceParent(application)
"""


@pytest.mark.parametrize("background", [False, True])
def test_what_fails_when_the_reactor_runs_ends_the_process_too(background, here):
    (here / "late.tac").write_text(LATE)
    launch = [*command("daemon" if background else "twistd", [], [], here)[:-1], "--python=late.tac"]
    done = subprocess.run(launch, cwd=here, capture_output=True, text=True, timeout=60)
    line = "hendrix: error: --listen=onion:80: there is no tor\n"
    if not background:
        assert (done.returncode, done.stderr) == (1, line)
        return
    assert (done.returncode, done.stderr) == (0, "")  # the launcher has left before
    wait_for(lambda: "Server Shut Down." in (here / "log").read_text())
    assert line in (here / "log").read_text()


def test_the_launcher_of_a_daemon_gets_its_standard_error_back(here):
    """Nothing that it left behind keeps a pipe open: the run below returns."""
    launch = command("daemon", ["--wsgi=site_app:app", "--listen=tcp:0:interface=127.0.0.1"], [], here)
    done = subprocess.run(launch, cwd=here, capture_output=True, text=True, timeout=30)
    try:
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        subprocess.run(["kill", (here / "pid").read_text()], check=True)


def test_an_error_nobody_foresaw_is_shown_with_its_traceback(here):
    script = """
        from hendrix.launch import explain
        try:
            1 / 0
        except ZeroDivisionError as error:
            print(explain(error))
    """
    said = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True).stdout
    assert said.count("Traceback") == 1
    assert said.splitlines()[-1] == "hendrix: error: the start failed: ZeroDivisionError: division by zero"
