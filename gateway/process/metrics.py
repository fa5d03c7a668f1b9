"""Define what a gateway exports at /metrics; docs/metrics.md describes the same rows in words.

They are read in the HTTP server's thread, so nothing here iterates over a table of the event loop.
"""

import math
from dataclasses import Field, fields
from functools import partial
from time import monotonic

from tsudoi.ops import logs
from tsudoi.ops.metrics import Row, counter, gauge, histogram

from ..counters import Counters
from ..link.link import Link
from .measured import drops
from .service import Service

PREFIX = "tsudoi_gateway_"


def rows(service: Service) -> list[Row]:
    """Return a gateway's metrics; their values are read at each scrape."""
    counters, routes, core, udp = service.counters, service.routes, service.core, service.udp

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
        counter(f"{PREFIX}handovers", "Members taken over and given up", handovers, "way"),
        # Webhooks.
        counter(
            f"{PREFIX}webhook_requests", "Requests of webhooks by status", lambda: counters.webhook_answers, "status"
        ),
        # WebSockets.
        gauge(
            f"{PREFIX}web_connections", "Connections open at the web listeners", lambda: service.http.web_connections
        ),
        # Version 2.
        counter(
            f"{PREFIX}sealed_dropped", "Packets that were not, by reason", lambda: counters.sealed_dropped, "reason"
        ),
        gauge(f"{PREFIX}sealed_tcp", "TCP connections open that carry packets", lambda: len(service.packets)),
        # Datagrams.
        counter(f"{PREFIX}dropped", "Datagrams dropped by reason", lambda: drops(counters, udp), "reason"),
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
        counter(
            f"{PREFIX}lost_log_lines", "Log lines that nothing read, or that could not be written", logs.lost_lines
        ),
        gauge(f"{PREFIX}healthy", "1 while /healthz is green", lambda: not service.unhealthy_reason(monotonic())),
        *(
            counter(
                PREFIX + (each.metadata["name"] or each.name), each.metadata["help"], partial(_count, counters, each)
            )
            for each in fields(Counters)
            if each.metadata
        ),
    ]


def _count(counters: Counters, counted: "Field[int]") -> float:
    return float(getattr(counters, counted.name))
