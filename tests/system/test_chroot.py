"""twistd's --chroot: the process sheds its privileges and has another root directory; what is missing in there costs one line."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jail as jails
import pytest

from harness import APPS, Site

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can have another root directory")

NOBODY = 65534


@pytest.fixture(scope="module")
def jail() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hendrix-jail-") as directory:
        root = Path(directory)
        root.chmod(0o755)
        jails.make(root)
        (root / "jailed.py").write_text(
            "import os\n"
            "def app(environ, start_response):\n"
            "    import decimal  # from the library, and only now\n"
            "    body = f'{os.getuid()} {sorted(os.listdir(\"/\"))}'.encode()\n"
            "    start_response('200 OK', [('Content-Length', str(len(body)))])\n"
            "    return [body]\n"
        )
        yield root


def jailed(jail: Path, app: str, *arguments: str, shed: bool = True) -> Site:
    before = [f"--chroot={jail}", *[f"--uid={NOBODY}", f"--gid={NOBODY}"] * shed]
    site = Site(app, *arguments, "--control=off", before=before)
    there = jails.inside(jail, site.directory)
    there.mkdir(parents=True, exist_ok=True)
    there.chmod(0o777)
    site.port_file = there / site.port_file.name
    return site


@pytest.mark.parametrize("arguments", [(), ("--workers=2",)], ids=["alone", "workers"])
def test_it_serves_in_another_root_directory(jail: Path, arguments: tuple[str, ...]) -> None:
    with jailed(jail, "jailed:app", *arguments) as site:
        assert os.readlink(f"/proc/{site.pid}/root") == str(jail)
        answer = site.get("/").text
        assert answer.startswith(f"{NOBODY} [")
        assert "'jailed.py'" in answer
        assert all(os.readlink(f"/proc/{child}/root") == str(jail) for child in site.children)


def test_an_application_that_is_not_inside(jail: Path) -> None:
    assert (APPS / "hello.py").exists()
    code, said = jailed(jail, "hello:app").run()
    assert code == 1
    assert "hendrix: error: --wsgi=hello:app: there is no module 'hello' in / or on the Python path" in said


def test_what_else_is_missing_costs_one_line(tmp_path: Path) -> None:
    code, said = jailed(tmp_path, "jailed:app", shed=False).run()
    assert (code, "hendrix: error: --chroot: there is no /dev/null inside" in said) == (1, True), said
    (tmp_path / "dev").mkdir()
    os.mknod(tmp_path / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    code, said = jailed(tmp_path, "jailed:app", shed=False).run()
    assert (code, "hendrix: error: --chroot: Python's library is not inside" in said) == (1, True), said
    jails.inside(tmp_path, Path(os.__file__).parent).mkdir(parents=True)
    code, said = jailed(tmp_path, "jailed:app", shed=False).run()
    assert (code, "hendrix: error: --chroot: hendrix itself is not inside" in said) == (1, True), said
    jails.inside(tmp_path, jails.HENDRIX / "hendrix").mkdir(parents=True)
    code, said = jailed(tmp_path, "jailed:app", "--workers=1", shed=False).run()
    assert (code, "hendrix: error: --chroot: workers need an interpreter inside" in said) == (1, True), said
    assert "Traceback" not in said
