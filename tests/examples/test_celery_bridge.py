"""examples/celery_bridge with a real Redis and a real worker of Celery."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import redis_server
from harness import Site

pytest.importorskip("celery", reason="celery is not installed: the bridge to it is NOT TESTED; pip install -e .[dev]")
pytestmark = pytest.mark.skipif(bool(redis_server.missing()), reason=redis_server.missing())

DEADLINE = 60.0


def test_an_order_goes_through_celery_and_comes_back_by_the_hub(examples: Path, tmp_path: Path) -> None:
    folder = examples / "celery_bridge"
    with redis_server.RedisServer() as server:
        env = {"REDIS": server.url, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "--pool=solo", "--loglevel=info"]
        with open(tmp_path / "celery.log", "wb") as log:
            worker = subprocess.Popen(command, cwd=folder, env={**os.environ, **env}, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            with Site("shop:app", f"--broker={server.url}/1", cwd=folder, env=env) as site:
                site._wait_until(lambda: "connected to the broker" in site.log, DEADLINE, "does not reach its broker")
                assert site.get("/order/x").status == 404
                assert site.get("/order/7").status == 202
                deadline = time.monotonic() + DEADLINE
                while not (done := json.loads(site.get("/orders/7").text)):
                    assert time.monotonic() < deadline and worker.poll() is None, (tmp_path / "celery.log").read_text() + site.log
                    time.sleep(0.1)
                assert done == [{"pressed": 7}]
        finally:
            worker.kill()
            worker.wait()
