"""No body tells a member that it has all entries of a range without those that are for it alone."""

from typing import Any

import pytest

from tests.gateway.sealed.test_endings import bodies_to
from tests.gateway.sealed.test_recalls import repeat, served
from tests.support.fakes import ScriptedGateway, address_of, said
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.sealed.lines import Covered

HELLO = said(2, 9, "hello")
WHISPER = Entry(3, EntryKind.WHISPERED, 9, "zoe", "psst", 0, 0, peer=2, peer_name="user2")


def whisper_covered_by(gateway: ScriptedGateway, session: bytes) -> list[bool]:
    """Return for each body to member 2 that covers the whisper's offset whether it has the whisper."""
    bodies = bodies_to(gateway, session, address_of(2))
    return [any(_offset(line) == 3 for line in body) for body in bodies if any(_covers(line) for line in body)]


def _covers(line: Any) -> bool:
    return isinstance(line, Covered) and line.after < 3 <= line.to


def _offset(line: Any) -> int | None:
    return getattr(line, "n", None)


def come_back(gateway: ScriptedGateway, session: bytes) -> None:
    """Let a member resume that has come to offset 1."""
    link = gateway.core.members.by_session[session].sealed
    assert link is not None
    gateway.core.sealed_sender.detach(link)
    link.bind(0, address_of(2), 7)
    gateway.core.streams.attach(link.member, link, gateway.now)
    gateway.core.streams.begin(link.member, 1, gateway.now)


@pytest.mark.parametrize("was_here", [False, True], ids=["from elsewhere", "again"])
@pytest.mark.parametrize(
    "turns",
    [[[HELLO, WHISPER]], [[HELLO], [WHISPER]], [[HELLO, WHISPER, said(4, 9, "again")]]],
    ids=["after a message", "alone", "between messages"],
)
def test_a_member_that_comes_back_is_not_told_that_nothing_was_for_it(turns: list[list[Entry]], was_here: bool) -> None:
    gateway, log = ScriptedGateway(), [entry for turn in turns for entry in turn]
    served(gateway, 1)
    session = served(gateway, 2) if was_here else b""
    for turn in turns:
        gateway.news(*turn)
        gateway.core.sealed_sender.flush()
    if was_here:
        come_back(gateway, session)
    else:
        session = served(gateway, 2)
    for request in gateway.asked(backbone.Replay):
        gateway.reply(request.id, backbone.Replayed(1, 1, 2, log[-1].offset, log))
    repeat(gateway, 1.0)
    gateway.news(said(log[-1].offset + 1, 9, "later"))
    gateway.core.sealed_sender.flush()
    repeat(gateway, 1.0)
    covered = whisper_covered_by(gateway, session)
    assert covered
    assert all(covered)
