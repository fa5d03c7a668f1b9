"""What was dropped, refused, repaired or moved, since the start: every bound has its counter here."""

from dataclasses import dataclass, field

from tsudoi.protocol.codes import Status

TOKEN_REFUSED = "token_refused"
"""For a signed token, or for want of one."""
OUTCOMES = (*(status.name.lower() for status in Status if status is not Status.OK), TOKEN_REFUSED)


@dataclass(slots=True)
class Counters:
    """Plain numbers; the I/O layer adds its own."""

    datagrams: int = 0
    accepted_messages: int = 0
    """Handed to the publisher."""
    malformed_datagrams: int = 0
    unknown_tokens: int = 0
    wrong_rooms: int = 0
    wrong_addresses: int = 0
    rate_limited: int = 0
    silenced: int = 0
    """Times that a member was not heard for a while, as it flooded."""
    window_full: int = 0
    """Messages dropped because the broker has been away for too many of them."""
    commands: int = 0
    """Lines with a slash that were taken for commands."""
    questions_limited: int = 0
    """Commands of members that give too many, or ask too much by them."""
    moved_addresses: int = 0
    moves_limited: int = 0
    """Datagrams from one more address of a member that has had too many lately."""
    deliveries: int = 0
    gaps: int = 0
    """Times that news were missing and the log was asked."""
    lost_entries: int = 0
    """Entries that the log did not hold any more."""
    replays_paced: int = 0
    """Times that a replay had to wait, as so much of it was told already."""
    resets: int = 0
    """Rooms that began a new epoch."""
    backlog_skipped: int = 0
    """Entries older than the backlog of a member whose address came late."""
    resumed: int = 0
    """Members taken over from another gateway, or from this one's run before."""
    adopted: int = 0
    """Members taken over before their clients had sent anything here."""
    released: int = 0
    """Members given up to another gateway."""
    fenced: int = 0
    """Times that we were out of touch, and delivered nothing before the broker had said whom we serve still."""
    held_dropped: int = 0
    """Datagrams that waited for an answer about their token when there were too many of them."""
    malformed_frames: int = 0
    requests_timed_out: int = 0
    requests_not_cleared_up: int = 0
    """Creates and joins whose answers were lost, too many at a time: a member may be left that nobody knows."""
    handshakes_admitted: int = 0
    refusals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    """Why handshakes were refused → how many."""
    connections_refused: int = 0
    """Too many at once, of all or of an address."""
    connections_evicted: int = 0
    """Closed after a long silence, as their place was needed."""
    tls_failed: int = 0
    """Connections whose TLS handshake failed, or was not done in time."""
    descriptors_ran_out: int = 0
    """Times that the system gave this process no more descriptors; who came meanwhile was turned away."""
    buffers_full: int = 0
    """Connections that were closed as too many bytes were held for all, and most of these for them."""
    handshakes_limited: int = 0
    """Connections, and further requests on one, of an address that had made too many lately: answered busy, or closed
    without a word."""
    creates_limited: int = 0
    members_limited: int = 0
    """Creates and joins from an address that has as many members here as it may."""
    passwords_limited: int = 0
    """Tries of addresses that had tried too many wrong ones."""
    room_passwords_limited: int = 0
    """Tries in rooms in which too many wrong ones had been tried, wherever they came from."""
    guesses_limited: int = 0
    """Datagrams with an unknown token from an address that had shown too many such."""
    room_limited: int = 0
    """Messages dropped as too much was said in their room."""
    address_limited: int = 0
    """Messages dropped as members from their address said too much."""
    told_to_slow_down: int = 0
    exit_answers: int = 0

    @property
    def handshakes(self) -> int:
        """How many were answered."""
        return self.handshakes_admitted + self.handshakes_refused

    @property
    def handshakes_refused(self) -> int:
        """How many were refused, for whatever reason."""
        return sum(list(self.refusals.values()))
