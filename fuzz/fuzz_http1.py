"""Fuzz the parser of requests, guided by coverage: whatever comes, `mutants.check` must hold. See README.md."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests/wire"))

with atheris.instrument_imports(include=["hendrix"]):
    import hendrix.wire.http1  # noqa: F401

from mutants import SEEDS, WORDS, check  # noqa: E402
from reading import cut  # noqa: E402


def test_one(data: bytes) -> None:
    """The first bytes say where to cut the others: how many cuts, then two bytes for each."""
    count = data[0] % 8 if data else 0
    places, stream = data[1 : 1 + 2 * count], data[1 + 2 * count :]
    check(stream, cut(stream, [int.from_bytes(places[at : at + 2]) % (len(stream) + 1) for at in range(0, len(places), 2)]))


def write_start(directory: Path) -> Path:
    """The requests to start from, and the words to insert. Returns the file of the words."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate([*SEEDS, b"".join(SEEDS)]):
        (directory / f"seed-{number}").write_bytes(b"\0" + seed)
    words = directory.parent / "words"
    lines = ["".join(f"\\x{byte:02x}" for byte in word) for word in WORDS if len(word) < 100]
    words.write_text("".join(f'"{line}"\n' for line in lines))
    return words


if __name__ == "__main__":
    corpus = HERE.parent / "build/fuzz/http1"
    arguments = [sys.argv[0], str(corpus), f"-dict={write_start(corpus)}", f"-artifact_prefix={corpus.parent}/failing-", "-max_len=4096"]
    atheris.Setup([*arguments, *sys.argv[1:]], test_one)
    atheris.Fuzz()
