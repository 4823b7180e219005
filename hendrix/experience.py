"""The name that users of hendrix 5 import: ``from hendrix.experience import crosstown_traffic``. It is `hendrix.crosstown_traffic`."""

from hendrix.crosstown.traffic import crosstown_traffic

__all__ = ["crosstown_traffic"]
