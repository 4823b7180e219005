"""From ``--broker`` to a broker."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from hendrix.errors import ConfigurationError
from hendrix.hey_joe.broker import Broker
from hendrix.hey_joe.brokers.asyncio_thread import AsyncioThread
from hendrix.hey_joe.brokers.cluster import Cluster
from hendrix.hey_joe.brokers.engine import PATIENCE, Engine
from hendrix.hey_joe.brokers.schema import NAME, schema_of

# What goes on to the client of Redis.
REDIS_OPTIONS = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
SENTINEL_OPTIONS = "sentinel_username, sentinel_password"


def broker_of(url: str, reactor: Any) -> Broker | None:
    """The broker of a URL; None for ``memory:``.

    :raises ConfigurationError: one line, without the password.
    """
    if url == "memory:":
        return None
    make, ended = engines_of(url, reactor)
    return Cluster(reactor, make, shown(url), ended, time.time)


def engines_of(url: str, reactor: Any) -> tuple[Callable[[], Engine], Callable[[], object]]:
    """What makes the engines of a URL, and is to be called when there will be no more."""
    parts = urlsplit(url)
    made = MAKERS[parts.scheme]
    try:
        return made(parts, reactor)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"--broker={shown(url)}: {error}") from None


def shown(url: str) -> str:
    """A URL as it may be seen: without a password and options."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{hosts}{parts.path.rstrip('/')}"


def _redis(parts: SplitResult, reactor: Any) -> tuple[Callable[[], Engine], Callable[[], object]]:
    try:
        from redis.asyncio import ConnectionPool
        from redis.asyncio.retry import Retry
        from redis.asyncio.sentinel import Sentinel
        from redis.backoff import NoBackoff
    except ImportError:
        raise ValueError("it needs the client of Redis: pip install 'hendrix[redis]'") from None
    from hendrix.hey_joe.brokers.redis import Redis

    sentinel, tls = parts.scheme.endswith("+sentinel"), parts.scheme.startswith("rediss")
    options = dict(parse_qsl(parts.query))
    watch = {name: options.pop(f"sentinel_{name}") for name in ("username", "password") if sentinel and f"sentinel_{name}" in options}
    prefix = f"{{{options.pop('name', NAME)}}}"  # in braces: in a Redis Cluster all keys are in one place
    for option in options:
        if option not in REDIS_OPTIONS:
            raise ValueError(
                f"there is no option {option}; there is name, {', '.join(REDIS_OPTIONS)}, and for sentinels {SENTINEL_OPTIONS}"
            )
        if not tls:
            raise ValueError(f"{option} is for TLS: begin with rediss{parts.scheme.removeprefix('redis')}://")
    # One try: a client that connects anew by itself would hide that messages are lost.
    client: dict[str, Any] = {
        "decode_responses": True, "protocol": 2, "retry": Retry(NoBackoff(), 0), "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE, "client_name": "hendrix",
    }  # fmt: skip
    thread = AsyncioThread(reactor, "redis")
    if not sentinel:
        plain = parts._replace(query=urlencode(options)).geturl()
        ConnectionPool.from_url(plain, **client).make_connection()  # it is well-formed

        async def pool() -> ConnectionPool:
            return ConnectionPool.from_url(plain, **client)

    else:
        service, _, db = parts.path.strip("/").partition("/")
        if not service:
            raise ValueError("give the name of the service that the sentinels watch, as in redis+sentinel://one:26379,two:26379/mymaster")
        places = [_place(host, 26379) for host in parts.netloc.rpartition("@")[2].split(",")]
        account = {"username": unquote(parts.username or "") or None, "password": unquote(parts.password or "") or None, "db": int(db or 0)}
        secure = {"ssl": True, **_typed(options)} if tls else {}

        async def pool() -> ConnectionPool:
            watching = Sentinel(places, sentinel_kwargs={**client, **secure, **watch}, **client, **secure, **account)
            found: ConnectionPool = watching.master_for(service).connection_pool
            return found

    return lambda: Redis(thread, pool, prefix), thread.stop


def _typed(options: dict[str, str]) -> dict[str, Any]:
    """As the client of Redis reads them from a URL."""
    return {
        name: value.lower() not in ("", "0", "f", "false", "n", "no") if name == "ssl_check_hostname" else value
        for name, value in options.items()
    }


def _postgres(parts: SplitResult, reactor: Any) -> tuple[Callable[[], Engine], Callable[[], object]]:
    try:
        from psycopg import Error
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise ValueError("it needs the client of PostgreSQL: pip install 'hendrix[postgres]'") from None
    from hendrix.hey_joe.brokers.postgres import Postgres

    options = parse_qsl(parts.query)
    schema = schema_of(parts.geturl())
    assert schema is not None
    if not re.fullmatch("[a-z_][a-z0-9_]{0,39}", schema) or schema.startswith("pg_"):
        raise ValueError(f"name={schema}: it is that of a schema, so give at most 40 letters from a to z, digits and _")
    rest = urlencode([option for option in options if option[0] != "name"], quote_via=quote)
    try:
        found = conninfo_to_dict(f"postgresql://{parts.netloc}{parts.path}{rest and '?'}{rest}")
    except Error as error:
        why = " ".join(str(error).split())
        raise ValueError("the user or the password in it is not percent-encoded" if "%" in why else why) from None
    parameters = {name: value for name, value in found.items() if value is not None}
    return lambda: Postgres(reactor, parameters, schema), lambda: None


def _place(text: str, port: int) -> tuple[str, int]:
    split = urlsplit(f"//{text}")
    if not split.hostname:
        raise ValueError(f"{text!r} is no host")
    return split.hostname, split.port or port


MAKERS: dict[str, Callable[[SplitResult, Any], tuple[Callable[[], Engine], Callable[[], object]]]] = {
    "redis": _redis, "rediss": _redis, "redis+sentinel": _redis, "rediss+sentinel": _redis,
    "postgresql": _postgres, "postgres": _postgres,
}  # fmt: skip
