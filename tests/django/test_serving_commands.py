"""manage.py hx and manage.py runserver: what they make of their words."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from hendrix.cli.serve import divide
from hendrix.django.management.commands import hx, runserver
from hendrix.options import Options


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is given to ``hx``."""
    words: list[list[str]] = []
    monkeypatch.setattr(runserver, "main", words.append)
    monkeypatch.setattr(hx, "main", words.append)
    monkeypatch.setattr(runserver.Command, "check_migrations", lambda self: None)
    monkeypatch.setattr(runserver, "connections", type("Connections", (), {"close_all": staticmethod(lambda: None)}))
    return words


@pytest.mark.parametrize(
    ("words", "listen"),
    [
        ((), "tcp:8000:interface=127.0.0.1"),
        (("8080",), "tcp:8080:interface=127.0.0.1"),
        (("0.0.0.0:80",), "tcp:80:interface=0.0.0.0"),
        (("localhost:8000",), "tcp:8000:interface=localhost"),
        (("[::1]:8000",), r"tcp6:8000:interface=\:\:1"),
        (("--ipv6",), r"tcp6:8000:interface=\:\:1"),
    ],
)
def test_runserver_listens_where_that_of_django_does(served: list[list[str]], words: tuple[str, ...], listen: str) -> None:
    call_command(runserver.Command(), *words)
    assert f"--listen={listen}" in served[0]
    options = Options()
    options.parseOptions(served[0])
    found = options.to_settings()
    assert (found.dev, found.no_reload, found.listen, found.threads) == (True, False, (listen,), 8)


def test_flags_of_runserver(served: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("DJANGO_COLORS", "")
    call_command(runserver.Command(), "--noreload", "--nothreading", "--skip-checks", "--no-color")
    assert {"--no-reload", "--threads=1"} <= set(served[0])
    assert runserver.os.environ["NO_COLOR"] == "1"
    for flag in ("--nostatic", "--insecure"):
        with pytest.raises(CommandError, match=f"{flag}: hendrix serves static files"):
            call_command(runserver.Command(), flag)
    with pytest.raises(CommandError, match="not a valid port number"):
        call_command(runserver.Command(), "nonsense")


def test_runserver_without_watchfiles(served: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runserver, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"pip install 'hendrix\[dev-server\]', or give --noreload"):
        call_command(runserver.Command())
    call_command(runserver.Command(), "--noreload")
    assert len(served) == 1


def test_hx_is_hx_with_dev_unless_it_is_told_a_command(served: list[list[str]], tmp_path: Path) -> None:
    manage = str(tmp_path / "manage.py")
    hx.Command().run_from_argv([manage, "hx", "--listen=tcp:1", "--threads", "2"])
    hx.Command().run_from_argv([manage, "hx"])
    hx.Command().run_from_argv([manage, "hx", "tree", "--json"])
    call_command(hx.Command(), "stop")
    assert served == [
        ["--dev", f"--pythonpath={tmp_path}", "--listen=tcp:1", "--threads", "2"],
        ["--dev", f"--pythonpath={tmp_path}"],
        ["tree", "--json"],
        ["stop"],
    ]
    from twisted.scripts.twistd import ServerOptions

    assert divide(served[0], ServerOptions()) == ([], served[0])
