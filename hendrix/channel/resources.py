"""twisted.web resources beside an application: on the same port, each under a path of its own.

They are rendered on the reactor thread, on connections of the reactor lane; a connection of the fast lane that asks for one moves there,
and stays. So no worker thread waits for a resource, however long that takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.application.service import Service
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from hendrix.channel.reactor_lane import ReactorConnection
from hendrix.channel.rendering import Rendering
from hendrix.errors import ConfigurationError
from hendrix.wire.http1 import Request
from hendrix.wsgi.loading import Name, run

Way = tuple[bytes, ...]


class Resources(Service):
    """The node of the tree for them.

    :param mounts: ``/api=package.module.attribute``, imported by `load`.
    :param resources: objects, each with a ``namespace``, str or bytes: its path, ``statics`` or ``a/b``.
    :raises ConfigurationError: a path is missing, or there twice.
    """

    name = "resources"

    def __init__(self, mounts: Sequence[str], resources: Iterable[Any] = ()) -> None:
        self._named = [(_namespace(resource), resource) for resource in resources]
        self._mounts = [(_segments(url.encode()), name, f"--mount={url}={name}") for url, _, name in (one.partition("=") for one in mounts)]
        ways = [way for way, _ in self._named] + [way for way, _, _ in self._mounts]
        twice = next((way for way in ways if ways.count(way) > 1), None)
        if twice is not None:
            raise ConfigurationError(f"{_path(twice)}: two resources have this path; give each its own")
        self._paths = tuple(map(_path, ways))
        self._inside = tuple(path + "/" for path in self._paths)
        self._site: Site | None = None

    def describe(self) -> str:
        return ", ".join(self._paths)

    def load(self) -> None:
        """Import those that are named. Raises ConfigurationError."""
        mounted = [(way, _resource(name, blame)) for way, name, blame in self._mounts]
        self._site = Site(_tree([*self._named, *mounted]))

    # What a site asks, see `hendrix.channel.site.Mounts`.

    def takes(self, target: str) -> bool:
        path = target.partition("?")[0]
        if "%" in path:
            path = unquote_to_bytes(path).decode("latin-1")
        return path in self._paths or path.startswith(self._inside)

    def rendering(self, connection: ReactorConnection, request: Request) -> Rendering:
        assert self._site is not None
        return Rendering(self._site, connection, request)


def _resource(name: str, blame: str) -> Any:
    """The IResource of this name: the object, or what a class, a factory or a Klein application makes."""
    found = Name.parse(blame, name).found()
    if IResource.providedBy(found):
        return found
    make: Callable[[], Any] | None = getattr(found, "resource", None) if not isinstance(found, type) else None
    if not callable(make):
        make = found if callable(found) else None
    made = run(blame, f"calling {name}", make) if make is not None else None
    if not IResource.providedBy(made):
        raise ConfigurationError(f"{blame}: that is no resource of twisted.web, and makes none; name one, its class or its factory")
    return made


def _namespace(resource: Any) -> Way:
    namespace = getattr(resource, "namespace", None)
    path = namespace.encode() if isinstance(namespace, str) else namespace
    way = _segments(path) if isinstance(path, bytes) else ()
    if not way:
        raise ConfigurationError(f"resources: {resource!r} has the namespace {namespace!r}; give it the path to serve it under, as text")
    return way


def _segments(path: bytes) -> Way:
    return tuple(segment for segment in path.split(b"/") if segment)


def _path(way: Way) -> str:
    return "/" + b"/".join(way).decode("latin-1")


def _tree(named: Iterable[tuple[Way, Any]]) -> Resource:
    """One root with each resource at its place; short paths first, since a long one may lead through their resources."""
    root = Resource()
    for (*way, last), resource in sorted(named, key=lambda one: len(one[0])):
        node = root
        for segment in way:
            if segment not in node.children:
                node.putChild(segment, Resource())
            node = node.children[segment]
        node.putChild(last, resource)
    return root
