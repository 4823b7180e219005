"""A Flask JSON view."""

from __future__ import annotations

from flask import Flask, Response, jsonify

application = Flask(__name__)


@application.get("/")
def index() -> Response:
    """Answer a small JSON object."""
    return jsonify(hello="world", n=list(range(20)))
