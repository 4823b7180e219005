"""The command hx: whose option is whose, what each command prints, and what a mistake costs."""

from __future__ import annotations

import pytest
from twisted.scripts import twistd

from hendrix import cli
from hendrix.cli.completion import of_command
from hendrix.cli.serve import divide

THEIRS = twistd.ServerOptions()


@pytest.mark.parametrize(
    ("words", "theirs", "ours"),
    [
        (["--wsgi=a:b"], [], ["--wsgi=a:b"]),
        (["--wsgi", "a:b", "--pidfile", "p"], ["--pidfile", "p"], ["--wsgi", "a:b"]),
        (["--pidfile=p", "--wsgi=a:b", "--nodaemon"], ["--pidfile=p", "--nodaemon"], ["--wsgi=a:b"]),
        (["-l", "file", "-n", "-lfile", "--threads", "2"], ["-l", "file", "-n", "-lfile"], ["--threads", "2"]),
        (["--max_body", "1M", "--no_save"], ["--no_save"], ["--max_body", "1M"]),
        (["--thr", "2", "--pidf", "p"], ["--pidf", "p"], ["--thr", "2"]),
        (["--version"], [], ["--version"]),
        (["--wsgi"], [], ["--wsgi"]),
        (["-?", "word"], [], ["-?", "word"]),
    ],
)
def test_each_option_goes_to_whom_it_belongs(words, theirs, ours):
    assert divide(words, THEIRS) == (theirs, ours)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--wgsi=a:b"], "--wgsi: there is no such option; did you mean --wsgi?"),
        (["--pdifile=a"], "--pdifile: there is no such option; did you mean --pidfile?"),
        (["tre"], "tre: there is no such command; did you mean tree?"),
        (["app:app"], "app:app: there is no such command; an application is served with hx --wsgi=app:app"),
        (["--threads=0"], "--threads=0: give a whole number from 1 to 1024"),
        (["tree", "--threads=0"], "--threads=0: give a whole number from 1 to 1024"),
        (["tree", "--treads=1"], "--treads: there is no such option; did you mean --threads?"),
        (["tree", "--fife"], "--fife: there is no such option"),
        (["tree", "--json", "stray"], "stray: only options are understood here: --control, --every, --json, --live, --pidfile"),
        (["tree", "--every=0"], "--every=0: give a number of seconds from 0.05 to 3600"),
        (["stop", "--pidfle=a"], "--pidfle: there is no such option; did you mean --pidfile?"),
        (["stop", "--zzz"], "--zzz: there is no such option; there is --control, --pidfile"),
        (["workers", "many"], "many: give a number of workers, or +1 or -1"),
        (["workers", "-1", "+2"], "+2: give one number"),
        (["stop", "--control=/no/such/socket"], "--control=/no/such/socket: no hendrix listens at /no/such/socket"),
        (["stop", "--pidfile=/no/such"], "--pidfile=/no/such: No such file or directory; no hendrix runs with this pid file"),
        (
            ["check", "--listen=tls:/no/such", "--wsgi=a:b"],
            "--listen=tls:/no/such: there is no directory /no/such; give one with keys and certificates in .pem files",
        ),
        (["tree", "--https-port=443"], "--https-port=443: give --key and --cert with it"),
        (["--wsgi=a:b", "--logger=no.such.thing"], "Logger 'no.such.thing' could not be imported: 'no.such.thing' does not name an object"),
        (["--wsgi=a:b", "stray"], "stray: only options are understood here; an application is given as --wsgi=stray"),
    ],
)
def test_a_mistake_costs_one_line(words, line):
    with pytest.raises(SystemExit) as raised:
        cli.main(words)
    assert raised.value.code == f"hendrix: error: {line}"


def test_without_a_word_it_says_what_it_can_do_unless_there_is_something_to_serve(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    cli.main([])
    assert capsys.readouterr().out.startswith("Usage: hx [options]")
    ran = []
    monkeypatch.setattr(twistd, "runApp", ran.append)
    (tmp_path / "manage.py").touch()
    cli.main([])
    (tmp_path / "manage.py").unlink()
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite.settings")
    cli.main([])
    assert len(ran) == 2


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"], ["start", "--wsgi=a:b", "--help"]])
def test_help_shows_the_commands_and_the_options(words, capsys):
    cli.main(words)
    said = capsys.readouterr().out
    assert said.startswith("Usage: hx [options]\n\n  hx serve [options] ")
    assert all(f"  hx {name} " in said for name, command in cli.COMMANDS.items() if command.help)
    assert "--wsgi=NAME" in said


def test_the_versions(capsys):
    with pytest.raises(SystemExit) as raised:
        cli.main(["--version"])
    assert raised.value.code == 0
    assert capsys.readouterr().out.startswith("hendrix 6.")


def test_the_tree_is_that_of_the_design_and_nothing_is_imported_for_it(capsys):
    cli.main(["tree", "--wsgi=no.such.module", "--listen=tcp:8000"])
    assert capsys.readouterr().out.splitlines() == [
        "hendrix                    one_for_one",
        "├─ control                 a socket of its own",
        "├─ sockets                 tcp:8000",
        "├─ hub                     memory, 0 topics, 0 subscribers",
        "├─ crew                    8 threads (0 busy, backlog 0)",
        "├─ crosstown               at most 7 tasks at a time",
        "├─ connections             none",
        "└─ web                     no.such.module on tcp:8000",
    ]


def test_serving_is_twistd_in_the_foreground_without_a_pid_file(monkeypatch):
    ran = []
    monkeypatch.setattr(twistd, "runApp", ran.append)
    cli.main(["--wsgi=a:b"])
    cli.main(["start", "--wsgi=a:b", "--pidfile=/tmp/hx.pid"])
    assert [(config["nodaemon"], config["pidfile"], config.subCommand) for config in ran] == [
        (1, "", "hendrix"),
        (1, "/tmp/hx.pid", "hendrix"),
    ]
    assert ran[0].subOptions.to_settings().wsgi == "a:b"


OPTIONS = [(name, one.name) for name in cli.COMMANDS for one in of_command(name)]
SLIPS = [(command, option) for command, option in OPTIONS if len(option) > len("--json") and option[4] != option[5]]


@pytest.mark.parametrize(("command", "option"), SLIPS)
def test_each_command_knows_what_was_meant(command, option):
    """Two letters in the wrong order."""
    slip = option[:4] + option[5] + option[4] + option[6:]
    with pytest.raises(SystemExit) as raised:
        cli.main([command, slip])
    assert raised.value.code == f"hendrix: error: {slip}: there is no such option; did you mean {option}?"
