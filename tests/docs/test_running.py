"""The files of the pages are served by the commands of the pages."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from pages import README, Page, page
from sockets import Client
from typed import BIN, Typed, write_files

from certificates import Certificate
from harness import Site

APPS = Path(__file__).parent / "apps"
STARTED = page("getting-started.md")


def lines(where: Page, *beginning: str) -> list[list[str]]:
    found = [words for words in where.commands if words[: len(beginning)] == list(beginning)]
    assert found, f"{where} has no command {beginning}"
    return found


def sites() -> list[list[str]]:
    """The command lines of "Getting started" that serve one of its files."""
    served = [words for words in STARTED.commands if re.search(r"--wsgi=(hello|shop)\b", " ".join(words)) and "tree" not in words]
    assert {words[0] for words in served} == {"twistd", "hx", "twist"}
    return [list(each) for each in dict.fromkeys(map(tuple, served))]


@pytest.mark.parametrize("words", sites(), ids=" ".join)
def test_getting_started(words: list[str], tmp_path: Path) -> None:
    write_files(STARTED, tmp_path)
    with Typed(words, tmp_path) as site:
        assert site.get("/").text.startswith("Hello")


def test_what_the_log_is_said_to_say(tmp_path: Path) -> None:
    write_files(STARTED, tmp_path)
    said = next(block.text for block in STARTED.of("text") if "serving" in block.text)
    with Typed(["twistd", "-n", "hendrix", "--wsgi=hello.application"], tmp_path) as site:
        for line in said.splitlines():
            inside = line.replace("[web]", "[hendrix.web#info]")  # the page shows a terminal, and this is a file
            expected = re.escape(inside).replace("8000", str(site.port)).replace("4711", str(site.pid))
            assert re.search(expected, site.log), site.log


@pytest.mark.parametrize("words", [["twistd", "-ny", "site.tac"], ["python", "serve.py"]], ids=" ".join)
def test_a_tac_file_and_a_program(words: list[str], tmp_path: Path) -> None:
    assert words in STARTED.commands
    write_files(STARTED, tmp_path)
    with Typed(words, tmp_path) as site:
        assert site.get("/").text == "Hello\n"


def test_a_django_project(tmp_path: Path) -> None:
    for words in (*lines(STARTED, "django-admin"), *lines(STARTED, "python", "manage.py", "migrate")):
        subprocess.run([BIN / words[0], *words[1:]], cwd=tmp_path, check=True, capture_output=True)
    for words in (*lines(STARTED, "twistd", "-n", "hendrix", "--wsgi=myproj.wsgi.application")[:1], ["hx"]):
        assert words in STARTED.commands
        with Typed(words, tmp_path) as site:
            assert "The install worked successfully" in site.get("/").text
        (tmp_path / "ports").unlink()


def test_the_mistake_is_told_as_it_is_said_to_be(tmp_path: Path) -> None:
    write_files(STARTED, tmp_path)
    line = next(block.text for block in STARTED.of("text") if block.text.startswith("hendrix: error"))
    done = subprocess.run([BIN / "hx", "--wsgi=hello.app", "--listen=tcp:0"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, line)


@pytest.mark.parametrize("where", [README, STARTED], ids=str)
def test_the_printed_tree_is_what_hx_tree_prints(where: Page) -> None:
    trees = [block.text for block in where.of("text") if block.text.startswith("hendrix  ")]
    words = [words for words in lines(where, "hx", "tree") if len(words) > 2]
    assert len(trees) == len(words) == 1
    done = subprocess.run([BIN / "hx", *words[0][1:]], capture_output=True, text=True, check=True)
    assert done.stdout == trees[0]


@pytest.mark.parametrize("name", ["serve.py", "secure.py", "statics.py"])
def test_the_programs_with_hendrix_deploy(name: str, tmp_path: Path, certificate: Certificate) -> None:
    write_files(STARTED, tmp_path)
    write_files(page("hendrix-deploy.md"), tmp_path)
    shutil.copy(certificate.key, tmp_path / "key.pem")
    shutil.copy(certificate.cert, tmp_path / "chain.pem")
    (tmp_path / "static").mkdir()
    (tmp_path / "static/a.txt").write_text("static")
    with Typed(["python", name], tmp_path) as site:
        assert site.get("/").text == "Hello\n"
        assert site.url.startswith("https" if name == "secure.py" else "http:")
        if name == "statics.py":
            assert site.get("/static/a.txt").text == "static"


def test_hendrix_deploy_in_three_steps(tmp_path: Path) -> None:
    write_files(STARTED, tmp_path)
    block = next(block for block in page("hendrix-deploy.md").of("python") if not block.name)
    program = block.text.replace('"hello.application"', f'"hello.application", "listen": ["tcp:0"], "port_file": "{tmp_path}/ports"')
    (tmp_path / "steps.py").write_text(program + "deployer.reactor.run()\n")
    with Typed(["python", "steps.py"], tmp_path) as site:
        assert site.get("/").text == "Hello\n"


def test_a_file_is_downloaded(tmp_path: Path) -> None:
    write_files(page("wsgi.md"), tmp_path)
    with Typed(["hx", "--wsgi=download.application"], tmp_path) as site:
        assert site.get("/").text == (tmp_path / "download.py").read_text()


@pytest.mark.parametrize("name", ["test_tasks.py", "test_chat.py", "test_events.py", "test_site.py"])
def test_the_tests_that_the_page_about_testing_shows_pass(name: str, tmp_path: Path) -> None:
    write_files(STARTED, tmp_path)
    write_files(page("testing.md"), tmp_path)
    environ = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr


def test_static_files_of_django(tmp_path: Path) -> None:
    subprocess.run([BIN / "django-admin", "startproject", "myproj", "."], cwd=tmp_path, check=True, capture_output=True)
    with (tmp_path / "myproj/settings.py").open("a") as settings:
        settings.write("".join(f"{line}\n" for line in re.findall(r"`(STATIC_(?:URL|ROOT) = [^`]*)`", STARTED.prose)))
    for words in lines(STARTED, "python", "manage.py", "collectstatic"):
        subprocess.run([BIN / words[0], *words[1:]], cwd=tmp_path, check=True, capture_output=True)
    [words] = lines(STARTED, "hx", "--static=/static=static")
    with Typed(words, tmp_path) as site:
        assert site.get("/static/admin/css/base.css").status == 200
        assert "The install worked successfully" in site.get("/").text


def test_a_lobby(tmp_path: Path) -> None:
    """The page and its script are there; who is in hears who speaks, be it from a shell."""
    where = page("websockets.md")
    write_files(where, tmp_path)
    with Typed(lines(where, "hx", "--wsgi=lobby.application")[0], tmp_path) as site:
        scripts = re.findall(r'src="([^"]+)"', site.get("/").text)
        assert scripts and all(site.get(path).status == 200 for path in scripts)
        with Client(site, "/lobby") as one, Client(site, "/lobby") as two:
            assert all("payload" not in client.receive_json() for client in (one, two))  # where they begin to hear
            one.send("hello")
            assert [client.receive_json()["payload"] for client in (one, two)] == [{"text": "hello"}] * 2
            words = lines(where, "hx", "publish", "lobby")[0]
            subprocess.run([BIN / words[0], *words[1:]], cwd=tmp_path, check=True, capture_output=True)
            assert [client.receive_json()["payload"] for client in (one, two)] == [json.loads(words[3])] * 2


def test_static_files(tmp_path: Path) -> None:
    write_files(STARTED, tmp_path)
    (tmp_path / "static").mkdir()
    (tmp_path / "static/a.txt").write_text("static")
    [words] = [words for words in lines(page("beside.md"), "hx") if "--static=/static=static" in words]
    with Typed(words, tmp_path) as site:
        assert site.get("/static/a.txt").text == "static"
        assert site.get("/").text == "Hello\n"


def test_a_klein_app_beside_the_site(tmp_path: Path) -> None:
    write_files(STARTED, tmp_path)
    write_files(page("beside.md"), tmp_path)
    [words] = [words for words in lines(page("beside.md"), "hx") if "--mount=/api=api.app" in words]
    with Typed(words, tmp_path) as site:
        assert site.get("/").text == "Hello\n"
        assert site.request("POST", "/api/echo", b"whole").body == b"whole"
        assert site.get("/api/countdown").text == "3\n2\n1\nLiftoff\n"


def test_a_server_on_an_endpoint_of_its_own(tmp_path: Path) -> None:
    write_files(STARTED, tmp_path)
    write_files(page("beside.md"), tmp_path)
    [words] = [words for words in lines(page("beside.md"), "hx") if "clock.factory" in " ".join(words)]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Typed([word.replace("1300", str(port)) for word in words], tmp_path), socket.create_connection(("127.0.0.1", port), 30) as clock:
        assert re.fullmatch(rb"\d\d:\d\d\n", clock.makefile("rb").read())


def test_two_endpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of the socket is relative
    write_files(STARTED, tmp_path)
    [words] = lines(page("endpoints.md"), "twistd")
    with Typed(words, tmp_path) as site:
        assert [site.get("/", address=each).status for each in (0, 1)] == [200, 200]
        assert [line.partition(":")[0] for line in site.addresses] == ["tcp", "unix"]


@pytest.mark.skipif(not shutil.which("openssl") or not shutil.which("curl"), reason="needs openssl and curl")
def test_a_self_signed_certificate(tmp_path: Path) -> None:
    write_files(STARTED, tmp_path)
    tls = page("tls.md")
    subprocess.run(lines(tls, "openssl")[0], cwd=tmp_path, check=True, capture_output=True)
    with Typed(lines(tls, "hx")[0], tmp_path) as site:
        words = [word.replace("8443", str(site.port)) for word in lines(tls, "curl")[0]]
        assert subprocess.run([*words, "-s"], cwd=tmp_path, check=True, capture_output=True).stdout == b"Hello\n"


def test_a_directory_of_certificates(tmp_path: Path, certificate: Certificate) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    (folder / "site.pem").write_bytes(certificate.key.read_bytes() + certificate.cert.read_bytes())
    with Site("hello:app", listen=[f"tls:{folder}:port=0:interface=127.0.0.1"]) as site:
        trusting = ssl.create_default_context(cafile=certificate.authority)
        with trusting.wrap_socket(site.connect(tls=False), server_hostname="localhost") as connection:
            assert connection.version() == "TLSv1.3"


def test_the_address_in_a_proxy_header_reaches_the_application() -> None:
    with Site("environ:app", cwd=APPS, listen=["haproxy:tcp:0:interface=127.0.0.1"]) as site, site.connect() as connection:
        connection.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\nGET / HTTP/1.0\r\n\r\n")
        assert b"REMOTE_ADDR=192.0.2.1" in b"".join(iter(lambda: connection.recv(65536), b""))


def test_on_ports_80_and_443_alone(tmp_path: Path, certificate: Certificate) -> None:
    """The command of the page: plain, over TLS, and the file of an ACME client."""
    [words] = [words for words in lines(page("deploying.md"), "twistd") if "--http-port=80" in words]
    write_files(STARTED, tmp_path)
    for folder in ("tls", "static", "acme/.well-known/acme-challenge"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "acme/.well-known/acme-challenge/token").write_text("token.thumbprint")
    shutil.copy(certificate.key, tmp_path / "tls/key.pem")
    shutil.copy(certificate.cert, tmp_path / "tls/chain.pem")
    ours = [word for word in words[words.index("hendrix") + 1 :] if not word.startswith("--wsgi")]
    ours = ["--http-port=0" if word == "--http-port=80" else "--https-port=0" if word == "--https-port=443" else word for word in ours]
    with Site("hello:application", *ours, cwd=tmp_path, listen=[]) as site:
        plain, tls = (int(address.rpartition(":")[2]) for address in site.addresses)
        assert asked(plain, "/.well-known/acme-challenge/token") == b"token.thumbprint"
        assert asked(plain, "/") == b"Hello\n"
        trusting = ssl.create_default_context(cafile=certificate.authority)
        assert asked(tls, "/", trusting) == b"Hello\n"


def asked(port: int, path: str, context: ssl.SSLContext | None = None) -> bytes:
    scheme = "https" if context else "http"
    with urllib.request.urlopen(f"{scheme}://localhost:{port}{path}", timeout=30, context=context) as answer:
        content: bytes = answer.read()
        return content


@pytest.mark.skipif(not shutil.which("caddy"), reason="caddy is not installed")
def test_caddy_in_front(tmp_path: Path) -> None:
    """The block of the page in a configuration of its own: plain, at any port, and keeping nothing in the home directory."""
    block = next(block.text for block in page("proxy.md").of("text") if "reverse_proxy" in block.text)
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    with Site("environ:app", "--trusted-proxy=unix", cwd=APPS, listen=[f"unix:{tmp_path}/http.sock"]) as site:
        servers = block.replace("/run/myproj/http.sock", f"{tmp_path}/http.sock").replace("example.com {", f"http://{place} {{")
        config = tmp_path / "Caddyfile"
        config.write_text(f"{{\n    admin off\n    storage file_system {tmp_path}/caddy\n}}\n\n{servers}")
        environ = {**os.environ, "HOME": str(tmp_path)}
        words = ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]
        front = subprocess.Popen(words, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            seen = through(place)
            assert {f"HTTP_HOST={place}", "REMOTE_ADDR=127.0.0.1", "wsgi.url_scheme=http"} <= set(seen), site.log
            assert not [line for line in seen if "192.0.2" in line or "evil" in line], "what the client made up"
        finally:
            front.terminate()
            front.wait()


def through(place: str, *more: str) -> list[str]:
    """What the application sees of a request by way of a proxy, once that is up, with all that a client may make up."""
    lies = ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.2", "X-Forwarded-Host: evil.example"]
    patient = ["--retry", "30", "--retry-connrefused", "--retry-delay", "1"]
    fields = [word for field in (*lies, *more) for word in ("-H", field)]
    command = ["curl", "-s", *patient, *fields, f"http://{place}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_nginx_in_front(tmp_path: Path) -> None:
    """The block of the page in a configuration of its own, at any port."""
    [block] = page("proxy.md").of("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    with Site("environ:app", "--trusted-proxy=unix", cwd=APPS, listen=[f"unix:{tmp_path}/http.sock"]) as site:
        servers = block.text.replace("/run/myproj/http.sock", f"{tmp_path}/http.sock").replace("listen 80;", f"listen {place};")
        user = "" if os.getuid() else "user root;"  # whose directory this is
        config = tmp_path / "nginx.conf"
        config.write_text(f"{user} daemon off; pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; {servers} }}")
        subprocess.run(["nginx", "-t", "-c", config], check=True, capture_output=True)
        front = subprocess.Popen(["nginx", "-c", config], stderr=subprocess.DEVNULL)
        try:
            seen = through(place, "Host: example.com")
            assert {"HTTP_HOST=example.com", "REMOTE_ADDR=127.0.0.1", "wsgi.url_scheme=http", "SERVER_PORT=80"} <= set(seen), site.log
            assert not [line for line in seen if "192.0.2" in line or "evil" in line], "what the client made up"
        finally:
            front.terminate()
            front.wait()
