"""A Celery application with one task that does nothing; REDIS is the URL of its broker."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("bench", broker=os.environ["REDIS"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, worker_prefetch_multiplier=64)


@app.task
def nothing() -> None:
    """The task."""
