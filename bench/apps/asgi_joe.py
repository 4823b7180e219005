"""The same for ASGI servers, with nothing but what they give: the echo is a synchronous function, in a thread as all that may block."""

from __future__ import annotations

import asyncio
import json
from typing import Any

NEWS = json.dumps({"text": "x" * 64})
subscribers: set[Any] = set()


def echo(message: str) -> str:
    """Plain code, which may block."""
    return message


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The path says what."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        for subscriber in list(subscribers):
            await subscriber({"type": "websocket.send", "text": NEWS})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
    else:
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/news":
            subscribers.add(send)
        loop = asyncio.get_running_loop()
        try:
            while (event := await receive())["type"] == "websocket.receive":
                answer = await loop.run_in_executor(None, echo, event["text"])
                await send({"type": "websocket.send", "text": answer})
        finally:
            subscribers.discard(send)
