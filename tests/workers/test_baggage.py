"""What a worker is told first."""

from __future__ import annotations

import json
from typing import Any
from wsgiref.simple_server import demo_app

import pytest

from hendrix.errors import ConfigurationError
from hendrix.options import Settings
from hendrix.workers.baggage import packed, unpacked


def application(environ: Any, start_response: Any) -> list[bytes]:
    return []


def test_the_settings_of_a_worker_are_those_of_its_parent() -> None:
    settings = Settings(
        wsgi="site:app",
        threads=3,
        trusted_proxy=("10.0.0.0/8",),
        access_log="-",
        max_body="5M",
        server_header="",
        workers=2,
        max_requests=7,
    )
    arrived = unpacked(json.loads(json.dumps(packed(settings))))
    assert arrived == settings


def test_what_concerns_the_parent_alone_stays_there() -> None:
    settings = Settings(wsgi="site:app", key="/key", cert="/cert", https_port=443, port_file="/ports", workers=1)
    assert not {"listen", "key", "cert", "port_file", "control"} & set(packed(settings))


def test_an_object_is_given_by_the_name_that_a_module_has_for_it() -> None:
    assert packed(Settings(wsgi=demo_app, workers=1))["wsgi"] == "wsgiref.simple_server:demo_app"


def test_an_object_that_no_module_has_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"wsgi=.*: workers are new processes and import the application by its name; give that"):
        packed(Settings(wsgi=lambda environ, start_response: [], workers=1))
