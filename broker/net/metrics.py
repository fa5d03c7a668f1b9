"""What a broker tells at /metrics; docs/metrics.md has the same rows in words.

Read in the HTTP server's thread, so nothing here walks over a table of the event loop's.
"""

from collections.abc import Callable

from tsudoi.ops.metrics import Row, counter, gauge, histogram

from .server import Server

PREFIX = "tsudoi_broker_"


def rows(server: Server) -> list[Row]:
    """Return what is told of a broker; nothing is read before somebody asks."""

    def gateways() -> float:
        return sum(not gateway.gone for gateway in list(server.core.gateways.known.values()))

    def moves() -> dict[str, float]:
        handovers, expired = server.core.handovers, server.core.ownership.expired
        return {"handed_over": handovers.completed, "taken_over": handovers.takeovers, "expired": expired}

    def refused() -> dict[str, float]:
        return {
            "malformed": server.core.counters.malformed,
            "stranger": server.core.counters.from_strangers,
            "impostor": server.sockets.impostors,
            "overrun": server.sockets.overrun,
        }

    def kept() -> dict[str, float]:
        handovers = server.core.handovers
        return {"elsewhere": handovers.kept_back, "too_often": handovers.limited}

    def orders() -> dict[str, float]:
        admin = server.admin
        if admin is None:
            return {"answered": 0, "malformed": 0, "stranger": 0, "undeliverable": 0}
        return {
            "answered": admin.answered,
            "malformed": admin.service.malformed,
            "stranger": admin.strangers,
            "undeliverable": admin.undeliverable,
        }

    return [
        gauge(f"{PREFIX}rooms", "Rooms", lambda: len(server.core.directory.rooms)),
        gauge(f"{PREFIX}members", "Members of all rooms", lambda: len(server.core.directory.members)),
        gauge(f"{PREFIX}gateways", "Gateways that are there", gateways),
        gauge(f"{PREFIX}healthy", "1 while /healthz is green", lambda: not server.illness()),
        counter(f"{PREFIX}entries", "Entries put into the logs of rooms", _count(server, "entries")),
        counter(f"{PREFIX}repeated_items", "Items taken before and passed over", _count(server, "repeated_items")),
        counter(
            f"{PREFIX}refused_items", "Items for members that are not the sender's", _count(server, "refused_items")
        ),
        counter(f"{PREFIX}refused_frames", "Frames refused, by reason", refused, "reason"),
        counter(
            f"{PREFIX}denied_connections",
            "Handshakes with a key that is not let in there, or with none",
            lambda: server.denied,
        ),
        counter(
            f"{PREFIX}undeliverable_answers", "Answers to gateways not there", lambda: server.sockets.undeliverable
        ),
        counter(f"{PREFIX}member_moves", "Members that went to another gateway, or expired without one", moves, "way"),
        counter(f"{PREFIX}moves_refused", "Members that were not to go to another gateway, by why", kept, "reason"),
        counter(f"{PREFIX}orders", "What operators asked and ordered, by what came of it", orders, "outcome"),
        counter(f"{PREFIX}trimmed_rooms", "Times a room's log was cut to its bounds", _count(server, "trimmed_rooms")),
        counter(
            f"{PREFIX}passwords_refused",
            "Requests answered busy, too many passwords",
            _count(server, "passwords_refused"),
        ),
        counter(f"{PREFIX}full", "Creates and joins refused, as there were as many as may be", _count(server, "full")),
        gauge(f"{PREFIX}passwords_waiting", "Passwords that are being hashed or wait for it", lambda: server.hashing),
        histogram(f"{PREFIX}turn_entries", "Entries in one turn, so in one commit", lambda: server.core.turn_entries),
        histogram(f"{PREFIX}commit_seconds", "A commit to the store", lambda: server.committer.seconds),
    ]


def _count(server: Server, field: str) -> Callable[[], float]:
    return lambda: float(getattr(server.core.counters, field))
