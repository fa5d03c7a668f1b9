"""Who may come to the broker's tcp ports: CURVE, and a ZAP handler with an allow-list (rfc.zeromq.org/spec/27).

pyzmq's own authenticator answers a key that it does not know with 400, at which libzmq's client gives up for good. A
gateway whose key is added while it runs must get in, so this one answers 300: try again (libzmq does so after
`HANDSHAKE_IVL`).
"""

import contextlib
import itertools
import time
from typing import Any

import zmq
from zmq.utils import z85

from broker.keyring import Keyring
from tsudoi.ops import logs
from tsudoi.ops.keyfiles import Owner, Role
from tsudoi.ops.log_throttle import LogThrottle

logger = logs.get("broker.security")

COMMANDS, NEWS, ORDERS = b"commands", b"news", b"orders"
ROLES = {
    # The broker's own key asks whether it is answered. An operator's is answered that it is no gateway's.
    COMMANDS: frozenset(Role),
    # Here a key reads all that is said: nothing that comes to this socket is looked at.
    NEWS: frozenset({Role.GATEWAY}),
    # Whose key an order came with is looked at, and counted.
    ORDERS: frozenset(Role),
}
"""ZAP domain, one a socket → whose keys may come there."""
NOBLOCK = int(zmq.NOBLOCK)
ZAP_ENDPOINT = "inproc://zeromq.zap.01"
VERSION = b"1.0"
OK, NOT_NOW = b"200", b"300"
REQUEST_PARTS = 7
"""Version, request id, domain, address, identity, mechanism, and for CURVE one credential: the public key."""
REQUESTS_AT_ONCE = 64
HANDSHAKE_FAILED_PROTOCOL = 0x2000
"""ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, which pyzmq does not always have."""
TELL_AGAIN_S = 600.0
"""Whoever comes, or is turned away, again and again is told of once in this time: a key that knocks does every 2 s."""
LINES, LINES_A_SECOND = 10.0, 0.1
"""Lines about those who are turned away, at once and in the long run: strangers may make up addresses and keys."""
TOLD = 1_000
"""Addresses and keys that were told of, and are remembered."""


def make_pair() -> tuple[str, str]:
    """Return a fresh pair: (public, secret)."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def present(socket: "zmq.Socket[Any]", public: str, secret: str, broker: str) -> None:
    """Let a connecting socket show this key, and accept nobody but the broker with that public key."""
    socket.curve_publickey = public.encode()
    socket.curve_secretkey = secret.encode()
    socket.curve_serverkey = broker.encode()


class Guard:
    """Answers libzmq's question whether a client's key is let in, from the keyring as it is now."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", keyring: Keyring) -> None:
        """Bind the handler; must be there before the first socket of the context is bound."""
        self._keyring = keyring
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ZAP_ENDPOINT)
        self.admitted: set[str] = set()
        """Public keys that have been let in since the sockets were bound."""
        self.shut_out: dict[Owner, float] = {}
        """Whose keys are not let in for a while → until when."""
        self.denied = 0
        """Handshakes with a key that is not let in there, or with none, or for another broker."""
        self._monitors: dict[bytes, zmq.Socket[bytes]] = {}
        """Domain → what libzmq tells of handshakes that end before we are asked."""
        self._context = context
        self._count = itertools.count()
        # One of each: strangers must not use up the lines about friends.
        self._came = LogThrottle[tuple[str, str]](TOLD, TELL_AGAIN_S)
        self._denied = LogThrottle[tuple[str, str]](TOLD, TELL_AGAIN_S)
        self._keyless = LogThrottle[str](TOLD, TELL_AGAIN_S)
        self._removed: dict[str, Owner] = {}
        """Whose the keys were that were let in before: they will knock."""

    def protect(self, socket: "zmq.Socket[bytes]", domain: bytes) -> None:
        """Let a socket that is to be bound ask us about each connection. A missing answer keeps the door shut."""
        own = self._keyring.own
        socket.curve_server = True
        socket.curve_publickey = own.public.encode()
        socket.curve_secretkey = own.secret.encode()
        socket.setsockopt(zmq.ZAP_DOMAIN, domain)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self._unwatch(domain)
        place = f"inproc://{domain.decode()}-{next(self._count)}"
        socket.monitor(place, HANDSHAKE_FAILED_PROTOCOL)
        monitor = self._monitors[domain] = self._context.socket(zmq.PAIR)
        # libzmq's I/O thread waits where there is no room for an event: there must always be.
        monitor.setsockopt(zmq.RCVHWM, 0)
        monitor.connect(place)

    def answer(self) -> bool:
        """Answer what has been asked, a bounded number; say whether more may wait."""
        try:
            for _ in range(REQUESTS_AT_ONCE):
                parts = self.socket.recv_multipart(NOBLOCK)
                at = parts.index(b"") + 1
                self.socket.send_multipart(parts[:at] + self._decide(parts[at:]), NOBLOCK)
        except zmq.Again:
            return False
        return True

    def refresh(self) -> set[str]:
        """Look at the keys again and tell what has changed; return those that are not let in any more.

        Tell of strangers without a key as well. To be called several times a second.
        """
        for domain in self._monitors:
            self._tell_keyless(domain)
        changes = self._keyring.refresh()
        for owner in changes.removed.values():
            logger.warning("a key was removed", owner=owner)
        for owner in changes.added.values():
            logger.info("a key was added", owner=owner)
        for path, why in changes.unreadable.items():
            logger.warning("a key file is of no use", file=path, why=why)
        self._removed |= changes.removed
        while len(self._removed) > TOLD:
            del self._removed[next(iter(self._removed))]
        return set(changes.removed)

    def owner(self, frame: zmq.Frame) -> Owner | None:
        """Return who sent a frame; None if that key is not let in any more."""
        try:
            owner = self._keyring.owners.get(frame.get("User-Id"))  # type: ignore[arg-type]
        except zmq.ZMQError:
            return None
        return None if owner in self.shut_out else owner

    def names(self) -> set[str]:
        """Return the names of the gateways that are let in."""
        return {owner.name for owner in self._keyring.owners.values() if owner.role is Role.GATEWAY}

    def close(self) -> None:
        """Answer nobody any more: the ports are shut."""
        self.socket.close(0)
        for domain in list(self._monitors):
            self._unwatch(domain)

    def _unwatch(self, domain: bytes) -> None:
        if domain in self._monitors:
            self._monitors.pop(domain).close(0)

    def _tell_keyless(self, domain: bytes) -> None:
        """Count those who were turned away before we were asked; libzmq does not tell from where they came.

        Both sides see that one has keys and the other has none. If the other is the first to hang up, nothing tells it
        from somebody who only knocked, or whom we turned away: then it is not counted.
        """
        found, at = 0, domain.decode()
        with contextlib.suppress(zmq.Again):
            while True:
                self._monitors[domain].recv_multipart(NOBLOCK)
                found += 1
        self.denied += found
        if found and self._keyless.touch(at, time.monotonic(), LINES_A_SECOND, LINES):
            logger.warning("somebody without a key, or with one for another broker, was turned away", at=at)

    def _decide(self, request: list[bytes]) -> list[bytes]:
        request_id = request[1] if len(request) > 1 else b""
        if len(request) == REQUEST_PARTS and request[5] == b"CURVE" and len(request[6]) == 32:
            public, address = z85.encode(request[6]).decode(), _plain(request[3])
            owner = self._keyring.find(public)
            if owner is not None and owner not in self.shut_out and owner.role in ROLES.get(request[2], ()):
                self.admitted.add(public)
                if self._came.touch((address, public), time.monotonic(), LINES_A_SECOND, LINES):
                    logger.info("a key came in", owner=owner, address=address)
                return [VERSION, request_id, OK, b"", public.encode(), b""]
            if self._denied.touch((address, public), time.monotonic(), LINES_A_SECOND, LINES):
                was = self._removed.get(public, "unknown") if owner is None else owner
                at, untold = request[2].decode(errors="replace"), self._denied.take_suppressed()
                logger.warning(
                    "a key was turned away", owner=was, public=public, address=address, at=at, not_told_before=untold
                )
        self.denied += 1
        return [VERSION, request_id, NOT_NOW, b"", b"", b""]


def _plain(address: bytes) -> str:
    """Return an address as people write it: the socket takes IPv6 too, and shows IPv4 as a part of that."""
    return address.decode(errors="replace").removeprefix("::ffff:")
