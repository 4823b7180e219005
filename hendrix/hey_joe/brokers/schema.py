"""The schema that a broker on PostgreSQL has: what a process must know of it that has no connection there."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

# What keys and channels begin with, or the schema in PostgreSQL, unless the URL says another ``name``: sites at the same engine have
# names of their own.
NAME = "hendrix"

SCHEMES = ("postgresql", "postgres")


def schema_of(url: str) -> str | None:
    """None if the broker of this URL is not PostgreSQL."""
    parts = urlsplit(url)
    return dict(parse_qsl(parts.query)).get("name", NAME) if parts.scheme in SCHEMES else None
