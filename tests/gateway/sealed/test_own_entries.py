"""gateway/sealed/group.py: what a turn has for one member alone, among that for all; test_group.py has who joins."""

import pytest

from tests.gateway.sealed.test_endings import lines_to
from tests.gateway.sealed.test_recalls import repeat, served
from tests.support.fakes import ScriptedGateway, address_of, entry, said
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.sealed.lines import Covered, DownLine, SaidLine


def whisper(offset: int, member: int = 9, peer: int = 1) -> Entry:
    made = entry(offset, EntryKind.WHISPERED, member)
    made.peer, made.peer_name = peer, f"m{peer}"
    return made


class Three:
    """Live members of one room, and what they were sent since."""

    def __init__(self) -> None:
        self.gateway = ScriptedGateway()
        self.sessions = {number: served(self.gateway, number) for number in (1, 2, 3)}
        self.gateway.news(last=1)
        repeat(self.gateway, 1.0)
        self.gateway.outbound.sent.clear()

    def turn(self, *entries: Entry) -> None:
        """Let a turn's entries come, and send what was asked to be sent."""
        self.gateway.news(*entries)
        self.gateway.frames(self.gateway.now)

    def offsets(self, number: int) -> list[int]:
        """Return the offsets of the lines that a member was sent, each time that they were."""
        lines = lines_to(self.gateway, self.sessions[number], address_of(number))
        return [line.n for line in lines if isinstance(line, SaidLine | DownLine) and line.n is not None]

    def covered(self, number: int) -> int:
        """Return the last offset up to which a member knows that it has all."""
        lines = lines_to(self.gateway, self.sessions[number], address_of(number))
        return max((line.to for line in lines if isinstance(line, Covered)), default=0)


@pytest.fixture
def three() -> Three:
    return Three()


def test_a_turn_for_one_member_is_sent_to_that_one_alone(three: Three) -> None:
    three.turn(whisper(2))
    assert [three.offsets(number) for number in (1, 2, 3)] == [[2], [], []]
    assert three.covered(1) == 2


@pytest.mark.parametrize("size", [400, 420, 440, 460, 480, 500])
def test_a_long_turn_of_whispers_reaches_both_members_of_each(three: Three, size: int) -> None:
    """What was collected is not sent between the two: the other one's body would say that it has all."""
    entries = [whisper(offset, 1, 2) for offset in range(2, 92)]
    for each in entries:
        each.text = "x" * size
    three.turn(*entries)
    for number in (1, 2):
        begun, covered, offsets = 1, 1, list[int]()
        for line in lines_to(three.gateway, three.sessions[number], address_of(number)):
            if isinstance(line, Covered):
                begun, covered = covered, max(covered, line.to)
            elif isinstance(line, DownLine) and line.n is not None and line.n > begun:
                offsets.append(line.n)
        assert offsets == list(range(2, 92))


def test_a_line_for_one_member_comes_in_its_place_and_the_others_see_no_hole(three: Three) -> None:
    three.turn(said(2, 9, "two"), whisper(3), said(4, 9, "four"))
    assert [three.offsets(number) for number in (1, 2, 3)] == [[2, 3, 4], [2, 4], [2, 4]]
    assert [three.covered(number) for number in (1, 2, 3)] == [4, 4, 4]


def test_each_member_is_sent_its_own_last_body_again(three: Three) -> None:
    three.turn(said(2, 9, "two"), whisper(3))
    repeat(three.gateway, 1.0)
    assert [three.offsets(number) for number in (1, 2, 3)] == [[2, 3] * 3, [2] * 3, [2] * 3]


def test_a_line_for_a_member_that_goes_in_the_same_turn_reaches_no_other(three: Three) -> None:
    three.gateway.news(said(2, 9, "two"), whisper(3))
    link = three.gateway.members.by_session[three.sessions[1]].sealed
    assert link is not None
    three.gateway.core.sealed_sender.detach(link)
    three.turn(said(4, 9, "four"))
    repeat(three.gateway, 1.0)
    assert set(three.offsets(2)) == set(three.offsets(3)) == {2, 4}
