"""A site with siblings, for the tests of each."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager

from harness import Site

PATIENCE = 60.0


@contextmanager
def site(*arguments, app="bells:app"):
    """A site and its control socket."""
    with tempfile.TemporaryDirectory(prefix="hx-") as home:
        with Site(app, f"--control={home}/control", *[one.replace("HOME", home) for one in arguments]) as running:
            running.home = home
            yield running


def lines_of(tree):
    return {child["name"]: child for child in tree["children"]}
