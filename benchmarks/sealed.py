"""Members of version 2 beside those of `classic` in one run: CPU of a datagram, rates at the limit, memory and rest.

The members' other end is one process on a core of its own. It opens what a few members are sent, and counts the rest.
"""

import json
import os
import re
import socket
import ssl
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.cases import bare_floor, us
from benchmarks.joining import Seat, join_all, seats, write_members
from benchmarks.load import Load
from benchmarks.processes import LOAD_CORE, SERVICE_CORE, BenchmarkError, Tsudoi
from benchmarks.runner import Row, Runner, tsudoi
from gateway.listeners.sendmmsg import DatagramIo
from tsudoi.protocol.sealed.grant import Grant, parse_grant_untrusted
from tsudoi.protocol.sealed.packets import NO_RUN, Kind, serialize_header
from tsudoi.protocol.sealed.suites import AES_128_GCM, cipher

TEXT = "x" * 100
WINDOW = 8
"""Lines of a member that are not known to be kept, at a service's limit; what may be sent goes in one packet, as the
SDK does it."""
PATIENCE_S = 2.0
"""How long lines are waited for at the end."""
ONE_BY_ONE = 100.0
"""Messages a second that bare sendmmsg sends to each member of the room of 1000, one by one: half of what it can."""
IDLE = 10_000
AT_ONCE = 100
SO_RCVBUFFORCE = 33
_SAY = b'{"say":"' + TEXT.encode() + b'","number":%d}'
"""As the SDK writes it; the load must be able to keep up with the service."""
_KEPT = re.compile(rb'x",(\d+),(\d+)\]((?:\n\["x+"\])*)')
"""The sender's `member` and its number, in a message."""


class Member:
    """One session."""

    def __init__(self, grant: Grant, seat: Seat, number: int) -> None:
        self.grant, self.seat, self.number = grant, seat, number
        self.up, self.down = cipher(grant.suite, grant.up), cipher(grant.suite, grant.down)
        self.run, self.count, self.said, self.kept = NO_RUN, 0, 0, 0

    def packet(self, line: dict[str, Any]) -> bytes:
        return self.seal(json.dumps(line, separators=(",", ":")).encode())

    def seal(self, body: bytes) -> bytes:
        self.count += 1
        header = serialize_header(Kind.BODY, self.grant.session, self.run, self.count)
        return header + self.up.encrypt(header[18:], body, header)

    def resume(self, cookie: bytes = b"") -> bytes:
        position = {"epoch": self.grant.epoch, "offset": self.grant.offset, "next": 1}
        return self.packet({"resume": {"cookie": cookie.hex(), **position}})

    def say(self, lines: int = 1) -> bytes:
        first, self.said = self.said + 1, self.said + lines
        return self.seal(b"\n".join([_SAY % number for number in range(first, self.said + 1)]))

    def open(self, packet: bytes) -> bytes:
        return self.down.decrypt(packet[18:30], packet[30:], packet[:30])


class Members:
    """All of a service, at one socket."""

    def __init__(self, service: Tsudoi, wanted: Sequence[Seat]) -> None:
        host, _, port = service.udp.rpartition(":")
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 * 2**20)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.connect((host, int(port)))
        self._io = DatagramIo(self.sock)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        known: set[int] = set()
        self.all: dict[bytes, Member] = {}
        for seat in wanted:
            grant = self._enter(service.tcp, seat, creates=seat.room not in known)
            self.all[grant.session] = Member(grant, seat, len(self.all))
            known.add(seat.room)
        self._resume()

    def _enter(self, listener: tuple[str, int], seat: Seat, *, creates: bool) -> Grant:
        payload = json.dumps({"tsudoi": 2, "name": seat.user, "suites": [AES_128_GCM]}).encode()
        room = seat.room_name.encode()
        request = bytes((len(room), 1 if creates else 2, 0)) + len(payload).to_bytes(29, "big") + room + payload
        with socket.create_connection(listener) as plain, self._context.wrap_socket(plain) as sock:
            sock.sendall(request)
            data = b""
            while piece := sock.recv(65_536):
                data += piece
        first = 32 + int.from_bytes(data[3:32], "big")
        if first + 32 >= len(data):
            raise BenchmarkError(f"joining: {data[32:].decode(errors='replace')}")
        return parse_grant_untrusted(data[first + 32 :])

    def _resume(self) -> None:
        members = list(self.all.values())
        for start in range(0, len(members), AT_ONCE):
            missing = {member.grant.session: member for member in members[start : start + AT_ONCE]}
            deadline = time.monotonic() + 30
            for member in missing.values():
                self.sock.send(member.resume())
            while missing and time.monotonic() < deadline:
                for packet in self.receive():
                    if (asked := missing.get(packet[2:18])) is None:
                        continue
                    if packet[1] == Kind.RETRY:
                        self.sock.send(asked.resume(packet[18:30]))
                    elif b"resumed" in asked.open(packet):
                        asked.run = packet[18:24]
                        del missing[packet[2:18]]
            assert not missing, "members were not served"

    def receive(self) -> list[bytes]:
        return [data for data, _ in self._io.receive()]

    def stay(self) -> None:
        """Let all members ping, as they must within 40 s to be served."""
        for member in self.all.values():
            self.sock.send(member.packet({"ping": 1}))
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            self.receive()

    def talk(self, seconds: float, rate: float = 0.0) -> tuple[int, int]:
        """Let senders talk, at a rate or as fast as their lines are kept, and wait until all are.

        Return the datagrams that came, and the lines.

        Raises:
            BenchmarkError: some lines did not come back.
        """
        senders = [member for member in self.all.values() if member.seat.sends]
        last = {member.seat.room: member for member in self.all.values()}
        ears = {member.grant.session: member for member in last.values()}
        by_number = {b"%d" % member.grant.member: member for member in senders}
        begun, sent, packets, lines = time.monotonic(), 0, 0, 0
        end = begun + seconds
        ready = dict.fromkeys(() if rate else senders)
        while (now := time.monotonic()) < end or (now < end + PATIENCE_S and any(map(_waits, senders))):
            while rate and sent < (min(now, end) - begun) * rate:
                self.sock.send(senders[sent % len(senders)].say())
                sent += 1
            for member in ready if now < end else ():
                self.sock.send(member.say(WINDOW - (member.said - member.kept)))
            ready = {}
            for packet in self.receive():
                packets += 1
                if (ear := ears.get(packet[2:18])) is None or packet[1] != Kind.BODY:
                    continue
                for sender, number, behind in _KEPT.findall(ear.open(packet)):
                    member = by_number[sender]
                    if (more := int(number) + behind.count(b"\n") - member.kept) > 0:  # else its body has come again
                        lines += more
                        member.kept += more
                        if not rate:
                            ready[member] = None
        if missing := sum(member.said - member.kept for member in senders):
            raise BenchmarkError(f"{missing:,} of {lines + missing:,} lines did not come back")
        return packets, lines


def _waits(member: Member) -> bool:
    return member.kept < member.said


@contextmanager
def members(wanted: Sequence[Seat]) -> Iterator[tuple[Tsudoi, Members]]:
    """Yield a service on its core with members of version 2."""
    cores = os.sched_getaffinity(0)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="tsudoi-bench-"))
        service = stack.enter_context(Tsudoi(Path(folder, "data"), "--notices", "off", dialect="tsudoi"))
        found = Members(service, wanted)
        stack.callback(found.sock.close)
        service.pin((SERVICE_CORE,))
        os.sched_setaffinity(0, (LOAD_CORE,))
        stack.callback(os.sched_setaffinity, 0, cores)
        yield service, found


def sealed(runner: Runner) -> list[Row]:
    """The rows."""
    return [*_one_room(runner), *_small_rooms(runner), *_idle(runner)]


def _one_room(runner: Runner) -> list[Row]:
    size, rate, seconds = 1_000, 20.0, runner.pick(5.0, 2.0)
    wanted = seats(1, size, senders=50)
    classics, costs = [], []
    with tsudoi(wanted) as classic, members(wanted) as (service, found):
        for _ in range(runner.rounds):
            classics.append(us(runner.run(classic.load, classic.service, rate, seconds)))
            found.stay()
            used = service.cpu_s()
            packets, _ = found.talk(seconds, rate)
            costs.append(1e6 * (service.cpu_s() - used) / max(packets, 1))
        fast, floors = [], []
        with bare_floor(runner, size) as floor:
            for _ in range(runner.rounds):
                fast.append(_as_fast_as_kept(runner, service, found, seconds))
                floors.append(floor(ONE_BY_ONE))
    per_s, taken, used = sorted(fast)[len(fast) // 2]
    ratio = statistics.median(a / b for a, b in zip(costs, classics, strict=True))
    faster = statistics.median(
        size * lines * bare_us / 1e6 for (lines, _, _), bare_us in zip(fast, floors, strict=True)
    )
    return [
        Row(
            "version 2, one room of 1000, 20,000 deliveries/s",
            f"{statistics.median(costs):.2f} µs CPU a datagram",
            f"classic {statistics.median(classics):.2f} µs",
            ratio,
            aim="sealed datagram",
        ),
        Row(
            "version 2, one room of 1000, as fast as lines are kept",
            f"{size * per_s * used / taken:,.0f} deliveries/s, {1e6 / max(size * per_s, 1):.2f} µs CPU each",
            f"C sendmmsg {1e6 / statistics.median(floors):,.0f} datagrams/s",
            faster,
            f"{used / taken:.2f} cores; the figure is for one whole core; "
            f"{size * min(fast)[0]:,.0f} to {size * max(fast)[0]:,.0f} in {len(fast)} rounds",
            "sealed large",
            figure=size * per_s,
        ),
    ]


def _as_fast_as_kept(runner: Runner, service: Tsudoi, found: Members, seconds: float) -> tuple[float, float, float]:
    """Return the lines for a second of CPU, how long it took, and the CPU time, both in seconds."""
    found.stay()
    at, used = time.monotonic(), service.cpu_s()
    with runner.watch(service):
        _, lines = found.talk(seconds)
    taken, used = time.monotonic() - at, service.cpu_s() - used
    return lines / max(used, 1e-9), taken, used


def _small_rooms(runner: Runner) -> list[Row]:
    """The two take turns: what this machine does in a second of CPU changes by half within a minute."""
    wanted, seconds = seats(200, 5), runner.pick(5.0, 2.0)
    classics, fast = [], []
    with tsudoi(wanted) as classic:
        ((highest, _),) = runner.highest_rates([classic.rival], 20_000)
        with members(wanted) as (service, found):  # not before: they would be silent for too long
            for _ in range(runner.rounds):
                classics.append(runner.run(*classic.rival, highest, seconds, tries=1, may_lose=True))
                fast.append(_as_fast_as_kept(runner, service, found, seconds))
    theirs = [run.heard_in_window / 5 / run.cpu_s for run in classics]
    ratio = statistics.median(ours / other for (ours, _, _), other in zip(fast, theirs, strict=True))
    cores = statistics.median(used / taken for _, taken, used in fast)
    their_cores = statistics.median(run.cores for run in classics)
    return [
        Row(
            "version 2, 200 rooms × 5, as fast as lines are kept",
            f"{statistics.median(ours for ours, _, _ in fast):,.0f} messages for a second of CPU",
            f"classic {statistics.median(theirs):,.0f}",
            ratio,
            f"{cores:.2f} cores; classic {their_cores:.2f}, at {highest:,.0f} messages/s, in turns",
            "sealed many",
        )
    ]


def _idle(runner: Runner) -> list[Row]:
    count = int(runner.pick(IDLE, 2_000))
    wanted = seats(count // 10, 10)
    with TemporaryDirectory() as folder, Tsudoi(Path(folder, "data")) as service:
        before = service.memory()
        tokens, _ = join_all(service.tcp, wanted)
        write_members(Path(folder, "members"), wanted, tokens)
        with Load(Path(folder, "members"), service.udp) as load:
            load.register()
            time.sleep(1.0)
            classic = (service.memory() - before) / count
    with TemporaryDirectory() as folder, Tsudoi(Path(folder, "data"), dialect="tsudoi") as service:
        before = service.memory()
        found = Members(service, wanted)
        time.sleep(15.0)  # until the ciphers of the beginning are gone
        used, at = service.cpu_s(), time.monotonic()
        pinged, seconds = 0, runner.pick(10.0, 3.0)
        everyone = list(found.all.values())
        with runner.watch(service):
            while (now := time.monotonic()) < at + seconds:
                while pinged < (now - at) * count / 22.5:
                    found.sock.send(everyone[pinged % count].packet({"ping": 1 + pinged // count}))
                    pinged += 1
                found.receive()
                time.sleep(0.001)
        idle = (service.cpu_s() - used) / (time.monotonic() - at)
        ours = (service.memory() - before) / count
        found.sock.close()
    return [
        Row(
            f"version 2, {count:,} members at rest, memory",
            f"{ours / 1024:.2f} KiB a member",
            f"classic {classic / 1024:.2f} KiB",
            note="the figure is the difference",
            aim="sealed memory",
            figure=(ours - classic) / 1024,
        ),
        Row(
            f"version 2, {count:,} members at rest, each with a ping in 22.5 s, CPU",
            f"{100 * idle:.2f} % of a core",
            aim="sealed idle",
            figure=100 * idle,
        ),
    ]
