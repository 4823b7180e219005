"""Keys and certificates for the tests of TLS; the fixture `certificate` of conftest.py gives them."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The files of a TLS server for "localhost" and 127.0.0.1, in PEM."""

    key: Path
    cert: Path
    """A chain file: the certificate that belongs to ``key``, then the one of the intermediate authority that signed it."""
    authority: Path
    """What a client trusts: who signed the intermediate authority."""
    other_key: Path
    """A good key that does not belong to ``cert``."""


def make(directory: Path) -> Certificate:
    """Write a key and a chain of certificates, good today."""
    files = Certificate(*(directory / name for name in ("key.pem", "chain.pem", "authority.pem", "other-key.pem")))
    root, intermediate, leaf, other = (_Signer(name) for name in ("root", "intermediate", "localhost", "other"))
    files.key.write_bytes(leaf.pem())
    files.other_key.write_bytes(other.pem())
    files.authority.write_bytes(root.sign(root))
    files.cert.write_bytes(intermediate.sign(leaf) + root.sign(intermediate))
    return files


class _Signer:
    """A name and a key; all but "localhost" may sign others."""

    def __init__(self, name: str) -> None:
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.is_authority = name != "localhost"
        self.key = ec.generate_private_key(ec.SECP256R1())

    def pem(self) -> bytes:
        """The private key."""
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def sign(self, other: _Signer) -> bytes:
        """A certificate for another one."""
        now = datetime.datetime.now(datetime.timezone.utc)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(other.name)
            .issuer_name(self.name)
            .public_key(other.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=other.is_authority, path_length=None), critical=True)
            .add_extension(_usage(signs=other.is_authority), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(other.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if not other.is_authority:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(*, signs: bool) -> x509.KeyUsage:
    """What a key is for (RFC 5280 section 4.2.1.3); Python 3.13 insists on it."""
    nothing = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    return x509.KeyUsage(
        **nothing, digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False
    )
