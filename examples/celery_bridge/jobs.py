"""The queue: what must be done even if this site is stopped meanwhile, and may be done on another machine."""

from __future__ import annotations

import os
import time

from celery import Celery

from hendrix.client import publish

REDIS = os.environ.get("REDIS", "redis://127.0.0.1:6379")

queue = Celery("jobs", broker=f"{REDIS}/0")
queue.conf.task_acks_late = True  # begun again where its worker has died, so it has to bear that


@queue.task
def press(order: int) -> None:
    """Takes long. What comes of it reaches the pages through the hub, by the broker of the site."""
    time.sleep(0.1)
    publish(f"orders.{order}", {"pressed": order}, broker=f"{REDIS}/1", history=1)
