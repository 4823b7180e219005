"""What all tests share."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import os
import signal
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# A shared machine makes any deadline a matter of luck.
hypothesis.settings.register_profile("hendrix", deadline=None)
hypothesis.settings.load_profile("hendrix")


def pytest_configure() -> None:
    """End like Ctrl-C when a CI job is cancelled, so that every test puts away what it started."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: object) -> NoReturn:
    children = Path(f"/proc/self/task/{os.getpid()}/children")  # the processes of pytest-xdist
    for pid in children.read_text().split() if children.exists() else ():
        os.kill(int(pid), number)
    raise KeyboardInterrupt


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The files of a TLS server for "localhost" and 127.0.0.1, in PEM."""

    key: Path
    cert: Path
    """The certificate that belongs to ``key``, then the authority that signed it: a chain file."""
    authority: Path
    """What a client must trust."""
    other_key: Path
    """A good key that does not belong to ``cert``."""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A key and a certificate chain of two, made for this run."""
    directory = tmp_path_factory.mktemp("tls")
    directory.chmod(0o755)  # for a server that has shed its privileges
    files = Certificate(*(directory / name for name in ("key.pem", "chain.pem", "authority.pem", "other-key.pem")))
    authority_key, key, other_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority = _sign("hendrix tests", authority_key, "hendrix tests", authority_key)
    leaf = _sign("localhost", key, "hendrix tests", authority_key)
    files.key.write_bytes(_pem(key))
    files.other_key.write_bytes(_pem(other_key))
    files.authority.write_bytes(authority)
    files.cert.write_bytes(leaf + authority)
    return files


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _sign(name: str, key: ec.EllipticCurvePrivateKey, signer: str, signer_key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate in PEM for ``name``; one that signs itself is an authority."""
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, signer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=name == signer, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(signer_identifier, critical=False)
    )
    return certificate.sign(signer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
