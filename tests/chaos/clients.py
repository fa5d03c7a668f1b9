"""The clients of a run: stand-ins for clients of many dialects, all on one event loop."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tests.chaos.plan import ClientPlan
from tests.support.legacy.client import Answer, Habits, LegacyClient
from tests.support.legacy.dialects import CLIENTS
from tests.support.legacy.wire import Address, Listener, Stream
from tests.support.udp_relay import drain, new_udp_socket

ENTER_S = 30.0
_KEY = re.compile(rb"<(\d+)/(\d+)>")

HABITS = Habits(connects_udp=False)
"""UDP sockets are not connected, so that a datagram from a wrong gateway is received too, and the checker sees it."""


class Tsudoi(LegacyClient):
    """The project's own dialect, written down once more; its datagrams carry positions."""

    dialect = "tsudoi"
    registration = ""
    leave_word = "/leave"

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_json(stream, operation, room, {"tsudoi": 1, "name": self.name, "password": None})
        first = stream.receive_frame()
        answer = json.loads(first.payload)
        if answer["status"] != 0:
            return Answer(None, answer["message"])
        second = stream.receive_frame()
        return Answer(json.loads(second.payload)["token"].encode())

    def parse(self, raw: bytes) -> tuple[str | None, str]:
        content = json.loads(raw)
        return (None, "") if "notice" in content else (content["from"], content["text"])

    def down(self, sender: str, text: str) -> bytes:
        return json.dumps({"n": 0, "from": sender, "text": text}).encode()

    def ends_at(self, text: str, raw: bytes) -> bool:
        return "notice" in json.loads(raw)


KINDS: dict[str, type[LegacyClient]] = {**CLIENTS, "tsudoi": Tsudoi}

OnSent = Callable[[float, int, int, bytes, int], None]
"""(time, client, gateway, datagram, the client's port)"""

OnReceived = Callable[[float, int, bytes, Address, int], None]
"""(time, client, datagram, its source, the client's port)"""


def text_of(client: int, number: int) -> str:
    return f"<{client}/{number}> " + ("hello", "こんにちは、みんな", "x" * 300, "two\tparts")[number % 4]


def key_of(raw: bytes) -> tuple[int, int] | None:
    found = _KEY.search(raw)
    return (int(found[1]), int(found[2])) if found else None


class ChaosClient:
    """One client: sends when the runner wants it, and passes on all that it receives."""

    def __init__(
        self,
        plan: ClientPlan,
        room: str,
        on_sent: OnSent | None,
        on_received: OnReceived,
        on_socket: Callable[[Address, int], None],
        host: str = "127.0.0.1",
    ) -> None:
        """Args:
        on_sent: called for each datagram that it sends; None if a relay does that.
        on_socket: called with address and client for each socket that it opens.
        host: where it is.
        """
        self.plan = plan
        self.room = room
        self.gateway = plan.gateway
        self.is_in = False
        self.has_left = False
        self.lines_sent = 0
        self.waiting = 0
        """Lines of which it is not told whether they are kept: none, as its dialect tells that of none."""
        self._on_sent = on_sent
        self._on_received = on_received
        self._on_socket = on_socket
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Listener] = []
        self._host = host
        self._sockets = [new_udp_socket(host)]
        self._stand_in: LegacyClient | None = None

    def close(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()

    async def enter(self, tcp_listener: Listener, udp_listeners: list[Address]) -> bool:
        """Create or join the room; return whether that worked."""
        self._listeners = [Listener(tcp_listener.tcp, udp) for udp in udp_listeners]
        habits = replace(HABITS, tcp_from=self._host, udp_from=self._host)
        stand_in = KINDS[self.plan.dialect](
            self.plan.name, Listener(tcp_listener.tcp, udp_listeners[self.gateway]), habits
        )
        self._open(stand_in)
        request = stand_in.create if self.plan.host else stand_in.join
        try:
            async with asyncio.timeout(ENTER_S):
                answer = await asyncio.to_thread(request, self.room)
        except (OSError, AssertionError, TimeoutError, ValueError):
            return False
        finally:
            stand_in.hang_up()
        if answer.token is None or len(answer.token) != 32:
            return False
        self._stand_in = stand_in
        self.is_in = True
        self._send_raw(stand_in.datagram(stand_in.registration or ""))
        return True

    def say(self) -> int:
        """Send the next line; return its number."""
        if self._stand_in is not None and not self.has_left:
            self.lines_sent += 1
            stand_in = self._stand_in
            stand_in.listener = self._listeners[self.gateway]
            text = text_of(self.plan.id, self.lines_sent)
            self._record(stand_in.datagram(text))
            stand_in.say(text)
        return self.lines_sent

    def nudge(self) -> None:
        if self._stand_in is not None and not self.has_left:
            self._send_raw(self._stand_in.datagram(""))

    def rebind(self) -> None:
        """Send from a new port from now on; receive at the old one too."""
        self._sockets.append(new_udp_socket(self._host))
        if self._stand_in is not None:
            self._open(self._stand_in)

    def leave(self) -> None:
        if self._stand_in is not None and not self.has_left:
            assert self._stand_in.leave_word is not None
            self._send_raw(self._stand_in.datagram(self._stand_in.leave_word))
            self.has_left = True

    def _open(self, stand_in: LegacyClient) -> None:
        """Let the stand-in send from the newest socket."""
        stand_in._udp = self._sockets[-1]
        self._on_socket(self._sockets[-1].getsockname(), self.plan.id)
        received = partial(self._received, self._sockets[-1].getsockname()[1])
        self._loop.add_reader(self._sockets[-1], drain, self._sockets[-1], received)

    def _received(self, port: int, at: float, raw: bytes, source: Address) -> None:
        self._on_received(at, self.plan.id, raw, source, port)

    def _record(self, raw: bytes) -> None:
        if self._on_sent is not None:
            self._on_sent(time.time(), self.plan.id, self.gateway, raw, self._sockets[-1].getsockname()[1])

    def _send_raw(self, raw: bytes) -> None:
        assert self._stand_in is not None
        self._stand_in.listener = self._listeners[self.gateway]
        self._record(raw)
        self._stand_in.send_raw(raw)
