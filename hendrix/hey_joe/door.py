"""``POST /.hendrix/publish?topic=chat.lobby``, with the payload as JSON in its content and a token in its Authorization field (RFC 6750).

It stands beside the application, on its threads. The answer is 202: the message is on its way. A token cannot come from a cookie, so that
no other site can have a visitor publish.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qs

from hendrix.errors import PeerError
from hendrix.hey_joe import branch as branches
from hendrix.hey_joe.message import LARGEST
from hendrix.hey_joe.tokens import check
from hendrix.hey_joe.topics import check_topic

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/.hendrix/publish"


class Door:
    """
    :param secret: signs the tokens. Without it, Django's ``SECRET_KEY`` does, where there is one.
    """

    def __init__(self, secret: str | None) -> None:
        self._secret = secret

    def beside(self, application: WSGIApplication) -> WSGIApplication:
        """An application that answers here, and everywhere else as ``application``."""

        def either(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"] == PATH:
                return self._answer(environ, start_response)
            return application(environ, start_response)

        return either

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        try:
            answer, status = {"published": self._publish(environ)}, 202
        except PeerError as error:
            answer, status = {"error": str(error)}, error.status
            if status == 401:
                fields.append(("WWW-Authenticate", "Bearer"))
            elif status == 405:
                fields.append(("Allow", "POST"))
        start_response(f"{status} {HTTPStatus(status).phrase}", fields)
        return [json.dumps(answer, ensure_ascii=False).encode() + b"\n"]

    def _publish(self, environ: WSGIEnvironment) -> str:
        if environ["REQUEST_METHOD"] != "POST":
            raise PeerError(405, "publishing is a POST")
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise PeerError(401, "a token is needed: Authorization: Bearer hx1...; hx token makes one")
        topics = parse_qs(environ["QUERY_STRING"]).get("topic", [])
        if len(topics) != 1:
            raise PeerError(400, f"the topic is given as {PATH}?topic=chat.lobby, once")
        secret = self._secret or _django_secret()
        if secret is None:
            raise PeerError(403, "no token is valid here: hendrix was started without --secret")
        try:
            topic: str = check_topic(topics[0])
            check(secret, token.strip(), topic)
        except PeerError:
            raise
        except ValueError as error:
            raise PeerError(403, f"no token is valid here: {error}") from None
        payload = _payload(environ)
        branch = branches.current
        if branch is None:
            raise PeerError(503, "the hub has gone: this process is about to end")
        branch.publish(topic, payload)
        return topic


def _payload(environ: WSGIEnvironment) -> Any:
    content = environ["wsgi.input"].read(LARGEST + 1)
    if len(content) > LARGEST:
        raise PeerError(413, f"a payload has at most {LARGEST} bytes")
    try:
        return json.loads(content.decode(), parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise PeerError(400, "the content is not JSON") from None


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _django_secret() -> str | None:
    """That of the Django project in this process. Where Django is not in use it is not imported."""
    conf = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return None
    secret = conf.settings.SECRET_KEY
    return secret if isinstance(secret, str) else None
