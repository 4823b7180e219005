"""The names that users of hendrix 5 import: ``from hendrix.experience import crosstown_traffic, hey_joe``. They are those of `hendrix`."""

from hendrix import hey_joe
from hendrix.crosstown.traffic import crosstown_traffic

__all__ = ["crosstown_traffic", "hey_joe"]
