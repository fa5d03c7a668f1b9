"""Other servers on the same work, if they are installed: IRC, MQTT, Redis and NATS over TCP, each on one core.

They keep no log, stamp no order that survives them and check no address; the figures say what a delivery costs, not
which to choose.
"""

import os
import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cases import us
from benchmarks.joining import seats
from benchmarks.load import Load
from benchmarks.processes import SERVICE_CORE, BenchmarkError, Process
from benchmarks.runner import Bar, Company, Row, Runner, median_of, ratio_of, tsudoi

ROOMS, SIZE = 200, 5
DELIVERIES = 20_000
TEXT_SIZE = 100
START_S = 5.0
SERVERS_PLOT = f"µs of CPU a delivery, {ROOMS} rooms × {SIZE}, {DELIVERIES:,} deliveries/s"
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


@dataclass(frozen=True, slots=True)
class Peer:
    """A server and how its members talk; all by one byte stream each."""

    name: str
    program: str
    version: tuple[str, ...]
    start: Callable[[Path, int], tuple[list[str], str]]
    """Folder and port → (arguments, text of the file `config` in that folder)."""
    greet: Callable[[socket.socket, str, int], None]
    """Enter the room; number is the member's."""
    before: Callable[[str], bytes]
    after: bytes = b""
    echo: bool = True
    log_in: Callable[[socket.socket, int], None] | None = None
    """Done for all members before the first one enters: InspIRCd takes a second for each, but many at once."""


# --- IRC -------------------------------------------------------------------------------------------------------------


def _ngircd(folder: Path, port: int) -> tuple[list[str], str]:
    config = (
        f"[Global]\nName = irc.test.local\nInfo = test\nListen = 127.0.0.1\nPorts = {port}\n"
        "[Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxPenaltyTime = 0\n"
        "[Options]\nDNS = no\nIdent = no\nPAM = no\n"
    )
    return ["--nodaemon", "--config", str(folder / "config")], config


def _inspircd(folder: Path, port: int) -> tuple[list[str], str]:
    config = (
        '<server name="irc.test.local" description="test" network="Test" id="00A">\n'
        '<admin name="a" nick="a" email="a@test.local">\n'
        f'<bind address="127.0.0.1" port="{port}" type="clients">\n'
        '<connect allow="*" timeout="60" pingfreq="10000" hardsendq="64M" softsendq="64M" recvq="1M"'
        ' threshold="1000000" commandrate="1000000000" fakelag="no" localmax="100000" globalmax="100000"'
        ' resolvehostnames="no" useident="no">\n'
        '<performance softlimit="50000" somaxconn="1024">\n'
        f'<log method="file" type="*" level="sparse" target="{folder}/log">\n<pid file="{folder}/pid">\n'
        f'<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}">\n'
    )
    return ["--nofork", "--runasroot", f"--config={folder}/config"], config


def _log_in_irc(sock: socket.socket, number: int) -> None:
    sock.sendall(f"NICK u{number}\r\nUSER u{number} 0 * :u\r\n".encode())


def _join_irc(sock: socket.socket, room: str, number: int) -> None:
    _read_until(sock, b" 001 ")
    sock.sendall(f"JOIN #{room}\r\n".encode())
    _read_until(sock, b" 366 ")


def _enter_irc(sock: socket.socket, room: str, number: int) -> None:
    _log_in_irc(sock, number)
    _join_irc(sock, room, number)


# --- MQTT ------------------------------------------------------------------------------------------------------------


def _mosquitto(folder: Path, port: int) -> tuple[list[str], str]:
    config = f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\nset_tcp_nodelay true\n"
    return ["-c", str(folder / "config")], config


def _field(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()


def _enter_mqtt(sock: socket.socket, room: str, number: int) -> None:
    body = _field("MQTT") + b"\x04\x02\x00\x00" + _field(f"u{number}")
    sock.sendall(bytes((0x10, len(body))) + body)
    _read_until(sock, b"\x20\x02\x00\x00")
    body = b"\x00\x01" + _field(room) + b"\x00"
    sock.sendall(bytes((0x82, len(body))) + body)
    _read_until(sock, b"\x90\x03\x00\x01\x00")


def _publish_mqtt(room: str) -> bytes:
    size = 2 + len(room) + TEXT_SIZE
    length = bytes((size,)) if size < 128 else bytes((size % 128 | 128, size // 128))
    return b"\x30" + length + _field(room)


# --- Redis -----------------------------------------------------------------------------------------------------------


def _redis(folder: Path, port: int) -> tuple[list[str], str]:
    config = f'bind 127.0.0.1\nport {port}\nsave ""\nappendonly no\ndir {folder}\nmaxclients 9000\n'
    return [str(folder / "config")], config


def _enter_redis(sock: socket.socket, room: str, number: int) -> None:
    # RESP3: a connection that has subscribed may publish too.
    sock.sendall(f"HELLO 3\r\nSUBSCRIBE {room}\r\n".encode())
    _read_until(sock, b"subscribe\r\n")


def _publish_redis(room: str) -> bytes:
    return f"*3\r\n$7\r\nPUBLISH\r\n${len(room)}\r\n{room}\r\n${TEXT_SIZE}\r\n".encode()


# --- NATS ------------------------------------------------------------------------------------------------------------


def _nats(folder: Path, port: int) -> tuple[list[str], str]:
    return ["-a", "127.0.0.1", "-p", str(port)], ""


def _enter_nats(sock: socket.socket, room: str, number: int) -> None:
    sock.sendall(f'CONNECT {{"verbose":false,"pedantic":false}}\r\nSUB {room} 1\r\nPING\r\n'.encode())
    _read_until(sock, b"PONG\r\n")


PEERS = (
    Peer(
        "ngircd (IRC)",
        "ngircd",
        ("--version",),
        _ngircd,
        _enter_irc,
        lambda room: f"PRIVMSG #{room} :".encode(),
        b"\r\n",
        echo=False,
    ),
    Peer(
        "inspircd (IRC)",
        "inspircd",
        ("--version",),
        _inspircd,
        _join_irc,
        lambda room: f"PRIVMSG #{room} :".encode(),
        b"\r\n",
        echo=False,
        log_in=_log_in_irc,
    ),
    Peer("mosquitto (MQTT, QoS 0)", "mosquitto", ("-h",), _mosquitto, _enter_mqtt, _publish_mqtt),
    Peer("redis (PUBLISH)", "redis-server", ("--version",), _redis, _enter_redis, _publish_redis, b"\r\n"),
    Peer(
        "nats",
        "nats-server",
        ("--version",),
        _nats,
        _enter_nats,
        lambda room: f"PUB {room} {TEXT_SIZE}\r\n".encode(),
        b"\r\n",
    ),
)


def peers(runner: Runner) -> list[Row]:
    """Compare with whatever of the above is installed."""
    rows = []
    found = [peer for peer in PEERS if shutil.which(peer.program, path=PATH)]
    missing = [peer.program for peer in PEERS if peer not in found]
    for peer in found:
        try:
            rows.append(_compare(runner, peer))
        except (BenchmarkError, OSError) as exc:
            rows.append(Row(f"beside {peer.name}", "not measured", note=str(exc).splitlines()[0]))
    if missing:
        rows.append(Row(f"beside {', '.join(missing)}", "not measured", note="not installed here"))
    return rows


def _compare(runner: Runner, peer: Peer) -> Row:
    rate = DELIVERIES / SIZE
    # Who does not hear itself makes one delivery less of a message, so such a peer gets more of them.
    their_rate = rate if peer.echo else DELIVERIES / (SIZE - 1)
    with tsudoi(seats(ROOMS, SIZE)) as ours, _running(peer) as theirs:
        ours_runs, their_runs = [], []
        for _ in range(runner.rounds):
            ours_runs.append(runner.run(ours.load, ours.service, rate))
            their_runs.append(runner.run(theirs.load, theirs.service, their_rate))
    lost = sum(run.lost for run in their_runs)
    ours_p99, their_p99 = (median_of(runs, lambda run: run.p99) / 1e3 for runs in (ours_runs, their_runs))
    ours_us, their_us = median_of(ours_runs, us), median_of(their_runs, us)
    runner.bars.append(Bar(peer.name, ours_us, their_us))
    return Row(
        f"200 rooms × 5, {DELIVERIES:,} deliveries/s, beside {peer.name}",
        f"{ours_us:.2f} µs CPU a delivery, p99 {ours_p99:.1f} ms",
        f"{their_us:.2f} µs, p99 {their_p99:.1f} ms",
        ratio_of(ours_runs, their_runs, us),
        f"{version_of(peer.program, *peer.version)}; lost {lost}",
    )


@contextmanager
def _running(peer: Peer) -> Iterator[Company]:
    program = shutil.which(peer.program, path=PATH)
    assert program is not None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tsudoi-bench-")))
        folder.chmod(0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments, config = peer.start(folder, port)
        (folder / "config").write_text(config)
        (folder / "config").chmod(0o644)
        service = stack.enter_context(Process([program, *arguments], (SERVICE_CORE,), listen=False))
        lines, sockets = [], []
        members = [(seat, stack.enter_context(_connect(port))) for seat in seats(ROOMS, SIZE)]
        if peer.log_in is not None:
            for number, (_, sock) in enumerate(members):
                peer.log_in(sock, number)
        for number, (seat, sock) in enumerate(members):
            peer.greet(sock, seat.room_name, number)
            before = peer.before(seat.room_name)
            lines.append(f"{seat.room} 1 - {before.hex()} {peer.after.hex() or '-'} {sock.fileno()}\n")
            sockets.append(sock.fileno())
        (folder / "members").write_text("".join(lines))
        service.pin((SERVICE_CORE,))
        load = Load(folder / "members", size=TEXT_SIZE, echo=peer.echo, spin=True, streams=sockets)
        yield Company(service, stack.enter_context(load).register())


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + START_S
    while True:
        try:
            sock = socket.create_connection(("127.0.0.1", port), START_S)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock


def _read_until(sock: socket.socket, wanted: bytes) -> None:
    heard = b""
    while wanted not in heard:
        data = sock.recv(65536)
        if not data:
            raise BenchmarkError(f"the connection ended after {heard[-200:]!r}")
        heard += data


def version_of(name: str, *arguments: str) -> str:
    """Return a program's name and the version that it tells."""
    program = shutil.which(name, path=PATH) or name
    said = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    found = re.search(r"v?(\d+(\.\d+)+)", said.stdout + said.stderr)
    return f"{name} {found[1]}" if found else name
