"""`HendrixDeployTLS`: the same over TLS, with key and certificate as paths or objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from hendrix.deploy.base import HendrixDeploy
from hendrix.errors import ConfigurationError


class HendrixDeployTLS(HendrixDeploy):
    """A deployment over HTTPS on ``https_port`` (4430), and over plain HTTP on ``http_port`` (8000) too.

    Only HTTPS with ``https_only``, or when ``https_port`` is given and ``http_port`` is not.

    :param key: the private key: the path of a PEM file, or an object of cryptography or pyOpenSSL.
    :param cert: the certificate, likewise; in a file its chain may follow it.
    :param context_factory: called with key, cert and ``context_factory_kwargs``; gives a context factory of Twisted.
    :raises ValueError: key or cert is missing.
    """

    is_secure = True

    def __init__(
        self,
        action: str = "start",
        options: Mapping[str, Any] | None = None,
        reactor: Any = None,
        threadpool: Any = None,
        key: Any = None,
        cert: Any = None,
        context_factory: Callable[..., Any] | None = None,
        context_factory_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(action, options, reactor, threadpool)
        own = self.options.pop("key", None), self.options.pop("cert", None)
        self.key = own[0] if key is None else key
        self.cert = own[1] if cert is None else cert
        if self.key is None or self.cert is None:
            raise ValueError("HendrixDeployTLS needs key and cert, as paths or objects")
        if "https_port" in self._given and "http_port" not in self._given:
            self.options["https_only"] = True
        self.context_factory = context_factory
        self.context_factory_kwargs = dict(context_factory_kwargs or {})

    def addServices(self) -> None:
        """As of `HendrixDeploy`, with the TLS listener added before."""
        if self.hendrix is None:
            self.addSSLService()
        super().addServices()

    def addSSLService(self) -> None:
        """Make ``self.tls_service``, the endpoint to listen on."""
        from twisted.internet.endpoints import SSL4ServerEndpoint

        port = self.options["https_port"]
        self.tls_service = SSL4ServerEndpoint(self.reactor, port, self._context_factory(), backlog=1024)
        self.tls_service.description = f"ssl:{port}"  # type: ignore[attr-defined]

    def _listen(self) -> dict[str, Any]:
        listen = self.options.get("listen") or ()
        plain = {} if self.options["https_only"] else {"http_port": self.options["http_port"]}
        return {"listen": [*([listen] if isinstance(listen, str) else listen), self.tls_service], **plain}

    def _context_factory(self) -> Any:
        if self.context_factory is not None:
            return self.context_factory(self.key, self.cert, **self.context_factory_kwargs)
        from hendrix.channel.tls import context_factory

        names = [str(one) if isinstance(one, (str, os.PathLike)) else type(one).__name__ for one in (self.key, self.cert)]
        return context_factory(_pem("--key", self.key), _pem("--cert", self.cert), b"", *names)


def _pem(flag: str, given: Any) -> bytes:
    """The PEM text of what may be a path, or an object of cryptography or pyOpenSSL."""
    if isinstance(given, (str, os.PathLike)):
        try:
            with open(given, "rb") as file:
                return file.read()
        except OSError as error:
            raise ConfigurationError(f"{flag}={os.fspath(given)}: {error.strerror}; give a file in PEM that this user may read") from None
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    for convert in ("to_cryptography", "to_cryptography_key"):
        given = getattr(given, convert, lambda same=given: same)()
    if hasattr(given, "private_bytes"):
        return bytes(given.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    if hasattr(given, "public_bytes"):
        return bytes(given.public_bytes(Encoding.PEM))
    raise ConfigurationError(f"{flag}={given!r}: give a path, or an object of cryptography or pyOpenSSL")
