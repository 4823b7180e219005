"""The sibling tor, and ``--listen onion:``, at the control port of a real tor that has no network."""

from __future__ import annotations

import http.client
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import tors
from tors import Offline, wait_until

from harness import Site
from hendrix.client import Client
from siblings_site import PATIENCE, lines_of, site

ONION = r"[a-z2-7]{56}\.onion"


@pytest.fixture
def home():
    tors.needed()
    with tempfile.TemporaryDirectory(prefix="tor-") as name:
        yield Path(name)


@pytest.fixture
def tor(home):
    tor = Offline(home / "tor")
    try:
        yield tor.start()
    finally:
        tor.stop()


def line_of(running, *path):
    """What the tree says of a node."""
    with Client(f"{running.home}/control", PATIENCE) as control:
        tree = control.ask("tree")
    for name in path:
        tree = lines_of(tree)[name]
    return tree["line"]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_endpoint_that_is_an_onion(tor, home, workers):
    key = home / "key"
    with site(
        f"--workers={workers}", "--trusted-proxy=127.0.0.1", f"--listen=onion:80:control={tor.socket}:key_file={key}", app="onion_site:app"
    ) as running:
        kind, onion, port = running.addresses[0].split(":")
        assert (kind, port) == ("onion", "80")
        assert re.fullmatch(ONION, onion)
        assert running.addresses[1].startswith("tcp:")
        assert key.stat().st_mode & 0o777 == 0o600
        assert tor.has(key)
        line = line_of(running, "onion")
        target = re.fullmatch(rf"{onion}:80 -> 127\.0\.0\.1:(\d+)", line)[1]

        forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Forwarded": "for=203.0.113.9"}
        assert "REMOTE_ADDR=203.0.113.9" in running.get("/", forged, address=1).text  # there the proxy is believed
        text = asked(target, onion, forged)
        assert "REMOTE_ADDR=\n" in text
        assert "wsgi.url_scheme=http\n" in text
        assert "SERVER_PORT=80\n" in text
        assert f"HTTP_HOST={onion}" in text
        assert "203.0.113.9" not in text

        tor.stop()
        running.wait_for_log("tor has gone")
        wait_until(lambda: line_of(running, "onion").endswith(", tor is not there"), "the tree shows it")
        tor.start()
        wait_until(lambda: line_of(running, "onion") == line, "it is published again")
        assert tor.has(key)
    assert not tor.has(key)


def asked(port, host, headers):
    """As tor would ask."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=PATIENCE)
    connection.request("GET", "/", headers={"Host": host, **headers})
    try:
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_a_sibling_with_a_password_and_an_address_that_lasts_as_long_as_the_process(home):
    hashed = subprocess.run([tors.TOR, "--hash-password", "voodoo chile"], capture_output=True, text=True, check=True).stdout
    tor = Offline(home / "tor", "CookieAuthentication 0", f"HashedControlPassword {hashed.split()[-1]}")
    (home / "password").write_text("voodoo chile\n")
    try:
        tor.start()
        with site(rf"--sibling=tor:port=8080:control=127.0.0.1\:{tor.port}:password_file={home}/password") as running:
            line = line_of(running, "siblings", "tor")
            onion = re.fullmatch(rf"({ONION}):8080 -> 127\.0\.0\.1:\d+", line)[1]
            assert running.addresses[1] == f"onion:{onion}:8080"
            tor.stop()
            running.wait_for_log("tor has gone")
            tor.start()
            wait_until(lambda: line_of(running, "siblings", "tor") == line, "it is published again under its address")
    finally:
        tor.stop()


def test_a_tor_that_does_not_want_us_any_more_follows_the_rule_of_the_supervisor(tor, home):
    """An endpoint takes the site with it; a sibling is tried again for as long as the site lives."""
    settings, other = tor.settings, "HashedControlPassword 16:872860B76453A77D60CA2BB8C1A7042072093276A3D701AD684053EC4C"
    with site(f"--sibling=tor:control={tor.socket}:key_file={home}/key") as sibling:
        with site(f"--listen=onion:80:control={tor.socket}") as endpoint:
            tor.stop()
            tor.settings = ("DisableNetwork 1", "SocksPort 0", other)
            tor.start()
            assert endpoint.wait() == 1
            assert re.search("hendrix: error: onion died, as 4 did in 10 s: .* tor wants a password", endpoint.log)
        sibling.wait_for_log("tor died and is started again: ConfigurationError: control=")
        assert sibling.get().status == 200
        tor.stop()
        tor.settings = settings
        tor.start()
        wait_until(lambda: re.match(rf"{ONION}:80 -> 127.0.0.1:\d+, \d+ restart", line_of(sibling, "siblings", "tor")), "it is back")
        wait_until(lambda: "tor is not there" not in line_of(sibling, "siblings", "tor"), "it is published again")
        assert tor.has(home / "key")


def refused(*arguments, **keywords):
    """The one line of a site that cannot start."""
    code, said = Site("hello:app", *arguments, **keywords).run()
    assert code == 1, said
    lines = [line for line in said.splitlines() if "hendrix: error:" in line]
    assert len(lines) == 1 and "Traceback" not in said, said
    return lines[0].partition("hendrix: error: ")[2]


@pytest.mark.parametrize("option", ["--listen=onion:80", "--sibling=tor"])
def test_no_tor(home, option):
    given = f"{option}:control={home}/nobody"
    assert refused(given) == (
        f"{given}: control={home}/nobody: no tor there (No such file or directory); start it, with ControlPort or ControlSocket"
    )


def test_what_is_no_tor(home):
    with site() as other:
        line = refused(rf"--sibling=tor:control=127.0.0.1\:{other.port}")
    assert f"control=127.0.0.1:{other.port}: what listens there is no tor" in line


def test_a_wrong_password(home):
    tor = Offline(home / "tor", "HashedControlPassword 16:872860B76453A77D60CA2BB8C1A7042072093276A3D701AD684053EC4C")
    (home / "password").write_text("purple haze")
    try:
        tor.start()
        line = refused(f"--sibling=tor:control={tor.socket}:password_file={home}/password")
        assert "tor refuses the password" in line
        assert "HashedControlPassword in password_file" in line
        assert "tor wants a password; give password_file" in refused(f"--sibling=tor:control={tor.socket}")
    finally:
        tor.stop()


def test_a_cookie_that_we_may_not_read(tor):
    cookie = tor.directory / "data/control_auth_cookie"
    cookie.unlink()
    cookie.mkdir()  # which root cannot read either
    line = refused(f"--sibling=tor:control={tor.socket}")
    assert f"the cookie {cookie} cannot be read (Is a directory); let this user be in the group of tor" in line


def test_a_key_file_that_others_may_read(tor, home):
    key = home / "key"
    key.write_text("ED25519-V3:" + "A" * 86 + "==")
    key.chmod(0o640)
    line = refused(f"--listen=onion:80:control={tor.socket}:key_file={key}")
    assert line.startswith(f"--listen=onion:80:control={tor.socket}:key_file={key}: key_file={key}: others may read it; chmod 600 {key}")


def test_a_key_that_cannot_be_kept_publishes_nothing(tor, home):
    assert "No such file or directory; give a file in a directory" in refused(f"--sibling=tor:control={tor.socket}:key_file={home}/no/key")


def test_a_key_of_tors_own(tor, home):
    made = Offline(home / "other", "CookieAuthentication 1", f"HiddenServiceDir {home}/service", "HiddenServicePort 80")
    try:
        made.start()
        hostname = wait_until(lambda: (home / "service/hostname").exists() and (home / "service/hostname").read_text(), "it has a name")
    finally:
        made.stop()
    shutil.copy(home / "service/hs_ed25519_secret_key", home / "key")
    with site(f"--sibling=tor:control={tor.socket}:key_file={home}/key") as running:
        assert running.addresses[1] == f"onion:{hostname.strip()}:80"


def test_without_txtorcon(home):
    (home / "txtorcon.py").write_text("raise ImportError('no module', name='txtorcon')")
    line = refused("--listen=onion:80", env={"PYTHONPATH": str(home)})
    assert line == "--listen=onion:80: txtorcon is missing; install it with pip install 'hendrix[tor]'"
