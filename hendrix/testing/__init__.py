"""Test tools for crosstown traffic and for connections, without a server, and without Django."""

from __future__ import annotations

from hendrix.testing.connections import HeldConnection, HeldConnections, held_connections
from hendrix.testing.traffic import AsyncTestMixin, HeldTask, HeldTraffic, held_traffic

__all__ = ["AsyncTestMixin", "HeldConnection", "HeldConnections", "HeldTask", "HeldTraffic", "held_connections", "held_traffic"]
