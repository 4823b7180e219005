"""The node of twisted.web resources: which paths are theirs, and what a name may stand for."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest
from twisted.web.resource import IResource, Resource
from twisted.web.test.requesthelper import DummyRequest
from zope.interface import implementer

from hendrix.channel.resources import Resources
from hendrix.errors import ConfigurationError


def named(namespace):
    resource = Resource()
    resource.namespace = namespace
    return resource


@pytest.mark.parametrize(
    ("target", "taken"),
    [
        ("/page", True),
        ("/page/", True),
        ("/page/a/b?c=/", True),
        ("/page?x", True),
        ("/p%61ge/x", True),
        ("/a/b", True),
        ("/a/b/c", True),
        ("/%C3%A4/x", True),
        ("/pages", False),
        ("/?/page", False),
        ("/a", False),
        ("/a/", False),
        ("/", False),
        ("*", False),
    ],
)
def test_a_resource_has_its_path_and_all_below(target, taken):
    resources = Resources(["/ä=x:y"], [named("page"), named(b"/a/b/")])
    assert resources.describe() == "/page, /a/b, /Ã¤"  # as an environ spells it
    assert resources.takes(target) == taken


def test_a_resource_may_stand_below_another():
    resources = Resources([], [named("a/b"), named("a")])
    resources.load()
    site = resources._site
    inner, outer = (resource for _, resource in resources._named)

    def found(*path):
        request = DummyRequest([part.encode() for part in path])
        request.sitepath = []
        return site.getResourceFor(request)

    assert found("a", "b") is inner
    assert found("a") is outer


@pytest.mark.parametrize("namespace", [None, "", "/", b"", 1])
def test_a_resource_without_a_path_is_refused(namespace):
    with pytest.raises(ConfigurationError, match=r"^resources: .+; give it the path to serve it under"):
        Resources([], [named(namespace)])


def test_two_of_the_same_path_are_refused():
    with pytest.raises(ConfigurationError, match=r"^/api: two resources have this path; give each its own$"):
        Resources(["/api=x:y"], [named("api")])


@pytest.fixture
def module():
    found = types.ModuleType("mounted_by_the_tests")
    sys.modules[found.__name__] = found
    yield found
    del sys.modules[found.__name__]


@implementer(IResource)
class Bare:
    """Without what `Resource` brings."""


class App:
    """As Klein's application."""

    def resource(self):
        return Bare()


@pytest.mark.parametrize("what", [Bare(), Bare, lambda: Bare(), App(), App().resource, Resource(), Resource])
def test_a_name_may_stand_for_a_resource_or_for_what_makes_one(module, what):
    module.it = what
    resources = Resources(["/api=mounted_by_the_tests.it"])
    resources.load()
    assert IResource.providedBy(resources._site.resource.children[b"api"])


@pytest.mark.parametrize("what", [42, lambda: 42, App, None])
def test_anything_else_is_one_line(module, what):
    module.it = what
    with pytest.raises(ConfigurationError, match=r"^--mount=/api=mounted_by_the_tests\.it: that is no resource of twisted\.web"):
        Resources(["/api=mounted_by_the_tests.it"]).load()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mounted_by_the_tests.other", "module mounted_by_the_tests has no attribute 'other'"),
        ("mounted_by_no_test.it", "there is no module 'mounted_by_no_test'"),
        ("it", "write it as package.module.attribute"),
        ("mounted_by_the_tests.broken", "calling mounted_by_the_tests.broken raised ZeroDivisionError"),
    ],
)
def test_a_name_that_is_wrong_is_one_line(module, name, words):
    module.broken = lambda: 1 / 0
    with pytest.raises(ConfigurationError, match=f"^--mount=/api={name}: {words}"):
        Resources([f"/api={name}"]).load()


def test_twisted_web_is_not_imported_where_there_is_none():
    """It is large, and so is what else only some sites need."""
    large = ("twisted.web", "hendrix.metrics.meter", "hendrix.showing", "redis", "psycopg", "txtorcon", "django", "wsproto")
    program = f"import sys, hendrix.service, hendrix.workers.child; print([n for n in sys.modules if n.startswith({large!r})])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
