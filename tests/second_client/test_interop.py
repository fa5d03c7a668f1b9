"""A socket that speaks version 2 as PROTOCOL.md has it, against the real service: from the handshake to the end."""

import asyncio
import json

import pytest

from tests.second_client.conftest import NewRoom
from tests.second_client.probe import Probe
from tests.second_client.session import CREATE, HEAD, JOIN, PART, TAG, Refused, enter
from tests.support.services import Gateway

SUITES = ("aes-128-gcm", "chacha20-poly1305", "plain")
LONGEST = "あ" * 1269
LARGEST_PART = 1_200 - HEAD - TAG - 2


def texts(probe: Probe, count: int) -> list[str]:
    """Return the texts of the next so many messages, in the room's order."""
    heard: dict[int, str] = {}
    while len(heard) < count:
        line = probe.until("from")
        heard[line["n"]] = line["text"]
    return [heard[offset] for offset in sorted(heard)]


@pytest.mark.parametrize("suite", SUITES)
def test_suites(service: Gateway, new_room: NewRoom, suite: str) -> None:
    """Two members talk, in parts where a text is long, ask whether the server is there, and leave."""
    room = new_room()
    created, joined = (
        asyncio.run(enter(service.tcp["auto"], operation, room, name, suites=(suite,)))
        for operation, name in ((CREATE, "alice"), (JOIN, "alice"))
    )
    assert (created.suite, joined.suite, joined.granted["name"]) == (suite, suite, "alice#2")
    with Probe(created, service.udp) as alice, Probe(joined, service.udp) as other:
        for member in (alice, other):
            assert member.resume()[0]["resumed"]["state"] == "complete"
        alice.send({"say": "hello", "number": 1})
        assert texts(other, 1) == ["hello"]
        body = json.dumps({"say": LONGEST, "number": 1}, ensure_ascii=False).encode()
        cut = [body[at : at + LARGEST_PART] for at in range(0, len(body), LARGEST_PART)]
        for index, piece in enumerate(cut):
            other.send(raw=bytes((index, len(cut))) + piece, kind=PART)
        assert texts(alice, 2) == ["hello", LONGEST]
        alice.send({"ping": 7})
        pong = alice.until("pong")
        assert (pong["pong"], pong["last"]) == (7, joined.granted["offset"] + 2)
        other.send({"leave": True})
        assert other.until("ended")["ended"] == "left"
        alice.send({"leave": True})
        assert alice.until("ended")["ended"] == "closed"  # it was the host


async def test_refusals_in_words(service: Gateway, new_room: NewRoom) -> None:
    room = new_room()
    await enter(service.tcp["auto"], CREATE, room, "alice", password="moonlight")
    for operation, other, more, status, words in (
        (CREATE, room, {}, 1, "Room already exists"),
        (JOIN, new_room(), {}, 2, "Room does not exist"),
        (JOIN, room, {}, 3, "Wrong password"),
        (JOIN, room, {"password": "sunlight"}, 3, "Wrong password"),
        (JOIN, room, {"suites": ("rot13",)}, 4, "suites"),
        (JOIN, room, {"suites": "plain"}, 4, '"suites" is not a list'),
        (JOIN, room, {"tls": False}, 4, "TLS"),
        (JOIN, room, {"language": "fr"}, 4, "language"),
    ):
        with pytest.raises(Refused, match=words) as refusal:
            await enter(service.tcp["auto"], operation, other, "bob", **more)
        assert refusal.value.status == status
    session = await enter(service.tcp["auto"], JOIN, room, "bob", password="moonlight", suites=("rot13", "plain"))
    assert session.suite == "plain"  # the first of the client's that the server grants
