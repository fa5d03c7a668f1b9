"""Compute the table of docs/scale.md from what was measured: `python -m benchmarks.cluster.scale` prints it."""

from collections.abc import Callable
from dataclasses import dataclass

from tsudoi.protocol.backbone import SHARDS

CANARIES_S = 4
"""Canaries a second, of each shard at each gateway."""
ROOM_MEMBERS, SILENCE_S = 10, 100
"""The work that is assumed: rooms of ten, each member at another gateway, and a message of each member in 100 s."""
LOG_ENTRIES = 10_000
TURNS_S = 480
"""Turns of a broker a second, at most: on an idle machine a commit and its turn take 2 ms."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one machine, from benchmarks/RESULTS.md; times are processor time in seconds."""

    turn: float = 1.04e-3
    """Of a broker, for a turn. This and the next three from the rows "one broker" for 1,000 and 10,000 messages/s."""
    message: float = 27e-6
    """Of a broker, for a message that is alone in its frame; in fuller frames it is 10 µs and less."""
    database_turn: float = 530e-6
    """Of both PostgreSQL servers."""
    database_message: float = 10e-6
    wal_turn: float = 470.0
    """Bytes written ahead for a turn. This and the next of texts of words."""
    wal_message: float = 330.0
    canary: float = 6.3e-6
    """Of a broker, for a canary of one shard of one gateway: row "an idle gateway", by 256 canaries a second."""
    connection: float = 79 * 1024.0
    """Bytes of a broker's memory for a gateway: the same row."""
    topic: float = 10.4e-6
    """Of a broker, for a subscription: row "a subscription"."""
    topic_bytes: float = 866.0
    idle_broker: float = 1.9e-3
    """Of both PostgreSQL servers, a second: row "an idle broker"."""
    member: float = 1_100.0
    """Bytes of a broker's memory. This and the next four from the row "takeover of a shard"."""
    member_row: float = 246.0
    """Bytes in the database."""
    room_row: float = 211.0
    log_message: float = 140.0
    """Bytes in the log of a text of 100, not compressed."""
    load: float = 10e-6
    """Seconds of a takeover for a member."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """So many of each."""

    brokers: int
    gateways: int
    members: int
    cost: Measured = Measured()

    @property
    def shards(self) -> int:
        """Shards of the fullest broker, as `broker/shards/spread.py` spreads them."""
        return -(-SHARDS // self.brokers)

    @property
    def working(self) -> int:
        """Brokers that own shards; the figures are those of one that is full."""
        return SHARDS // self.shards

    @property
    def messages(self) -> float:
        """Messages a second."""
        return self.members / SILENCE_S

    @property
    def turns(self) -> float:
        """Turns of a working broker a second."""
        return min(self.messages / self.working, TURNS_S)

    @property
    def broker(self) -> float:
        """Cores that a working broker keeps busy."""
        canaries = CANARIES_S * SHARDS * self.gateways / self.working
        return (
            self.turns * self.cost.turn + self.messages / self.working * self.cost.message + canaries * self.cost.canary
        )

    @property
    def database(self) -> float:
        """Cores that both PostgreSQL servers keep busy."""
        return (
            self.working * self.turns * self.cost.database_turn
            + self.messages * self.cost.database_message
            + self.brokers * self.cost.idle_broker
        )

    @property
    def wal(self) -> float:
        """Bytes written ahead a second."""
        return self.working * self.turns * self.cost.wal_turn + self.messages * self.cost.wal_message

    @property
    def subscriptions(self) -> float:
        """Of a working broker: a room's at each gateway that has a member of it."""
        return self.members / ROOM_MEMBERS * min(ROOM_MEMBERS, self.gateways) / self.working

    @property
    def broker_bytes(self) -> float:
        """Memory of a working broker."""
        return (
            self.members / self.working * self.cost.member
            + self.subscriptions * self.cost.topic_bytes
            + self.gateways * self.cost.connection
        )

    @property
    def log(self) -> float:
        """Bytes of all logs, with the default bounds."""
        a_day = 86_400 * ROOM_MEMBERS / SILENCE_S
        return self.members / ROOM_MEMBERS * min(a_day, LOG_ENTRIES) * self.cost.log_message

    @property
    def rows(self) -> float:
        """Bytes of members and rooms in the database."""
        return self.members * (self.cost.member_row + self.cost.room_row / ROOM_MEMBERS)


DEPLOYMENTS = (
    Deployment(2, 4, 20_000),
    Deployment(8, 50, 500_000),
    Deployment(32, 300, 3_000_000),
    Deployment(100, 1_000, 10_000_000),
)
_GIB = 2**30
LINES: tuple[tuple[str, str, Callable[[Deployment], str]], ...] = (
    ("messages/s; deliveries/s", "members ÷ 100; × 10", lambda d: f"{d.messages:,.0f}; {10 * d.messages:,.0f}"),
    ("connections in all", "2 × gateways × brokers", lambda d: f"{2 * d.gateways * d.brokers:,}"),
    ("shards of a broker", "64 ÷ brokers, rounded up", lambda d: f"{d.shards}"),
    ("canaries/s of a broker", "4 × its shards × gateways", lambda d: f"{CANARIES_S * d.shards * d.gateways:,}"),
    ("subscriptions of a broker", "its rooms × gateways of a room", lambda d: f"{d.subscriptions:,.0f}"),
    ("CPU when all of these come anew", "10.4 µs each", lambda d: f"{d.subscriptions * d.cost.topic:.2f} s"),
    (
        "cores of a broker",
        "turns/s × 1.04 ms + messages/s × 27 µs + canaries/s × 6.3 µs",
        lambda d: f"{d.broker:.2f}",
    ),
    (
        "memory of a broker",
        "members × 1,100 B + subscriptions × 866 B + gateways × 79 KiB",
        lambda d: f"{d.broker_bytes / _GIB:.2f} GiB",
    ),
    (
        "takeover of a shard, after the lease",
        "its members × 10 µs",
        lambda d: f"{d.members / SHARDS * d.cost.load:.2f} s",
    ),
    ("commits/s of all brokers", "one a turn", lambda d: f"{d.working * d.turns:,.0f}"),
    (
        "cores of both PostgreSQL servers",
        "commits/s × 530 µs + messages/s × 10 µs + brokers × 1.9 ms",
        lambda d: f"{d.database:.1f}",
    ),
    ("renewals and looks/s", "2 × brokers", lambda d: f"{2 * d.brokers}"),
    ("connections of the database", "4 × brokers", lambda d: f"{4 * d.brokers}"),
    ("WAL", "commits/s × 470 B + messages/s × 330 B", lambda d: f"{d.wal / 2**20:.1f} MiB/s"),
    ("logs", "rooms × a day's messages, 10,000 at most × 140 B", lambda d: f"{d.log / _GIB:,.0f} GiB"),
    ("rows of members and rooms", "members × 246 B + rooms × 211 B", lambda d: f"{d.rows / _GIB:.2f} GiB"),
)
"""What grows, how, and the figure of a deployment."""


def table() -> str:
    """Return the table in Markdown."""
    heads = [f"{d.brokers} brokers, {d.gateways:,} gateways, {d.members:,} members" for d in DEPLOYMENTS]
    lines = [f"| what | how it grows | {' | '.join(heads)} |", "|---|---|" + "--:|" * len(heads)]
    lines += [f"| {what} | {how} | {' | '.join(map(figure, DEPLOYMENTS))} |" for what, how, figure in LINES]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
