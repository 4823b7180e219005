"""What `twistd` and `twist` find: the service "hendrix" and the reactor "uvloop". Declarations only; the modules are loaded when used."""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

hendrix = ServiceMaker("hendrix", "hendrix.service", "Serve a WSGI application and everything around it.", "hendrix")
uvloop = Reactor("uvloop", "hendrix.uvloopreactor", "asyncio on uvloop's event loop (pip install 'hendrix[fast]').")
