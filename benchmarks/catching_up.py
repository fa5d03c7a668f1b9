"""A member that catches up 10,000 messages: how fast it gets them, and what the others notice of it."""

import json
import socket
import statistics
import struct
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cases import p99
from benchmarks.joining import join_all, seats, write_members
from benchmarks.load import Load
from benchmarks.processes import LOAD_CORE, SERVICE_CORE, BenchmarkError, Tsudoi
from benchmarks.runner import Row, Runner, median_of
from benchmarks.segmentation import MODULES

MISSED = 10_000
OTHERS, RATE = 10, 1_000
PATIENCE_S = 30.0
LOOK_S = 0.02
# Not in Python's socket module: asm-generic/socket.h. The latter two attach the time of arrival to each datagram, and
# tell how much waits in the socket.
_RCVBUFFORCE, _TIMESTAMPNS, _MEMINFO = 33, 35, 55
_TIMESPEC = struct.Struct("@ll")


def catching_up(runner: Runner) -> list[Row]:
    """A member whose address comes late is sent what it missed, among ten who talk on; without segmentation, too."""
    (rate, late, alone), (without, _, _) = (_measure(runner, module) for module in MODULES)
    return [
        Row(
            f"a member that catches up {MISSED:,} messages",
            f"{rate:,.0f} deliveries/s to it",
            f"without segmentation {without:,.0f}",
            rate / without,
            f"p99 of {OTHERS} others at {RATE * OTHERS:,} deliveries/s: {late / 1e3:.1f} ms meanwhile,"
            f" {alone / 1e3:.1f} ms without it; the limit of --replay-rate is lifted",
            "catching up",
        )
    ]


def _measure(runner: Runner, module: str) -> tuple[float, float, float]:
    """Return the deliveries a second, and the others' p99 in µs, meanwhile and without it."""
    count = int(runner.pick(5, 1))
    with TemporaryDirectory() as name:
        folder = Path(name)
        flags = ("--replay-rate", "1000000")
        with Tsudoi(folder / "data", *flags, cores=(SERVICE_CORE,), module=module) as service:
            wanted = seats(1, OTHERS + count)
            tokens, _ = join_all(service.tcp, wanted)
            write_members(folder / "members", wanted[:OTHERS], tokens[:OTHERS])
            with Load(folder / "members", service.udp, spin=True, core=LOAD_CORE) as load:
                load.register()
                alone = [runner.run(load, service, RATE) for _ in range(runner.rounds)]
                runner.run(load, service, 5_000, MISSED / 5_000, warm=0.1, tries=1)
                rates, late = [], []
                for token in tokens[OTHERS:]:
                    load.say(f"run {RATE} 0.2 2.0 1.0 1000000 {service.pid}")
                    time.sleep(0.5)
                    rates.append(_catch_up(service.udp, wanted[0].room_name, token))
                    late.append(float(json.loads(load.hear(60))["p99"]))
    return statistics.median(rates), statistics.median(late), median_of(alone, p99)


def _catch_up(udp: str, room: str, token: str) -> float:
    """Make a member's address known, and return the messages a second that come until there are 10,000.

    They are read when all have come, since the service has one core and the others' load generator the other: a program
    that reads meanwhile takes as long for a message as the service does.
    """
    host, _, port = udp.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 16 * 2**20)
        sock.settimeout(PATIENCE_S)
        sock.connect((host, int(port)))
        sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
        begun = time.time()
        sock.send(bytes((len(room), len(token))) + room.encode() + token.encode())
        _wait_until_it_grows_no_more(sock)
        came = begun
        for _ in range(MISSED):
            data, (stamp,), *_ = sock.recvmsg(4096, 64)
            if not data:
                raise BenchmarkError("an empty datagram")
            seconds, nanoseconds = _TIMESPEC.unpack(stamp[2])
            came = seconds + nanoseconds / 1e9
        return MISSED / (came - begun)


def _wait_until_it_grows_no_more(sock: socket.socket) -> None:
    """Wait until nothing has come to a socket for some looks."""
    sizes = [-1]
    while len(sizes) < 10 or len({*sizes[-10:]}) > 1:
        time.sleep(LOOK_S)
        sizes.append(struct.unpack_from("@I", sock.getsockopt(socket.SOL_SOCKET, _MEMINFO, 64))[0])
