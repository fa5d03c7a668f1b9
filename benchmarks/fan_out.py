"""The fan-out alone, in one process: what system calls for many datagrams save, and segments."""

import os
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from benchmarks.joining import seats, write_members
from benchmarks.load import Load
from benchmarks.processes import LOAD_CORE, SERVICE_CORE
from benchmarks.runner import Row, Runner
from gateway.chat.members import Member
from gateway.listeners import sockaddr
from gateway.listeners.prepared_recipients import PreparedRecipients
from gateway.listeners.sendmmsg import DatagramIo

TEXT = "x" * 100
TOKEN = "0123456789abcdef" * 2


def fan_out(runner: Runner) -> list[Row]:
    """Measure it on the core where services are put."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, (SERVICE_CORE,))
    try:
        return _rows(runner)
    finally:
        os.sched_setaffinity(0, allowed)


def _rows(runner: Runner) -> list[Row]:
    rows = []
    for count in (10,) if runner.quick else (10, 100, 1000):
        many, each = _sending(runner, count), _sending(runner, count, is_each_alone=True)
        rows.append(
            Row(
                f"fan-out to {count}",
                f"{many:.2f} µs CPU a datagram (sendmmsg)",
                f"{each:.2f} µs (sendto)",
                many / each,
            )
        )
    for together in (2,) if runner.quick else (2, 4, 8):
        burst = _sending(runner, 1000, together)
        alone = _sending(runner, 1000)
        rows.append(
            Row(
                f"fan-out to 1000, {together} messages of one size together",
                f"{burst:.2f} µs CPU a datagram (segments)",
                f"{alone:.2f} µs (one by one)",
                burst / alone,
            )
        )
    return rows


def _sending(runner: Runner, count: int, together: int = 1, *, is_each_alone: bool = False) -> float:
    """Return the CPU time in µs for one datagram of a fan-out, which the load generator really receives."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        sock.bind(("127.0.0.1", 0))
        members = Path(folder, "members")
        write_members(members, seats(1, count), [TOKEN] * count)
        with Load(members, f"127.0.0.1:{sock.getsockname()[1]}", spin=True, core=LOAD_CORE) as ears:
            ears.say("register")
            io, group, places = DatagramIo(sock), PreparedRecipients(), []
            deadline = time.monotonic() + 10
            while len(group) < count and time.monotonic() < deadline:
                for _, address in io.receive():
                    group.add(cast(Member, _Slot()), address)
                    places.append(sockaddr.unpack(address))
            ears.hear(10)
            payload = f"user-1: {TEXT}".encode()
            seconds = runner.pick(1.0, 0.4)
            ears.say(f"run 1 0 {seconds + 0.2} 0.1 0")
            sent, end, used = 0, time.monotonic() + seconds, time.process_time()
            while time.monotonic() < end:
                if is_each_alone:
                    for place in places:
                        sock.sendto(payload, place)
                else:
                    io.send_many([payload] * together, [-1] * together, group)
                sent += count * together
            used = time.process_time() - used
            ears.hear(10)
            return 1e6 * used / sent


class _Slot:
    """All of a member that a group of recipients looks at."""

    slot = -1
