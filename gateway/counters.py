"""Count what was dropped, refused, repaired or moved since the start: every bound has its counter here."""

from dataclasses import dataclass, field
from typing import Any

from tsudoi.protocol.codes import Status

TOKEN_REFUSED = "token_refused"
"""Refused because a signed token is wrong or missing."""
WEBHOOK_STATUSES = (200, 400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 431, 501, 503)
"""Of answers to webhooks."""
SEALED_DROPS = ("malformed", "unknown", "forged", "replayed", "limited", "late")
"""Why a packet of version 2 is dropped: it is none; its session is none of this service's; it can not be opened; its
count has come already, or one that is much higher; too many of its session come from where it is not served, or too
many in vain from its source; it has waited for too long at a gateway that is behind."""
OUTCOMES = (*(status.name.lower() for status in Status if status is not Status.OK), TOKEN_REFUSED)


def exported(help: str, name: str = "") -> Any:
    """Return a counter with a row of its own in /metrics, named as its field, or `name`."""
    return field(default=0, metadata={"help": help, "name": name})


@dataclass(slots=True)
class Counters:
    """Plain numbers. Those that are not `exported` share rows, which `process/metrics.py` makes."""

    # Datagrams of members.
    datagrams: int = exported("Datagrams received")
    accepted_messages: int = exported("Messages taken from members", "messages")
    commands: int = exported("Lines with a slash taken for commands")
    malformed_datagrams: int = 0
    unknown_tokens: int = 0
    wrong_rooms: int = 0
    wrong_addresses: int = 0
    moved_addresses: int = exported("Members that went to another address")
    window_full: int = 0
    """Messages and commands dropped because too many waited for the broker."""
    held_dropped: int = 0
    """Datagrams with unknown tokens dropped: too many were held, or the broker did not answer."""
    exit_answers: int = exported("Refused clients of the dialect classic told to end")
    # Beyond a limit of a member, an address or a room.
    rate_limited: int = 0
    address_limited: int = 0
    room_limited: int = 0
    questions_limited: int = 0
    """Commands and questions."""
    moves_limited: int = 0
    """Datagrams from a further address of a member that has moved too often lately."""
    guesses_limited: int = 0
    """Datagrams with unknown tokens."""
    silenced: int = 0
    """Times that a flooding member was ignored for a while."""
    told_to_slow_down: int = exported("Members told to slow down")
    # Delivery.
    deliveries: int = exported("Datagrams sent to members")
    to_one: int = exported("Datagrams sent to one member alone: answers, and what it had missed")
    gaps: int = exported("Times that news were missing and the log was asked")
    lost_entries: int = exported("Entries that the log did not hold any more")
    replays_paced: int = exported("Times a replay waited for its rate")
    resets: int = exported("Rooms that began a new epoch")
    # Sessions.
    resumed: int = 0
    """Members taken over by their tokens."""
    adopted: int = 0
    """Members that the directory gave to this gateway."""
    released: int = 0
    """Members released to another gateway."""
    unknown_members: int = exported("Members removed because the directory did not know them")
    fenced: int = exported("Times that this gateway lost its lease and delivered nothing")
    # The broker.
    malformed_frames: int = exported("Broken frames from the broker")
    requests_timed_out: int = exported("Questions the broker did not answer")
    requests_not_followed_up: int = exported("Creates and joins without an answer, too many at a time")
    # Webhooks.
    webhook_answers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, WEBHOOK_STATUSES), 0))
    """HTTP status → requests answered with it."""
    webhook_connections_refused: int = exported("Connections of webhooks closed because there were too many")
    # WebSockets.
    web_connections_refused: int = exported("Connections at the web listeners refused because there were too many")
    web_connections_displaced: int = exported("WebSockets closed because another one of their address entered a room")
    web_slow: int = exported("WebSockets closed because too much waited for their clients")
    # Version 2.
    sealed_opened: int = exported("Packets that were opened", "sealed_packets")
    sealed_dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SEALED_DROPS, 0))
    """Reason → packets that were not."""
    sealed_retries: int = exported("Cookies sent to clients that must prove their addresses")
    sealed_recalls: int = exported("Cookies sent unasked, to clients that must resume")
    sealed_resumes: int = exported("Sessions served from a new address, by a new run, or after a loss")
    sealed_wants: int = exported("Times a member wanted entries again")
    sealed_slow: int = exported("TCP clients closed because too much waited for them")
    # Connections and handshakes.
    handshakes_admitted: int = 0
    refusals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    """Reason → handshakes refused for it."""
    connections_refused: int = 0
    """Too many at once, in all or from one address."""
    connections_evicted: int = 0
    """Silent connections closed to make room for others."""
    tls_failed: int = 0
    descriptors_ran_out: int = exported("Times no descriptor was left")
    buffers_full: int = 0
    """Connections closed because they held most when all together held too many bytes."""
    handshakes_limited: int = 0
    """Connections and further requests of an address that made too many: answered busy, or closed without an answer."""
    creates_limited: int = 0
    members_limited: int = 0
    """Creates and joins from an address that has as many members here as it may."""
    members_displaced: int = 0
    """Members that never spoke, or in quiet rooms, removed because their address had its most and another one came."""
    passwords_limited: int = 0
    """Password attempts of addresses with too many wrong ones."""
    room_passwords_limited: int = 0
    """Password attempts in rooms with too many wrong ones from anywhere."""
