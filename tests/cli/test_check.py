"""``hx check``: would it start?"""

from __future__ import annotations

import subprocess
import sysconfig

import pytest

HX = f"{sysconfig.get_path('scripts')}/hx"


def check(here, *words):
    (here / "site_app.py").write_text("def app(environ, start_response): return []\n")
    (here / "broken_app.py").write_text("import missing_dependency\n")
    done = subprocess.run([HX, "check", "--control=off", *words], cwd=here, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def test_what_would_start_is_shown_and_nothing_is_bound(tmp_path, certificate):
    listen = f"ssl:8443:privateKey={certificate.key}:certKey={certificate.cert}"
    words = [
        "--wsgi=site_app:app",
        f"--listen={listen}",
        "--listen=unix:socket",
        f"--access-log={tmp_path}/log",
        f"--pidfile={tmp_path}/pid",
    ]
    code, said, errors = check(tmp_path, *words)
    assert (code, errors) == (0, [])
    assert said[0] == "hendrix                    one_for_one"
    assert said[-2:] == [
        f"└─ web                     site_app:app on {listen}, unix:socket",
        "site_app:app is loaded, and its endpoints can be made",
    ]
    assert not {"socket", "log", "pid"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--wsgi=site_app:ap"], "--wsgi=site_app:ap: module site_app has no attribute 'ap'; did you mean app?"),
        (["--wsgi=broken_app:app"], "--wsgi=broken_app:app: importing broken_app raised ModuleNotFoundError: No module named "),
        (["--wsgi=site_app:app", "--listen=ssl:8443:privateKey=site_app.py"], "--key=site_app.py: this is not a private key in PEM; "),
        (["--wsgi=site_app:app", "--listen=tcp:0:interfaces=1"], "--listen=tcp:0:interfaces=1: "),
        (["--wsgi=site_app:app", "--mount=/x=site_app:ap"], "--mount=/x=site_app:ap: module site_app has no attribute 'ap'; did you mean "),
        (["--wsgi=site_app:app", "--listen=systemd"], "--listen=systemd: systemd has handed over no socket; "),
        (["--wsgi=site_app:app", "--treads=1"], "--treads: there is no such option; did you mean --threads?"),
    ],
)
def test_what_would_not_start_says_why_on_its_last_line(words, line, tmp_path):
    code, said, errors = check(tmp_path, *words)
    assert (code, said) == (1, [])
    assert errors[-1].startswith(f"hendrix: error: {line}")
    assert len(errors) == 1 or "broken_app" in line
