"""gateway/chat/address_moves.py: what goes to an address that is not the member's any more is lost to nobody.

The gateway that has sent it there may end, or hand the member over, before the next datagram shows where the member is.
"""

from collections.abc import Callable

import pytest

from gateway.listeners import sockaddr
from tests.gateway.chat.scripting import BOB, CAROL, answer_all, replayed, texts
from tests.support.fakes import Node, ScriptedGateway, World, a_grant, said, token_of
from tsudoi.protocol.backbone import Adopt, Adoption, Replay
from tsudoi.protocol.names import hash_token

ELSEWHERE = sockaddr.pack("127.0.0.1", 999)
"""Where nobody hears anything."""
FORMER, LATTER, LAST = ["one", "two", "three", "four"], ["five", "six"], "seven"


class Story:
    """A host at one gateway, and a guest at another, whose address is about to be wrong."""

    def __init__(self) -> None:
        self.world = World(7)
        self.other, self.first = self.world.start_gateway(), self.world.start_gateway("g")
        self.host = self.world.enter_now(self.other, "den")
        self.guest = self.world.enter_now(self.first, "den", register=False)
        self.at = self.first
        """The gateway that serves the guest."""

    def say(self, *texts: str) -> None:
        for text in texts:
            self.host.send(self.other, text)
            self.world.run(0.1)
        self.world.run(0.5)

    def speak(self, node: Node, address: bytes | None = None) -> None:
        """Let the guest send a datagram."""
        self.guest.send(node, "", address)
        self.world.run(5.0)

    def lose_first(self) -> Node:
        """Kill the gateway that serves the guest, start its successor, and return that."""
        self.world.kill(self.at)
        self.at = self.world.start_gateway("g")
        self.world.run(5.0)
        return self.at


def guessed(story: Story) -> None:
    member = story.first.gateway.members.by_token[story.guest.token]
    story.first.gateway.core.announce(member, ELSEWHERE, story.world.now, is_guess=True)


def adopted(story: Story) -> None:
    """The successor of its gateway sends to the address that its last datagram came from."""
    story.speak(story.first, ELSEWHERE)
    story.lose_first()


def displaced(story: Story) -> None:
    """Another member has been heard at the address that was its own."""
    story.speak(story.first, ELSEWHERE)
    newcomer = story.world.enter_now(story.first, "den", register=False)
    newcomer.send(story.first, "", ELSEWHERE)
    story.world.run(0.5)


def killed(story: Story) -> Node:
    story.world.kill(story.at)
    return story.other


def killed_with_a_successor(story: Story) -> Node:
    return story.lose_first()


def killed_with_all_that_followed(story: Story) -> Node:
    story.lose_first()
    story.say(*LATTER)
    story.world.kill(story.at)
    return story.other


def asked_for_the_member(story: Story) -> Node:
    return story.other


@pytest.mark.parametrize(
    "goes_on", [killed, killed_with_a_successor, killed_with_all_that_followed, asked_for_the_member]
)
@pytest.mark.parametrize("becomes_wrong", [guessed, adopted, displaced])
def test_a_member_hears_all_that_went_elsewhere(
    becomes_wrong: Callable[[Story], None], goes_on: Callable[[Story], Node]
) -> None:
    story = Story()
    becomes_wrong(story)
    story.say(*FORMER)
    assert story.guest.heard == []
    story.speak(goes_on(story))
    story.say(LAST)
    assert story.guest.offsets() == story.world.expected(story.guest)


@pytest.mark.parametrize("goes_on", [killed, killed_with_a_successor, asked_for_the_member])
@pytest.mark.parametrize("becomes_right", [guessed, adopted])
def test_a_member_that_was_heard_at_its_address_hears_nothing_again(
    becomes_right: Callable[[Story], None], goes_on: Callable[[Story], Node]
) -> None:
    story = Story()
    right, story.guest.address = story.guest.address, ELSEWHERE
    story.world.clients[ELSEWHERE] = story.guest
    becomes_right(story)
    story.say(*FORMER)
    story.speak(story.at)
    story.say(*LATTER)
    story.guest.address = right
    story.speak(goes_on(story))
    story.say(LAST)
    assert story.guest.offsets() == story.world.expected(story.guest)


@pytest.mark.parametrize(
    "goes_on", [killed, killed_with_a_successor, killed_with_all_that_followed, asked_for_the_member]
)
def test_a_displaced_member_that_comes_back_from_its_address_hears_all_since(
    goes_on: Callable[[Story], Node],
) -> None:
    """Two members at one socket: what comes there is for the newcomer until the guest is heard again."""
    story = Story()
    displaced(story)
    story.world.clients[ELSEWHERE] = story.guest
    story.say(*FORMER)
    newcomers = story.guest.offsets()
    assert len(newcomers) == len(FORMER)
    node = goes_on(story)
    story.world.run(5.0)
    story.guest.heard.clear()
    story.speak(node, ELSEWHERE)
    expected = story.world.expected(story.guest)
    assert story.guest.offsets() == expected
    story.say(LAST)
    assert set(story.guest.offsets()) == set(story.world.expected(story.guest))


def test_an_answer_of_the_log_that_is_under_way_does_not_end_what_is_sent_again(gateway: ScriptedGateway) -> None:
    log = [said(offset, 2, str(offset)) for offset in range(2, 301)]
    gateway.enter(2, offset=300, address=BOB)
    granted = a_grant(1, offset=1, address=b"192.0.2.1 20001 0")
    gateway.answer(Adopt([Adoption(granted, hash_token(token_of(1)))]))
    answer_all(gateway, log)
    gateway.wait(1.0)
    (under_way,) = gateway.asked(Replay)
    assert isinstance(under_way.body, Replay)
    after = under_way.body.after
    assert after > 1
    gateway.receive(1, "", CAROL)
    gateway.reply(under_way.id, replayed(*log[after - 1 :]))
    while answer_all(gateway, log):
        gateway.wait(1.0)
    assert texts(gateway, CAROL) == [entry.text for entry in log]
