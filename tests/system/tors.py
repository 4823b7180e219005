"""Real tors for the tests: one that knows no network, and a whole network of them on the loopback interface."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

TOR = shutil.which("tor") or shutil.which("tor", path="/usr/sbin")
GENCERT = shutil.which("tor-gencert") or shutil.which("tor-gencert", path="/usr/sbin")

PATIENCE = 60.0


def needed():
    if TOR is None or GENCERT is None:
        pytest.skip("tor is missing, and with it all tests of onion services against a real tor: apt-get install tor")


def wait_until(condition, what, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)
    return found


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Tor:
    """A process with its files in a directory of its own.

    :param settings: lines of its torrc.
    """

    def __init__(self, directory, *settings):
        directory.mkdir(mode=0o700)
        self.directory, self.settings = directory, settings
        self.socket = directory / "control.sock"
        (self.port,) = free_ports(1)
        self.process = None

    def torrc(self):
        lines = [f"DataDirectory {self.directory}/data", f"ControlPort unix:{self.socket}", f"ControlPort 127.0.0.1:{self.port}"]
        (self.directory / "torrc").write_text("\n".join([*lines, *self.settings]) + "\n")
        return ["-f", str(self.directory / "torrc"), "--defaults-torrc", os.devnull]

    def start(self):
        command = [TOR, *self.torrc()]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        wait_until(self._listens, f"{self.directory.name} listens")
        return self

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    @property
    def log(self):
        return (self.directory / "log").read_text(errors="replace")

    def _listens(self):
        assert self.process.poll() is None, self.log
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def ask(self, *commands):
        """The lines of its answers, after a log-in by cookie."""
        cookie = (self.directory / "data/control_auth_cookie").read_bytes().hex()
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            lines = connection.makefile("rw", encoding="ascii", newline="\r\n")
            said = []
            for command in (f"AUTHENTICATE {cookie}", *commands):
                lines.write(command + "\r\n")
                lines.flush()
                for line in lines:
                    said.append(line.strip())
                    if line[3] == " ":
                        break
            return said[1:]

    def has(self, key_file):
        """Whether somebody has it publish the service of this key: then it refuses a second one."""
        answer = self.ask(f"ADD_ONION {Path(key_file).read_text().strip()} Port=80")[-1]
        assert answer.startswith(("250 OK", "550 Onion address collision")), answer
        return answer.startswith("550")


class Offline(Tor):
    """Without a network: it takes services, and cannot tell anybody."""

    def __init__(self, directory, *settings):
        super().__init__(directory, "DisableNetwork 1", "SocksPort 0", *(settings or ("CookieAuthentication 1",)))


# A network that votes every few seconds and believes in addresses of this machine. Each of its authorities is a relay too.
OF_ALL = """\
TestingTorNetwork 1
AssumeReachable 1
EnforceDistinctSubnets 0
ServerDNSDetectHijacking 0
ServerDNSAllowBrokenConfig 1
PathsNeededToBuildCircuits 0.25
TestingDirAuthVoteExit *
TestingDirAuthVoteHSDir *
TestingDirAuthVoteGuard *
V3AuthNIntervalsValid 2
TestingV3AuthInitialVotingInterval 5
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 10
V3AuthVoteDelay 2
V3AuthDistDelay 2
CookieAuthentication 1
ShutdownWaitLength 0
"""


# Of those who use it. There are few relays for their paths, and no need to ask for the descriptors of many in one go.
OF_MEMBERS = ("VanguardsLiteEnabled 0", "TestingClientMaxIntervalWithoutRequest 1", "FetchDirInfoEarly 1", "FetchDirInfoExtraEarly 1")

# Seconds for the relays to find each other: some fifteen, and many more on a machine that is busy.
BOOTSTRAP = 180.0


class Network:
    """Three authorities, which are relays too, and a fourth relay; and of those who use it, as many as the test makes."""

    def __init__(self, directory):
        self.directory = directory
        self.members = []
        ports = free_ports(8)
        self._relays = [
            Tor(
                directory / f"relay{number}",
                f"Nickname relay{number}",
                f"ORPort 127.0.0.1:{ports[2 * number]}",
                f"DirPort 127.0.0.1:{ports[2 * number + 1]}",
                "Address 127.0.0.1",
                "SocksPort 0",
                "ExitRelay 1",
                "ExitPolicyRejectPrivate 0",
                "ExitPolicy accept *:*",
                "ContactInfo tests@example.org",
                *(("AuthoritativeDirectory 1", "V3AuthoritativeDirectory 1") if number < 3 else ()),
            )
            for number in range(4)
        ]
        authorities = [_authority(relay, *ports[2 * number : 2 * number + 2]) for number, relay in enumerate(self._relays[:3])]
        self._of_all = [*OF_ALL.splitlines(), *authorities]
        for relay in self._relays:
            self._join(relay)

    def _join(self, tor):
        tor.settings = [*self._of_all, *tor.settings]
        self.members.append(tor)
        tor.start()

    def member(self, name, *settings):
        """A tor that uses the network.

        It comes when all relays are known: who comes before has too few for its paths, and looks again only much later.
        """
        wait_until(self._known, "the relays find each other", BOOTSTRAP)
        tor = Tor(self.directory / name, *OF_MEMBERS, *settings)
        self._join(tor)
        return tor

    def _known(self):
        """Whether each authority has published a consensus in which all relays can be used for all."""
        for tor in self._relays[:3]:
            consensus = tor.directory / "data/cached-microdesc-consensus"
            flags = re.findall(r"^s (.*)$", consensus.read_text() if consensus.exists() else "", re.MULTILINE)
            if sum({"Guard", "HSDir", "Running", "Valid"} <= set(each.split()) for each in flags) < len(self._relays):
                return False
        return True

    def stop(self):
        for tor in self.members:
            tor.stop()


def ready(tor):
    """Whether it has found its way into the network."""
    return "PROGRESS=100" in tor.ask("GETINFO status/bootstrap-phase")[0]


def _authority(tor, or_port, dir_port):
    """Make its keys; gives the line by which the others know it."""
    keys = tor.directory / "data/keys"
    keys.mkdir(mode=0o700, parents=True)
    (tor.directory / "data").chmod(0o700)
    files = [keys / f"authority_{name}" for name in ("identity_key", "signing_key", "certificate")]
    options = [word for flag, file in zip(("-i", "-s", "-c"), files) for word in (flag, str(file))]
    command = [GENCERT, "--create-identity-key", "-m", "12", "-a", f"127.0.0.1:{dir_port}", "--passphrase-fd", "0", *options]
    subprocess.run(command, input=b"of tests\n", check=True, capture_output=True, cwd=keys, timeout=PATIENCE)
    ident = next(line.split()[1] for line in files[2].read_text().splitlines() if line.startswith("fingerprint "))
    # An authority must know some authority before it tells its own fingerprint.
    anybody = ["TestingTorNetwork 1", "DirAuthority placeholder 127.0.0.1:1 ffffffffffffffffffffffffffffffffffffffff"]
    settings, tor.settings = tor.settings, [*anybody, *tor.settings]
    said = subprocess.run(
        [TOR, *tor.torrc(), "--list-fingerprint"], check=True, capture_output=True, text=True, cwd=tor.directory, timeout=PATIENCE
    ).stdout
    tor.settings = settings
    fingerprint = "".join(said.splitlines()[-1].split()[1:])
    return f"DirAuthority {tor.directory.name} orport={or_port} no-v2 v3ident={ident} 127.0.0.1:{dir_port} {fingerprint}"
