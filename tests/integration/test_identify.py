"""`python -m gateway identify`: clients are served as ever, and what they send is shown"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.gateway.explain.mistakes_made import IN_THE_HEADER, request
from tests.support import forked
from tests.support.services import ROOT
from tsudoi.protocol.client.datagram import serialize
from tsudoi.protocol.client.dialects import CLASSIC, TCRP, TCRP_JSON

PATIENCE_S = 60.0


class Identify:
    """A running `identify`, its output in a file."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.process = process
        self._output = output
        ready = self.wait_for(r"ready tcp 127\.0\.0\.1:(\d+) udp 127\.0\.0\.1:(\d+)")
        self.tcp, self.udp = (("127.0.0.1", int(port)) for port in ready.groups())

    @property
    def text(self) -> str:
        return self._output.read_text(errors="replace")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until the output has a match."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.02)
        return found

    def ask(self, data: bytes) -> bytes:
        """Send a request, and return all that the server answers."""
        with socket.create_connection(self.tcp, PATIENCE_S) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while part := sock.recv(4096):
                answer += part
            return answer


@contextmanager
def identifying(tmp_path: Path, *options: str, tcp: str = "127.0.0.1:0", **environment: str) -> Iterator[Identify]:
    output = tmp_path / "output"
    command = [sys.executable, "-m", "gateway", "identify", "--tcp", tcp, "--udp", "127.0.0.1:0", *options]
    with output.open("wb") as sink:
        process = forked.Popen(
            command,
            cwd=ROOT,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "100", **environment},
        )
    try:
        yield Identify(process, output)
    finally:
        process.kill()
        process.wait()


def test_a_client_is_served_and_each_step_is_shown(tmp_path: Path) -> None:
    with identifying(tmp_path, "--language", "en") as shown, socket.socket(type=socket.SOCK_DGRAM) as udp:
        token = shown.ask(request(CLASSIC)).decode()
        assert re.fullmatch("[0-9a-f]{32}", token)
        shown.wait_for("read as classic: the payload is a plain user name")
        shown.wait_for("outcome: created")
        udp.settimeout(PATIENCE_S)
        udp.sendto(serialize("den", token, "alice: hello"), shown.udp)
        assert udp.recv(4096) == b"alice: hello"
        shown.wait_for("token: 32 characters, known")
        shown.wait_for("outcome: accepted: a message to the room")
        shown.wait_for(r"== UDP to 127\.0\.0\.1:\d+, alice \(classic\)")
        udp.sendto(serialize("dem", token, "x"), shown.udp)
        shown.wait_for("outcome: dropped: the token belongs to another room")
        udp.sendto(serialize("den", token[::-1], "x"), shown.udp)
        shown.wait_for("hint: the token is not known")
        udp.sendto(b"\4" + serialize("den", token, "x")[1:], shown.udp)
        shown.wait_for("hint: the room size is 4, but the token begins after 3 bytes of name")
        udp.sendto(b"alice: hello", shown.udp)
        shown.wait_for("hint: this is text alone")
        udp.sendto(serialize("den", token, "x") + 5_000 * b"x" + b"y", shown.udp)
        shown.wait_for("hint: the datagram fills 4096 bytes")
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(PATIENCE_S) == 0
        assert token not in shown.text
        assert "\x1b" not in shown.text


def test_a_wrong_byte_is_named_and_no_password_is_shown(tmp_path: Path) -> None:
    mistakes = ("little-endian", "31 bytes", "operation as a digit", "half of it")
    with identifying(tmp_path, "--language", "ja", "--count", str(len(mistakes))) as shown:
        for make, called in map(IN_THE_HEADER.__getitem__, mistakes):
            shown.ask(make(request(TCRP_JSON)))
            shown.wait_for("ヒント: " + re.escape(called.value.ja.partition("{")[0][:9]))
        assert shown.process.wait(PATIENCE_S) == 0
        assert "moonlight" not in shown.text
        assert b"moonlight".hex(" ") not in shown.text


def test_what_has_come_of_a_request_is_shown_while_the_rest_is_awaited(tmp_path: Path) -> None:
    with identifying(tmp_path, "--language", "en") as shown, socket.create_connection(shown.tcp) as sock:
        sock.sendall(request(TCRP)[:-2])
        shown.wait_for("so far, 2 more bytes are awaited")


def test_a_port_after_the_token_and_a_listener_of_one_dialect_are_shown(tmp_path: Path) -> None:
    with identifying(tmp_path, "--language", "en", tcp="127.0.0.1:0=tcrp-json") as shown:
        with socket.create_connection(shown.tcp, PATIENCE_S) as sock:
            sock.sendall(request(TCRP_JSON))
            shown.wait_for("outcome: created")
            sock.sendall(b"\xc3\x50")
            shown.wait_for("UDP port: 50000")
        shown.wait_for("read as tcrp-json: the listener is for it")


def test_an_output_without_japanese_does_not_stop_it(tmp_path: Path) -> None:
    with identifying(tmp_path, "--count", "1", LANG="ja_JP.UTF-8", LC_ALL="", PYTHONIOENCODING="ascii") as shown:
        shown.ask(request(CLASSIC, "部屋1", "アリス"))
        shown.wait_for("outcome: created")
        assert shown.process.wait(PATIENCE_S) == 0
        assert "\\u90e8\\u5c4b1" in shown.text


def told(stderr: str) -> list[str]:
    """Return its lines, without a warning of machines that allow few open files."""
    return [line for line in stderr.splitlines() if "the limit of open files" not in line]


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "gateway", "identify", "--udp", "127.0.0.1:0", "--tcp"]
        done = forked.run(
            [*command, f"127.0.0.1:{taken.getsockname()[1]}"], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 2
    (line,) = told(done.stderr)
    assert "can not listen on TCP" in line


def test_a_full_device_is_one_line() -> None:
    command = [sys.executable, "-m", "gateway", "identify", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]
    with open("/dev/full", "wb") as full:
        done = forked.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, told(done.stderr)) == (1, ["gateway: can not write the output: No space left on device"])


def test_a_reader_that_goes_ends_it_quietly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "identify", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]
    with forked.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = process.stdout.readline().decode()
        process.stdout.close()
        port = int(ready.split()[2].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as sock:
            sock.sendall(request(TCRP))
            with suppress(ConnectionError):
                sock.recv(4096)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGPIPE
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_packets_of_version_2_are_opened_and_no_secret_is_shown(tmp_path: Path) -> None:
    home = {"XDG_STATE_HOME": str(tmp_path / "state"), "LANG": "en_US.UTF-8", "LC_ALL": ""}
    for room in ("den", "nest"):  # the second start shows the certificate that the client has trusted at the first
        with identifying(tmp_path, "--language", "en", **home) as shown:
            server = f"127.0.0.1:{shown.tcp[1]}:{shown.udp[1]}"
            command = [sys.executable, "-m", "client", "create", room, "--name", "alice", "--server", server]
            with client_of(command, home) as client:
                assert client.stdin is not None
                client.stdin.write(b"hello\n/password moonlight\n")
                client.stdin.flush()
                shown.wait_for("read as tsudoi-2")
                shown.wait_for("answered with a retry")
                shown.wait_for('line: «{"say":"hello","number":1}»')
                shown.wait_for("outcome: opened, and its lines are carried out")
                shown.wait_for(r'line: «\[2,"alice","hello"')
                shown.wait_for('line: «{"say":"/password …","number":2}»')
                with socket.socket(type=socket.SOCK_DGRAM) as udp:
                    udp.sendto(b"\0\1" + bytes.fromhex(_session(shown.text)) + bytes(6) + b"\1" * 24, shown.udp)
                    shown.wait_for("dropped: it does not open: the key is that for up")
            assert client.returncode == 0
            assert "moonlight" not in shown.text
            assert b"moonlight".hex(" ")[:20] not in shown.text


@contextmanager
def client_of(command: list[str], environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """A client, whose input ends with the block."""
    pipe = subprocess.PIPE
    with forked.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, env={**os.environ, **environment}) as client:
        try:
            yield client
            client.communicate(timeout=PATIENCE_S)
        finally:
            client.kill()


def _session(text: str) -> str:
    found = re.search(r"   2  ([0-9a-f ]{23})  session\n  10  ([0-9a-f ]{23})\n", text)
    assert found is not None
    return "".join(found.groups())


def test_what_fails_as_tls_is_shown_as_it_came(tmp_path: Path) -> None:
    with identifying(tmp_path, "--language", "en") as shown:
        shown.ask(b"\x16\x03\x01\0\5hello")
        shown.wait_for("TLS, no request")
