"""What a gateway tells at /metrics; docs/metrics.md has the same rows in words.

Read in the HTTP server's thread, so nothing here walks over a table of the event loop's.
"""

from collections.abc import Callable
from time import monotonic

from tsudoi.ops.metrics import Row, counter, gauge, histogram

from .service import Service

PREFIX = "tsudoi_gateway_"


def rows(service: Service) -> list[Row]:
    """Return what is told of a gateway; nothing is read before somebody asks."""
    return [
        *_members(service),
        *_datagrams(service),
        *_order(service),
        *_backbone(service),
        gauge(f"{PREFIX}healthy", "1 while /healthz is green", lambda: not service.illness(monotonic())),
    ]


def _count(service: Service, field: str) -> Callable[[], float]:
    return lambda: float(getattr(service.counters, field))


def _members(service: Service) -> list[Row]:
    def outcomes() -> dict[str, float]:
        counters = service.counters
        return {
            "admitted": counters.handshakes_admitted,
            **counters.refusals,
            "no_connection_left": counters.connections_refused,
            "evicted": counters.connections_evicted,
            "buffers_full": counters.buffers_full,
            "limited": counters.handshakes_limited,
            "tls_failed": counters.tls_failed,
        }

    def limits() -> dict[str, float]:
        counters = service.counters
        return {
            "create": counters.creates_limited,
            "member": counters.members_limited,
            "password": counters.passwords_limited,
            "room_password": counters.room_passwords_limited,
            "guess": counters.guesses_limited,
            "question": counters.questions_limited,
            "flood": counters.silenced,
        }

    def changes() -> dict[str, float]:
        counters = service.counters
        return {"resumed": counters.resumed, "adopted": counters.adopted, "released": counters.released}

    return [
        gauge(f"{PREFIX}members", "Members served here", lambda: len(service.core.members)),
        gauge(f"{PREFIX}rooms", "Rooms with members here", lambda: len(service.core.members.rooms)),
        gauge(f"{PREFIX}connections", "TCP connections open", lambda: service.tcp.connections),
        counter(f"{PREFIX}handshakes", "Handshakes by outcome", outcomes, "outcome"),
        counter(f"{PREFIX}limited", "What was tried too often", limits, "what"),
        counter(f"{PREFIX}descriptors_ran_out", "Times no descriptor was left", _count(service, "descriptors_ran_out")),
        counter(f"{PREFIX}told_to_slow_down", "Members told so", _count(service, "told_to_slow_down")),
        counter(f"{PREFIX}handovers", "Members taken over and given up", changes, "way"),
        counter(f"{PREFIX}moved_addresses", "Members that went to another address", _count(service, "moved_addresses")),
        counter(f"{PREFIX}exit_answers", "Seed clients told to end", _count(service, "exit_answers")),
    ]


def _datagrams(service: Service) -> list[Row]:
    def drops() -> dict[str, float]:
        counters = service.counters
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
            "outbox_full": sum(server.dropped for server in service.udp),
            "unsendable": sum(server.failed for server in service.udp),
            "silenced": sum(server.filtered for server in service.udp),
            "kernel_buffer": sum(server.overflowed for server in service.udp),
        }

    return [
        counter(f"{PREFIX}datagrams", "Datagrams received", _count(service, "datagrams")),
        counter(f"{PREFIX}messages", "Messages taken from members", _count(service, "accepted_messages")),
        counter(f"{PREFIX}commands", "Lines with a slash taken for commands", _count(service, "commands")),
        counter(f"{PREFIX}deliveries", "Datagrams sent to members", _count(service, "deliveries")),
        counter(f"{PREFIX}dropped", "Datagrams dropped by reason", drops, "reason"),
    ]


def _order(service: Service) -> list[Row]:
    return [
        counter(f"{PREFIX}gaps", "Times that news were missing and the log was asked", _count(service, "gaps")),
        counter(f"{PREFIX}lost_entries", "Entries that the log did not hold any more", _count(service, "lost_entries")),
        counter(f"{PREFIX}resets", "Rooms that began a new epoch", _count(service, "resets")),
        counter(f"{PREFIX}replays_paced", "Times a replay waited for its rate", _count(service, "replays_paced")),
        counter(
            f"{PREFIX}backlog_skipped",
            "Entries beyond the backlog of a member whose address came late",
            _count(service, "backlog_skipped"),
        ),
        counter(f"{PREFIX}fenced", "Times that it was out of touch and delivered nothing", _count(service, "fenced")),
        histogram(
            f"{PREFIX}accept_seconds",
            "From a frame of messages sent to the broker to its being accepted",
            lambda: service.link.publisher.accept_s,
        ),
        histogram(
            f"{PREFIX}canary_seconds",
            "A probe's way to the broker and back",
            lambda: service.link.canary.round_trip_s,
        ),
        histogram(f"{PREFIX}batch_items", "Items in a frame to the broker", lambda: service.link.publisher.batches),
    ]


def _backbone(service: Service) -> list[Row]:
    def queues() -> dict[str, float]:
        return {
            "unaccepted": len(service.link.publisher),
            "requests": len(service.link.requests),
            "held_tokens": service.core.unknown_tokens.held,
            "outbox": sum(server.waiting for server in service.udp),
        }

    return [
        gauge(f"{PREFIX}queue_length", "What waits, by queue", queues, "queue"),
        counter(f"{PREFIX}resent_items", "Items sent to the broker again", lambda: service.link.publisher.resent),
        counter(f"{PREFIX}unsent_frames", "Frames that found the socket to the broker full", lambda: service.unsent),
        counter(f"{PREFIX}lost_canaries", "Probes that never came back", lambda: service.link.canary.lost),
        counter(
            f"{PREFIX}requests_timed_out", "Questions the broker did not answer", _count(service, "requests_timed_out")
        ),
        counter(
            f"{PREFIX}requests_not_cleared_up",
            "Creates and joins whose answers were lost, too many at a time",
            _count(service, "requests_not_cleared_up"),
        ),
        counter(f"{PREFIX}malformed_frames", "Broken frames from the broker", _count(service, "malformed_frames")),
    ]
