"""gateway/sealed/seals.py: whatever happens to a group, no member's key seals two packets with one nonce."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from gateway.chat.members import Recipients
from gateway.chat.outbound import Fill, Outbound, filled
from gateway.counters import Counters
from gateway.sealed import sender as sender_module
from gateway.sealed.keys import SessionKeys
from gateway.sealed.link import SealedLink
from gateway.sealed.seals import COLUMN, Seals
from gateway.sealed.sender import Sender
from tests.gateway.listeners.test_sendmmsg import a_member
from tests.support.fakes import FakeRecipients
from tsudoi.protocol.sealed.packets import parse_untrusted
from tsudoi.protocol.sealed.parts import MAX_WHOLE
from tsudoi.protocol.sealed.suites import AES_128_GCM, KEY_SIZES, cipher

LONG = b"l" * (2 * MAX_WHOLE)


@dataclass
class Packets:
    """The part of `Outbound` that is used, and what each address was sent."""

    sent: dict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def send(self, listener: int, address: bytes, payload: bytes) -> None:
        self.sent[address].append(payload)

    def send_many(self, listener: int, address: bytes, payloads: Sequence[bytes]) -> None:
        self.sent[address] += payloads

    def send_filled(
        self, listener: int, recipients: Recipients, slots: range, sizes: Sequence[int], fill: Fill
    ) -> None:
        at = random.Random(len(sizes)).randrange(len(sizes))  # as two bursts
        for start, end in ((0, at), (at, len(sizes))):
            for slot in slots if end > start else ():
                self.sent[recipients.address_in(slot)] += filled(fill, start, sizes[start:end], slot)


class Stage:
    """A group, and what each of its members should have been sent."""

    def __init__(self, suite: str, members: int) -> None:
        self.out, self.suite = Packets(), suite
        self.sender = Sender(SessionKeys([bytes(32)]), cast(Outbound, self.out), Counters())
        self.seals, self.recipients = Seals(self.sender), FakeRecipients()
        self.expected: dict[bytes, list[bytes]] = defaultdict(list)
        self.absent: list[SealedLink] = []
        self.runs = 0
        for number in range(members):
            member = a_member(number + 1)
            member.sealed = SealedLink(self.sender, self.sender.keys.new(suite, 0, number % 256), member)
            self.bind(member.sealed)
            self.join(member.sealed)

    def bind(self, link: SealedLink) -> None:
        self.runs += 1
        link.bind(0, link.member.id.to_bytes(4, "big"), self.runs)

    def join(self, link: SealedLink) -> None:
        self.recipients.add(link.member, link.address)
        self.seals.add(link)

    def leave(self, link: SealedLink) -> None:
        self.seals.remove(link.member.slot)
        self.recipients.remove(link.member)

    def send(self, slots: range, bodies: list[bytes]) -> None:
        for slot in slots:
            self.expected[self.recipients.address_in(slot)] += bodies
        self.seals.send(self.recipients, slots, bodies)

    def send_one(self, link: SealedLink, body: bytes) -> None:
        self.expected[link.address].append(body)
        link.send_bodies([body])

    def check(self) -> None:
        """Open all packets, and look at their nonces and counts."""
        nonces = set()
        links = {link.address: link for link in (*self.seals.links, *self.absent)}
        for address, packets in self.out.sent.items():
            session = links[address].session
            key = cipher(self.suite, self.sender.keys.keys(session).down) if KEY_SIZES[self.suite] else None
            opened, highest = b"", dict[bytes, int]()
            for raw in packets:
                packet = parse_untrusted(raw)
                assert packet.session == session
                assert (session, packet.nonce) not in nonces
                nonces.add((session, packet.nonce))
                assert packet.count > highest.get(packet.run, 0)
                highest[packet.run] = packet.count
                body = packet.rest if key is None else key.decrypt(packet.nonce, packet.rest, packet.header)
                opened += body[2:] if packet.header[1] == 2 else body
            assert opened.replace(b" ", b"") == b"".join(self.expected[address])


@pytest.mark.parametrize("suite", KEY_SIZES)
@pytest.mark.parametrize("members", [1, 3, COLUMN, 2 * COLUMN + 7])
@pytest.mark.parametrize("seed", range(3))
def test_no_nonce_comes_twice_and_each_member_gets_what_is_its(suite: str, members: int, seed: int) -> None:
    stage, chance = Stage(suite, members), random.Random(seed)
    for number in range(150):
        links, body = stage.seals.links, b"%d." % number
        link = chance.choice(links) if links else None
        match chance.randrange(9):
            case 0 | 1 if links:
                stage.send(range(len(links)), [body])
            case 2 if links:
                stage.send(range(len(links)), [body, body + b"longer", body])
            case 3 if links:
                first = chance.randrange(len(links))
                stage.send(range(first, chance.randrange(first, len(links)) + 1), [body])
            case 4 if link:
                stage.send_one(link, body)
            case 5 if link:
                stage.send_one(link, LONG)
            case 6 if link:
                stage.leave(link)
                stage.absent.append(link)
            case 7 if stage.absent:
                back = stage.absent.pop(chance.randrange(len(stage.absent)))
                if chance.random() < 0.5:
                    stage.bind(back)
                stage.send_one(back, body)
                stage.join(back)
            case 8:
                stage.sender.tick()
    stage.check()


def test_the_counts_of_a_member_have_no_holes() -> None:
    """Else packets that are late would be behind a client's window."""
    stage = Stage(AES_128_GCM, 5)
    one = stage.seals.links[2]
    for _ in range(3):
        stage.send(range(5), [b"all"])
        stage.send_one(one, b"one")
    stage.leave(one)
    stage.absent.append(one)
    stage.send_one(one, b"one")
    stage.check()
    counts = [parse_untrusted(packet).count for packet in stage.out.sent[one.address]]
    assert counts == list(range(1, 8))


def test_ciphers_are_kept_until_the_next_tick_and_no_more_than_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "MOST_KEPT", 2 * COLUMN)
    stage = Stage(AES_128_GCM, 5 * COLUMN)
    stage.send(range(5 * COLUMN), [b"all"])
    assert stage.sender.in_columns == COLUMN
    stage.send(range(COLUMN), [b"some"])
    stage.send_one(stage.seals.links[0], b"one")
    assert stage.sender.in_columns == COLUMN
    stage.sender.tick()
    assert stage.sender.in_columns == 0
    stage.check()
