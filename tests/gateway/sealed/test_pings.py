"""gateway/sealed/pings.py: a ping that comes alone is answered as one among other lines is."""

from collections.abc import Sequence

import pytest

from gateway.sealed.pings import ASKS, ASKS_S
from tests.gateway.sealed.test_endings import lines_to
from tests.gateway.sealed.test_own_entries import Three, whisper
from tests.support.fakes import address_of, said
from tsudoi.protocol.sealed.lines import Covered, DownLine
from tsudoi.protocol.sealed.packets import COUNT_SIZE, RUN_AT
from tsudoi.protocol.sealed.suites import AES_128_GCM, cipher

ALONE = b'{"ping":7}'
OTHERWISE = [b'{"ping": 7}', b'{"unknown":1}\n{"ping":7}']
"""Read as all other bodies are."""
each_form = pytest.mark.parametrize("body", [ALONE, *OTHERWISE])


class Pinging(Three):
    """Three members who ping."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 100

    def packet(self, number: int, body: bytes, mark: int = 0) -> bytes:
        self.count += 1
        link = self.gateway.members.by_session[self.sessions[number]].sealed
        assert link is not None
        header = bytes((mark,)) + link.head[1:] + self.count.to_bytes(COUNT_SIZE)
        up = cipher(AES_128_GCM, self.gateway.keys.keys(self.sessions[number]).up)
        return header + up.encrypt(header[RUN_AT:], body, header)

    def send(self, number: int, packets: Sequence[bytes]) -> list[object]:
        """Let packets come from a member; return the lines that it gets."""
        self.gateway.outbound.sent.clear()
        self.gateway.core.handle_datagrams(0, [(data, address_of(number)) for data in packets], self.gateway.now)
        self.gateway.frames(self.gateway.now)
        return lines_to(self.gateway, self.sessions[number], address_of(number))


@pytest.fixture
def three() -> Pinging:
    return Pinging()


def pong(last: int) -> DownLine:
    return DownLine(pong=7, epoch=1, last=last)


@each_form
def test_a_ping_is_answered_once(three: Pinging, body: bytes) -> None:
    three.turn(said(2, 9, "two"))
    packet = three.packet(1, body)
    opened = three.gateway.counters.sealed_opened
    assert three.send(1, [packet, packet]) == [pong(2)]
    assert three.gateway.counters.sealed_opened == opened + 1
    assert three.gateway.counters.sealed_dropped["replayed"] == 1


@each_form
def test_a_member_that_pings_is_seen(three: Pinging, body: bytes) -> None:
    three.gateway.now += 30.0
    three.send(1, [three.packet(1, body)])
    members = three.gateway.members.by_session
    assert members[three.sessions[1]].seen == three.gateway.now > members[three.sessions[2]].seen


@each_form
def test_a_ping_brings_what_was_for_this_member_alone(three: Pinging, body: bytes) -> None:
    three.turn(whisper(2))
    answer, covered, whispered = three.send(1, [three.packet(1, body)])
    assert (answer, covered) == (pong(2), Covered(1, 2))
    assert isinstance(whispered, DownLine)
    assert whispered.n == 2
    assert three.send(2, [three.packet(2, body)]) == [pong(2), Covered(1, 2)]


@each_form
def test_what_waits_for_the_end_of_the_turn_goes_before_the_answer(three: Pinging, body: bytes) -> None:
    three.gateway.news(said(2, 9, "two"))
    *before, answer = three.send(1, [three.packet(1, body)])
    assert len(before) == 2
    assert answer == pong(2)


@each_form
def test_pings_are_answered_up_to_a_number(three: Pinging, body: bytes) -> None:
    assert len(three.send(1, [three.packet(1, body) for _ in range(ASKS + 20)])) == ASKS
    assert three.gateway.counters.questions_limited == 20
    assert len(three.send(2, [three.packet(2, body)])) == 1
    three.gateway.now += ASKS_S
    assert len(three.send(1, [three.packet(1, body) for _ in range(ASKS + 20)])) == ASKS


@pytest.mark.parametrize("body", [ALONE, b'{"leave":true}\n{"ping":7}'])
def test_a_member_that_leaves_is_not_answered(three: Pinging, body: bytes) -> None:
    if body == ALONE:
        three.send(1, [three.packet(1, b'{"leave":true}')])
    answers = three.send(1, [three.packet(1, body)])
    assert not [line for line in answers if isinstance(line, DownLine) and line.pong is not None]


@each_form
def test_a_ping_with_another_mark_is_malformed(three: Pinging, body: bytes) -> None:
    """Over TCP, as another datagram would be one of version 1."""
    packet = three.packet(1, body, mark=1)
    three.gateway.core.sealed.handle_untrusted(0, packet, address_of(1), three.gateway.now)
    assert three.gateway.counters.sealed_dropped["malformed"] == 1
    assert three.send(1, []) == []


def test_a_ping_in_the_form_of_most_clients_takes_the_short_way(three: Pinging) -> None:
    link = three.gateway.members.by_session[three.sessions[1]].sealed
    assert link is not None
    pings = three.gateway.core.sealed.pings
    for body, is_short in ((ALONE, True), *((each, False) for each in OTHERWISE)):
        assert pings.handle_untrusted(link.member, link, three.packet(1, body), three.gateway.now) is is_short


def test_what_can_not_be_a_ping_alone_is_not_opened_here(three: Pinging, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be opened twice."""
    link = three.gateway.members.by_session[three.sessions[1]].sealed
    assert link is not None
    packet, pings = three.packet(1, b'{"say":"x","number":1}'), three.gateway.core.sealed.pings
    monkeypatch.setattr(pings.sender, "keys", None)
    assert not pings.handle_untrusted(link.member, link, packet, three.gateway.now)
