"""Some life on a wire: ``python play.py hx1`` sends the frames of a small imaginary network, until Ctrl-C."""

from __future__ import annotations

import argparse
import random
import socket
import time

EVERYBODY = b"\xff" * 6
HOSTS = [bytes((2, 0, 0x5E, 0x10, 0, number)) for number in range(1, 7)]
TEXTS = (b"there must be some kind of way out of here", b"said the joker to the thief", b"and the wind began to howl")


def frame(choice: random.Random) -> bytes:
    """One frame: mostly something like TCP, sometimes a question for an address, seldom a line of a song."""
    one, other = choice.sample(HOSTS, 2)
    kind = choice.choices(("ipv4", "ipv6", "arp", "song"), (10, 4, 2, 1))[0]
    if kind == "arp":
        ours, theirs = b"\x0a\0\0" + one[5:], b"\x0a\0\0" + other[5:]
        return EVERYBODY + one + b"\x08\x06" + bytes.fromhex("0001080006040001") + one + ours + bytes(6) + theirs
    if kind == "song":
        return EVERYBODY + one + b"\x88\xb5" + choice.choice(TEXTS)
    length = choice.choice((40, 52, 52, 120, 576, 1400, 1500))
    if kind == "ipv6":
        length = max(length, 60)
        return other + one + b"\x86\xdd" + b"\x60\0\0\0" + (length - 40).to_bytes(2, "big") + b"\x06\x40" + choice.randbytes(length - 8)
    return other + one + b"\x08\0" + b"\x45\0" + length.to_bytes(2, "big") + choice.randbytes(length - 4)


def main() -> None:
    """Send them, at moments of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interface")
    parser.add_argument("--count", type=int, default=0, help="frames to send; 0 is for ever")
    parser.add_argument("--rate", type=float, default=12.0, help="frames a second, on average")
    parser.add_argument("--seed", type=int, default=1967)
    options = parser.parse_args()
    choice = random.Random(options.seed)
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((options.interface, 0))
        while not options.count or sent < options.count:
            wire.send(frame(choice).ljust(60, b"\0"))
            sent += 1
            time.sleep(choice.expovariate(options.rate))


if __name__ == "__main__":
    main()
