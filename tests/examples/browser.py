"""A browser for the tests: it keeps cookies, follows redirects, and fills in the forms that a page holds, hidden fields included."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin

DEADLINE = 60.0
"""Seconds in which a piece of an answer must come: a busy machine must not fail a test, a hang must."""


@dataclass(frozen=True)
class Form:
    """A form: where it goes, and the fields it has, with the values they have before anybody types."""

    action: str
    fields: dict[str, str]


@dataclass(frozen=True)
class Page:
    """A whole answer."""

    status: int
    url: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def form(self, field: str) -> Form:
        """The form that has a field of that name."""
        reader = _FormReader()
        reader.feed(self.text)
        return next(form for form in reader.forms if field in form.fields)


class Browser:
    """Visits one site.

    :ivar cookies: what the site wants to be reminded of.
    """

    def __init__(self, site: str) -> None:
        self.site = site
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.cookies),
            urllib.request.HTTPSHandler(context=ssl._create_unverified_context()),
        )

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Page:
        """Open a page."""
        return self._open(urllib.request.Request(urljoin(self.site, path), headers=dict(headers or {})))

    def send(self, method: str, path: str, body: bytes, kind: str) -> Page:
        """Send a body of a media type, saying that one comes from the site itself."""
        headers = {"Content-Type": kind, "Origin": self.site}
        return self._open(urllib.request.Request(urljoin(self.site, path), body, headers, method=method))

    def post(self, path: str, **fields: str) -> Page:
        """Post these fields and no other."""
        return self.send("POST", path, urlencode(fields).encode(), "application/x-www-form-urlencoded")

    def submit(self, page: Page, **fields: str) -> Page:
        """Fill in the form of ``page`` that has the first of these fields, and send it."""
        form = page.form(next(iter(fields)))
        return self.post(urljoin(page.url, form.action), **{**form.fields, **fields})

    def upload(self, page: Page, field: str, name: str, content: bytes) -> Page:
        """Choose a file in the form of ``page`` that has that field, and send it."""
        form = page.form(field)
        body, kind = multipart({key: value for key, value in form.fields.items() if key != field}, field, name, content)
        return self.send("POST", urljoin(page.url, form.action), body, kind)

    def _open(self, request: urllib.request.Request) -> Page:
        try:
            answer = self._opener.open(request, timeout=DEADLINE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return Page(answer.status, answer.url, answer.headers, answer.read())


def multipart(fields: Mapping[str, str], field: str, name: str, content: bytes) -> tuple[bytes, str]:
    """The body of a form with a file, and its media type (RFC 7578)."""
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()]
    parts += [f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n']
    parts += ["Content-Type: application/octet-stream\r\n\r\n"]
    return "".join(parts).encode() + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@contextlib.contextmanager
def opened(connection: socket.socket, path: str) -> Iterator[http.client.HTTPResponse]:
    """Ask for an answer and leave it to the test to read it; at the end, leave."""
    with connection, contextlib.closing(http.client.HTTPConnection("127.0.0.1")) as client:
        client.sock = connection
        client.request("GET", path)
        with client.getresponse() as response:
            yield response


def read_until(response: http.client.HTTPResponse, mark: bytes) -> bytes:
    """Read what has come of an answer until ``mark`` is in it, without waiting for more."""
    text = b""
    while mark not in text:
        piece = response.read1()
        assert piece, f"the answer ended without {mark!r}: {text!r}"
        text += piece
    return text


class _FormReader(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Start a form, or add a field to the one that was started last."""
        given = dict(attributes)
        if tag == "form":
            self.forms.append(Form(given.get("action") or "", {}))
        elif tag in ("input", "textarea", "select") and given.get("name") and given.get("type") != "submit":
            self.forms[-1].fields[given["name"] or ""] = given.get("value") or ""
