"""gateway/chat/stream_group.py: one frame a turn, in order with all else."""

from collections.abc import Callable, Sequence

import pytest

from gateway.chat.members import Member
from gateway.chat.stream_group import MAX_COLLECTED, PendingGroups, StreamGroup
from tests.support.fakes import ScriptedGateway
from tsudoi.protocol.web.codes import Ending


class Pipe:
    """A stream that keeps what is written."""

    def __init__(self, pending: PendingGroups) -> None:
        self.pending = pending
        self.frames: list[bytes] = []
        self.is_behind = False
        self.group_mark = 0

    @property
    def write(self) -> Callable[[bytes], object]:
        return self.frames.append

    def send(self, payload: bytes) -> None:
        self.pending.flush()
        self.frames.append(payload)

    def send_entries(self, after: int, to: int, payloads: Sequence[bytes]) -> None:
        self.frames += payloads

    def interrupt(self, member: Member) -> None:
        member.stream = None

    def new_group(self) -> StreamGroup:
        return StreamGroup(self.pending)

    def end(self, member: Member, ending: Ending, why: str = "", last: int | None = None) -> None:
        member.stream = None


class Groups:
    """What is scheduled, and a group with two members."""

    def __init__(self) -> None:
        self.scheduled = 0
        self.pending = PendingGroups(lambda payload: b"<" + payload + b">", self._schedule)
        self.group = StreamGroup(self.pending)
        gateway = ScriptedGateway()
        self.members = [gateway.enter(number) for number in (1, 2)]
        self.pipes = [Pipe(self.pending), Pipe(self.pending)]
        for member, pipe in zip(self.members, self.pipes, strict=True):
            member.stream = pipe
            self.group.add(member, b"")

    def _schedule(self) -> None:
        self.scheduled += 1


@pytest.fixture
def groups() -> Groups:
    return Groups()


def test_what_is_collected_is_one_frame_the_same_bytes_for_each(groups: Groups) -> None:
    groups.group.collect([b"one"])
    groups.group.collect([b"two"])
    assert groups.pipes[0].frames == []
    groups.pending.flush()
    assert [pipe.frames for pipe in groups.pipes] == [[b"<one\ntwo>"]] * 2
    assert groups.pipes[0].frames[0] is groups.pipes[1].frames[0]


def test_writing_is_scheduled_once_until_it_is_done(groups: Groups) -> None:
    for _ in range(2):
        groups.group.collect([b"one"])
        groups.group.collect([b"two"])
        groups.pending.flush()
    assert groups.scheduled == 2
    groups.pending.flush()
    assert [len(pipe.frames) for pipe in groups.pipes] == [2, 2]


def test_what_is_for_one_alone_comes_after_what_was_for_all(groups: Groups) -> None:
    groups.group.collect([b"for all"])
    groups.pipes[0].send(b"for one")
    assert groups.pipes[0].frames == [b"<for all>", b"for one"]


def test_a_member_gets_what_came_while_it_was_in(groups: Groups) -> None:
    groups.group.collect([b"before"])
    groups.group.remove(groups.members[0])
    groups.group.collect([b"after"])
    groups.group.add(groups.members[0], b"")
    groups.group.collect([b"again"])
    groups.pending.flush()
    assert groups.pipes[0].frames == [b"<before>", b"<again>"]
    assert groups.pipes[1].frames == [b"<before>", b"<after>", b"<again>"]
    assert len(groups.group) == 2


def test_a_long_turn_is_several_frames(groups: Groups) -> None:
    for _ in range(5):
        groups.group.collect([b"x" * (MAX_COLLECTED // 2)])
    groups.pending.flush()
    assert len(groups.pipes[0].frames) == 2
    assert max(map(len, groups.pipes[0].frames)) < 2 * MAX_COLLECTED


def test_streams_have_no_addresses(groups: Groups) -> None:
    with pytest.raises(LookupError):
        groups.group.address_in(0)
