"""Count what was dropped, refused, repaired or moved since the start: every bound has its counter here."""

from dataclasses import dataclass, field

from tsudoi.protocol.codes import Status

TOKEN_REFUSED = "token_refused"
"""Refused because of a signed token, or because there was none."""
OUTCOMES = (*(status.name.lower() for status in Status if status is not Status.OK), TOKEN_REFUSED)


@dataclass(slots=True)
class Counters:
    """Plain numbers, exported by `metrics`."""

    datagrams: int = 0
    accepted_messages: int = 0
    """Handed to the publisher."""
    malformed_datagrams: int = 0
    unknown_tokens: int = 0
    wrong_rooms: int = 0
    wrong_addresses: int = 0
    rate_limited: int = 0
    silenced: int = 0
    """Times that a flooding member was ignored for a while."""
    window_full: int = 0
    """Messages and commands dropped because too many waited for the broker."""
    commands: int = 0
    """Texts that were taken for commands."""
    questions_limited: int = 0
    """Commands beyond their member's limit."""
    moved_addresses: int = 0
    moves_limited: int = 0
    """Datagrams from another address of a member that has moved too often lately."""
    deliveries: int = 0
    gaps: int = 0
    """Times that news were missing, and the log was asked."""
    lost_entries: int = 0
    """Entries that the log did not hold any more."""
    replays_paced: int = 0
    """Times that a replay had to wait for its limiter."""
    resets: int = 0
    """Rooms that began a new epoch."""
    backlog_skipped: int = 0
    """Entries older than the backlog of a member whose address came late: not sent to it."""
    resumed: int = 0
    """Members taken over by their tokens, from another gateway or from an earlier run of this one."""
    adopted: int = 0
    """Members given to this gateway before their clients had sent anything here."""
    released: int = 0
    """Members released to another gateway."""
    fenced: int = 0
    """Times that this gateway had no lease, and delivered nothing before it had reconciled with the broker."""
    held_dropped: int = 0
    """Datagrams with unknown tokens that were dropped: too many were held, or the broker did not answer."""
    malformed_frames: int = 0
    requests_timed_out: int = 0
    requests_not_cleared_up: int = 0
    """Abandoned creates and joins that were not followed up, being too many: a member without a client may stay."""
    handshakes_admitted: int = 0
    refusals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    """Reason → handshakes that were refused for it."""
    connections_refused: int = 0
    """Connections refused: too many at once, of all or of an address."""
    connections_evicted: int = 0
    """Silent connections that were closed to make room for others."""
    tls_failed: int = 0
    """Connections whose TLS handshake failed, or was not done in time."""
    descriptors_ran_out: int = 0
    """Times that the system had no descriptor left: connections were closed meanwhile."""
    buffers_full: int = 0
    """Connections that were closed because they held most when all held too many bytes."""
    handshakes_limited: int = 0
    """Connections, and further requests on one, of an address that had made too many lately: answered busy, or closed
    without a word."""
    creates_limited: int = 0
    members_limited: int = 0
    """Creates and joins from an address that has as many members here as it may."""
    passwords_limited: int = 0
    """Password attempts of addresses that had too many wrong ones."""
    room_passwords_limited: int = 0
    """Password attempts in rooms with too many wrong ones from anywhere."""
    guesses_limited: int = 0
    """Datagrams with unknown tokens beyond the rate of their address."""
    room_limited: int = 0
    """Messages beyond their room's rate."""
    address_limited: int = 0
    """Messages beyond the rate of their address."""
    told_to_slow_down: int = 0
    exit_answers: int = 0

    @property
    def handshakes(self) -> int:
        """Handshakes that were answered."""
        return self.handshakes_admitted + self.handshakes_refused

    @property
    def handshakes_refused(self) -> int:
        """Handshakes that were refused, for whatever reason."""
        return sum(list(self.refusals.values()))
