"""gateway/chat/unknown_tokens.py, in a whole gateway without I/O."""

import itertools

import pytest

from gateway.chat.dropped_log import Drop
from gateway.chat.token_guesses import BURST, RATE
from gateway.chat.unknown_tokens import HELD_BYTES, HELD_DATAGRAMS, HELD_OVERHEAD, HELD_TOKENS, REFUSED_S
from gateway.link.routes import PATIENCE_S
from gateway.listeners import sockaddr
from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, ELSEWHERE, LOOPBACK, raw, send
from tests.support.fakes import ScriptedGateway, a_grant, address_of, room_name, token_of
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Refused, Request, Resume
from tsudoi.protocol.codes import Status
from tsudoi.protocol.names import hash_token

GUESSES = int(BURST)


def test_a_token_shown_at_another_host_is_refused_and_does_not_delay_its_member(
    gateway: ScriptedGateway,
) -> None:
    send(gateway, raw(1, "thief"), ELSEWHERE)
    send(gateway, raw(1, "more"), sockaddr.pack("198.51.100.7", 9))
    send(gateway, raw(1, "of the member"), ALICE)
    (request,) = gateway.asked(Resume)
    assert request.body == Resume(hash_token(token_of(1)), "198.51.100.7", 30_000)
    gateway.reply(request.id, Refused(Status.BAD_REQUEST, ""))
    assert gateway.counters.wrong_addresses == 2
    # What came from the member itself is asked for.
    (request,) = gateway.asked(Resume)
    assert request.body == Resume(hash_token(token_of(1)), "192.0.2.1", 30_000)
    gateway.reply(request.id, a_grant(1))
    assert gateway.said() == ["of the member"]


def test_a_member_granted_at_another_host_may_send_there_at_once(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "moved"), ELSEWHERE)
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, address=b"192.0.2.1 5000 0"))
    send(gateway, raw(1, "thief"), ALICE)
    assert gateway.said() == ["moved"]
    assert gateway.members.by_token[token_of(1)].address == ELSEWHERE


def test_hosts_do_not_matter_if_they_are_not_checked() -> None:
    gateway = ScriptedGateway(Settings(check_ip="off"))
    send(gateway, raw(1, "x"), ELSEWHERE)
    (request,) = gateway.asked(Resume)
    assert request.body == Resume(hash_token(token_of(1)), "198.51.100.7", 0)


def test_a_source_that_guesses_too_much_is_muted_for_a_moment() -> None:
    gateway = ScriptedGateway()
    gateway.core.handle_datagrams(0, [(b"\3nonsense", ALICE)] * (GUESSES + 1), gateway.now)
    assert (gateway.counters.unknown_tokens, gateway.counters.guesses_limited) == (GUESSES + 1, 1)
    send(gateway, raw(1, "x"))
    assert (gateway.asked(Resume), gateway.counters.guesses_limited) == ([], 2)
    gateway.enter(2, address=ALICE)
    gateway.receive(2, "a member is heard from there", ALICE)
    assert gateway.said() == ["a member is heard from there"]


@pytest.mark.parametrize("token", [b"", b"short", b"G" * 32, b"0" * 31, b"0" * 33, b"A" * 32, b"\xff" * 32])
def test_only_what_looks_like_a_token_is_asked_for(gateway: ScriptedGateway, token: bytes) -> None:
    send(gateway, raw(1, "hello", token=token))
    assert gateway.asked(Resume) == []
    assert gateway.counters.unknown_tokens == 1
    assert gateway.outbound.sent == []
    assert gateway.outbound.dropped == [(ALICE, Drop.NO_TOKEN, raw(1, "hello", token=token))]


def test_an_unknown_token_is_asked_for_once_and_its_datagrams_wait(gateway: ScriptedGateway) -> None:
    for number in range(3):
        send(gateway, raw(1, f"text {number}"))
    (request,) = gateway.asked(Resume)
    assert request.body == Resume(hash_token(token_of(1)), "192.0.2.1", 30_000)
    assert gateway.said() == []
    gateway.reply(request.id, a_grant(1, offset=5))
    assert gateway.said() == ["text 0", "text 1", "text 2"]
    assert gateway.members.by_token[token_of(1)].address == ALICE
    assert gateway.counters.resumed == 1
    assert backbone.room_topic(1) in gateway.outbound.topics


def test_an_unknown_token_may_stand_behind_a_room_counted_in_characters(gateway: ScriptedGateway) -> None:
    name = room_name(1)
    send(gateway, bytes((len(name), 32)) + name.encode() + token_of(1) + b"hello")
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1))
    assert gateway.said() == ["hello"]


def test_digits_at_the_end_of_a_room_counted_in_characters_are_not_taken_for_a_token(gateway: ScriptedGateway) -> None:
    """In bytes the room would be 部屋 and the token `2024` and the first 28 digits of the real one."""
    room, token = "部屋2024", token_of(1)
    for text in (b"one", b"two"):
        send(gateway, bytes((len(room), 32)) + room.encode() + token + text)
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, Refused(Status.ROOM_NOT_FOUND, ""))
    (request,) = gateway.asked(Resume)
    assert request.body == Resume(hash_token(token), "192.0.2.1", 30_000)
    gateway.reply(request.id, a_grant(1, room=2024))
    assert gateway.said() == ["one", "two"]
    assert (gateway.counters.unknown_tokens, gateway.outbound.dropped) == (0, [])


def test_of_two_possible_tokens_each_is_asked_for_once(gateway: ScriptedGateway) -> None:
    room = "部屋2024"
    data = bytes((len(room), 32)) + room.encode() + token_of(1) + b"one"
    send(gateway, data)
    for _ in range(2):
        (request,) = gateway.asked(Resume)
        gateway.reply(request.id, Refused(Status.ROOM_NOT_FOUND, ""))
    assert gateway.outbound.dropped == [(ALICE, Drop.NO_TOKEN, data)]
    send(gateway, data)
    assert gateway.asked(Resume) == []
    assert gateway.counters.unknown_tokens == 2


def test_a_token_that_the_directory_does_not_know_is_not_asked_for_again_at_once(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "one"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, Refused(Status.ROOM_NOT_FOUND, ""))
    assert gateway.outbound.dropped == [(ALICE, Drop.NO_TOKEN, raw(1, "one"))]
    send(gateway, raw(1, "two"))
    assert gateway.asked(Resume) == []
    assert gateway.counters.unknown_tokens == 2
    gateway.wait(REFUSED_S)
    send(gateway, raw(1, "three"))
    assert len(gateway.asked(Resume)) == 1
    assert gateway.outbound.sent == []


def test_a_directory_that_is_busy_is_asked_again_at_once(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "one"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, Refused(Status.BUSY, ""))
    send(gateway, raw(1, "two"))
    assert len(gateway.asked(Resume)) == 1


def test_without_an_answer_what_waited_is_dropped_and_asked_for_again(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "one"))
    gateway.asked(Resume)
    gateway.wait(PATIENCE_S + 1)
    assert gateway.counters.held_dropped == 1
    gateway.asked(Resume)
    send(gateway, raw(1, "two"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1))
    assert gateway.said() == ["two"]


def test_held_datagrams_of_a_token_are_bounded(gateway: ScriptedGateway) -> None:
    for number in range(HELD_DATAGRAMS + 5):
        send(gateway, raw(1, str(number)))
    assert gateway.counters.held_dropped == 5
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1))
    assert gateway.said() == [str(number) for number in range(HELD_DATAGRAMS)]


def test_held_tokens_are_bounded(gateway: ScriptedGateway) -> None:
    strangers = [(raw(n, "x"), address_of(n, network=f"198.51.100.{n % 100}")) for n in range(HELD_TOKENS + 10)]
    gateway.core.handle_datagrams(0, strangers, gateway.now)
    assert gateway.counters.held_dropped == 10
    assert len(gateway.asked(Resume)) == HELD_TOKENS


def test_guessing_tokens_is_throttled_for_each_address() -> None:
    gateway = ScriptedGateway()
    tokens = itertools.count()

    def guess(count: int) -> list[Request]:
        gateway.core.handle_datagrams(0, [(raw(n, "x"), ALICE) for n in itertools.islice(tokens, count)], gateway.now)
        return gateway.asked(Resume)

    asked = guess(GUESSES + 20)
    assert len(asked) == GUESSES
    assert gateway.counters.guesses_limited == 20
    for request in asked:
        gateway.reply(request.id, Refused(Status.ROOM_NOT_FOUND, ""))
    assert guess(30) == []
    send(gateway, raw(9_999, "x"), ELSEWHERE)
    assert len(gateway.asked(Resume)) == 1
    gateway.now += 1.0
    assert len(guess(int(RATE) + 20)) == RATE


def test_tokens_of_members_are_not_limited_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.chat.token_guesses.BURST", 2.0)
    gateway = ScriptedGateway()
    for number in range(1, 100):
        send(gateway, raw(number, "x"), ALICE)
        (request,) = gateway.asked(Resume)
        gateway.reply(request.id, a_grant(number))
    assert gateway.counters.guesses_limited == 0


def test_this_machine_is_not_throttled() -> None:
    gateway = ScriptedGateway()
    gateway.core.handle_datagrams(0, [(raw(n, "x"), LOOPBACK) for n in range(GUESSES + 100)], gateway.now)
    assert len(gateway.asked(Resume)) == GUESSES + 100


def test_held_bytes_are_bounded(gateway: ScriptedGateway) -> None:
    size = len(raw(1, "x" * 4_000)) + HELD_OVERHEAD
    fits, sources = HELD_BYTES // size, [sockaddr.pack(f"192.0.2.{number}", 1) for number in range(1, 100)]
    for number in range(fits + 10):
        send(gateway, raw(number, "x" * 4_000), sources[number % len(sources)])
    assert gateway.core.unknown_tokens.held == fits
    assert gateway.counters.held_dropped == 10
    # Those that were answered give their place to others.
    for request in gateway.asked(Resume)[:5]:
        gateway.reply(request.id, Refused(Status.ROOM_NOT_FOUND, ""))
    for number in range(fits + 10, fits + 20):
        send(gateway, raw(number, "x" * 4_000), sources[number % len(sources)])
    assert gateway.counters.held_dropped == 15
