"""Settings from the environment: what goes before what, and whose mistake it is."""

from __future__ import annotations

import contextlib

import pytest

from hendrix.environment import completed, variable
from hendrix.errors import ConfigurationError
from hendrix.options import DEFAULT_LISTEN, TABLE, Options, Settings
from hendrix.service import makeService

DEFAULTS = ("listen", (DEFAULT_LISTEN,))


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch):
    for name in (*map(variable, TABLE), "PORT", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)


def made(monkeypatch, environ, *flags):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    options = Options()
    options.parseOptions(flags)
    return options.to_settings()


@pytest.mark.parametrize(
    ("environ", "flags", "name", "value"),
    [
        ({"HENDRIX_THREADS": "3"}, (), "threads", 3),
        ({"HENDRIX_THREADS": "3"}, ("--threads=4",), "threads", 4),
        ({"HENDRIX_THREADS": "3"}, ("--threads=8",), "threads", 8),  # the default, but given
        ({"HENDRIX_THREADS": ""}, (), "threads", 8),
        ({"HENDRIX_MAX_BODY": "10M"}, (), "max_body", 10 << 20),
        ({"HENDRIX_SERVER_HEADER": "mine"}, (), "server_header", "mine"),
        ({"HENDRIX_TRUSTED_PROXY": "unix 10.0.0.1"}, (), "trusted_proxy", ("unix", "10.0.0.1/32")),
        ({"HENDRIX_LISTEN": "tcp:80 unix:/a"}, (), "listen", ("tcp:80", "unix:/a")),
        ({"HENDRIX_LISTEN": "tcp:80"}, ("--listen=tcp:81",), "listen", ("tcp:81",)),
        ({"HENDRIX_LISTEN": "tcp:80"}, ("--http-port=81",), "listen", ("tcp:81",)),
        ({"HENDRIX_LISTEN": "tcp:80", "HENDRIX_HTTP_PORT": "81"}, (), "listen", ("tcp:80", "tcp:81")),
        ({"PORT": "5000"}, (), "listen", ("tcp:5000",)),
        ({"PORT": "5000"}, ("--listen=tcp:81",), "listen", ("tcp:81",)),
        ({"PORT": "5000", "HENDRIX_LISTEN": "tcp:80"}, (), "listen", ("tcp:80",)),
        ({"PORT": "5000", "HENDRIX_HTTP_PORT": "80"}, (), "listen", ("tcp:80",)),
        ({"PORT": "nonsense"}, ("--listen=tcp:81",), "listen", ("tcp:81",)),
        ({"PORT": ""}, (), *DEFAULTS),
        ({"HENDRIX_GUITAR": "x", "HENDRIX_VERSION": "1", "HENDRIX_": "x"}, (), *DEFAULTS),
        ({"hendrix_listen": "tcp:80"}, (), *DEFAULTS),
    ],
)
def test_what_goes_first(monkeypatch, environ, flags, name, value):
    assert getattr(made(monkeypatch, environ, *flags), name) == value


@pytest.mark.parametrize("name", TABLE)
def test_each_setting_has_its_variable(name):
    row = TABLE[name]
    for text in ("1", "/a", "tcp:9", ".", "::1", "json", "0123456789abcdef", "/a=.", "tcp:9=a.b", row.default):
        with contextlib.suppress(ValueError):
            value = row.read(text)
            break
    assert completed({}, TABLE, {variable(name): text}) == {name: (value,) if row.repeatable else value}


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"HENDRIX_THREADS": "many"}, "HENDRIX_THREADS=many: give a whole number from 1 to 1024"),
        ({"HENDRIX_LISTEN": "tcp:80 8000"}, "HENDRIX_LISTEN=tcp:80 8000: there is no endpoint type '8000'; write tcp:PORT, "),
        ({"PORT": "http"}, "PORT=http: give a whole number from 0 to 65535"),
        ({"HENDRIX_THREAD": "4"}, "HENDRIX_THREAD: there is no such setting; did you mean HENDRIX_THREADS?"),
    ],
)
def test_a_mistake_names_the_variable(environ, line):
    with pytest.raises(ConfigurationError) as raised:
        completed({}, TABLE, environ)
    assert str(raised.value).startswith(line)


def test_keywords_go_first_as_flags_do_and_settings_are_complete(monkeypatch):
    monkeypatch.setenv("HENDRIX_ACCESS_LOG", "-")
    monkeypatch.setenv("HENDRIX_CONTROL", "off")

    def names(options):
        return [node.name for node in makeService(options)]

    assert "access log" in names({}) and "control" not in names({})
    assert "control" in names({"control": "/run/c"})
    assert "access log" not in names(Settings()) and "control" in names(Settings())
