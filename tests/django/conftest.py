"""Django for the tests of this directory, set up once with the project ``ledger``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.conf import settings

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for ledger: test files are not a package


def _set_up() -> None:
    from ledger import settings as ours

    if not settings.configured:
        settings.configure(**{name: value for name, value in vars(ours).items() if name.isupper()})
        django.setup()


_set_up()


@pytest.fixture(scope="session", autouse=True)
def test_databases() -> Iterator[None]:
    """What ``manage.py test`` does around the tests."""
    from django.test.utils import setup_databases, setup_test_environment, teardown_databases, teardown_test_environment

    setup_test_environment()
    databases = setup_databases(verbosity=0, interactive=False)
    yield
    teardown_databases(databases, verbosity=0)
    teardown_test_environment()
