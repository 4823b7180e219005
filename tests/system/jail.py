"""A root directory for a process: this interpreter with its libraries, its packages and hendrix, each under the path it has outside."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

HENDRIX = Path(__file__).parents[2]
UNUSED = {"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "site-packages", "dist-packages", "conch", "pydoc_data"}


def make(jail: Path, *more: Path) -> None:
    """Hard links where they can be had, copies elsewhere."""
    libraries = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    for folder in (*libraries, HENDRIX / "hendrix", HENDRIX / "twisted", *more):
        _tree(jail, folder)
    packages = [path for name in _with_requirements("hendrix", set()) for path in files_of(name)]
    packages += [path for path in Path(sysconfig.get_path("purelib")).iterdir() if path.suffix == ".pth" or "__editable__" in path.name]
    for path in packages:
        _file(jail, path)
    interpreter = Path(sys.executable)
    while True:
        _file(jail, interpreter)
        if not interpreter.is_symlink():
            break
        interpreter = interpreter.parent / os.readlink(interpreter)
    _file(jail, Path(sys.prefix) / "pyvenv.cfg")
    extensions = [path for folder in libraries for path in (folder / "lib-dynload").glob("*.so")]
    extensions += [path for path in packages if path.suffix == ".so"]
    linked = subprocess.run(["ldd", interpreter, *extensions], capture_output=True, text=True).stdout
    for word in {word for word in linked.split() if word.startswith("/") and not word.endswith(":")}:
        _file(jail, Path(word))
    for gcc in {*Path("/lib").glob("*/libgcc_s.so.1"), *Path("/usr/lib").glob("*/libgcc_s.so.1")}:
        _file(jail, gcc)  # which is opened when a thread ends
    (jail / "dev").mkdir()
    os.mknod(jail / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (jail / "dev/null").chmod(0o666)
    (jail / "etc").mkdir(exist_ok=True)
    (jail / "etc/passwd").write_text("nobody:x:65534:65534:nobody:/:/bin/false\n")  # twistd asks for the groups of --uid
    (jail / "etc/group").write_text("nogroup:x:65534:\n")
    for names in {*Path("/lib").glob("*/libnss_files.so.2"), *Path("/usr/lib").glob("*/libnss_files.so.2")}:
        _file(jail, names)
    (jail / "tmp").mkdir(exist_ok=True)
    (jail / "tmp").chmod(0o777)


def _with_requirements(name: str, found: set[str]) -> set[str]:
    """The distributions that a distribution needs, without its extras."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name in found:
        return found
    try:
        requirements = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # for another system
        return found
    found.add(name)
    for requirement in requirements:
        if "extra ==" not in requirement:
            _with_requirements(re.split(r"[^\w.-]", requirement)[0], found)
    return found


def files_of(name: str) -> list[Path]:
    """The files of an installed distribution that are in its folder of packages."""
    files = metadata.distribution(name).files or []
    return [Path(str(file.locate())) for file in files if ".." not in file.parts and not UNUSED & {*file.parts[1:]}]


def _tree(jail: Path, folder: Path) -> None:
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in UNUSED]
        inside(jail, Path(where)).mkdir(parents=True, exist_ok=True)
        for name in files:
            _file(jail, Path(where, name))


def _file(jail: Path, path: Path) -> None:
    there = inside(jail, path)
    if there.exists() or there.is_symlink() or not path.exists():
        return
    there.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() and path.parent == (path.parent / os.readlink(path)).parent:
        _file(jail, path.parent / os.readlink(path))
        there.symlink_to(os.readlink(path))
        return
    if path.is_symlink() and "python" in path.name:
        there.symlink_to(os.readlink(path))
        return
    try:
        os.link(path.resolve(), there)
    except OSError:
        shutil.copy2(path.resolve(), there)


def inside(jail: Path, path: Path) -> Path:
    """Where in the jail what has this path is."""
    return jail / path.relative_to("/")
