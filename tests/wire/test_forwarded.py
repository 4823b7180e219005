"""`hendrix.wire.forwarded`, rule by rule (RFC 7239, and the custom of ``X-Forwarded-*``)."""

from __future__ import annotations

import time

import pytest

from hendrix.errors import ConfigurationError, PeerError
from hendrix.wire.forwarded import Origin, TrustedProxies, origin

TRUSTED = TrustedProxies(("10.0.0.0/8", "192.0.2.7", "fd00::/8", "unix"))


def of(**fields: str) -> Origin:
    """The origin by fields named without their HTTP_ (``x_forwarded_for="..."``)."""
    return origin(TRUSTED, {f"HTTP_{name.upper()}": value for name, value in fields.items()})


class TestTrustedProxies:
    @pytest.mark.parametrize("peer", ["10.1.2.3", "192.0.2.7", "fd00::1", "FD00:0::1", "::ffff:10.1.2.3", "fd00::1%eth0", "", "unix"])
    def test_trusted(self, peer: str) -> None:
        assert TRUSTED.trusts(peer)

    @pytest.mark.parametrize("peer", ["11.0.0.1", "192.0.2.8", "fe00::1", "::ffff:11.0.0.1", "example.org", "10.0.0", "10.0.0.1:80"])
    def test_not_trusted(self, peer: str) -> None:
        assert not TRUSTED.trusts(peer)

    def test_unix_peers_only_by_name(self) -> None:
        proxies = TrustedProxies(("0.0.0.0/0", "::/0"))
        assert proxies.trusts("203.0.113.1")
        assert proxies.trusts("2001:db8::1")
        assert not proxies.trusts("")
        assert not proxies.trusts("unix")

    def test_nobody_by_default(self) -> None:
        assert not TrustedProxies()
        assert not TrustedProxies().trusts("127.0.0.1")
        assert not TrustedProxies().trusts("")
        assert TrustedProxies(("unix",))
        assert TRUSTED

    @pytest.mark.parametrize("spec", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "*", "10.0.0.", "1.2.3.4:80", "[::1]", "Unix"])
    def test_bad_spec_names_flag_and_value(self, spec: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            TrustedProxies(("127.0.0.1", spec))
        message = str(caught.value)
        assert message.startswith(f"--trusted-proxy {spec}:")
        assert "\n" not in message


class TestXForwarded:
    def test_nothing_there(self) -> None:
        assert of() == Origin() == of(x_forwarded_for="", x_forwarded_proto=" , ", forwarded="")

    @pytest.mark.parametrize(
        ("chain", "client"),
        [
            ("203.0.113.1", "203.0.113.1"),
            ("203.0.113.1, 10.0.0.1", "203.0.113.1"),
            ("198.51.100.9, 203.0.113.1, 10.0.0.1,10.0.0.2", "203.0.113.1"),
            ("10.0.0.5, 10.0.0.6", "10.0.0.5"),
            ("<script>, \x01, 203.0.113.1", "203.0.113.1"),
            ("203.0.113.1, , 10.0.0.1,", "203.0.113.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::1, fd00::7", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("203.0.113.1:4711", "203.0.113.1"),
            ("::ffff:203.0.113.1", "203.0.113.1"),
            ("203.0.113.1, ::ffff:10.0.0.1", "203.0.113.1"),
        ],
    )
    def test_walk_ends_at_the_first_untrusted_from_the_right(self, chain: str, client: str) -> None:
        assert of(x_forwarded_for=chain) == Origin(client)

    @pytest.mark.parametrize(
        ("chain", "nearest"),
        [
            ("unknown", None),
            ("Unknown", None),
            ("_gazonk", None),
            ("203.0.113.1, unknown, 10.0.0.1", "10.0.0.1"),
            ("_x, 10.0.0.2", "10.0.0.2"),
        ],
    )
    def test_hidden_node_ends_the_walk(self, chain: str, nearest: str | None) -> None:
        assert of(x_forwarded_for=chain, x_forwarded_proto="https") == Origin(nearest, "https", None, "443")

    @pytest.mark.parametrize(
        "chain",
        [
            *("localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4:", "1.2.3.4:port", "1.2.3.4:123456", "[1.2.3.4]"),
            *("[::1", "::1]", "[unknown]", "_", "_a b", "unknown_", "<b>", "fe80::1%<script>", "203.0.113.1 10.0.0.1"),
            *("'1.2.3.4'", '"1.2.3.4"', "1.2.3.4;", "\x00", "é", "::g", "bad, 10.0.0.1", "١.2.3.4"),
        ],
    )
    def test_malformed_node_is_refused(self, chain: str) -> None:
        with pytest.raises(PeerError) as caught:
            of(x_forwarded_for=chain)
        assert caught.value.status == 400

    @pytest.mark.parametrize(
        ("proto", "scheme", "port"), [("https", "https", "443"), ("HTTP", "http", "80"), ("wss", "https", "443"), ("ws", "http", "80")]
    )
    def test_scheme_brings_its_port(self, proto: str, scheme: str, port: str) -> None:
        assert of(x_forwarded_proto=proto) == Origin(None, scheme, None, port)

    def test_ports_precedence(self) -> None:
        assert of(x_forwarded_proto="https", x_forwarded_host="a.example:8443", x_forwarded_port="9000").server_port == "9000"
        assert of(x_forwarded_proto="https", x_forwarded_host="a.example:8443").server_port == "8443"
        assert of(x_forwarded_host="a.example") == Origin(None, None, "a.example", None)
        assert of(x_forwarded_port="0080").server_port == "80"

    def test_the_chosen_hop_speaks(self) -> None:
        """The other lists are as long as the chain of hops: the element of the outermost trusted proxy counts."""
        chain = "6.6.6.6, 203.0.113.1, 10.0.0.1"
        assert of(x_forwarded_for=chain, x_forwarded_proto="http, https, http") == Origin("203.0.113.1", "https", None, "443")
        assert of(x_forwarded_for=chain, x_forwarded_proto="https, http").url_scheme == "https"
        assert of(x_forwarded_for=chain, x_forwarded_proto="https").url_scheme == "https"
        assert of(x_forwarded_for=chain, x_forwarded_host="evil, good, inner").http_host == "good"

    def test_what_the_client_prepended_is_not_believed(self) -> None:
        fields = {
            "x_forwarded_for": "203.0.113.1",
            "x_forwarded_proto": "https, http",
            "x_forwarded_host": "evil, good",
            "x_forwarded_port": "1, 80",
        }
        assert of(**fields) == Origin("203.0.113.1", "http", "good", "80")

    @pytest.mark.parametrize("host", ["a.example", "A.example:80", "[2001:db8::1]:443", "127.0.0.1", "x_y", "%61"])
    def test_host(self, host: str) -> None:
        assert of(x_forwarded_host=host).http_host == host

    @pytest.mark.parametrize(
        "host",
        ["a b", "user@host", "a/b", "a:", "a:x", "a:99999", "a:0", "[::1", "::1", "<b>", "a\r\nb", "%zz", "a?b", "a:80:80", "é", "[]"],
    )
    def test_malformed_host_is_refused(self, host: str) -> None:
        with pytest.raises(PeerError) as caught:
            of(x_forwarded_host=host)
        assert caught.value.status == 400

    @pytest.mark.parametrize(
        ("name", "value"),
        [("proto", "ftp"), ("proto", "https;"), ("proto", "java script")]
        + [("port", each) for each in ("x", "-1", "0", "65536", "1 2", "٨", "+8")],
    )
    def test_malformed_proto_or_port_is_refused(self, name: str, value: str) -> None:
        with pytest.raises(PeerError) as caught:
            of(**{f"x_forwarded_{name}": value})
        assert caught.value.status == 400


class TestForwarded:
    def test_wins_over_x_forwarded(self) -> None:
        assert of(forwarded="for=203.0.113.1", x_forwarded_for="198.51.100.1", x_forwarded_proto="https") == Origin("203.0.113.1")
        assert of(forwarded="proto=http", x_forwarded_for="garbage") == Origin(None, "http", None, "80")

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("for=203.0.113.1;proto=https;by=10.0.0.1;host=a.example", Origin("203.0.113.1", "https", "a.example", "443")),
            ('FOR="203.0.113.1:4711";Proto=HTTPS;Host="a.example:8443"', Origin("203.0.113.1", "https", "a.example:8443", "8443")),
            ('for="[2001:db8:cafe::17]:4711"', Origin("2001:db8:cafe::17")),
            ('For="[2001:db8:cafe::17]", for=10.0.0.1', Origin("2001:db8:cafe::17")),
            ('for="\\2\\0\\3.0.113.1"', Origin("203.0.113.1")),
            ("for=6.6.6.6;proto=http, for=203.0.113.1;proto=https, for=10.0.0.1;proto=http", Origin("203.0.113.1", "https", None, "443")),
            ("for=10.0.0.9;host=out,for=10.0.0.8;host=in", Origin("10.0.0.9", None, "out", None)),
            ('for=203.0.113.1;ext="a,b;for=6.6.6.6"', Origin("203.0.113.1")),
            ("for=unknown;proto=https", Origin(None, "https", None, "443")),
            ("for=_SEVKISEK, for=10.0.0.3", Origin("10.0.0.3")),
            ('for="203.0.113.1:_obf"', Origin("203.0.113.1")),
            ("for=203.0.113.1;;proto=http; ,, ;", Origin("203.0.113.1", "http", None, "80")),
            (" ; , ", Origin()),
            ('host="";proto=""', Origin()),
        ],
    )
    def test_elements(self, value: str, expected: Origin) -> None:
        assert of(forwarded=value) == expected

    @pytest.mark.parametrize(
        "value",
        [
            *("for", "for=", "=1.2.3.4", "for=[::1]", "for=1.2.3.4:80", "for 1.2.3.4", "for=1.2.3.4 proto=http"),
            *('for="1.2.3.4', 'for=1.2.3.4"', 'for="a, for=1.2.3.4', 'for="a, for="[2001:db8::1]"', "for=1.2.3.4;for=5.6.7.8"),
            *("for=1.2.3.4;FOR=1.2.3.4", "for = 1.2.3.4", 'for="\x01"', 'for="é"', 'for="[fe80::1%<b>]"', "for=localhost"),
            *("proto=gopher", 'host="a b"', "for=1.2.3.4\n", "for='1.2.3.4'"),
        ],
    )
    def test_malformed_is_refused(self, value: str) -> None:
        with pytest.raises(PeerError) as caught:
            of(forwarded=value)
        assert caught.value.status == 400

    @pytest.mark.parametrize(
        "value", ['for="' + "\\a" * 15000, "for=" + ":" * 30000, ";" * 32000, " " * 32000 + "x", "for=10.0.0.1," * 2400]
    )
    def test_linear_time(self, value: str) -> None:
        """A head full of it (32 KiB) is parsed in milliseconds: no expression backtracks."""
        start = time.process_time()
        for name in ("forwarded", "x_forwarded_for", "x_forwarded_host", "x_forwarded_proto"):
            try:
                of(**{name: value})
            except PeerError:
                pass
        assert time.process_time() - start < 0.5
