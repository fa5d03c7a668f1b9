"""Report a gateway's numbers to its brokers once a second, for operators; `metrics.py` exports the same ones."""

from collections.abc import Sequence

from tsudoi.protocol.backbone import Measured

from ..counters import Counters
from ..link.routes import Routes
from ..listeners.udp import UDPServer

REPORT_S = 1.0


def drops(counters: Counters, udp: Sequence[UDPServer]) -> dict[str, float]:
    """Return reason → datagrams dropped for it. May be called from another thread."""
    return {
        "malformed": counters.malformed_datagrams,
        "unknown_token": counters.unknown_tokens,
        "wrong_room": counters.wrong_rooms,
        "wrong_address": counters.wrong_addresses,
        "moves": counters.moves_limited,
        "rate": counters.rate_limited,
        "room_rate": counters.room_limited,
        "address_rate": counters.address_limited,
        "window_full": counters.window_full,
        "held": counters.held_dropped,
        "outbox_full": sum(server.dropped for server in udp),
        "unsendable": sum(server.failed for server in udp),
        "silenced": sum(server.filtered for server in udp),
        "kernel_buffer": sum(server.overflowed for server in udp),
    }


def measure(counters: Counters, routes: Routes, udp: Sequence[UDPServer], now: float) -> Measured:
    """Return the report of this moment; `now` is monotonic seconds."""
    first = routes.links[0]  # what is measured is the same object in all links
    return Measured(
        int(now * 1000),
        counters.deliveries,
        int(sum(drops(counters, udp).values())),
        list(first.publisher.accept_s.counts),
        list(first.canary.round_trip_s.counts),
        routes.lost_canaries,
    )
