"""Define what a gateway exports at /metrics; docs/metrics.md describes the same rows in words.

They are read in the HTTP server's thread, so nothing here iterates over a table of the event loop.
"""

import math
from time import monotonic

from tsudoi.ops import logs
from tsudoi.ops.metrics import Row, counter, gauge, histogram

from ..link.link import Link
from .measured import drops
from .service import Service

PREFIX = "tsudoi_gateway_"


def rows(service: Service) -> list[Row]:
    """Return a gateway's metrics; their values are read at each scrape."""
    counters, routes, core, udp = service.counters, service.routes, service.core, service.udp

    def count(name: str, help: str, field: str = "") -> Row:
        """Return the row of a counter in `Counters`."""
        return counter(f"{PREFIX}{name}", help, lambda: float(getattr(counters, field or name)))

    def one() -> Link:
        """Return a link: what is measured is the same object in all of them."""
        return routes.links[0]

    def outcomes() -> dict[str, float]:
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
        return {
            "create": counters.creates_limited,
            "member": counters.members_limited,
            "displaced": counters.members_displaced,
            "password": counters.passwords_limited,
            "room_password": counters.room_passwords_limited,
            "guess": counters.guesses_limited,
            "question": counters.questions_limited,
            "flood": counters.silenced,
        }

    def handovers() -> dict[str, float]:
        return {"resumed": counters.resumed, "adopted": counters.adopted, "released": counters.released}

    def queues() -> dict[str, float]:
        return {
            "unaccepted": routes.unaccepted,
            "requests": sum(len(link.requests) for link in routes.links),
            "held_tokens": core.unknown_tokens.held,
            "outbox": sum(server.waiting for server in udp),
        }

    return [
        # Members and their handshakes.
        gauge(f"{PREFIX}members", "Members served here", lambda: len(core.members)),
        gauge(f"{PREFIX}rooms", "Rooms with members here", lambda: len(core.members.rooms)),
        gauge(f"{PREFIX}connections", "TCP connections open", lambda: service.tcp.connections),
        counter(f"{PREFIX}handshakes", "Handshakes by outcome", outcomes, "outcome"),
        counter(f"{PREFIX}limited", "What was tried too often", limits, "what"),
        gauge(
            f"{PREFIX}certificate_expiration_timestamp_seconds",
            "When the certificate that clients are shown expires",
            lambda: service.tcp.shown.expires_at if service.tcp.shown else math.nan,
        ),
        count("descriptors_ran_out", "Times no descriptor was left"),
        count("told_to_slow_down", "Members told so"),
        counter(f"{PREFIX}handovers", "Members taken over and given up", handovers, "way"),
        count("moved_addresses", "Members that went to another address"),
        count("exit_answers", "Seed clients told to end"),
        # Webhooks.
        counter(
            f"{PREFIX}webhook_requests", "Requests of webhooks by status", lambda: counters.webhook_answers, "status"
        ),
        count("webhook_connections_refused", "Connections of webhooks closed because there were too many"),
        # WebSockets.
        gauge(
            f"{PREFIX}web_connections", "Connections open at the web listeners", lambda: service.http.web_connections
        ),
        count("web_connections_refused", "Connections at the web listeners refused because there were too many"),
        count("web_connections_displaced", "WebSockets closed because another one of their address entered a room"),
        count("web_slow", "WebSockets closed because too much waited for their clients"),
        # Version 2.
        count("sealed_packets", "Packets that were opened", "sealed_opened"),
        counter(
            f"{PREFIX}sealed_dropped", "Packets that were not, by reason", lambda: counters.sealed_dropped, "reason"
        ),
        count("sealed_retries", "Cookies sent to clients that must prove their addresses"),
        count("sealed_recalls", "Cookies sent unasked, to clients that must resume"),
        count("sealed_resumes", "Sessions served from a new address, by a new run, or after a loss"),
        count("sealed_wants", "Times a member wanted entries again"),
        gauge(f"{PREFIX}sealed_tcp", "TCP connections open that carry packets", lambda: len(service.packets)),
        count("sealed_slow", "TCP clients closed because too much waited for them"),
        # Datagrams.
        count("datagrams", "Datagrams received"),
        count("messages", "Messages taken from members", "accepted_messages"),
        count("commands", "Lines with a slash taken for commands"),
        count("deliveries", "Datagrams sent to members"),
        count("to_one", "Datagrams sent to one member alone: answers, and what it had missed"),
        counter(f"{PREFIX}dropped", "Datagrams dropped by reason", lambda: drops(counters, udp), "reason"),
        # The order of rooms.
        count("gaps", "Times that news were missing and the log was asked"),
        count("lost_entries", "Entries that the log did not hold any more"),
        count("resets", "Rooms that began a new epoch"),
        count("unknown_members", "Members removed because the directory did not know them"),
        count("replays_paced", "Times a replay waited for its rate"),
        count("fenced", "Times that it was out of touch and delivered nothing"),
        # The way to the broker.
        histogram(
            f"{PREFIX}accept_seconds",
            "From a frame of messages sent to the broker to its being accepted",
            lambda: one().publisher.accept_s,
        ),
        histogram(f"{PREFIX}canary_seconds", "A probe's way to the broker and back", lambda: one().canary.round_trip_s),
        gauge(f"{PREFIX}queue_length", "What waits, by queue", queues, "queue"),
        counter(f"{PREFIX}resent_items", "Items sent to the broker again", lambda: routes.resent),
        counter(
            f"{PREFIX}unsent_frames", "Frames that found the socket to the broker full", lambda: service.sockets.unsent
        ),
        counter(f"{PREFIX}lost_canaries", "Probes that never came back", lambda: routes.lost_canaries),
        count("requests_timed_out", "Questions the broker did not answer"),
        count("requests_not_cleared_up", "Creates and joins whose answers were lost, too many at a time"),
        count("malformed_frames", "Broken frames from the broker"),
        counter(
            f"{PREFIX}lost_log_lines", "Log lines that nothing read, or that could not be written", logs.lost_lines
        ),
        gauge(f"{PREFIX}healthy", "1 while /healthz is green", lambda: not service.unhealthy_reason(monotonic())),
    ]
