"""Formats of the access log: combined, JSON, for a terminal, or one made of gunicorn's atoms, such as ``%(h)s "%(r)s" %({host}i)s``.

A format is checked when it is made. Whatever a request says, a line is one line, and what stands in quotes stays there.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from hendrix.access.escaping import escaped, quoted
from hendrix.access.record import Origin, Record
from hendrix.access.terminal import terminal_line

COMBINED: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
NAMES: Final = ("combined", "json", "terminal")
_ATOM: Final = re.compile(r"%(?:%|\((?:\{([^{}()]+)\}([ioe])|([A-Za-z_]+))\)s)")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Line = Callable[[Record, Origin], str]
Value = Callable[[Record, Origin], object]


@lru_cache(maxsize=8)
def stamp(second: int) -> str:
    """Local time as ``10/Oct/2000:13:55:36 -0700``; not strftime's month, which follows the locale."""
    now = time.localtime(second)
    sign, minutes = "-" if now.tm_gmtoff < 0 else "+", abs(now.tm_gmtoff) // 60
    day = f"{now.tm_mday:02d}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year:04d}"
    return f"{day}:{now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d} {sign}{minutes // 60:02d}{minutes % 60:02d}"


def _or_dash(text: str) -> str:
    return escaped(text) or "-"


def _word(text: str) -> str:
    """One that is no two, for fields that stand outside of quotes."""
    return escaped(text).replace(" ", "_") or "-"


def _request_line(r: Record) -> str:
    return f"{r.method} {r.target} {r.protocol}" if r.method else ""


def _moment(r: Record) -> float:
    return r.left if r.event == "close" else r.arrived


# What gunicorn calls them, and what they are.
ATOMS: Final[Mapping[str, Value]] = {
    "h": lambda r, o: _word(r.remote_addr),
    "l": lambda r, o: "-",
    "u": lambda r, o: _word(r.user),
    "t": lambda r, o: f"[{stamp(int(_moment(r) + o.offset))}]",
    "r": lambda r, o: _or_dash(_request_line(r)),
    "m": lambda r, o: _or_dash(r.method),
    "U": lambda r, o: _or_dash(r.target.partition("?")[0]),
    "q": lambda r, o: escaped(r.target.partition("?")[2]),
    "H": lambda r, o: _or_dash(r.protocol),
    "s": lambda r, o: r.status,
    "B": lambda r, o: r.sent,
    "b": lambda r, o: r.sent or "-",
    "f": lambda r, o: _or_dash(r.referer),
    "a": lambda r, o: _or_dash(r.user_agent),
    "T": lambda r, o: int(r.left - r.arrived),
    "M": lambda r, o: int((r.left - r.arrived) * 1e3),
    "D": lambda r, o: int((r.left - r.arrived) * 1e6),
    "L": lambda r, o: f"{r.left - r.arrived:.6f}",
    "p": lambda r, o: f"<{o.pid}>",
}

# The keys of a JSON line, each with what it says; a format string may name them too.
FIELDS: Final[Mapping[str, str]] = {
    "time": "when the request had arrived, of `close` when it was closed: seconds since 1970",
    "request_id": "`X-Request-ID` as a trusted proxy has set it, else one of our own; empty for what was refused",
    "method": "of the request line; it, `target` and `protocol` are empty where that could not be read",
    "target": "what was asked for, as it was sent",
    "status": "of the answer; 0 where the client left before there was one",
    "received": "bytes of the request, head and content; of `close`, bytes from the client after that",
    "sent": "bytes of content that were sent",
    "waited": "seconds that the request waited for a thread",
    "app": "seconds in the application, `close()` of its answer included",
    "first_byte": "seconds from its arrival until the first byte of the answer was with the kernel",
    "duration": "seconds from its arrival until the last byte was; of `close`, how long it was open",
    "event": "`request`; of a WebSocket or an event stream `open` and `close`",
    "client": "what it did: `left` before it had all, was `slow` to take it (or cut off for that), or empty",
    "close_code": "the [code](websockets.md) that a connection was closed with; 0 but for `close`",
    "remote_addr": "the client's address, as a trusted proxy tells it; empty on a unix socket",
    "user": "`REMOTE_USER` of the environ, or the name of HTTP Basic authentication, unchecked",
    "protocol": "`HTTP/1.1` or `HTTP/1.0`",
    "tls": "the version of TLS, as `TLSv1.3`; empty without",
    "referer": "of the request, or empty",
    "user_agent": "of the request, or empty",
    "worker": "the process that answered: `worker 1`, or `hendrix` where there are none",
    "pid": "its number",
}

# One place for each of the first eleven, then for what is put together by `_outcome`, `_visitor` and `_process`.
_OBJECT: Final = (
    '{"time":%.3f,"request_id":%s,"method":%s,"target":%s,"status":%s,"received":%d,"sent":%d,"waited":%.6f,"app":%.6f,'
    '"first_byte":%.6f,"duration":%.6f,%s,%s,%s}\n'
)


def json_line(record: Record, origin: Origin) -> str:
    """An object with the `FIELDS`: constant keys, and values each of which an encoder of JSON has written."""
    (
        event, arrived, began, first, finished, left, request_id, remote_addr, user, method, target, protocol, tls, status, received, sent,
        referer, user_agent, client, close_code, _,
    ) = record  # fmt: skip
    visitor = _visitor if len(user_agent) + len(referer) <= REMEMBERED else _visitor.__wrapped__
    return _OBJECT % (
        (left if event == "close" else arrived) + origin.offset, quoted(request_id), quoted(method), quoted(target), status,
        received, sent, began - arrived, finished - began, first - arrived, left - arrived, _outcome(event, client, close_code),
        visitor(remote_addr, user, protocol, tls, referer, user_agent), _process(origin.worker, origin.pid),
    )  # fmt: skip


REMEMBERED: Final = 1000  # characters: nobody fills the memory of `_visitor` with kilobytes


@lru_cache(256)
def _outcome(event: str, client: str, close_code: int) -> str:
    return f'"event":{quoted(event)},"client":{quoted(client)},"close_code":{close_code:d}'


@lru_cache(1000)
def _visitor(remote_addr: str, user: str, protocol: str, tls: str, referer: str, user_agent: str) -> str:
    """Who comes once mostly comes again."""
    return (
        f'"remote_addr":{quoted(remote_addr)},"user":{quoted(user)},"protocol":{quoted(protocol)},"tls":{quoted(tls)},'
        f'"referer":{quoted(referer)},"user_agent":{quoted(user_agent)}'
    )


@lru_cache(8)
def _process(worker: str, pid: int) -> str:
    return f'"worker":{quoted(worker)},"pid":{pid:d}'


def combined_line(record: Record, origin: Origin) -> str:
    """A line of Apache's combined format: `COMBINED`, in one go."""
    (event, arrived, _, _, _, left, _, remote_addr, user, method, target, protocol, _, status, _, sent, referer, user_agent, *_) = record
    return '%s - %s [%s] "%s" %s %s "%s" "%s"\n' % (  # noqa: UP031 (half the time of an f-string, with as many values)
        _word(remote_addr), _word(user) if user else "-", stamp(int((left if event == "close" else arrived) + origin.offset)),
        escaped(f"{method} {target} {protocol}") if method else "-", status, sent or "-", escaped(referer) or "-",
        escaped(user_agent) or "-",
    )  # fmt: skip


# What a format string may name of `FIELDS`, and is not text of a record.
_NUMBERS: Final[Mapping[str, Value]] = {
    "time": lambda r, o: f"{_moment(r) + o.offset:.3f}",
    "status": lambda r, o: r.status,
    "received": lambda r, o: r.received,
    "sent": lambda r, o: r.sent,
    "waited": lambda r, o: f"{r.began - r.arrived:.6f}",
    "app": lambda r, o: f"{r.finished - r.began:.6f}",
    "first_byte": lambda r, o: f"{r.first - r.arrived:.6f}",
    "duration": lambda r, o: f"{r.left - r.arrived:.6f}",
    "close_code": lambda r, o: r.close_code,
    "worker": lambda r, o: _or_dash(o.worker),
    "pid": lambda r, o: o.pid,
}


class Format:
    """A format, ready for use.

    :param text: one of `NAMES`, or a format string.
    :param coloured: for a terminal: whether it has colours.
    :raises ValueError: there is no such format, or no such atom; the text says what to give.

    :ivar line: makes a line of a record.
    :ivar extras: what it asks for besides the fields: "i" and a name of the environ, "o" and a header in lower case, "e" and a name.
    :ivar wants_id: whether it shows the id of requests.
    """

    def __init__(self, text: str, coloured: Callable[[], bool] = lambda: False) -> None:
        self.extras: list[tuple[str, str]] = []
        self.wants_id = text == "json"
        if text == "json":
            self.line: Line = json_line
        elif text in ("combined", COMBINED):
            self.line = combined_line
        elif text == "terminal":
            self.line = lambda r, o: _short(r, o, coloured())
        else:
            self.line = self._compiled(text)

    def _compiled(self, text: str) -> Line:
        if "%(" not in text:
            near = difflib.get_close_matches(text, NAMES, 1)
            raise ValueError(f"give {', '.join(NAMES)} or a format string" + (f"; did you mean {near[0]}?" if near else ""))
        if not text.isprintable():
            raise ValueError("give printable text: each request is one line")
        pieces, values, end = [], [], 0
        for match in _ATOM.finditer(text):
            pieces.append(_literal(text[end : match.start()]))
            end = match.end()
            pieces.append("%s" if match[0] != "%%" else "%%")
            if match[0] != "%%":
                values.append(self._value(match))
        pieces.append(_literal(text[end:]))
        template = "".join(pieces) + "\n"

        def line(record: Record, origin: Origin) -> str:
            r = Record(*record)  # where it is a plain tuple
            return template % tuple([value(r, origin) for value in values])

        return line

    def _value(self, match: re.Match[str]) -> Value:
        header, kind, name = match.groups()
        if header is not None:
            key = header.lower() if kind == "o" else _environ_name(header) if kind == "i" else header
            index = len(self.extras)
            self.extras.append((kind, key))
            return lambda r, o: _or_dash(r.extra[index])
        if name in ATOMS:
            return ATOMS[name]
        if name not in FIELDS:
            near = difflib.get_close_matches(name, [*ATOMS, *FIELDS], 1)
            raise ValueError(f"%({name})s: there is no such atom; " + (f"did you mean %({near[0]})s?" if near else _known()))
        self.wants_id = self.wants_id or name == "request_id"
        return _NUMBERS.get(name) or (lambda r, o: _or_dash(getattr(r, name)))


def _literal(text: str) -> str:
    """Between two atoms. A lone % is a mistake."""
    if "%" in text:
        wrong = text[text.index("%") :][:20]
        raise ValueError(f"{wrong}: this is no atom; {_known()}, and %% is a percent sign")
    return text.encode("ascii", "backslashreplace").decode()


def _known() -> str:
    return "there is %(" + ")s %(".join(ATOMS) + ")s, %({header}i)s, %({header}o)s, %({variable}e)s and the keys of the json format"


def _environ_name(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + name


def _short(record: Record, origin: Origin, coloured: bool) -> str:
    r = Record(*record)
    words = f"{r.target} {r.event}" if r.event != "request" else r.target
    return terminal_line(_moment(r) + origin.offset, escaped(r.method), escaped(words), int(r.status), r.sent, r.left - r.arrived, coloured)
