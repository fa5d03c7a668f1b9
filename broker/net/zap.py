"""Decide which keys may connect to the broker's tcp ports: CURVE, and a ZAP handler (rfc.zeromq.org/spec/27).

An unknown key is answered with 400, as pyzmq's authenticator does, so that the gateway can log the cause: its key is
not accepted (any more). libzmq's client gives up then; `gateway/link/connect_monitor.py` connects again, so that a
gateway whose key is added while it runs is admitted. To 300 libzmq says nothing, and a gateway can not tell it from a
broker that stands still.
"""

import time
from typing import Any

import zmq
from zmq.utils import z85

from tsudoi.ops import logs
from tsudoi.ops.keyfiles import Owner, Role
from tsudoi.ops.log_throttle import LogThrottle

from ..keys.allow_list import AllowList

logger = logs.get("broker.zap")

COMMANDS, NEWS, ORDERS = b"commands", b"news", b"orders"
"""ZAP domains, one a socket. A key that connects to the news reads all messages; the other sockets check each frame."""
NOBLOCK = int(zmq.NOBLOCK)
ZAP_ENDPOINT = "inproc://zeromq.zap.01"
VERSION = b"1.0"
OK, DENIED = b"200", b"400"
REQUEST_PARTS = 7
"""Version, request id, domain, address, identity, mechanism, and for CURVE one credential: the public key."""
REQUESTS_AT_ONCE = 64
TELL_AGAIN_S = 600.0
"""A key that connects, or is denied, again and again is logged once in this time: libzmq tries every 2 s."""
LINES, LINES_A_SECOND = 10.0, 0.1
"""Log lines about denied keys, at once and in the long run: attackers may make up addresses and keys."""
LOGGED = 1_000
"""Addresses and keys whose log line is remembered."""


def present(socket: "zmq.Socket[Any]", public: str, secret: str, broker: str) -> None:
    """Let a connecting socket use this key, and accept only the broker with that public key."""
    socket.curve_publickey = public.encode()
    socket.curve_secretkey = secret.encode()
    socket.curve_serverkey = broker.encode()


class ZapHandler:
    """Answers libzmq's question whether a client's key may connect, from the allow list as it is now."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", allow_list: AllowList) -> None:
        """Bind the handler; must be there before the first socket of the context is bound."""
        self.allow_list = allow_list
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ZAP_ENDPOINT)
        self.admitted: set[str] = set()
        """Public keys that have been let in since the sockets were bound."""
        self.denied = 0
        """Handshakes with a key that is not let in there. About a client without a key, or with one for another broker,
        libzmq does not ask us; a gateway notices that itself (`gateway/link/connect_monitor.py`)."""
        # Denied keys must not use up the log lines about admitted ones.
        self._admitted_log = LogThrottle[tuple[str, str]](LOGGED, TELL_AGAIN_S)
        self._denied_log = LogThrottle[tuple[str, str]](LOGGED, TELL_AGAIN_S)

    def protect(self, socket: "zmq.Socket[bytes]", domain: bytes) -> None:
        """Let a socket that will be bound admit only whom this handler admits."""
        own = self.allow_list.own
        socket.curve_server = True
        socket.curve_publickey = own.public.encode()
        socket.curve_secretkey = own.secret.encode()
        socket.setsockopt(zmq.ZAP_DOMAIN, domain)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def answer(self) -> bool:
        """Answer a bounded number of questions; return whether more may wait."""
        try:
            for _ in range(REQUESTS_AT_ONCE):
                parts = self.socket.recv_multipart(NOBLOCK)
                at = parts.index(b"") + 1
                self.socket.send_multipart(parts[:at] + self._decide(parts[at:]), NOBLOCK)
        except zmq.Again:
            return False
        return True

    def refresh(self) -> set[str]:
        """Read the keys again and return the revoked ones; log changes. Call it several times a second."""
        changes = self.allow_list.refresh()
        for owner in changes.removed.values():
            logger.warning("a key was removed", owner=owner)
        for owner in changes.added.values():
            logger.info("a key was added", owner=owner)
        for path, why in changes.unreadable.items():
            logger.warning("a key file can not be used", file=path, why=why)
        return set(changes.removed)

    def owner(self, frame: zmq.Frame) -> Owner | None:
        """Return the owner of the key that a frame came with; None if the key was revoked."""
        try:
            return self.allow_list.owners.get(frame.get("User-Id"))  # type: ignore[arg-type]
        except zmq.ZMQError:
            return None

    def names(self) -> set[str]:
        """Return the names of the gateways whose keys may connect."""
        return {owner.name for owner in self.allow_list.owners.values() if owner.role is Role.GATEWAY}

    def close(self) -> None:
        """Close the socket; the ports must be closed already."""
        self.socket.close(0)

    def _decide(self, request: list[bytes]) -> list[bytes]:
        request_id = request[1] if len(request) > 1 else b""
        if len(request) == REQUEST_PARTS and request[5] == b"CURVE" and len(request[6]) == 32:
            public, address = z85.encode(request[6]).decode(), request[3].decode(errors="replace")
            address = address.removeprefix("::ffff:")  # the socket takes IPv6 too, and shows IPv4 as mapped
            owner = self.allow_list.find(public)
            if owner is not None and (owner.role is Role.GATEWAY or request[2] != NEWS):
                self.admitted.add(public)
                if self._admitted_log.touch((address, public), time.monotonic(), LINES_A_SECOND, LINES):
                    logger.info("a key was admitted", owner=owner, address=address)
                return [VERSION, request_id, OK, b"", public.encode(), b""]
            if self._denied_log.touch((address, public), time.monotonic(), LINES_A_SECOND, LINES):
                about = {"owner": owner or "unknown", "public": public, "address": address}
                at, unlogged = request[2].decode(errors="replace"), self._denied_log.take_suppressed()
                logger.warning("a key was denied", **about, at=at, not_told_before=unlogged)
        self.denied += 1
        return [VERSION, request_id, DENIED, b"", b"", b""]
