"""What strangers to the process may see of it: its command line, its environment, its logs, its files and packets."""

import selectors
import socket
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.keys import key_folder
from tests.attacks.watch import Person, enter
from tests.support.services import Broker, Gateway
from tsudoi.ops.keyfiles import Owner, Role

PASSWORD = "correct-horse-battery"
TEXT = "nobody-else-should-read-this"
EVIL = "a\n2026-01-01 [error] forged \x1b[31m"
PATIENCE_S = 60.0


def proc(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def test_secrets_stay_where_they_belong(tmp_path: Path) -> None:
    key_folder.add(tmp_path / "keys", Owner(Role.GATEWAY, "east"), tmp_path / "east.key")
    with ExitStack() as stack:
        flags = ("--keys", str(tmp_path / "keys"), "--log-level", "debug")
        broker = stack.enter_context(Broker(tmp_path / "rooms.sqlite", *flags))
        gateway = stack.enter_context(
            Gateway("--key", str(tmp_path / "east.key"), "--log-level", "debug", broker=broker)
        )
        listener = gateway.listener("auto")
        tokens = [enter(listener, 1, "den", "alice", PASSWORD), enter(listener, 2, "den", "bob", PASSWORD)]
        for operation, room, name in ((1, "evil", EVIL), (2, EVIL, "mallory")):
            with pytest.raises((ValueError, ConnectionError)):
                enter(listener, operation, room, name)
        alice, bob = (
            Person(listener, "den", name, token) for name, token in zip(("alice", "bob"), tokens, strict=True)
        )
        alice.say(TEXT)
        bob.udp.settimeout(PATIENCE_S)
        assert TEXT.encode() in bob.udp.recv(4096)
        for person in (alice, bob):
            person.udp.close()

        keys = [key_folder.read_secret(path) for path in (tmp_path / "keys" / "broker.key", tmp_path / "east.key")]
        secrets = [PASSWORD.encode(), *tokens, *(key.secret.encode() for key in keys)]
        for service in (broker, gateway):
            seen = proc(service.pid, "cmdline") + proc(service.pid, "environ")
            log = (service.stdout.text + service.stderr.text).encode()
            assert log
            for secret in secrets:
                assert secret not in seen
                assert secret not in log
            assert TEXT.encode() not in log
            assert b"\x1b[31m" not in log
            assert not [line for line in log.splitlines() if line.startswith(b"2026-01-01 [error] forged")]
        files = [path for path in tmp_path.rglob("rooms.sqlite*") if path.is_file()]
        assert files
        for path in files:
            assert path.stat().st_mode & 0o777 == 0o600, path
            assert not [secret for secret in secrets if secret in path.read_bytes()], path


def test_what_crosses_the_backbone_can_not_be_read(tmp_path: Path) -> None:
    """A relay between gateway and broker keeps what it passes on."""
    key_folder.add(tmp_path / "keys", Owner(Role.GATEWAY, "east"), tmp_path / "east.key")
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(None, "--keys", str(tmp_path / "keys")))
        relays = stack.enter_context(Relays(broker.endpoint))
        broker.endpoint = relays.endpoint
        gateway = stack.enter_context(Gateway("--key", str(tmp_path / "east.key"), broker=broker))
        listener = gateway.listener("auto")
        tokens = [enter(listener, 1, "secret-den", "alice"), enter(listener, 2, "secret-den", "bob")]
        alice, bob = (Person(listener, "secret-den", "x", token) for token in tokens)
        alice.say(TEXT)
        bob.udp.settimeout(PATIENCE_S)
        assert TEXT.encode() in bob.udp.recv(4096)
        for person in (alice, bob):
            person.udp.close()
        passed = bytes(relays.passed)
        assert len(passed) > 1_000
        for word in (TEXT, "secret-den", "alice", "bob"):
            assert word.encode() not in passed


class Relays:
    """Two tcp ports in a row that pass on to a broker's two, and remember every byte."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self.passed = bytearray()
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._targets: dict[socket.socket, tuple[str, int]] = {}
        self._others: dict[socket.socket, socket.socket] = {}
        while True:
            first = socket.create_server(("127.0.0.1", 0))
            own = first.getsockname()[1]
            try:
                second = socket.create_server(("127.0.0.1", own + 1))
            except OSError:
                first.close()
                continue
            break
        self.endpoint = f"tcp://127.0.0.1:{own}"
        for offset, server in enumerate((first, second)):
            self._targets[server] = (host, int(port) + offset)
            self._watch(server)
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Relays":
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._thread.join()
        for each in self._sockets:
            each.close()

    def _watch(self, one: socket.socket) -> None:
        self._sockets.append(one)
        self._selector.register(one, selectors.EVENT_READ)

    def _run(self) -> None:
        while self._running:
            for key, _ in self._selector.select(0.1):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if one in self._targets:
                    here, there = one.accept()[0], socket.create_connection(self._targets[one])
                    self._others |= {here: there, there: here}
                    self._watch(here)
                    self._watch(there)
                    continue
                try:
                    data = one.recv(65_536)
                    self.passed += data
                    self._others[one].sendall(data)
                except OSError:
                    data = b""
                if not data:
                    self._selector.unregister(one)
