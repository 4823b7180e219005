"""What people are told to type: scripts parse, command lines are understood, files of other programs are read."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from pages import ALL, OURS, ROOT, Block, Page, commands, page
from twisted.application import app
from twisted.scripts import _twistd_unix
from twisted.scripts.twistd import ServerOptions

from hendrix import cli
from hendrix.cli.serve import divide
from hendrix.options import Options

SHELL = {".", "cat", "cd", "curl", "django-admin", "do", "done", "kill", "make", "openssl", "pip", "python", "python3", "sleep", "while"}
DOORS = {"hx", "twist", "twistd"}


def each(language: str) -> list[object]:
    return [pytest.param(block, id=f"{where}-{number}") for where in OURS for number, block in enumerate(where.of(language))]


@pytest.mark.parametrize("block", each("sh"))
def test_scripts_are_scripts_of_known_commands(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert {next(word for word in words if not re.match(r"[A-Z_]+=", word)) for words in commands(block.text)} <= SHELL | DOORS


@pytest.mark.parametrize("where", ALL, ids=str)
def test_targets_of_make_exist(where: Page) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in where.commands:
        if words[0] == "make":
            assert set(words[1:2]) <= targets, words


@pytest.mark.parametrize("where", OURS, ids=str)
def test_command_lines_of_the_doors_are_understood(where: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(app, "installReactor", lambda name: None)
    monkeypatch.setattr(_twistd_unix, "uidFromString", lambda name: 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "static").mkdir()
    (tmp_path / "acme/.well-known").mkdir(parents=True)
    for words in where.commands:
        while re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words[0] in DOORS and "..." not in " ".join(words):
            understand(words)


def understand(words: list[str]) -> None:
    """Parse a command line of a door as it does; raises where it would complain. Commands that this page calls an error do."""
    program, *arguments = words
    if program == "twist":
        index = arguments.index("hendrix")
        Options().parseOptions(arguments[index + 1 :])
    elif program == "twistd":
        config = ServerOptions()
        if "--help" in arguments:
            return
        config.parseOptions(arguments)
        assert config.subCommand in (None, "hendrix")
    elif arguments != ["restart"]:
        name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "serve"
        module = import_module(f"hendrix.cli.{cli.COMMANDS[name].module}")
        if name == "completion":
            assert {*arguments} <= {*module.SHELLS}
        elif (hasattr(module, "Asking") or name == "token") and not any(word.startswith("--wsgi") for word in arguments):
            options = (getattr(module, "Options", None) or module.Asking)()
            options.parseOptions([word for word in arguments if not re.fullmatch(r"[+-]?\d+", word)])
        else:
            _, ours = divide(arguments, ServerOptions())
            Options().parseOptions(ours)


@pytest.mark.parametrize("block", each("python"))
def test_python_is_python(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("block", each("ini"))
def test_units_of_systemd_are_understood(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(block.text)
    if unit.has_option("Service", "ExecStart"):
        path, *words = unit["Service"]["ExecStart"].split()
        assert Path(path).name == "twistd"
        understand(["twistd", *words])
    if unit.has_section("Socket"):
        assert any("--listen=systemd\n" in other.text for other in page("deploying.md").of("ini") if other is not block)
