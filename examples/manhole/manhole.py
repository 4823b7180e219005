"""A Python prompt inside the running site, over SSH: `factory` is for --serve."""

import os
from pathlib import Path

import pages
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker, readAuthorizedKeyFile
from twisted.conch.insults.insults import ServerProtocol
from twisted.conch.manhole import ColoredManhole
from twisted.conch.manhole_ssh import ConchFactory, TerminalRealm
from twisted.conch.ssh.keys import Key
from twisted.cred.portal import Portal

from hendrix import hey_joe

HOME = Path(os.environ.get("MANHOLE_HOME", Path.home() / ".ssh"))


def factory():
    """Lets in, as any user, whoever has one of the keys in authorized_keys."""
    realm = TerminalRealm()
    names = {"pages": pages, "publish": hey_joe.publish}
    realm.chainedProtocolFactory = lambda: ServerProtocol(ColoredManhole, names)
    server = ConchFactory(Portal(realm, [SSHPublicKeyChecker(Keys())]))
    key = host_key(HOME / "manhole_host_key")
    server.publicKeys = server.privateKeys = {key.sshType(): key}
    return server


class Keys(InMemorySSHKeyDB):
    """Read anew each time somebody knocks."""

    def __init__(self):
        super().__init__({})

    def getAuthorizedKeys(self, username):
        with open(HOME / "authorized_keys", "rb") as file:
            yield from readAuthorizedKeyFile(file)


def host_key(path):
    """By which clients know us: made the first time."""
    if not path.exists():
        text = Key(Ed25519PrivateKey.generate()).toString("openssh", subtype="v1")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    return Key.fromFile(path)
