"""``hx completion``: what the Tab key offers, asked of the shells themselves."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hendrix import cli
from hendrix.cli.completion import SHELLS, of_command, serving
from hendrix.options import TABLE, flag


def bash(tmp_path, *words):
    """What bash offers for the last of the words; it takes = for a word of its own."""
    (tmp_path / "hx").write_text(SHELLS["bash"]())
    quoted = " ".join(f"'{word}'" for word in words)
    ask = f"source hx; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _hx; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["hx", "th"], ["threads"]),
        (["hx", "--access"], ["--access-log=", "--access-log-format="]),
        (["hx", "serve", "--nodae"], ["--nodaemon"]),
        (["hx", "--access-log-format", "="], ["combined", "json"]),
        (["hx", "--access-log-format", "=", "j"], ["json"]),
        (["hx", "--cert", "=", "k"], ["key.pem"]),
        (["hx", "--pythonpath", "="], ["directory"]),
        (["hx", "tree", "--l"], ["--live"]),
        (["hx", "stop", "--"], ["--control=", "--pidfile="]),
        (["hx", "completion", ""], ["bash", "fish", "zsh"]),
    ],
)
def test_bash(tmp_path, words, offered):
    (tmp_path / "key.pem").touch()
    (tmp_path / "directory").mkdir()
    assert bash(tmp_path, *words) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_understands_its_script_which_has_it_all(tmp_path, shell, capsys):
    cli.main(["completion", shell])
    script = capsys.readouterr().out
    dash = "-l " if shell == "fish" else "--"
    for name in TABLE:
        assert f"{dash}{flag(name)[2:]}" in script
    assert all(name in script for name in cli.COMMANDS)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(script)
    done = subprocess.run([shell, "-n", "script"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hx tr", ["tree"]),
        ("hx tree --li", ["--live"]),
        ("hx --access-log-format=j", ["--access-log-format=json"]),
        ("hx completion b", ["bash"]),
    ],
)
def test_fish(tmp_path, line, offered):
    (tmp_path / "hx.fish").write_text(SHELLS["fish"]())
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    ask = ["fish", "--no-config", "-c", f"source hx.fish; complete -C '{line}'"]
    done = subprocess.run(ask, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert [row.split("\t")[0] for row in done.stdout.splitlines()] == offered, done.stderr


def test_every_option_is_offered_with_its_help():
    for option in [*serving(), *(one for name in cli.COMMANDS for one in of_command(name))]:
        assert option.help, option.name
        assert "\n" not in option.help


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_a_shell_has_to_be_named(words):
    with pytest.raises(SystemExit) as raised:
        cli.main(["completion", *words])
    assert str(raised.value.code).startswith("hendrix: error: completion: name a shell: ")
