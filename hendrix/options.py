"""Every setting, spelled once.

A field of `Settings` is the keyword of a ``.tac`` file and of `HendrixDeploy`, the flag of the command line (``max_body`` is
``--max-body``), its default, its check and its help. `Options` is made from those fields, so that no flag is written twice.
Values arrive as text or as Python values and take the same way through the same checks.
"""

# ruff: noqa: RUF009 (setting() makes a dataclasses.field)

from __future__ import annotations

import difflib
import getopt
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, Field, InitVar, dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.python import usage

from hendrix.environment import completed
from hendrix.errors import ConfigurationError
from hendrix.values import (
    Reader,
    access_format,
    application,
    broker,
    control,
    directory,
    endpoint,
    header_value,
    in_place,
    log_file,
    network,
    one_of,
    path,
    private_endpoint,
    seconds,
    secret,
    served,
    size,
    text,
    url_path,
    whole,
    without_password,
    workers,
    yes,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DEFAULT_LISTEN = "tcp:8000:interface=127.0.0.1"
DAY = 86400.0

# The defaults that are others with --dev: a line for each request, and no long goodbye.
IN_DEVELOPMENT: Mapping[str, Any] = {
    "workers": 1,
    "access_log": "-",
    "access_log_format": "terminal",
    "log_format": "text",
    "grace": 3.0,
    "crosstown_grace": 3.0,
    "farewell": 0.0,
    "static_max_age": 0,
}


# What `Settings.differing` leaves out: kept under another name, said at the start anyway, or nobody's business.
UNSAID = frozenset(("http_port", "https_port", "wsgi", "listen", "key", "secret", "broker", "sibling"))  # which may hold passwords


@dataclass(frozen=True)
class Row:
    """What a field of `Settings` means on the command line."""

    group: str
    value: str  # the placeholder in the help; "" for a flag, which is there or not
    read: Reader
    help: str
    default: str  # as the help shows it
    repeatable: bool
    complete: usage.Completer | None


def setting(default: Any, group: str, value: str, read: Reader, help: str, *, shown: str = "", complete: Any = None) -> Any:
    """The field of a setting; one whose default is a tuple may be given more than once."""
    return field(default=default, metadata={"row": Row(group, value, read, help, shown, isinstance(default, tuple), complete)})


APP, LISTEN, LIMITS = "Application", "Listening", "Capacity and limits"
TIMES, PROXY, FILES, BESIDE = "Time limits", "Behind a proxy", "Files and logs", "Beside the site"


@dataclass(frozen=True)
class Settings:
    """Every setting, checked. Raises `ConfigurationError` with one line that names the flag, the value and what to give.

    ``http_port`` and ``https_port`` are short for an entry of ``listen`` and are not kept.
    """

    _: KW_ONLY
    wsgi: str | WSGIApplication | None = setting(
        None, APP, "NAME", application,
        "The WSGI application: package.module.attribute, package.module:attribute, or package.module:factory() to call a factory. "
        "Without it, the Django project of --settings, of DJANGO_SETTINGS_MODULE or of ./manage.py.",
    )  # fmt: skip
    settings: str | None = setting(None, APP, "MODULE", text, "Django settings module, put into DJANGO_SETTINGS_MODULE.")
    pythonpath: tuple[str, ...] = setting(
        (), APP, "DIR", directory, "Import from here too. The current directory is always importable. Repeatable.",
        complete=usage.CompleteDirs(),
    )  # fmt: skip
    listen: tuple[str | IStreamServerEndpoint, ...] = setting(
        (), LISTEN, "ENDPOINT", endpoint,
        "A Twisted server endpoint: tcp:80, tcp:8000:interface=127.0.0.1, unix:/run/site.sock, "
        "ssl:443:privateKey=key.pem:certKey=cert.pem, systemd, haproxy:tcp:8000, onion:80, ... Repeatable.",
        shown=DEFAULT_LISTEN,
    )  # fmt: skip
    http_port: InitVar[int | None] = setting(
        None, LISTEN, "PORT", whole(0, 65535), "Plain HTTP on this port of all interfaces: short for --listen tcp:PORT."
    )
    https_port: InitVar[int | None] = setting(
        None, LISTEN, "PORT", whole(0, 65535), "HTTPS on this port of all interfaces; needs --key and --cert."
    )
    key: str | None = setting(None, LISTEN, "FILE", path, "Private key for --https-port, PEM.", complete=usage.CompleteFiles("*.pem"))
    cert: str | None = setting(
        None, LISTEN, "FILE", path, "Certificate for --https-port, PEM; the chain may follow it in the same file.",
        complete=usage.CompleteFiles("*.pem"),
    )  # fmt: skip
    dev: bool = setting(
        False, APP, "", yes,
        "Development: reload on save, show errors in the browser, serve the static files of Django, and print a line for each request.",
    )  # fmt: skip
    no_reload: bool = setting(False, APP, "", yes, "With --dev: do not reload on save.")
    workers: int = setting(
        0, LIMITS, "N", workers,
        "Processes that serve, watched over by this one; auto is one for each core; with 0 this process serves by itself.", shown="0",
    )  # fmt: skip
    max_requests: int = setting(
        0, LIMITS, "N", whole(0, 1_000_000_000),
        "Replace a worker after so many requests, and up to a tenth more at random; 0 is never.", shown="0",
    )  # fmt: skip
    max_rss: int = setting(
        0, LIMITS, "SIZE", size(0, 1 << 50), "Replace a worker that has come to use so much memory; 0 is never.", shown="0"
    )
    health: str | None = setting(
        None, LISTEN, "PATH", url_path,
        "Answer this path without the application, also when all threads are busy: 200 when ready, "
        "503 while starting, draining or overloaded.",
    )  # fmt: skip
    threads: int = setting(8, LIMITS, "N", whole(1, 1024), "Requests the application may work on at the same time.", shown="8")
    backlog: int = setting(
        1024, LIMITS, "N", whole(1, 1_000_000),
        "Requests that may wait for a thread; above it the answer is 503 with Retry-After.", shown="1024",
    )  # fmt: skip
    max_body: int = setting(
        1 << 30, LIMITS, "SIZE", size(0, 1 << 40), "Largest request body in bytes, or with k, M, G; above it 413.", shown="1G"
    )
    max_head: int = setting(
        32768, LIMITS, "SIZE", size(1024, 1 << 20), "Largest request line with headers, in bytes; above it 431 or 414.", shown="32k"
    )
    max_message: int = setting(
        1 << 20, LIMITS, "SIZE", size(1, 1 << 30), "Largest message of a WebSocket, also once it is inflated; above it the code 1009.",
        shown="1M",
    )  # fmt: skip
    header_timeout: float = setting(
        30.0, TIMES, "SECONDS", seconds(0.1, DAY), "For a whole request head to arrive, from connecting or from its first byte.", shown="30"
    )
    body_timeout: float = setting(60.0, TIMES, "SECONDS", seconds(0.1, DAY), "For the next byte of a request body.", shown="60")
    keepalive: float = setting(
        75.0, TIMES, "SECONDS", seconds(0, DAY), "For the next request on an idle connection; 0 closes after each answer.", shown="75"
    )
    write_timeout: float = setting(
        60.0, TIMES, "SECONDS", seconds(0.1, DAY), "For a client to take the next byte of its answer.", shown="60"
    )
    heartbeat: float = setting(
        25.0, TIMES, "SECONDS", seconds(0, DAY),
        "Of silence, after which a WebSocket is pinged and an event stream written to; 0 for never. A WebSocket that is silent for "
        "as long again is gone.", shown="25",
    )  # fmt: skip
    request_timeout: float = setting(
        0.0, TIMES, "SECONDS", seconds(0, DAY),
        "For the application to answer; then it is logged where its thread is, and the client hears 503; 0 is no limit.", shown="0",
    )  # fmt: skip
    worker_timeout: float = setting(
        30.0, TIMES, "SECONDS", seconds(0, DAY),
        "For a worker whose reactor stands still, 3 at least; then it is replaced, and the stacks of its threads logged; 0 is never.",
        shown="30",
    )  # fmt: skip
    grace: float = setting(
        30.0, TIMES, "SECONDS", seconds(0, DAY), "For requests in flight to finish at SIGTERM or SIGINT; then they are cut.", shown="30"
    )
    farewell: float = setting(
        5.0, TIMES, "SECONDS", seconds(0, DAY),
        "Over which WebSockets and event streams are closed at SIGTERM, at most, so that their clients do not all come back at once.",
        shown="5",
    )  # fmt: skip
    crosstown_threads: int | None = setting(
        None, LIMITS, "N", whole(1, 1024), "Crosstown tasks that may run at the same time.", shown="one less than --threads"
    )
    crosstown_processes: int = setting(
        0, LIMITS, "N", whole(0, 1024), "Worker processes for crosstown tasks with process=True; each starts when it is needed.", shown="0"
    )
    crosstown_grace: float = setting(
        60.0, TIMES, "SECONDS", seconds(0, DAY), "For crosstown tasks to end, once the requests have; those not begun then are logged.",
        shown="60",
    )  # fmt: skip
    trusted_proxy: tuple[str, ...] = setting(
        (), PROXY, "ADDRESS", network,
        "Believe Forwarded and X-Forwarded-* from this address or network; unix means every peer on a unix socket. Repeatable.",
    )  # fmt: skip
    server_header: str = setting(
        "hendrix", PROXY, "TEXT", header_value, "The Server header of each answer; empty text leaves it out.", shown="hendrix"
    )
    port_file: str | None = setting(
        None, FILES, "FILE", path, "Write each bound address here, one a line, once all listen.", complete=usage.CompleteFiles()
    )
    status: str | None = setting(
        None, BESIDE, "ENDPOINT", private_endpoint,
        "The live page and the metrics, here: a port, tcp:9000:interface=10.0.0.1, unix:/run/status.sock, ssl:... Without interface= it is "
        "this machine's alone, and only its user's without mode= for a unix socket.",
    )  # fmt: skip
    status_token: str | None = setting(
        None, BESIDE, "TEXT", secret,
        "Who has this may use the buttons of the live page; where other machines reach --status, nobody sees anything without it. In "
        "HENDRIX_STATUS_TOKEN it is not seen in the list of processes.",
    )  # fmt: skip
    opentelemetry: bool = setting(
        False, BESIDE, "", yes,
        "Record spans of requests, of their wait for a thread and of crosstown tasks; where they go is for the SDK of OpenTelemetry.",
    )  # fmt: skip
    secret: str | None = setting(
        None, APP, "TEXT", secret,
        "What signs the tokens for POST /.hendrix/publish; without it, the SECRET_KEY of a Django project. In HENDRIX_SECRET it is not "
        "seen in the list of processes.",
    )  # fmt: skip
    broker: str = setting(
        "memory:", BESIDE, "URL", broker,
        "What joins the hub to those of other nodes: redis://host:6379, rediss://... over TLS, redis+sentinel://one:26379,two/mymaster, "
        "postgresql://host/database; "
        "memory: for one node alone. In HENDRIX_BROKER a password is not seen in the list of processes.", shown="memory:",
    )  # fmt: skip
    sibling: tuple[str, ...] = setting(
        (), BESIDE, "NAME:KEY=VALUE:...", text,
        "A service in the same tree, which runs once: echo:endpoint=tcp\\:7007, or package.module.make_service:key=value. "
        "hx siblings lists those that are installed. Repeatable.",
    )  # fmt: skip
    static: tuple[str, ...] = setting(
        (), BESIDE, "URL=DIR", in_place("a directory", "/static=static", directory),
        "The files of a directory, under a path and without the application: conditional requests, ranges, and .br or .gz beside a file. "
        "Repeatable.",
    )  # fmt: skip
    static_max_age: int = setting(
        60, BESIDE, "SECONDS", whole(0, 10 * 365 * 86400), "For a client to use a file of --static without asking again.", shown="60"
    )
    serve: tuple[str, ...] = setting(
        (), BESIDE, "ENDPOINT=NAME", served,
        "Another server in the same tree, which runs once, on an endpoint of its own: tcp:2222=package.module.factory, an IProtocolFactory "
        "or a class or function that makes one. Repeatable.",
    )  # fmt: skip
    mount: tuple[str, ...] = setting(
        (), BESIDE, "URL=NAME", in_place("a resource", "/api=package.module.resource", text),
        "A resource of twisted.web beside the application: package.module.attribute, an IResource, a class or factory of one, or a Klein "
        "app, under a path and all below it. It runs on the reactor's thread, in each process that serves. Repeatable.",
    )  # fmt: skip
    control: str | None = setting(
        None, FILES, "PATH", control,
        "The unix socket for hx tree, hx stop and so on, for its own user and root only; off for none. Without it, beside the pid file "
        "(site.pid has site.control), or in a directory of the user.",
        complete=usage.CompleteFiles("*.control"),
    )  # fmt: skip
    log_format: str = setting(
        "auto", FILES, "FORMAT", one_of("auto", "text", "json"),
        "Lines of the log for people (text) or one object each (json); auto is text on a terminal, and JSON elsewhere.", shown="auto",
        complete=usage.CompleteList(["auto", "text", "json"]),
    )  # fmt: skip
    access_log: str | None = setting(
        None, FILES, "FILE", log_file, "Write a line for each request here; - is standard output.", complete=usage.CompleteFiles()
    )
    access_log_format: str = setting(
        "combined", FILES, "FORMAT", access_format,
        "Lines in the combined format, as JSON (json), short and in colours for a terminal (terminal), or a format string with the atoms "
        "of gunicorn, such as '%(h)s %(r)s %(s)s %(D)s'.", shown="combined",
        complete=usage.CompleteList(["combined", "json", "terminal"]),
    )  # fmt: skip

    def __post_init__(self, http_port: int | None, https_port: int | None) -> None:
        ports = {"http_port": http_port, "https_port": https_port}
        values = {name: _checked(name, ports[name] if name in ports else getattr(self, name)) for name in TABLE}
        values["listen"] += tuple(_sugar(values.pop("http_port"), values.pop("https_port"), values["key"], values["cert"]))
        values["listen"] = values["listen"] or (DEFAULT_LISTEN,)
        for name in ("max_requests", "max_rss"):
            if values[name] and not values["workers"]:
                raise ConfigurationError(f"{flag(name)}={values[name]}: only a worker can be replaced; give --workers=1 or more")
        if values["dev"] and values["workers"] != 1:
            raise ConfigurationError(f"--workers={values['workers']}: with --dev there is one worker; give 1, or nothing")
        if values["no_reload"] and not values["dev"]:
            raise ConfigurationError("--no-reload: only --dev reloads on save; give it too, or leave this out")
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def differing(self) -> list[str]:
        """Those that are not as they would be if nothing had been given, as flags. What is secret, and what says what is served, are not
        among them."""
        usual = {name: _FIELDS[name].default for name in TABLE} | (dict(IN_DEVELOPMENT) if self.dev else {})
        found = {name: getattr(self, name) for name in TABLE if name not in UNSAID}
        return [
            flag(name) if value is True else f"{flag(name)}={one}"
            for name, value in found.items() if value != usual[name]
            for one in (value if isinstance(value, tuple) else (value,))
        ]  # fmt: skip

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Settings:
        """Settings from keywords, as a ``.tac`` file or `HendrixDeploy` gives them; an unknown keyword is an error."""
        for name in mapping:
            if name not in TABLE:
                raise ConfigurationError(f"{name}: there is no such setting{_nearest(name, TABLE)}")
        return cls(**({**IN_DEVELOPMENT, **mapping} if _checked("dev", mapping.get("dev", False)) else mapping))

    @classmethod
    def from_environment(cls, given: Mapping[str, Any]) -> Settings:
        """Settings from keywords, and from the environment those that are not given."""
        found = completed(given, TABLE, os.environ)
        if "workers" not in given and _checked("dev", found.get("dev", False)):
            found.pop("workers", None)  # how many there are in production
        return cls.from_mapping(found)


# Settings.__dataclass_fields__ and not fields(): the latter leaves out InitVar.
_FIELDS: Mapping[str, Field[Any]] = Settings.__dataclass_fields__
TABLE: Mapping[str, Row] = {name: each.metadata["row"] for name, each in _FIELDS.items() if "row" in each.metadata}


def flag(name: str) -> str:
    """The flag of a keyword: ``max_body`` is ``--max-body``."""
    return "--" + name.replace("_", "-")


def _checked(name: str, value: Any) -> Any:
    if value is None and _FIELDS[name].default is None:
        return None
    if TABLE[name].repeatable:
        several = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
        return tuple(_read(name, one) for one in (value if several else (value,)))
    return _read(name, value)


def _read(name: str, value: Any) -> Any:
    try:
        return TABLE[name].read(value)
    except ValueError as error:
        shown = without_password(value) if isinstance(value, str) else repr(value)
        raise ConfigurationError(f"{flag(name)}={shown}: {error}") from None


def _sugar(http_port: int | None, https_port: int | None, key: str | None, cert: str | None) -> Iterable[str]:
    if http_port is not None:
        yield f"tcp:{http_port}"
    if https_port is not None:
        if key is None or cert is None:
            raise ConfigurationError(f"--https-port={https_port}: give --key and --cert with it")
        yield f"ssl:{https_port}:privateKey={quoteStringArgument(key)}:certKey={quoteStringArgument(cert)}"


def _nearest(name: str, names: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {found[0]}?" if found else ""


class Options(usage.Options):
    """The command line of ``twistd hendrix``, ``twist hendrix`` and ``hx``.

    A mistake is one line: `UsageError`, or, as the sub-command of a launcher that would print its whole help before it, the line on
    standard error and exit code 1.
    """

    synopsis = "[options]"
    longdesc = "Serves a WSGI application over HTTP from one Twisted process tree: plain, TLS or unix sockets, any Twisted endpoint."
    optParameters = [[flag(name)[2:], None, None, row.help] for name, row in TABLE.items() if row.value and not row.repeatable]
    optFlags = [[flag(name)[2:], None, row.help] for name, row in TABLE.items() if not row.value]
    compData = usage.Completions(
        multiUse=[flag(name)[2:] for name, row in TABLE.items() if row.repeatable],
        optActions={flag(name)[2:]: row.complete for name, row in TABLE.items() if row.complete},
    )

    def __init__(self) -> None:
        super().__init__()

    def opt_version(self) -> None:
        """Show the versions of hendrix and Twisted."""
        from importlib.metadata import version

        print(f"hendrix {version('hendrix')} (Twisted {version('twisted')}, Python {sys.version.split()[0]})")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        arguments = [_dashed(one) for one in (sys.argv[1:] if options is None else options)]
        try:
            super().parseOptions(arguments)
        except usage.UsageError as error:
            line = self._one_line(error)
            raise usage.UsageError(line) if self.parent is None else SystemExit(f"hendrix: error: {line}") from None

    def parseArgs(self, *unexpected: str) -> None:
        if unexpected:
            raise usage.UsageError(f"{unexpected[0]}: only options are understood here; an application is given as --wsgi={unexpected[0]}")

    def postOptions(self) -> None:
        try:
            self.to_settings()
        except ConfigurationError as error:
            raise usage.UsageError(str(error)) from None

    def to_settings(self) -> Settings:
        """What was given, here or in the environment, checked; raises `ConfigurationError`."""
        given = {name: self.get(flag(name)[2:]) or None if not row.value else self.get(flag(name)[2:]) for name, row in TABLE.items()}
        return Settings.from_environment({name: value for name, value in given.items() if value is not None})

    def getUsage(self, width: int | None = None) -> str:
        """The options by group, each with its unit and default."""
        width = width or int(os.environ.get("COLUMNS", "80"))
        parts = ["\n" + textwrap.fill(self.longdesc, width) + "\n"]
        for group in dict.fromkeys(row.group for row in TABLE.values()):
            rows = [(f"{flag(n)}={r.value}".rstrip("="), _with_default(r)) for n, r in TABLE.items() if r.group == group]
            parts.append(f"\n{group}:\n" + "".join(_entry(name, words, width) for name, words in rows))
        parts.append("\n" + textwrap.fill("Options may come from the environment: --max-body is HENDRIX_MAX_BODY.", width) + "\n")
        parts.append("\nOther:\n" + _entry("--version", "Show the versions.", width) + _entry("--help", "Show this.", width))
        return "".join(parts)

    @staticmethod
    def _one_line(error: usage.UsageError) -> str:
        cause = error.__context__
        if isinstance(cause, getopt.GetoptError) and cause.opt:
            known = any(flag(name)[2:].startswith(cause.opt) for name in TABLE)
            return str(error) if known else f"--{cause.opt}: there is no such option{_nearest('--' + cause.opt, map(flag, TABLE))}"
        return str(error)


def _repeatable(name: str, row: Row) -> Callable[[Options, str], None]:
    def opt(self: Options, value: str) -> None:
        key = flag(name)[2:]
        self[key] = (*self.get(key, ()), value)

    opt.__doc__ = row.help
    return opt


for _name, _row in TABLE.items():
    if _row.repeatable:
        setattr(Options, "opt_" + _name, _repeatable(_name, _row))


def _dashed(argument: str) -> str:
    """``--max_body=1`` is ``--max-body=1``: hendrix 5 spelled its flags so."""
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") and name != "--_shell-completion" else argument


def _with_default(row: Row) -> str:
    return f"{row.help} [default: {row.default}]" if row.default else row.help


def _entry(name: str, words: str, width: int) -> str:
    indent = " " * 28
    lines = textwrap.wrap(words, max(width - len(indent), 30))
    head = f"  {name}".ljust(len(indent))
    first = head + lines.pop(0) if len(head) == len(indent) and head.endswith(" ") else head.rstrip()
    return "\n".join([first, *(indent + line for line in lines)]) + "\n"
