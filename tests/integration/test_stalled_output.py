"""Output that nothing reads stops no chat: a full log pipe, a pager behind the client, a terminal that stands still."""

import fcntl
import itertools
import os
import pty
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.integration.conftest import Enter
from tests.support import forked
from tests.support.legacy.company import Company
from tests.support.services import ROOT, Gateway
from tests.support.waiting import wait_until
from tests.tsudoi.fake_server import FakeServer, Served
from tsudoi.protocol.client import downlink_encoder
from tsudoi.protocol.client.dialects import TSUDOI

PATIENCE_S = 60.0
PIPE_SIZE = 4096


@contextmanager
def full_pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Yield the ends of a pipe that holds few lines."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    with open(reader, "rb", buffering=0) as out_of, open(writer, "wb", buffering=0) as into:
        yield out_of, into


def test_a_log_that_nothing_reads_stops_no_chat(tmp_path: Path, client: Enter) -> None:
    gateway = Gateway("--log-level", "debug", data=tmp_path, dialects=("auto", "tcrp-json"))
    with full_pipe() as (_, writer):
        try:
            gateway.launch(gateway.command(), stderr=writer)
            writer.close()
            ready = gateway.stdout.wait_for(lambda line: line.startswith("ready "), PATIENCE_S)
            assert ready
            gateway.ready = ready
            tcp, udp = list(gateway.addresses("tcp")), list(gateway.addresses("udp"))
            gateway.tcp, gateway.udp = dict(zip(gateway.tcp, tcp, strict=True)), udp[0]
            for _ in range(100):  # each is a log line
                with socket.create_connection(gateway.listener("auto").tcp, PATIENCE_S) as stranger:
                    stranger.sendall(b"\x1b[2J\n")
            company = Company("den")
            company.create(client("tcrp-json", "alice", gateway))
            company.join(client("tcrp-json", "bob", gateway))
            company.chat()
            gateway.stop()  # in time, though its last lines can not be written
        finally:
            gateway.close()


def create_den(server: str) -> list[str]:
    arguments = ("create", "den", "--name", "alice", "--server", server, "--dialect", TSUDOI.name)
    return [sys.executable, "-m", "client", *arguments]


@contextmanager
def chatting(*options: str, **streams: Any) -> Iterator[tuple[Served, FakeServer, "subprocess.Popen[bytes]"]]:
    with Served(TSUDOI) as served:
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        command = [*create_den(server), *options]
        env = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": "/nowhere"}
        with forked.Popen(
            command, cwd=ROOT, stderr=subprocess.DEVNULL, env=env, start_new_session=True, **streams
        ) as alice:
            try:
                yield served, served.fake, alice
            finally:
                alice.kill()


def flood(served: Served, fake: FakeServer) -> None:
    """Tell the client more than the kernel keeps for its output."""
    wait_until(lambda: bool(fake.rooms and fake.rooms["den"].addresses))
    for number in range(100):
        served.tell(downlink_encoder.encode_message(TSUDOI.down, "den", number, "bob", f"{number} {'x' * 1000}"))


def test_a_pager_behind_the_client_stops_nothing() -> None:
    with full_pipe() as (reader, writer), chatting(stdin=subprocess.PIPE, stdout=writer) as (served, fake, alice):
        writer.close()
        assert alice.stdin is not None
        flood(served, fake)
        alice.stdin.write(b"still here\n")
        alice.stdin.flush()
        served.hears(b"still here")
        data = b""
        while b"\nbob: 99 " not in data:
            data += reader.read(65_536)
        assert [line.split()[1] for line in data.split(b"\n") if b"x" * 100 in line] == [
            str(number).encode() for number in range(100)
        ]


@pytest.mark.parametrize(
    ("options", "ready"), [(["--plain"], b"alice\x1b[0m:"), ([], b"is open")], ids=["plain", "whole screen"]
)
def test_a_terminal_that_stands_still_stops_nothing(options: list[str], ready: bytes) -> None:
    ours, theirs = pty.openpty()
    shown = b""

    def read_until(words: bytes) -> None:
        nonlocal shown
        while words not in shown:
            assert select.select([ours], [], [], PATIENCE_S)[0], shown
            data = os.read(ours, 65_536)
            shown += data
            if b"\x1b[6n" in data:
                os.write(ours, b"\x1b[1;1R")

    def is_full() -> bool:
        """Tell one more message; return whether the terminal has taken nothing for half a second."""
        down = downlink_encoder.encode_message(TSUDOI.down, "den", next(numbers), "bob", "x" * 1000)
        served.tell(down)  # a whole screen draws what comes at once only once
        return not select.select([], [theirs], [], 0.5)[1]

    numbers = itertools.count(100)
    try:
        with chatting(*options, stdin=theirs, stdout=theirs) as (served, fake, alice):
            read_until(ready)
            flood(served, fake)
            wait_until(is_full)
            os.write(ours, b"still here\r")
            served.hears(b"still here")
            alice.send_signal(signal.SIGTERM)
            assert alice.wait(PATIENCE_S) == 143
            served.hears(b"/leave")
    finally:
        os.close(theirs)
        os.close(ours)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_disk_ends_the_client_only_where_messages_go(stream: str) -> None:
    with Served(TSUDOI) as served, open("/dev/full", "wb") as full:
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: full}
        command = create_den(server)
        with forked.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True, **streams) as alice:
            wait_until(lambda: bool(served.fake.rooms and served.fake.rooms["den"].addresses))
            served.tell(downlink_encoder.encode_message(TSUDOI.down, "den", 1, "bob", "hi"))
            if stream == "stdout":
                out, err = alice.communicate(timeout=PATIENCE_S)
                assert (alice.returncode, err) == (1, "client: can not write the output: No space left on device\n")
            else:
                out, err = alice.communicate("not said: \0/leave\n/leave\n", timeout=PATIENCE_S)
                assert (alice.returncode, out) == (1, "bob: hi\n")


def test_a_pager_behind_identify_stops_no_client() -> None:
    command = [sys.executable, "-m", "gateway", "identify", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]
    with (
        full_pipe() as (reader, writer),
        forked.Popen(command, cwd=ROOT, stdout=writer, stderr=subprocess.DEVNULL) as identify,
    ):
        writer.close()
        try:
            ready = b""
            while not ready.endswith(b"\n"):
                ready += reader.read(1)
            port = int(ready.split()[2].rpartition(b":")[2])
            for _ in range(20):  # each fills some pages
                with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
                    client.sendall(bytes((3, 2, 0)) + (3).to_bytes(29, "big") + b"denbob")
                    client.settimeout(PATIENCE_S)
                    assert client.recv(100)
            identify.terminate()
            assert identify.wait(PATIENCE_S) == 0
        finally:
            identify.kill()
