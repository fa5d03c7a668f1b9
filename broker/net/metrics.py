"""The rows of the broker's /metrics; docs/metrics.md explains them.

They are read in the HTTP server's thread, so nothing here iterates over a table of the event loop.
"""

from tsudoi.ops import logs
from tsudoi.ops.metrics import Row, counter, gauge, histogram

from .server import Server

PREFIX = "tsudoi_broker_"


def rows(server: Server) -> list[Row]:
    """Return the rows of a broker; nothing is read before a scrape."""

    def gateways() -> float:
        return sum(not gateway.gone for gateway in list(server.cores.gateways().values()))

    def rooms() -> float:
        return sum(len(core.directory.rooms) for core in list(server.cores))

    def members() -> float:
        return sum(core.directory.present for core in list(server.cores))

    def moves() -> dict[str, float]:
        counted = server.counters
        return {"handed_over": counted.handed_over, "taken_over": counted.taken_over, "expired": counted.expired}

    def refused() -> dict[str, float]:
        return {
            "malformed": server.counters.malformed,
            "stranger": server.counters.from_unknown_gateways,
            "impostor": server.sockets.impostors,
            "overrun": server.sockets.overrun,
        }

    def kept() -> dict[str, float]:
        counters = server.counters
        return {
            "elsewhere": counters.kept_elsewhere,
            "too_often": counters.moved_too_often,
            "late": counters.resumed_late,
        }

    def orders() -> dict[str, float]:
        admin = server.admin
        return {
            "answered": admin.answered if admin else 0,
            "malformed": admin.service.malformed if admin else 0,
            "stranger": admin.strangers if admin else 0,
            "undeliverable": admin.undeliverable if admin else 0,
        }

    def number(row: str, help: str) -> Row:
        return counter(PREFIX + row, help, lambda: float(getattr(server.counters, row)))

    def answers() -> float:
        return server.sockets.undeliverable

    return [
        gauge(f"{PREFIX}rooms", "Rooms", rooms),
        gauge(f"{PREFIX}members", "Members of all rooms", members),
        gauge(f"{PREFIX}gateways", "Gateways that are connected", gateways),
        gauge(f"{PREFIX}shards", "Parts of the rooms that this broker serves", lambda: len(server.cores)),
        gauge(f"{PREFIX}healthy", "1 while /healthz is green", lambda: not server.unhealthy_reason()),
        counter(
            f"{PREFIX}lost_log_lines", "Log lines that nothing read, or that could not be written", logs.lost_lines
        ),
        gauge(
            f"{PREFIX}survives_a_machine",
            "1 while accepted messages are kept on a second machine",
            lambda: server.store.survives_a_machine,
        ),
        number("entries", "Entries appended to the logs of rooms"),
        number("repeated_items", "Items that had been accepted before"),
        number("refused_items", "Items for members that are not the sender's"),
        counter(f"{PREFIX}refused_frames", "Frames refused, by reason", refused, "reason"),
        counter(f"{PREFIX}denied_connections", "Handshakes with a key not let in", lambda: server.denied),
        counter(f"{PREFIX}undeliverable_answers", "Answers to gateways that are gone or too slow", answers),
        counter(f"{PREFIX}member_moves", "Members that went to another gateway, or expired without one", moves, "way"),
        counter(f"{PREFIX}moves_refused", "Members that could not go to another gateway, by reason", kept, "reason"),
        counter(f"{PREFIX}orders", "Operators' requests, by outcome", orders, "outcome"),
        number("trimmed_rooms", "Times a room's log was cut to its bounds"),
        number("passwords_refused", "Requests answered busy, because too many passwords waited"),
        number("full", "Creates and joins refused at a limit of rooms or members"),
        gauge(
            f"{PREFIX}passwords_waiting",
            "Passwords that are being hashed or wait for it",
            lambda: server.turns.passwords.jobs,
        ),
        histogram(f"{PREFIX}commit_seconds", "A commit to the store", lambda: server.turns.committer.seconds),
    ]
