"""What is aimed at, and what stands in the way where it is not reached.

The words on where the time goes are from profiles of 2026-11-28 and 29 on the machine that RESULTS.md is from. They are
data, so that a new run keeps them; who changes the hot path takes profiles again and changes them here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for one figure of one row."""

    text: str
    """As a reader is told it."""
    limit: float
    why_not: str
    """If it is not held: which work takes the time, and what would have to change."""
    at_least: bool = False
    """Whether the figure must reach the limit; otherwise it must not pass it."""

    def is_held(self, figure: float) -> bool:
        """Say whether a reading is good enough."""
        return figure >= self.limit if self.at_least else figure <= self.limit


_FEWER_TURNS = (
    "Below 5,000 messages a second each millisecond with messages makes a turn through gateway, broker and gateway,"
    " which costs 0.2 ms besides its messages: many bytecodes and system calls, one transaction. To go lower,"
    " messages would have to wait longer for company, as they do above that rate."
)
_LARGE = (
    "Each message is alone in its turn, on caches that have gone cold in the 17 or 50 ms since the last; seven"
    " tenths of its time are the kernel's (perf), as the relay's are. Two messages a turn would save 8 % of a"
    " delivery, and make 99 in 100 wait for up to 43 ms instead of 5."
)
_TOGETHER_25 = (
    "Messages wait for company for 25 ms; at 200 a second five are in a turn, which costs 0.3 ms besides them. With"
    " 16 ms the ratios at 20,000 deliveries/s were 1.96 in a room of 100 and 1.45 in a room of 10."
)
_LONE = (
    "The message passes 120 Python functions (3,700 bytecodes besides the store's), 15 system calls and one"
    " transaction, in one round of the event loop; two thirds of the time are the interpreter's, a fifth the commit's."
    " A bytecode takes 0.1 µs, as nearly each misses the caches, which have gone cold: the same message costs less than"
    " half when the next one follows at once. A quarter of the functions and 23 of 38 system calls less saved 2 to 3 %;"
    " huge pages, Python 3.13 and another build of 3.11 nothing. To go lower: a compiled core, or a journal instead of"
    " a transaction."
)
_MANY_SENDS = (
    "At the highest rate half of the time is the interpreter's, two fifths the kernel's (perf): 1,240 bytecodes a"
    " message, 8 µs on warm caches, and more in a turn of 1,000 members, whose state does not stay in them; an eighth"
    " of the bytecodes less took nothing off the CPU time, in turns (`benchmarks.compare`, nine rounds). The"
    " relay, which is all kernel, takes 14 µs for all. Members of small rooms seldom have two messages in one turn,"
    " so there is little to send in segments; one system call for many rooms would save 1.5 µs, and to put their"
    " headers together takes 1.2. To read 2,048 datagrams a turn, not 1,024, saved 2 to 7 %, but holds up all else"
    " for 50 ms. To wait up to 25 ms for company when the event loop hardly rests took 12 % less at 60,000 deliveries/s"
    " and nothing at 100,000, and p50 was 36 ms, not 12."
)
_SEGMENTS = (
    "A burst has as many messages as one turn has for the room, at most 64; smaller ones are slower. In a room of"
    " 100, 87 % of the time are the kernel's (perf), so without any Python the ratio would be 2.4. In a room of 10"
    " the kernel takes half, and gateway and broker 12 µs a message, of 11 that the target leaves for all."
)
_CHAT_LENGTHS = (
    "A pass through the kernel has messages of one size and one shorter one behind them, and all members hear one"
    " order: of lengths of real chat 100 messages make 63 passes (`segments.burst_ends`). By what a pass and a datagram"
    " cost in the rows of equal lengths, 3.4 and 3.2 µs in a room of 10, that is a ratio of 1.25 at best."
)
_GATHERED = (
    "Messages wait for company for 0.8 ms, a turn takes 0.55. The rest is the machine's: here it takes the cores away"
    " for 4 ms at a time, which the relay, though it waits for nothing, feels as well. Where it did not, and messages"
    " waited for 0.7 ms, 99 in 100 came within 1.4 to 1.6 ms. NATS, Redis and Mosquitto, which are compiled, handle"
    " each message by itself."
)
_COLD = (
    "No timer is in it. After 25 ms of rest all code runs on cold caches: the datagram's way to the broker, the"
    " commit (0.1 ms cold, 0.01 warm), the news and the fan-out, all in one wake-up. Machines differ: what took 274"
    " µs on another one took 850 to 1,020 on this. A process that polled without rest would be faster, and use a"
    " core."
)
_ONE_BY_ONE = (
    "It is not the connection: a server in Python that does nothing gets nearly as many as the one in C. The time"
    " goes into the way to the broker, one transaction and, for a new room, a subscription, on caches gone cold: the"
    " same code takes a third of it when 200 join at once. To go lower: a reply that does not wait for the commit."
)
_TOGETHER = (
    "Half of a join is the gateway's (connection and conversation 33 %, replies 14 %), a third the broker's"
    " (requests 10 %, the commit 9 %, frames), and a seventh the event loop's own accepting, reading and closing."
    " Frames and commits are shared by the joins of a turn."
)
_MEMORY = (
    "Python's objects are 1.2 KiB a member: in the gateway the member, its token, addresses and name, in the broker the"
    " member, its name, its token's hash, its address and the indexes. Larger blocks (tables, the prepared headers of"
    " `sendmmsg`, the database's pages) are 0.35; the rest is what the burst of 10,000 joins leaves behind in arenas"
    " that Python does not give back. To go lower: members as columns of arrays, not as objects."
)
_SEALING = (
    "AES-GCM by `cryptography` takes 0.7 µs of 150 bytes, on cold caches 1.65, as it copies a context of 2 KB;"
    " and the kernel 0.2 more for a payload of each member's own than for one that all share. To go lower: a call that"
    " seals many."
)
_SEALED_LARGE = (
    "A packet has up to 10 lines and takes 5 µs: 38 % are the kernel's (the receivers' part included), 28 % those of"
    " AES-GCM by `cryptography`, of which the cipher itself has a quarter, the rest the interpreter's and `malloc`'s"
    " (perf, 2026-11-30). To seal into the buffer that is sent saved 0.15 to 0.3 µs. To go lower: a call that seals"
    " many. Machines differ: the target was set where `classic`, one by one, sent 0.38 M datagrams a second, a fifth"
    " of it. What bare `sendmmsg` can send here stands beside it."
)
_SEALED_LINES = (
    "Of 20 µs for a line, a third goes into the packets down, a fifth is its way up (opening, limits, publishing), a"
    " sixth the broker's, as much goes until it is encoded for the room; the rest is the transaction's and the event"
    " loop's. Only what goes down is shared by the members that hear it. `classic`, which stands beside it, held 23,000"
    " messages/s in the morning of 2026-11-30, and 32,000 in the evening. To go lower: a call that seals many."
)
_SHARED = "Brokers, two PostgreSQL servers and the load share the cores of this machine."
_ROUND_TRIP = (
    "A commit is one round trip to the primary, its fsync, the way to the standby and the standby's fsync; and two"
    " hand-overs between threads of the broker."
)

TARGETS = {
    "websocket steady": Target("≤ 1.6", 1.6, _FEWER_TURNS),
    "websocket peer": Target("≤ 1.0", 1.0, "Most of a delivery is the system call that writes its frame."),
    "websocket memory": Target(
        "≤ 8 KiB", 8.0, "Half is the connection's parser and its transport, a fifth the member in gateway and broker."
    ),
    "sealed datagram": Target("≤ 1.35", 1.35, _SEALING),
    "sealed large": Target("≥ 2,000,000 deliveries/s", 2_000_000, _SEALED_LARGE, at_least=True),
    "sealed many": Target("≥ 2", 2.0, _SEALED_LINES, at_least=True),
    "sealed memory": Target(
        "≤ 0.6 KiB more", 0.6, "The session, its run and the window of its counts, and a place in a table by session."
    ),
    "sealed idle": Target(
        "≤ 3 % of a core",
        3.0,
        "A ping costs a hash with a key, two ciphers and two packets, on caches gone cold; 111 are read at a time, "
        "when the process wakes up in any case.",
    ),
    "large highest": Target("≥ 2.2", 2.2, _SEGMENTS, at_least=True),
    "large bare": Target("≤ 0.5", 0.5, _SEGMENTS),
    "large 20": Target("≤ 1.15", 1.15, _LARGE),
    "large 60": Target("≤ 1.05", 1.05, _LARGE),
    "middle highest": Target("≥ 2.5", 2.5, _SEGMENTS, at_least=True),
    "middle 20": Target("≤ 1.5", 1.5, _TOGETHER_25),
    "middle 60": Target("≤ 1.3", 1.3, _TOGETHER_25),
    "small highest": Target("≥ 1.6", 1.6, _SEGMENTS, at_least=True),
    "small 20": Target("≤ 1.6", 1.6, _TOGETHER_25),
    "small 60": Target("≤ 1.2", 1.2, _TOGETHER_25),
    "many highest": Target("≥ 0.9", 0.9, _MANY_SENDS, at_least=True),
    "many 20": Target("≤ 1.5", 1.5, _FEWER_TURNS),
    "many 60": Target("≤ 1.2", 1.2, _MANY_SENDS),
    "many p99": Target("≤ 1.5 ms", 1.5, _GATHERED),
    "chat lengths": Target("≥ 1.25", 1.25, _CHAT_LENGTHS, at_least=True),
    "catching up": Target(
        "≥ 2",
        2.0,
        "Without other messages an entry takes 3.3 µs: 0.9 in the broker, which reads, decodes and encodes it, 1.3 in"
        " the gateway, which decodes, chooses and encodes it, 0.8 for its send in segments, and turns. In this row the"
        " messages of the others, each in a turn of its own, take as much again.",
        at_least=True,
    ),
    "lone": Target("≤ 5", 5.0, _LONE),
    "rest": Target("≤ 8 wake-ups a second", 8.0, "Canaries and ticks come four times a second."),
    "room p50": Target("≤ 1.5", 1.5, _COLD),
    "room p99": Target("≤ 2", 2.0, _COLD),
    "quiet p50": Target("≤ 150 µs above the relay", 150, _COLD),
    "joins one": Target("≥ 2,500 joins/s", 2_500, _ONE_BY_ONE, at_least=True),
    "joins many": Target("≥ 6,000 joins/s", 6_000, _TOGETHER, at_least=True),
    "memory": Target("≤ 1.5 KiB", 1.5, _MEMORY),
    "idle": Target("≤ 2 % of a core", 2.0, "Sweeps look at members whose time has come, and at no others."),
    "growth": Target(
        "≤ 1.2", 1.2, "Nothing a message needs is searched for; what grows is the memory, so caches miss more often."
    ),
    "workers": Target(
        "≥ 1.7",
        1.7,
        "Each worker wakes up for its own share of a turn: two turns for one. The more there is to do, the less that"
        " is.",
        at_least=True,
    ),
    "pg rate": Target("≥ 50,000 messages/s, ≤ 1,000 commits/s", 50_000 * 0.99, _SHARED, at_least=True),
    "pg p50": Target("≤ 3 ms above SQLite", 3.0, _ROUND_TRIP),
    "pg p99": Target("≤ 10 ms", 10.0, _ROUND_TRIP),
    "pg brokers": Target("≥ 1.8", 1.8, _SHARED, at_least=True),
    "pg takeover": Target(
        "≤ 4 s", 4.0, "The lease of a broker that is dead must end before another may own its rooms."
    ),
    "pg orderly": Target("< 1 s", 1.0, "A shard changes hands with two commits and the reading of its rooms."),
    "pg shard": Target("≤ 2 s", 2.0, "Half of it are the rows' way out of the database, half the broker's objects."),
}
"""By the name that a row gives as its aim."""
