"""HendrixDeploy as users of hendrix 5 call it, in real processes."""

from __future__ import annotations

import socket
import ssl
import textwrap

import pytest

from harness import CLEAN, Site

HEAD = """
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import File
from hendrix import HendrixDeploy, HendrixDeployTLS
from hello import app

class Held(Resource):
    isLeaf, namespace = True, b"held"

    def render_GET(self, request):
        request.notifyFinish().addErrback(lambda failure: print("the held request was lost"))
        request.write(b"held")
        return NOT_DONE_YET

media = File({media!r})
media.namespace = "media"
options = dict(wsgi=app, port_file={port_file!r}, pythonpath=["."])
"""


@pytest.fixture
def deployed(tmp_path, certificate):
    """Runs a script that deploys."""
    (tmp_path / "data").write_bytes(b"0123456789" * 300_000)

    def site(script):
        site = Site("hello:app", door="deploy", env={"PYTHONPATH": "."})
        given = {"media": str(tmp_path), "port_file": str(site.port_file), "key": str(certificate.key), "cert": str(certificate.cert)}
        (site.directory / "serve.py").write_text(textwrap.dedent(HEAD + script).format(**given))
        return site

    return site


def test_a_deployment_with_objects_for_key_and_certificate_with_media_and_a_limit(deployed):
    script = """
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL.crypto import X509
key = load_pem_private_key(open({key!r}, "rb").read(), None)
cert = X509.from_cryptography(load_pem_x509_certificate(open({cert!r}, "rb").read()))
options.update(https_port=0, max_upload_bytes=1000, resources=[media])
deployer = HendrixDeployTLS("start", key=key, cert=cert, options=options)
deployer.addServices()
deployer.catalogServers(deployer.hendrix)
print("serial", deployer.cert.to_cryptography().serial_number, deployer.servers)
deployer.run()
"""
    with deployed(script) as site:
        assert [address.partition(":")[0] for address in site.addresses] == ["ssl"]
        assert site.get("/").text == "Hello from /\n"
        assert site.get("/media/data", {"Range": "bytes=5-9"}).text == "56789"
        assert len(site.get("/media/data").body) == 3_000_000
        assert site.get("/media/nothing").status == 404
        assert site.request("POST", "/", b"x" * 1001).status == 413
        browser = ssl._create_unverified_context()
        browser.set_alpn_protocols(["h2", "http/1.1"])
        with browser.wrap_socket(site.connect(tls=False), server_hostname="localhost") as connection:
            assert connection.selected_alpn_protocol() == "http/1.1"
        site.wait_for_log("['control', 'sockets', 'hub', 'crew', 'crosstown', 'connections', 'resources', 'web']")


def test_a_start_in_a_running_reactor_with_a_service_beside(deployed):
    script = """
from twisted.application.internet import StreamServerEndpointService
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

echo = StreamServerEndpointService(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), Factory.forProtocol(Echo))

def begin():
    deployer = HendrixDeploy("start", {{**options, "http_port": 0, "services": [("echo", echo)]}})
    deployer.addServices()
    deployer.start().addCallback(lambda _: print("echo on", echo._waitingForPort.result.getHost().port, flush=True))

reactor.callWhenRunning(begin)
reactor.run()
print("the reactor has stopped")
"""
    with deployed(script) as site:
        assert site.get("/").text == "Hello from /\n"
        site.wait_for_log("echo on ")
        port = int(site.log.partition("echo on ")[2].split()[0])
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.sendall(b"hi")
            assert connection.recv(10) == b"hi"
        assert site.stop() in CLEAN
        assert "the reactor has stopped" in site.log
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 30)


def test_a_held_request_is_cut_after_the_grace_and_the_process_ends(deployed):
    script = """
HendrixDeploy(options={{**options, "listen": "tcp:0:interface=127.0.0.1", "grace": 0.2, "resources": [media, Held()]}}).run()
"""
    with deployed(script) as site, site.connect() as connection:
        connection.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b"held" not in received:
            received += connection.recv(1000)
        assert site.get("/").status == 200
        assert site.stop() in CLEAN
        assert "the held request was lost" in site.log


def test_a_slow_reader_of_a_resource_costs_no_memory(deployed, tmp_path):
    (tmp_path / "large").write_bytes(bytes(1 << 20) * 64)
    script = """
HendrixDeploy(options={{**options, "listen": "tcp:0:interface=127.0.0.1", "resources": [media]}}).run()
"""
    with deployed(script) as site, site.connect() as connection:
        site.get("/media/data")
        before = site.memory
        connection.sendall(b"GET /media/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = connection.recv(1000)
        assert received.startswith(b"HTTP/1.1 200 OK")
        assert len(site.get("/media/data").body) == 3_000_000, "others are served meanwhile"
        assert site.memory - before < 16 << 20
