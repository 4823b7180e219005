"""`hendrix.access`: what lines say, and that nobody can forge one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies

from hendrix.access import escaping, formats
from hendrix.access.formats import ATOMS, COMBINED, FIELDS, Format, stamp
from hendrix.access.record import Origin, Record

RECORD = Record(
    event="request", arrived=136.5, began=136.625, first=136.75, finished=137.0, left=139.0, request_id="a1", remote_addr="203.0.113.1",
    user="", method="GET", target="/a?b=c", protocol="HTTP/1.1", tls="TLSv1.3", status="200", received=99, sent=2326,
    referer="http://a.example/", user_agent="Mozilla/5.0", client="slow", close_code=0,
)  # fmt: skip
ORIGIN = Origin(971186000.0, "worker 1", 4711)
LINE = '203.0.113.1 - - [10/Oct/2000:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 2326 "http://a.example/" "Mozilla/5.0"\n'
TEXTS = ["event", "request_id", "remote_addr", "user", "method", "target", "protocol", "tls", "referer", "user_agent", "client"]
NASTY = "".join(map(chr, range(0x100))) + '"}\\n\u2028\U0001f600\ud800'


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    stamp.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    stamp.cache_clear()


def made(form: str, record: Record = RECORD, **changes: Any) -> str:
    return Format(form).line(record._replace(**changes), ORIGIN)


class TestCombined:
    def test_line(self) -> None:
        assert made("combined") == LINE

    @pytest.mark.parametrize("changes", [{}, {"method": ""}, {"remote_addr": ""}, {"sent": 0}, {"user": "a b"}, {"event": "close"}])
    def test_is_what_the_atoms_say(self, changes: dict[str, Any]) -> None:
        compiled = COMBINED.replace("%(s)s", "%(status)s")  # another text, the same values
        assert made("combined", **changes) == made(compiled, **changes)

    def test_absent_values_are_dashes(self) -> None:
        bare = {"remote_addr": "", "method": "", "target": "", "protocol": "", "status": "400", "sent": 0, "referer": "", "user_agent": ""}
        assert made("combined", **bare) == '- - - [10/Oct/2000:13:55:36 +0000] "-" 400 - "-" "-"\n'

    @pytest.mark.parametrize(
        ("zone", "expected"), [("XXX+7", "06:55:36 -0700"), ("XXX-5:45", "19:40:36 +0545"), ("XXX+3:30", "10:25:36 -0330")]
    )
    def test_local_time(self, monkeypatch: pytest.MonkeyPatch, zone: str, expected: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        stamp.cache_clear()
        assert f"[10/Oct/2000:{expected}]" in made("combined")

    def test_escapes_as_apache(self) -> None:
        assert r'"a\"b\\c\x0d\x0a\x1b\x7f\xe9\u2028" ' in made("combined", referer='a"b\\c\r\n\x1b\x7fé\u2028')

    @pytest.mark.parametrize("field", ["remote_addr", "user", "method", "target", "protocol", "referer", "user_agent"])
    def test_no_field_can_forge_a_line(self, field: str) -> None:
        """Whatever a field holds: one line, printable, and its quotes are balanced."""
        text = made("combined", **{field: NASTY})
        assert text.count("\n") == 1
        assert text[:-1].isprintable() and text.isascii()
        assert text.replace("\\\\", "").replace('\\"', "").count('"') == 6
        assert len(text[: text.index(" [")].split(" ")) == 3


class TestJson:
    def test_line(self) -> None:
        assert json.loads(made("json")) == {
            "time": 971186136.5,
            "event": "request",
            "request_id": "a1",
            "remote_addr": "203.0.113.1",
            "user": "",
            "method": "GET",
            "target": "/a?b=c",
            "protocol": "HTTP/1.1",
            "tls": "TLSv1.3",
            "status": 200,
            "received": 99,
            "sent": 2326,
            "waited": 0.125,
            "app": 0.375,
            "first_byte": 0.25,
            "duration": 2.5,
            "referer": "http://a.example/",
            "user_agent": "Mozilla/5.0",
            "client": "slow",
            "close_code": 0,
            "worker": "worker 1",
            "pid": 4711,
        }

    def test_has_the_fields_that_are_documented_in_their_order(self) -> None:
        assert sorted(json.loads(made("json"))) == sorted(FIELDS)

    def test_the_end_of_a_connection_has_the_time_of_its_end(self) -> None:
        line = json.loads(made("json", event="close", close_code=1000))
        assert (line["time"], line["duration"], line["close_code"]) == (971186139.0, 2.5, 1000)

    def test_no_field_can_forge_a_line(self) -> None:
        text = made("json", **dict.fromkeys(TEXTS, NASTY))
        assert text.count("\n") == 1
        assert text[:-1].isprintable() and text.isascii()
        assert {key: value for key, value in json.loads(text).items() if key in TEXTS} == dict.fromkeys(TEXTS, NASTY)

    def test_what_is_long_is_not_remembered(self) -> None:
        formats._visitor.cache_clear()
        made("json", user_agent="x" * 5000)
        assert formats._visitor.cache_info().currsize == 0
        made("json")
        assert formats._visitor.cache_info().currsize == 1

    def test_what_is_remembered_is_bounded(self) -> None:
        for number in range(3 * escaping.MOST):
            escaping.escaped(f"text {number}")
        escaping.escaped("y" * 5000)
        assert len(escaping._known) <= escaping.MOST and "y" * 5000 not in escaping._known


class TestFormatStrings:
    @pytest.mark.parametrize(
        ("atom", "value"),
        [
            ("h", "203.0.113.1"), ("l", "-"), ("u", "-"), ("t", "[10/Oct/2000:13:55:36 +0000]"), ("r", "GET /a?b=c HTTP/1.1"), ("m", "GET"),
            ("U", "/a"), ("q", "b=c"), ("H", "HTTP/1.1"), ("s", "200"), ("B", "2326"), ("b", "2326"), ("f", "http://a.example/"),
            ("a", "Mozilla/5.0"), ("T", "2"), ("M", "2500"), ("D", "2500000"), ("L", "2.500000"), ("p", "<4711>"),
        ],
    )  # fmt: skip
    def test_atoms_of_gunicorn(self, atom: str, value: str) -> None:
        assert made(f"<%({atom})s>") == f"<{value}>\n"

    def test_all_of_them_are_tested(self) -> None:
        [mark] = [mark for mark in self.test_atoms_of_gunicorn.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
        assert [atom for atom, _ in mark.args[1]] == list(ATOMS)

    @pytest.mark.parametrize("field", FIELDS)
    def test_fields_of_the_json_format(self, field: str) -> None:
        value, shown = json.loads(made("json", user="me"))[field], made(f"%({field})s", user="me")[:-1]
        assert shown == str(value) or float(shown) == float(value)

    def test_headers_and_variables(self) -> None:
        form = Format("%({User-Agent}i)s %({Content-Type}i)s %({Content-Type}o)s %({wsgi.url_scheme}e)s")
        assert form.extras == [("i", "HTTP_USER_AGENT"), ("i", "CONTENT_TYPE"), ("o", "content-type"), ("e", "wsgi.url_scheme")]
        assert form.line(RECORD._replace(extra=('a"b', "", "c\n", "d")), ORIGIN) == 'a\\"b - c\\x0a d\n'

    @pytest.mark.parametrize(("form", "wants"), [("json", True), ("combined", False), ("%(request_id)s", True), ("%(h)s", False)])
    def test_ids_are_made_for_who_shows_them(self, form: str, wants: bool) -> None:
        assert Format(form).wants_id == wants

    def test_a_percent_sign_and_text_that_is_not_ascii(self) -> None:
        assert made("100%% é %(h)s") == "100% \\xe9 203.0.113.1\n"

    @pytest.mark.parametrize(
        ("form", "words"),
        [
            ("jsn", "did you mean json"),
            ("nothing", "give combined, json, terminal or a format string$"),
            ("%(z)s", r"%\(z\)s: there is no such atom; there is %\(h\)s"),
            ("%(usr)s", r"did you mean %\(user\)s\?"),
            ("%(h)s %(s)d", r"^%\(s\)d: this is no atom; .* %% is a percent sign"),
            ("%(h)s 100%", "^%: this is no atom"),
            ("%(h)s %({x}z)s", "this is no atom"),
            ("%(h)s\n", "one line"),
        ],
    )
    def test_mistakes(self, form: str, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            Format(form)

    def test_no_field_can_forge_a_line(self) -> None:
        every = "|".join([*(f"%({name})s" for name in (*ATOMS, *FIELDS)), "%({a}i)s", "%({b}o)s", "%({c}e)s"])
        changes = {**dict.fromkeys(TEXTS, NASTY.replace("|", "")), "extra": (NASTY,) * 3}
        text = made(every, **changes)
        assert text.count("\n") == 1 and text[:-1].isprintable() and text.isascii()


ANY = strategies.text(max_size=60)  # all of Unicode, with lone surrogates
BYTES = strategies.binary(max_size=60).map(lambda data: data.decode("latin-1"))
ANYTHING = ANY | BYTES | strategies.sampled_from(['"', "\\", '\\"', "\r\n", "\x1b]0;", '","status":200,"x":"', "%(h)s", "%s", "{0}"])


@given(strategies.lists(ANYTHING, min_size=11, max_size=11), strategies.integers(0, 2**62), strategies.integers(0, 2**62))
def test_any_input_is_one_line(texts: list[str], received: int, sent: int) -> None:
    """Fed straight to the formats: JSON says exactly what came, the others are one printable line."""
    changes = dict(zip(TEXTS, texts))
    text = made("json", received=received, sent=sent, **changes)
    assert text.endswith("}\n") and text.count("\n") == 1 and text.isascii()
    line = json.loads(text)
    assert {key: line[key] for key in TEXTS} == changes
    assert (line["received"], line["sent"], line["status"]) == (received, sent, 200)
    for form in ("combined", "terminal", '"%(r)s" "%(a)s" "%({x}i)s"'):
        text = made(form, extra=(texts[0],), **changes)
        assert text.count("\n") == 1 and re.fullmatch("[ -~]+\n", text)
    assert text.replace("\\\\", "").replace('\\"', "").count('"') == 6
