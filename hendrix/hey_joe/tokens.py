"""Tokens by which outsiders publish over HTTP: signed, for some topics, for some time. Any thread.

``hx1.CLAIMS.SIGNATURE``, both parts in base64url without padding (RFC 4648 section 5). The claims are a JSON object of ``publish``, a list
of patterns, and ``until``, seconds since 1970; the signature is HMAC-SHA256 of what stands before it.
"""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable

from hendrix.errors import PeerError
from hendrix.hey_joe.topics import check_pattern, matches

# Characters of a key. Fewer can be guessed.
SHORTEST = 16

# Characters of a token.
LONGEST = 4096

_KIND = "hx1"


class Refused(PeerError):
    """The token does not allow it: 401 if there is something wrong with the token, 403 if it is for something else."""


def sign(secret: str, patterns: Iterable[str], seconds: float, clock: Callable[[], float] = time.time) -> str:
    """A token for topics that match one of the patterns, for so many seconds.

    :raises BadTopic: one of them is no pattern.
    :raises ValueError: the secret is too short, or there are no patterns, or no time.
    """
    publish = [check_pattern(pattern) for pattern in patterns]
    if not publish:
        raise ValueError("a token is for at least one topic or pattern")
    if not 0 < seconds < 1e10:
        raise ValueError(f"a token is for some seconds, not for {seconds!r}")
    claims = json.dumps({"publish": publish, "until": int(clock() + seconds)}, separators=(",", ":"))
    body = f"{_KIND}.{_text(claims.encode())}"
    return f"{body}.{_signature(secret, body)}"


def check(secret: str, token: str, topic: str, clock: Callable[[], float] = time.time) -> None:
    """That the token is for publishing on this topic, now.

    :raises Refused: it is not.
    :raises ValueError: the secret is too short.
    """
    body, _, signature = token.rpartition(".") if len(token) <= LONGEST and token.isascii() else ("", "", "")
    if not hmac.compare_digest(signature, _signature(secret, body)) or not body.startswith(f"{_KIND}."):
        raise Refused(401, "the token is not one that was signed here")
    claims = json.loads(urlsafe_b64decode(body[len(_KIND) + 1 :] + "=="))
    if claims["until"] < clock():
        raise Refused(401, "the token has expired")
    if not any(matches(pattern, topic) for pattern in claims["publish"]):
        raise Refused(403, f"the token is not for {topic}, but for {', '.join(claims['publish'])}")


def _signature(secret: str, body: str) -> str:
    if len(secret) < SHORTEST:
        raise ValueError(f"the secret is too short: give at least {SHORTEST} characters")
    key = hmac.digest(secret.encode(), b"hendrix.hey_joe.tokens", "sha256")  # the same secret may sign other things
    return _text(hmac.digest(key, body.encode(), "sha256"))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
