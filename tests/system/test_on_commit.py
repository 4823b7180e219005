"""What Django publishes with ``on_commit``: seen when its transaction commits, and never if it rolls back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import postgres_server
import pytest

from harness import Site
from hendrix.client import Client

HERE = Path(__file__).parents[1] / "django"  # the project "ledger"
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(bool(postgres_server.missing()), reason=postgres_server.missing())


@pytest.fixture(scope="module")
def server():
    with postgres_server.PostgresServer() as server:
        subprocess.run([sys.executable, "-m", "django", "migrate", "--verbosity=0"], cwd=HERE, env=environment(server), check=True)
        yield server


def environment(server):
    ledger = {"LEDGER_POSTGRESQL": server.directory, "PGPORT": str(server.port), "DJANGO_SETTINGS_MODULE": "ledger.settings"}
    return {**os.environ, **ledger, "PYTHONPATH": str(HERE)}


class Heard:
    """A subscriber at a control socket."""

    def __init__(self, control):
        self.payloads, self._more = [], threading.Condition()
        answers = Client(control, PATIENCE)._answers("subscribe", {"topic": "ledger.*"})
        next(answers)
        threading.Thread(target=self._hear, args=(answers,), daemon=True).start()

    def _hear(self, answers):
        try:
            for event in answers:
                with self._more:
                    self.payloads.append((event.get("topic"), event.get("payload")))
                    self._more.notify_all()
        except OSError:
            pass  # the site has gone

    def until(self, count):
        with self._more:
            assert self._more.wait_for(lambda: len(self.payloads) >= count, PATIENCE), self.payloads
        return self.payloads


@pytest.mark.parametrize("broker", ["postgresql", "memory:"])
def test_what_rolls_back_is_not_seen(server, tmp_path, broker):
    control = str(tmp_path / "control")
    url = server.url if broker == "postgresql" else broker
    env = {**environment(server), "HENDRIX_BROKER": url}
    with Site("ledger.wsgi.application", "--workers=2", f"--control={control}", cwd=HERE, env=env) as site:
        if broker == "postgresql":
            site._wait_until(lambda: "(lag" in str(Client(control, PATIENCE).ask("tree")), PATIENCE, "does not reach its broker")
        heard = Heard(control)
        assert site.get("/said/?text=lost&fail").status == 500
        assert site.get("/said/?text=kept").status == 200
        found = heard.until(3)
        assert found == [("ledger.open", "lost"), ("ledger.open", "kept"), ("ledger.said", "kept")]
        if broker == "postgresql":
            # It was the transaction that has published: what another program commits is heard as well.
            server.ask("SELECT hendrix.publish('ledger.said', '\"from elsewhere\"')")
            assert heard.until(4)[3:] == [("ledger.said", "from elsewhere")]


def test_a_process_that_is_not_of_hendrix_publishes_by_its_transaction(server, tmp_path):
    control = str(tmp_path / "control")
    env = {**environment(server), "HENDRIX_BROKER": server.url}
    with Site("ledger.wsgi.application", f"--control={control}", cwd=HERE, env=env) as site:
        site._wait_until(lambda: "(lag" in str(Client(control, PATIENCE).ask("tree")), PATIENCE, "does not reach its broker")
        heard = Heard(control)
        script = (
            "import django; django.setup(); from django.db import transaction; from hendrix import hey_joe\n"
            "with transaction.atomic(): hey_joe.publish('ledger.said', 'by a command', on_commit=True)"
        )
        subprocess.run([sys.executable, "-c", script], cwd=HERE, env=env, check=True, timeout=PATIENCE)
        assert heard.until(1) == [("ledger.said", "by a command")]


def test_without_the_right_an_error_says_which_is_missing(server, tmp_path):
    server.ask("CREATE SCHEMA locked; CREATE ROLE nobody_special LOGIN")
    script = (
        "import django; from django.conf import settings; settings.DATABASES['default']['USER'] = 'nobody_special'; django.setup()\n"
        "from hendrix import hey_joe; hey_joe.publish('a', 1, on_commit=True)"
    )
    env = {**environment(server), "HENDRIX_BROKER": f"{server.url}?name=locked"}
    done = subprocess.run([sys.executable, "-c", script], cwd=HERE, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert "GRANT USAGE ON SCHEMA locked TO nobody_special" in done.stderr.splitlines()[-1]


def test_without_django_an_error_says_what_it_needs():
    script = "from hendrix import hey_joe; hey_joe.publish('a', 1, on_commit=True)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert 'on_commit needs "hendrix.django" among the INSTALLED_APPS' in done.stderr.splitlines()[-1]
