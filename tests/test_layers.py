"""The import layers of ARCHITECTURE.md, read from the syntax tree: a module imports only what stands in a lower rank."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "hendrix"

RANKS = [
    {"errors", "uvloopreactor", "access"},
    {"values", "environment", "buckets"},
    {"options"},
    {"wire", "threads", "supervision", "launch", "root"},
    {"wsgi", "crosstown", "tree", "client", "notify"},
    {"channel", "control", "dev", "hey_joe", "metrics", "status"},
    {"workers", "siblings", "testing"},
    {"showing"},
    {"service", "pytest_plugin"},
    {"deploy", "cli", "experience"},
    {"django"},
    {"__init__"},
]
RANK = {part: rank for rank, parts in enumerate(RANKS) for part in parts}

FETCH_THE_REACTOR = {"service", "deploy", "cli", "hendrix.workers.child"}
"""The parts that launchers call without a reactor: they may import it, inside a function; all others are given it."""

SANS_IO = {"twisted", "asyncio", "socket", "select", "selectors", "ssl", "threading"}
"""What `wire` must not know: bytes in, calls out."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def part_of(module: str) -> str:
    """The part of hendrix that a module belongs to: "hendrix.wire.http1" is of "wire"."""
    return [*module.split("."), "__init__"][1]


def imports(nodes: Iterable[ast.AST], module: str, is_package: bool) -> Iterator[str]:
    """The full names that nodes import; of ``from a import b`` that is "a.b", and relative ones are resolved."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level + is_package or None] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from outside_functions(child)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_by(path: Path, nodes: Callable[[ast.AST], Iterator[ast.AST]] = ast.walk) -> list[str]:
    return list(imports(nodes(parsed(path)), module_name(path), path.name == "__init__.py"))


def is_reactor(name: str) -> bool:
    return f"{name}.".startswith("twisted.internet.reactor.")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_only_lower_ranks(path: Path) -> None:
    part = part_of(module_name(path))
    assert part in RANK, f"give hendrix.{part} its place among the ranks"
    for name in imported_by(path):
        if name.split(".")[0] == "hendrix" and name != "hendrix.__version__":
            other = part_of(name)
            assert other in RANK, f"{name}: import from the module that defines it, not from hendrix itself"
            assert other == part or RANK[other] < RANK[part], f"hendrix.{part} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_the_reactor_is_a_parameter(path: Path) -> None:
    assert not any(map(is_reactor, imported_by(path, outside_functions))), "imported with the module: that installs the default reactor"
    may_fetch_it = FETCH_THE_REACTOR & {part_of(module_name(path)), module_name(path)}
    assert may_fetch_it or not any(map(is_reactor, imported_by(path))), "take the reactor as a parameter"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("wire/*.py")), ids=module_name)
def test_wire_knows_no_input_and_no_output(path: Path) -> None:
    assert not SANS_IO & {name.split(".")[0] for name in imported_by(path)}


def test_the_plugin_only_declares() -> None:
    plugin = parsed(ROOT / "twisted/plugins/hendrix_plugin.py")
    imported = set(imports(ast.walk(plugin), "twisted.plugins.hendrix_plugin", False))
    assert imported == {"twisted.application.reactors.Reactor", "twisted.application.service.ServiceMaker"}
    assert all(isinstance(node, (ast.Expr, ast.ImportFrom, ast.Assign)) for node in plugin.body)
    assert not list(ROOT.glob("twisted/**/__init__.py")), "twisted and twisted.plugins are Twisted's own packages"


def test_relative_imports_are_resolved() -> None:
    tree = ast.parse("from . import a\nfrom .b import c\nfrom ..wire import d\nimport e.f\nfrom g import h")
    expected = ["hendrix.wsgi.a", "hendrix.wsgi.b.c", "hendrix.wire.d", "e.f", "g.h"]
    assert list(imports(ast.walk(tree), "hendrix.wsgi.call", False)) == expected
    assert list(imports(ast.walk(tree), "hendrix.wsgi", True)) == expected
