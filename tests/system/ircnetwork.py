"""A real IRC network of one server, ngircd over TLS, and somebody on it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import certificates

PATIENCE = 60.0
NGIRCD = shutil.which("ngircd") or shutil.which("ngircd", path="/usr/sbin")

CONFIG = """\
[Global]
Name = irc.example.org
Info = tests
Listen = 127.0.0.1
Ports = {plain}
[Limits]
MaxConnectionsIP = 0
MaxNickLength = 20
[Options]
DNS = no
Ident = no
PAM = no
PidFile =
[SSL]
CertFile = {cert}
KeyFile = {key}
Ports = {port}
"""


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Network:
    """An ngircd of one's own."""

    def __init__(self, directory):
        made = certificates.make(directory)
        self.authority = made.authority
        plain, self.port = free_ports(2)
        self.config = directory / "ngircd.conf"
        self.config.write_text(CONFIG.format(plain=plain, port=self.port, cert=made.cert, key=made.key))
        for path in (directory, *directory.iterdir()):
            path.chmod(0o755)

    def start(self):
        self.process = subprocess.Popen([NGIRCD, "-n", "-f", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def stop(self):
        self.process.kill()
        self.process.wait()


class Person:
    """Somebody else there."""

    def __init__(self, port, nick):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "ngircd does not listen"
                time.sleep(0.05)
        self.socket = ssl._create_unverified_context().wrap_socket(connection)
        self.lines = self.socket.makefile("rw", encoding="utf-8", newline="\r\n")
        self.send(f"NICK {nick}")
        self.send(f"USER {nick} 0 * :{nick}")
        self.wait_for(" 001 ")
        self.send("JOIN #hx")
        self.wait_for(" 366 ")

    def send(self, line):
        self.lines.write(line + "\r\n")
        self.lines.flush()

    def wait_for(self, text):
        for line in self.lines:
            if line.startswith("PING"):
                self.send(line.replace("PING", "PONG").strip())
            if text in line:
                return line
        raise AssertionError(f"the server has closed; no {text}")

    def close(self):
        self.lines.close()
        self.socket.close()


@contextmanager
def network_of_one():
    """A network, running until the end; skips where there is no ngircd."""
    if NGIRCD is None:
        pytest.skip("ngircd is missing, and with it all tests of irc against a real server: apt-get install ngircd")
    with tempfile.TemporaryDirectory(prefix="irc-") as name:
        network = Network(Path(name)).start()
        try:
            yield network
        finally:
            network.stop()
