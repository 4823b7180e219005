"""The pages hold together: links lead somewhere, options exist, and the site is built without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pages import ALL, DOCS, OURS, ROOT, Page

from hendrix.options import TABLE, flag


@pytest.mark.parametrize("page", ALL, ids=str)
def test_links_lead_somewhere(page: Page) -> None:
    for link in page.links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), link
        if anchor:
            assert anchor in Page(target).anchors, link


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_each_page_is_reached_from_the_index_and_the_menu(page: Page) -> None:
    index = next(each for each in DOCS if each.path.name == "index.md")
    menu = [line for block in index.of("{toctree}") for line in block.text.splitlines()]
    assert page == index or (page.path.name in index.links and page.path.stem in menu)


@pytest.mark.parametrize("page", OURS, ids=str)
def test_each_option_named_in_the_text_exists(page: Page) -> None:
    from twisted.scripts.twistd import ServerOptions

    known = {flag(name) for name in TABLE} | {"--help", "--version"}
    known |= {"--" + name.rstrip("=").replace("_", "-") for name in ServerOptions().longOpt}
    gone = {"--loud", "--reload", "--cache", "--http_port"} if page.path.name == "hendrix-deploy.md" else set()
    gone |= {"--time", "--env", "--no-deps"} if page.path.name == "deploying.md" else set()  # of docker and pip
    gone |= {"--deploy-hook"} if page.path.name == "tls.md" else set()  # of certbot
    if page.path.name == "development.md":  # those of Django's runserver
        gone = {"--ipv", "--noreload", "--nothreading", "--no-color", "--skip-checks", "--nostatic", "--insecure"}
    prose = re.sub(r"^\| .*? \| ", "", page.prose, flags=re.MULTILINE) if page.path.name == "coming-from.md" else page.prose  # theirs
    named = {name for code in re.findall(r"`([^`]*)`", prose) for name in re.findall(r"(?<![\w-])--[a-z][a-z_-]+", code)}
    assert named - gone <= known


@pytest.mark.parametrize("page", OURS, ids=str)
def test_tables_are_whole(page: Page) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", page.prose, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", line))) for line in table.splitlines()}
        assert len(widths) == 1, table


@pytest.mark.parametrize("page", OURS, ids=str)
def test_blocks_say_their_language(page: Page) -> None:
    known = {"{toctree}", "{eval-rst}"}
    assert {block.language for block in page.blocks} - known <= {"sh", "python", "text", "json", "ini", "nginx", "html", "js", "sql"}


@pytest.mark.skipif(find_spec("sphinx") is None, reason="Sphinx is not installed: pip install '.[docs]'")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--doctree-dir", tmp_path / "doctrees", "docs", tmp_path / "html"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html/options.html").exists()
    assert not list((tmp_path / "html").rglob("*.py"))
    page = (tmp_path / "html/index.html").read_text()
    assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)', page), "loaded from elsewhere"
