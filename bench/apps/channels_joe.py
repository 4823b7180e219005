"""The same with Channels under Daphne: synchronous consumers, a group in Redis (`REDIS` is its URL), and a Django view that sends to it."""

from __future__ import annotations

import json
import os
from typing import Any

from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="only for the benchmark",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["channels"],
    MIDDLEWARE=[],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [os.environ["REDIS"]]}}},
)

from asgiref.sync import async_to_sync  # noqa: E402
from channels.generic.websocket import WebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

NEWS = json.dumps({"text": "x" * 64})


class Echo(WebsocketConsumer):  # type: ignore[misc]
    """Sends back what it gets."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data)


class News(WebsocketConsumer):  # type: ignore[misc]
    """A subscriber."""

    groups = ["news"]

    def news(self, event: dict[str, Any]) -> None:
        self.send(text_data=event["text"])


def publish(request: HttpRequest) -> HttpResponse:
    """Send to the group."""
    async_to_sync(get_channel_layer().group_send)("news", {"type": "news", "text": NEWS})
    return HttpResponse("ok", headers={"Content-Length": "2"})


urlpatterns = [path("", publish)]
sockets = URLRouter([path("echo", Echo.as_asgi()), path("news", News.as_asgi())])
application = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": sockets})
