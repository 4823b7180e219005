"""Deployment from Python: the same settings and the same tree as under twistd, behind the names that users of hendrix 5 call.

    from hendrix import HendrixDeploy
    HendrixDeploy(options={"wsgi": application, "http_port": 8000}).run()

What `run` does in one step can be done in three, also inside a running reactor: ``addServices()``, anything with ``deployer.hendrix``,
``start()``.
"""

from __future__ import annotations

from hendrix.deploy.base import OWN, HendrixDeploy
from hendrix.deploy.tls import HendrixDeployTLS

__all__ = ["OWN", "HendrixDeploy", "HendrixDeployTLS"]
