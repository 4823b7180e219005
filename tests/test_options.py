"""Settings and the command line: each check, each spelling, and the one line that a mistake costs."""

from __future__ import annotations

import dataclasses

import pytest
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.python import usage

from hendrix.errors import ConfigurationError
from hendrix.options import DEFAULT_LISTEN, IN_DEVELOPMENT, TABLE, Options, Settings, flag


def parse(*arguments):
    options = Options()
    options.parseOptions(arguments)
    return options.to_settings()


def test_the_defaults_are_those_that_the_help_shows():
    settings = Settings()
    for name, row in TABLE.items():
        if row.default and name not in ("crosstown_threads", "secret"):  # their defaults depend on others
            assert Settings.from_mapping({name: row.default}) == settings, name
    assert settings.listen == (DEFAULT_LISTEN,)


def test_the_help_names_every_setting_with_its_default():
    text = " ".join(str(Options()).split())
    for name, row in TABLE.items():
        assert (f"{flag(name)}={row.value}" if row.value else f"{flag(name)} ") in text
        assert row.help in text
        if row.default:
            assert f"[default: {row.default}]" in text


def test_the_help_fits_the_terminal(monkeypatch):
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        assert max(map(len, str(Options()).splitlines())) <= width


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ("--wsgi=site.wsgi:application", "wsgi", "site.wsgi:application"),
        ("--settings=site.settings", "settings", "site.settings"),
        ("--threads=1024", "threads", 1024),
        ("--backlog=1", "backlog", 1),
        ("--max-body=0", "max_body", 0),
        ("--max-body=512k", "max_body", 512 * 1024),
        ("--max-body=10M", "max_body", 10 * 1024**2),
        ("--max-body=1G", "max_body", 1024**3),
        ("--max-body=1t", "max_body", 1024**4),
        ("--max-head=1024", "max_head", 1024),
        ("--header-timeout=0.5", "header_timeout", 0.5),
        ("--keepalive=0", "keepalive", 0.0),
        ("--grace=86400", "grace", 86400.0),
        ("--trusted-proxy=10.0.0.1", "trusted_proxy", ("10.0.0.1/32",)),
        ("--trusted-proxy=10.1.2.3/8", "trusted_proxy", ("10.0.0.0/8",)),
        ("--trusted-proxy=fd00::/8", "trusted_proxy", ("fd00::/8",)),
        ("--trusted-proxy=unix", "trusted_proxy", ("unix",)),
        ("--server-header=", "server_header", ""),
        ("--access-log=-", "access_log", "-"),
        ("--access-log-format=json", "access_log_format", "json"),
        ("--listen=tcp:0:interface=127.0.0.1", "listen", ("tcp:0:interface=127.0.0.1",)),
        ("--listen=tcp:port=80", "listen", ("tcp:port=80",)),
        ("--listen=tcp6:80:interface=\\:\\:1", "listen", ("tcp6:80:interface=\\:\\:1",)),
        ("--listen=unix:/run/site.sock:mode=660", "listen", ("unix:/run/site.sock:mode=660",)),
        ("--listen=systemd:domain=INET:name=web", "listen", ("systemd:domain=INET:name=web",)),
        ("--listen=haproxy:tcp:8000", "listen", ("haproxy:tcp:8000",)),
        ("--http-port=80", "listen", ("tcp:80",)),
        ("--http_port=80", "listen", ("tcp:80",)),
    ],
)
def test_what_is_given_is_read(given, name, value):
    assert getattr(parse(given), name) == value


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("--threads=0", "give a whole number from 1 to 1024"),
        ("--threads=1025", "give a whole number from 1 to 1024"),
        ("--threads=eight", "give a whole number from 1 to 1024"),
        ("--threads=1.5", "give a whole number from 1 to 1024"),
        ("--backlog=0", "give a whole number from 1 to 1000000"),
        ("--max-body=-1", "give a size in bytes from 0 to 1T, such as 512k or 10M"),
        ("--max-body=10X", "give a size in bytes from 0 to 1T, such as 512k or 10M"),
        ("--max-body=2T", "give a size in bytes from 0 to 1T, such as 512k or 10M"),
        ("--max-head=1023", "give a size in bytes from 1k to 1M, such as 512k or 10M"),
        ("--body-timeout=0", "give a number of seconds from 0.1 to 86400"),
        ("--keepalive=nan", "give a number of seconds from 0 to 86400"),
        ("--grace=inf", "give a number of seconds from 0 to 86400"),
        ("--trusted-proxy=proxy.local", "give an address (10.0.0.1), a network (10.0.0.0/8, fd00::/8) or unix"),
        ("--server-header=a\r\nSet-Cookie: b", "give printable ASCII text, or nothing to leave the header out"),
        ("--access-log-format=xml", "give combined, json, terminal or a format string"),
        ("--pythonpath=/no/such", "there is no such directory; give one that exists"),
        ("--wsgi=", "give printable text"),
        ("--listen=tcp", "give a port from 0 to 65535 after the colon, such as tcp:8000"),
        ("--listen=tcp:http", "give a port from 0 to 65535 after the colon, such as tcp:8000"),
        ("--listen=tcp:65536", "give a port from 0 to 65535 after the colon, such as tcp:8000"),
        ("--http-port=65536", "give a whole number from 0 to 65535"),
        ("--https-port=443", "give --key and --cert with it"),
    ],
)
def test_a_wrong_value_costs_one_line_with_flag_value_and_advice(given, advice):
    with pytest.raises(usage.UsageError) as raised:
        parse(given)
    assert str(raised.value) == f"{given}: {advice}"


def test_an_unknown_endpoint_type_is_told_what_there_is():
    with pytest.raises(usage.UsageError, match=r"^--listen=8000: there is no endpoint type '8000'; write tcp:PORT, "):
        parse("--listen=8000")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--listn=tcp:80"], "--listn: there is no such option; did you mean --listen?"),
        (["--qqq"], "--qqq: there is no such option"),
        (["--wsgi"], "option --wsgi requires argument"),
        (["--access"], "option --access not a unique prefix"),
        (["start"], "start: only options are understood here; an application is given as --wsgi=start"),
    ],
)
def test_a_wrong_command_line_costs_one_line(arguments, line):
    with pytest.raises(usage.UsageError) as raised:
        parse(*arguments)
    assert str(raised.value) == line


def test_under_a_launcher_the_line_goes_out_and_the_process_ends(monkeypatch):
    class Launcher(usage.Options):
        subCommands = [["hendrix", None, Options, "Serve."]]

    with pytest.raises(SystemExit) as raised:
        Launcher().parseOptions(["hendrix", "--threads=0"])
    assert raised.value.code == "hendrix: error: --threads=0: give a whole number from 1 to 1024"


def test_repeatable_flags_add_up():
    assert parse("--listen=tcp:1", "--listen", "tcp:2", "--http-port=3").listen == ("tcp:1", "tcp:2", "tcp:3")
    assert parse("--trusted-proxy=10.0.0.1", "--trusted-proxy=unix").trusted_proxy == ("10.0.0.1/32", "unix")


def test_https_port_takes_key_and_cert(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = parse("--https-port=8443", "--key=k.pem", "--cert=c:1.pem")
    assert settings.listen == (f"ssl:8443:privateKey={tmp_path}/k.pem:certKey={tmp_path}/c\\:1.pem",)


def test_paths_are_absolute_since_a_daemon_changes_its_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = parse("--port-file=ports", "--access-log=a.log", "--pythonpath=.")
    assert (settings.port_file, settings.access_log, settings.pythonpath) == (f"{tmp_path}/ports", f"{tmp_path}/a.log", (str(tmp_path),))


def test_keywords_take_python_values_and_objects():
    def app(environ, start_response):
        return []

    endpoint = TCP4ServerEndpoint(None, 0)
    settings = Settings(wsgi=app, listen=[endpoint, "tcp:0"], max_body=10, grace=5, trusted_proxy="unix")
    assert (settings.wsgi, settings.listen, settings.max_body) == (app, (endpoint, "tcp:0"), 10)
    assert (settings.grace, settings.trusted_proxy) == (5.0, ("unix",))


@pytest.mark.parametrize(
    "keywords", [{"threads": True}, {"threads": None}, {"grace": None}, {"max_body": 1.5}, {"listen": 8000}, {"wsgi": 1}]
)
def test_keywords_of_the_wrong_type_are_refused(keywords):
    with pytest.raises(ConfigurationError):
        Settings(**keywords)


def test_an_unknown_keyword_is_refused_and_the_nearest_named():
    with pytest.raises(ConfigurationError, match=r"^thread: there is no such setting; did you mean threads\?$"):
        Settings.from_mapping({"thread": 4})


def test_settings_may_be_replaced_and_are_checked_again():
    settings = Settings(http_port=8000)
    assert dataclasses.replace(settings, threads=2).listen == ("tcp:8000",)
    with pytest.raises(ConfigurationError):
        dataclasses.replace(settings, threads=0)


def test_flags_are_there_or_not():
    assert (parse().dev, parse("--dev").dev, parse("--dev").no_reload) == (False, True, False)
    assert parse("--dev", "--no-reload").no_reload
    with pytest.raises(usage.UsageError, match="--no-reload: only --dev reloads on save"):
        parse("--no-reload")


def test_a_flag_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("HENDRIX_DEV", "yes")
    assert parse().dev
    monkeypatch.setenv("HENDRIX_DEV", "0")
    assert not parse().dev
    assert parse("--dev").dev
    monkeypatch.setenv("HENDRIX_DEV", "perhaps")
    with pytest.raises(usage.UsageError, match="HENDRIX_DEV=perhaps: give yes or no"):
        parse()


def test_development_has_defaults_of_its_own(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    settings = parse("--dev")
    assert {name: getattr(settings, name) for name in IN_DEVELOPMENT} == IN_DEVELOPMENT
    assert parse("--dev", "--grace=7").grace == 7
    assert Settings.from_mapping({"dev": True}) == Settings.from_mapping({"dev": "yes"})
    with pytest.raises(usage.UsageError, match="--workers=2: with --dev there is one worker"):
        parse("--dev", "--workers=2")
