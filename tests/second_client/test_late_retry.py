"""A *retry* right after a `resumed`: PROTOCOL.md, "Resuming"."""

import time
from typing import Any

from tests.second_client.client import CALM_S, Client
from tests.second_client.session import BODY, HEAD, RETRY, Session


class Sent:
    """Takes what the client sends."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def sendto(self, packet: bytes) -> None:
        self.packets.append(packet)


async def test_it_is_followed_by_a_ping_when_it_can_not_be_late_any_more() -> None:
    granted = {"name": "bob", "member": 1, "epoch": 1, "offset": 0}
    session = Session(bytes(range(1, 17)), "plain", b"", b"", b"", granted)
    client, sent = Client(session, ("127.0.0.1", 9)), Sent()
    transport: Any = sent
    client._transport = transport
    now = time.monotonic()
    client._resume()
    resumed = b'{"resumed":{"to":1,"state":"complete","epoch":1,"offset":0,"said":0,"name":"bob"}}'
    client.datagram_received(session.pack(BODY, b"run001", 1, resumed, upwards=False), None)
    assert client.resumed.is_set()
    client.datagram_received(bytes((0, RETRY)) + session.id + b"late cookie!" + bytes(16), None)
    assert client.resumed.is_set()
    client._speak(now + CALM_S - 0.1)
    assert len(sent.packets) == 1
    client._speak(now + CALM_S + 0.1)
    assert sent.packets[1:] == [session.pack(BODY, b"run001", 2, b'{"ping": 0}')]
    assert len(sent.packets[1]) > HEAD
