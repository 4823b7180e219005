"""The sibling tor, as far as it needs no tor: what is given to it, and its key file."""

from __future__ import annotations

from base64 import b64encode

import pytest
from sibling_house import House
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from hendrix.errors import ConfigurationError
from hendrix.siblings.onion_key import PREFIX, TORS_OWN, Key
from hendrix.siblings.service import onions_in
from hendrix.siblings.spec import Spec, read
from hendrix.siblings.tor import make_service
from hendrix.siblings.tor_control import Control, NoTor

SECRET = bytes(range(64))
TEXT = PREFIX + b64encode(SECRET).decode()


def made(spec):
    return make_service(House().context(), **read(spec, make_service))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("onion:80:kontrol=x", "there is no key kontrol; did you mean control?; tor knows port, control, password_file, key_file"),
        ("onion:http", "port=http: give a whole number; tor knows port"),
        ("onion:80:x", "'x' is no key=value"),
    ],
)
def test_a_bad_endpoint_names_the_option_and_the_keys(text, words):
    with pytest.raises(ConfigurationError) as caught:
        made(Spec.of_onion(text))
    assert str(caught.value).startswith(f"--listen={text}: {words}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tor:port=0", "port=0: give a port from 1 to 65535"),
        ("tor:control=nowhere", "control=nowhere: that is no place; give the path of a socket, such as /run/tor/control, or HOST:PORT"),
        ("tor:password_file=/no/file", "password_file=/no/file: No such file or directory; give a file that this user may read"),
    ],
)
def test_what_cannot_be_says_what_to_give(text, words):
    with pytest.raises(ConfigurationError) as caught:
        made(Spec.parse(text))
    assert str(caught.value) == words


def test_an_endpoint_with_and_without_keys():
    assert Spec.of_onion("onion:80").values == {"port": "80"}
    assert Spec.of_onion(r"onion:8080:control=127.0.0.1\:9051").values == {"port": "8080", "control": "127.0.0.1:9051"}
    assert Spec.of_onion("onion:key_file=k").values == {"key_file": "k"}
    assert Spec.of_onion("onion").values == {}


def test_onions_keep_their_place_among_the_endpoints():
    bound, specs = onions_in(None, ["onion:80", "tcp:0", "onion:81"])
    assert [getattr(one, "description", one) for one in bound] == ["onion:80", "tcp:0", "onion:81"]
    assert [(label, spec.kind, spec.blame) for label, spec in specs] == [
        ("onion", "tor", "--listen=onion:80"),
        ("onion-2", "tor", "--listen=onion:81"),
    ]


def test_a_key_is_kept_for_its_owner_alone(tmp_path):
    file = tmp_path / "key"
    before = Key(str(file))
    before.read()
    assert before.text == ""
    before.keep(TEXT)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
    after = Key(str(file))
    after.read()
    assert after.text == TEXT


def test_a_key_is_never_written_over(tmp_path):
    file = tmp_path / "key"
    file.write_text("somebody else's")
    with pytest.raises(ConfigurationError, match="File exists"):
        Key(str(file)).keep(TEXT)
    assert file.read_text() == "somebody else's"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"ED25519-V3:AAAA\n", 0o600, "that is no key; give one of tor's"),
        (b"\xff" * 200, 0o600, "that is no key; give one of tor's"),
        (TORS_OWN + SECRET[1:], 0o600, "that is no key; give one of tor's"),
        (TEXT.encode(), 0o640, "others may read it; chmod 600"),
    ],
)
def test_a_key_file_that_will_not_do(tmp_path, content, mode, words):
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        Key(str(file)).read()
    assert str(caught.value).startswith(f"key_file={file}: {words}")


def test_tors_own_key_will_do(tmp_path):
    file = tmp_path / "hs_ed25519_secret_key"
    file.write_bytes(TORS_OWN + SECRET)
    file.chmod(0o600)
    key = Key(str(file))
    key.read()
    assert key.text == TEXT


def test_where_tor_goes_in_the_middle_of_it_nobody_reads_the_key():
    class Going:
        def when_disconnected(self):
            return Deferred()

        def queue_command(self, command):
            return fail(RuntimeError(f"Tor unexpectedly disconnected while running: {command}"))

    asked = Deferred.fromCoroutine(Control(Going(), Clock()).publish("ED25519-V3:secret", 80, "127.0.0.1:1"))
    found = []
    asked.addErrback(lambda failure: found.append(failure.value))
    assert isinstance(found[0], NoTor) and "secret" not in str(found[0])


def test_what_only_root_may_read_is_read_once(tmp_path):
    """The sibling is made anew when it has died, as another user perhaps."""
    secret = tmp_path / "password"
    secret.write_text("jimi")
    house = House()
    spec = {"password_file": str(secret), "key_file": str(tmp_path / "key")}
    first = make_service(house.context(), **spec)
    first._key.keep(f"{PREFIX}{b64encode(bytes(64)).decode()}")
    secret.unlink()
    (tmp_path / "key").unlink()
    second = make_service(house.context(), **spec)
    second.privilegedStartService()
    assert (second._place._password, second._key.text) == ("jimi", first._key.text)
