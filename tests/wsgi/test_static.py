"""--static as a WSGI application, on a directory with all that a directory may have."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import socket

import pytest

from hendrix.errors import ConfigurationError
from hendrix.wsgi.environ import FileWrapper
from hendrix.wsgi.static import Static

DATA = bytes(range(256)) * 10


def app(environ, start_response):
    start_response("200 OK", [])
    return [b"the application"]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "static"
    (root / "css").mkdir(parents=True)
    (root / "docs/sub").mkdir(parents=True)
    (root / ".well-known").mkdir()
    (root / ".git").mkdir()
    (root / "data.bin").write_bytes(DATA)
    (root / "css/site.css").write_text("body {}")
    (root / "docs/index.html").write_text("index")
    (root / "docs/sub/page.html").write_text("page")
    (root / ".well-known/security.txt").write_text("well known")
    (root / ".git/config").write_text("hidden")
    (root / "empty").write_bytes(b"")
    (root / "ä ö.txt").write_text("umlauts")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "out").symlink_to(tmp_path)
    (root / "in.txt").symlink_to(root / "css/site.css")
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    (tmp_path / "static-else").mkdir()
    (tmp_path / "static-else/secret.txt").write_text("secret")
    (root / "else").symlink_to(tmp_path / "static-else")
    return root


class Answer:
    def __init__(self, static, path, method="GET", query="", **fields):
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "wsgi.file_wrapper": FileWrapper}
        environ |= {f"HTTP_{name}": value for name, value in fields.items()}
        body = static.beside(app)(environ, self.start)
        self.body = b"".join(body)
        if isinstance(body, FileWrapper):
            assert type(body.file) is io.FileIO, "what the kernel can send"
            body.close()
            self.body = self.body[: int(self.fields["Content-Length"])]

    def start(self, status, fields, exc_info=None):
        self.status, self.fields = status, dict(fields)
        assert len(fields) == len(self.fields)


def open_below(root):
    """The files in it that this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the list itself
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [name for name in found if name.startswith(f"{root}/")]


@pytest.fixture
def get(root):
    static = Static([f"/static={root}"], 60)
    static.load()
    yield lambda path, *args, **kwargs: Answer(static, path, *args, **kwargs)
    assert not open_below(root), "each file has been closed"


def test_a_file(get, root):
    answer = get("/static/data.bin")
    assert (answer.status, answer.body) == ("200 OK", DATA)
    modified = answer.fields.pop("Last-Modified")
    etag = answer.fields.pop("ETag")
    assert answer.fields == {
        "Content-Type": "application/octet-stream", "Content-Length": "2560", "Accept-Ranges": "bytes",
        "Cache-Control": "public, max-age=60",
    }  # fmt: skip
    assert get("/static/data.bin", IF_NONE_MATCH=etag).status == "304 Not Modified"
    not_modified = get("/static/data.bin", IF_MODIFIED_SINCE=modified)
    assert (not_modified.status, not_modified.body) == ("304 Not Modified", b"")
    assert not_modified.fields == {"ETag": etag, "Last-Modified": modified, "Cache-Control": "public, max-age=60"}
    assert get("/static/data.bin", IF_MATCH='"x"').status == "412 Precondition Failed"
    (root / "data.bin").write_bytes(DATA + b"more")
    assert get("/static/data.bin", IF_NONE_MATCH=etag).body == DATA + b"more"


def test_parts_of_a_file(get):
    answer = get("/static/data.bin", RANGE="bytes=10-19")
    assert (answer.status, answer.body) == ("206 Partial Content", DATA[10:20])
    assert (answer.fields["Content-Range"], answer.fields["Content-Length"]) == ("bytes 10-19/2560", "10")
    beyond = get("/static/data.bin", RANGE="bytes=2560-")
    assert (beyond.status, beyond.fields["Content-Range"]) == ("416 Range Not Satisfiable", "bytes */2560")
    assert get("/static/data.bin", RANGE="bytes=0-1,3-4").body == DATA
    assert get("/static/data.bin", RANGE="bytes=0-1", IF_RANGE='"x"').body == DATA
    assert get("/static/data.bin", RANGE="bytes=0-1", IF_RANGE=answer.fields["ETag"]).body == DATA[:2]
    assert get("/static/data.bin", "HEAD", RANGE="bytes=0-1").status == "200 OK"
    assert get("/static/empty").body == b""


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/static/css/site.css", b"body {}"),
        ("/static/in.txt", b"body {}"),
        ("/static/docs/", b"index"),
        ("/static/docs/sub/page.html", b"page"),
        ("/static/.well-known/security.txt", b"well known"),
        ("/static/ä ö.txt".encode().decode("latin-1"), b"umlauts"),
        ("/", b"the application"),
        ("/statics", b"the application"),
        ("/static-else/secret.txt", b"the application"),
        ("/stati", b"the application"),
        ("", b"the application"),
    ],
)
def test_what_is_there(get, path, body):
    assert (get(path).status, get(path).body) == ("200 OK", body)


@pytest.mark.parametrize(
    "path",
    [
        "/static", "/static/", "/static/nothing", "/static/css", "/static/css/", "/static/css/site.css/", "/static/css/site.css/x",
        "/static/../secret.txt", "/static/css/../../secret.txt", "/static/css/../data.bin", "/static/./data.bin", "/static//data.bin",
        "/static//etc/passwd", "/static/\0", "/static/data.bin\0.txt", "/static/" + "x" * 5000, "/static/" + "x/" * 3000 + "x",
        "/static/.git/config", "/static/.well-known/.x", "/static/out.txt", "/static/out/secret.txt", "/static/else/secret.txt",
        "/static/loop", "/static/pipe", "/static/socket", "/static/..", "/static/...", "/static/\xff\xfe", "/static/..\\secret.txt",
    ],
)  # fmt: skip
def test_what_is_not(get, path):
    answer = get(path)
    assert (answer.status, answer.body) == ("404 Not Found", b"404 Not Found\n")


@pytest.mark.parametrize(("number", "ours"), [(errno.EACCES, False), (errno.ELOOP, False), (errno.EMFILE, True)])
def test_a_file_that_may_not_be_read_is_not_there_but_our_own_trouble_is_raised(get, monkeypatch, number, ours):
    def refuse(path, flags):
        raise OSError(number, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        if ours:
            with pytest.raises(OSError, match="no"):
                get("/static/data.bin")
        else:
            assert get("/static/data.bin").status == "404 Not Found"


def test_a_directory_with_an_index_has_a_slash_at_its_end(get):
    answer = get("/static/docs", query="a=b")
    assert (answer.status, answer.fields["Location"]) == ("301 Moved Permanently", "/static/docs/?a=b")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods(get, method):
    answer = get("/static/data.bin", method)
    assert (answer.status, answer.fields["Allow"]) == ("405 Method Not Allowed", "GET, HEAD")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.PNG", "image/png"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.tar.gz", "application/gzip"),
        ("a.css.gz", "application/gzip"),
        ("a", "application/octet-stream"),
        ("data:,x.html", "text/html; charset=utf-8"),
        ("http:a?b.css", "text/css; charset=utf-8"),
    ],
)
def test_types(get, root, name, kind):
    (root / name).write_text("x")
    answer = get(f"/static/{name}")
    assert answer.fields["Content-Type"] == kind
    assert "Content-Encoding" not in answer.fields


def test_what_was_compressed_before(get, root):
    (root / "css/site.css.gz").write_bytes(gzip.compress(b"body {}"))
    plain = get("/static/css/site.css")
    assert (plain.body, plain.fields["Vary"]) == (b"body {}", "Accept-Encoding")
    zipped = get("/static/css/site.css", ACCEPT_ENCODING="gzip, br")
    assert gzip.decompress(zipped.body) == b"body {}"
    assert (zipped.fields["Content-Encoding"], zipped.fields["Vary"]) == ("gzip", "Accept-Encoding")
    assert zipped.fields["Content-Type"] == plain.fields["Content-Type"] == "text/css; charset=utf-8"
    assert zipped.fields["ETag"] != plain.fields["ETag"]
    assert get("/static/css/site.css", ACCEPT_ENCODING="gzip", IF_NONE_MATCH=plain.fields["ETag"]).status == "200 OK"
    assert get("/static/css/site.css", ACCEPT_ENCODING="gzip", IF_NONE_MATCH=zipped.fields["ETag"]).fields["Vary"] == "Accept-Encoding"
    (root / "css/site.css.br").write_bytes(b"smaller")
    assert get("/static/css/site.css", ACCEPT_ENCODING="gzip, br").body == b"smaller"
    assert get("/static/css/site.css", ACCEPT_ENCODING="gzip, br;q=0").fields["Content-Encoding"] == "gzip"
    assert get("/static/css/site.css", ACCEPT_ENCODING="br", RANGE="bytes=0-1").body == b"sm"


def test_what_was_compressed_elsewhere_is_not_served(get, root, tmp_path):
    (root / "css/site.css.gz").symlink_to(tmp_path / "secret.txt")
    assert get("/static/css/site.css", ACCEPT_ENCODING="gzip").body == b"body {}"


def test_the_nearest_place_counts_and_links_are_followed_anew(root, tmp_path):
    (tmp_path / "current").symlink_to(root / "css")
    static = Static([f"/s={root}", f"/s/css={tmp_path / 'current'}"], 0)
    static.load()
    assert Answer(static, "/s/css/site.css").fields["Cache-Control"] == "no-cache"
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to(root / "docs")
    assert Answer(static, "/s/css/").status == "404 Not Found"
    static.load()
    assert Answer(static, "/s/css/").body == b"index"
    (tmp_path / "current").unlink()
    with pytest.raises(ConfigurationError, match=r"^--static=/s/css=.+/current: there is no such directory"):
        static.load()
    assert Answer(static, "/s/css/").body == b"index"
