"""A web site and a door bell in one process: ``twistd -ny site.tac``, then ``nc localhost 8007`` rings for who listens.

The bell is a Twisted service of a few lines; the site is the WSGI app of ``bare_wsgi.py``. ``WEB``, ``BELL`` and ``PORT_FILE``
in the environment say where else to listen, and where to write that.
"""

import os
import sys
from pathlib import Path

from twisted.application import strports
from twisted.application.service import Application
from twisted.internet.protocol import Factory, Protocol

import hendrix

HERE = str(Path(__file__).resolve().parent)
sys.path.insert(0, HERE)
import bell  # noqa: E402


class Bell(Protocol):
    """Rings in the moment somebody is at the door."""

    def connectionMade(self) -> None:
        bell.ring()
        self.transport.write(b"Ding!\r\n")
        self.transport.loseConnection()


application = Application("site")
web = {
    "wsgi": "bare_wsgi.application",
    "pythonpath": [HERE],
    "listen": [os.environ.get("WEB", "tcp:8000:interface=127.0.0.1")],
    "port_file": os.environ.get("PORT_FILE"),
}
hendrix.makeService(web).setServiceParent(application)
strports.service(os.environ.get("BELL", "tcp:8007:interface=127.0.0.1"), Factory.forProtocol(Bell)).setServiceParent(application)
