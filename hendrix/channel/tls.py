"""``ssl:`` endpoints with the whole chain that the certificate file holds, checked when they are made.

Twisted's own parser takes the first certificate of the file and leaves the chain to another argument; then browsers complain and nobody
knows why. A pair that does not match it finds at the first handshake; here it is found at the start.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IOpenSSLContextFactory
from zope.interface import implementer

from hendrix.errors import ConfigurationError

ONE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
KNOWN = ("port", "privateKey", "certKey", "extraCertChain", "backlog", "interface")


@dataclass(frozen=True)
class Pem:
    """A key and its certificates as PEM text, with the names of the files for messages."""

    key: str
    cert: str
    chain: str
    key_name: str
    cert_name: str

    def context_factory(self) -> Any:
        """See `context_factory`."""
        return context_factory(self.key.encode(), self.cert.encode(), self.chain.encode(), self.key_name, self.cert_name)


@implementer(IOpenSSLContextFactory)
class Certificates:
    """A context factory that can be renewed while it serves: handshakes from then on have the new certificate.

    :param read: reads the files.
    :ivar pem: what it read last.
    :raises ConfigurationError: the files cannot be read or do not fit.
    """

    def __init__(self, read: Callable[[], Pem]) -> None:
        self._read = read
        self.renew()

    def renew(self) -> None:
        """Read the files again.

        :raises ConfigurationError: they cannot be read or do not fit; what there was stays in use.
        """
        pem = self._read()
        self._factory = pem.context_factory()
        self.pem = pem

    def getContext(self) -> Any:
        """For each new connection."""
        return self._factory.getContext()


class SslEndpoint(SSL4ServerEndpoint):
    """An endpoint whose certificates can be renewed."""

    def __init__(self, reactor: Any, port: int, certificates: Certificates, backlog: int, interface: str) -> None:
        super().__init__(reactor, port, certificates, backlog, interface)
        self.certificates = certificates


def ssl_endpoint(reactor: Any, description: str) -> SslEndpoint | None:
    """The endpoint of ``ssl:PORT:privateKey=FILE:certKey=FILE[...]``; None if it has arguments that only Twisted's parser knows.

    TLS 1.2 and 1.3 with the ciphers that Twisted prefers.

    :raises ConfigurationError: a file cannot be read or is none, or key and certificate do not belong together.
    """
    given = _arguments(description)
    if not set(given) <= set(KNOWN) or "port" not in given:
        return None
    certificates = Certificates(partial(_pem, given))
    return SslEndpoint(reactor, int(given["port"]), certificates, int(given.get("backlog", 1024)), given.get("interface", ""))


def _pem(given: dict[str, str]) -> Pem:
    key = given.get("privateKey", "server.pem")
    cert = given.get("certKey", key)
    chain = _read("--cert", given["extraCertChain"]) if "extraCertChain" in given else ""
    return Pem(_read("--key", key), _read("--cert", cert), chain, key, cert)


def check_directory(description: str) -> None:
    """Of ``tls:DIR:...``: Twisted's parser takes a directory that is not there for one without certificates.

    :raises ConfigurationError: there is no such directory.
    """
    path = next((part.removeprefix("path=") for part in _parts(description) if part.startswith("path=") or "=" not in part), "")
    if not Path(path).is_dir():
        raise ConfigurationError(f"--listen={description}: there is no directory {path}; give one with keys and certificates in .pem files")


def context_factory(key: bytes, cert: bytes, chain: bytes, key_name: str, cert_name: str) -> Any:
    """A Twisted context factory from PEM text."""
    try:
        from OpenSSL import SSL, crypto
        from twisted.internet.ssl import CertificateOptions
    except ImportError:
        raise ConfigurationError("TLS needs pyOpenSSL and service-identity: pip install 'hendrix[tls]'") from None

    try:
        private_key = crypto.load_privatekey(crypto.FILETYPE_PEM, key)
    except crypto.Error:
        advice = "give the key of the certificate, without a passphrase"
        raise ConfigurationError(f"--key={key_name}: this is not a private key in PEM; {advice}") from None
    try:
        first, *rest = [crypto.load_certificate(crypto.FILETYPE_PEM, one) for one in ONE.findall(cert) + ONE.findall(chain)]
    except (ValueError, crypto.Error):
        raise ConfigurationError(f"--cert={cert_name}: there is no certificate in PEM in it; give one, and its chain after it") from None
    try:
        options = CertificateOptions(privateKey=private_key, certificate=first, extraCertChain=rest)
        options.getContext().check_privatekey()
    except SSL.Error:
        advice = "give the two that belong together"
        raise ConfigurationError(f"--key={key_name}: this is not the key of the certificate {cert_name}; {advice}") from None
    return options


def _arguments(description: str) -> dict[str, str]:
    """The arguments of an endpoint description; the first without a name is the port."""
    found: dict[str, str] = {}
    for part in _parts(description):
        name, equals, value = part.partition("=")
        found[name if equals else "port"] = value if equals else name
    return found


def _parts(description: str) -> list[str]:
    return [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\):", description)[1:]]


def _read(flag: str, name: str) -> str:
    try:
        return Path(name).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigurationError(f"{flag}={name}: {error.strerror}; give a file in PEM that this user may read") from None


def tls_version(transport: Any) -> str:
    """The version that the two sides agreed on, as "TLSv1.3"; "" if the transport has none, or another kind of it."""
    try:
        return str(transport.getHandle().get_protocol_version_name())
    except Exception:  # a transport without handle, or one whose handle is a socket
        return ""
