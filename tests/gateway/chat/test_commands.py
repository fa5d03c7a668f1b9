"""gateway/chat/commands.py, room_events.py and render.py, with a broker: what members' commands come to."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.rooms import replays
from gateway.chat import render, room_events
from gateway.chat.commands import PORTION, PORTIONS
from gateway.chat.rate_limits import COMMANDS, QUESTION
from gateway.chat.receive import HELD_LINES
from gateway.settings import Settings
from tests.gateway.chat.test_with_broker import WEATHERS
from tests.support.fakes import FakeClient, Node, ScriptedGateway, Weather, World, address_of, entry, hash_of, said
from tests.support.properties import examples
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Entry, Reconcile, Reconciled
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.long_answers import ANSWER_SIZE
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.slash_commands import HISTORY_SIZE, PAGE_SIZE
from tsudoi.protocol.codes import EntryKind, LeaveReason

ALL = MemberOptions.COMMANDS | MemberOptions.NOTICES
JAPANESE = MemberOptions.COMMANDS | MemberOptions.JAPANESE
TOO_FAST = "server: Too fast: that was not done."


class TwoGateways:
    """Two gateways and a broker, with members in the dialects that a test wants."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed)
        self.a, self.b = (self.world.start_gateway("") for _ in range(2))
        self.home: dict[FakeClient, Node] = {}

    def enter(self, node: Node, dialect: str = "tsudoi", options: int = ALL) -> FakeClient:
        """Let one more member join the room `den`; the first is the host. They are called c1, c2, …"""
        client = self.world.enter_now(node, "den", dialect, options=options)
        self.home[client] = node
        self.world.run(1.0)
        for each in self.home:
            each.heard.clear()
        return client

    def type(self, client: FakeClient, line: str, seconds: float = 1.0) -> None:
        client.send(self.home[client], line)
        self.world.run(seconds)


def lines(client: FakeClient) -> list[str]:
    """What a client of a plain dialect has heard since it was asked last."""
    heard = [raw.decode() for raw in client.heard]
    client.heard.clear()
    return heard


def objects(client: FakeClient) -> list[dict[str, Any]]:
    """What one of our own has heard, without the words."""
    heard = [json.loads(raw) for raw in client.heard]
    client.heard.clear()
    for fields in heard:
        assert fields.pop("text")
    return heard


@pytest.fixture
def pair() -> TwoGateways:
    return TwoGateways()


# --- private ------------------------------------------------------------------------------------------------------


def test_a_member_at_another_host_gets_no_long_answers() -> None:
    gateway = ScriptedGateway()
    elsewhere = address_of(1, network="198.51.100.7")
    member = gateway.enter(1, address=address_of(1))
    member.options = int(ALL)
    gateway.receive(1, "/help", address_of(1))
    assert len(gateway.outbound.to(address_of(1))) > 1
    gateway.wait(gateway.settings.move_after_s)
    gateway.receive(1, "", elsewhere)
    assert member.address == elsewhere
    for line in ("/help", "/who", "/rooms", "/bans", "/history 50"):
        for _ in range(3):
            gateway.receive(1, line, elsewhere)
        gateway.wait(1.0)
    told = [payload.decode() for payload in gateway.outbound.to(elsewhere)]
    assert len(told) == 5
    assert all("join again to ask that" in text for text in told)
    gateway.receive(1, "/time", elsewhere)
    gateway.receive(1, "hello", elsewhere)
    assert len(gateway.asked(backbone.GetTime)) == 1
    assert gateway.said() == ["hello"]


def test_hosts_do_not_matter_to_answers_if_they_are_not_checked() -> None:
    gateway = ScriptedGateway(Settings(check_ip="off"))
    elsewhere = address_of(1, network="198.51.100.7")
    gateway.enter(1, address=address_of(1)).options = int(ALL)
    gateway.receive(1, "/help", elsewhere)
    assert len(gateway.outbound.to(elsewhere)) > 1


def test_a_whisper_reaches_one_member_only(pair: TwoGateways) -> None:
    host, guest, own = pair.enter(pair.a, "tcrp"), pair.enter(pair.b, "tcrp-named"), pair.enter(pair.b)
    pair.type(guest, "/msg c1 psst")
    assert lines(host) == ["c2: (to you) psst"]
    assert lines(guest) == ["\x06server(to c1) psst"]
    assert lines(own) == []
    pair.type(host, "/r what?")
    assert lines(guest) == ["\x02c1(to you) what?"]
    pair.type(own, "/history")
    assert [fields["code"] for fields in objects(own)] == ["no-history"]
    pair.type(host, "/msg c3 hello")
    assert objects(own)[0].items() >= {"notice": "whispered", "name": "c1", "to": "c3", "said": "hello"}.items()


def test_private_entries_are_replayed_to_their_member_only(pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a, "tcrp"), pair.enter(pair.b, "tcrp", JAPANESE)
    third = pair.enter(pair.b, "tcrp")
    pair.world.kill(pair.b)
    pair.type(host, "/msg c2 while you were away")
    pair.type(host, "/me waits")
    lines(host)
    node = pair.home[guest] = pair.home[third] = pair.world.start_gateway()
    for client in (guest, third):
        client.send(node)
    pair.world.run(4.0)
    assert lines(guest) == ["c1: (あなたへ) while you were away", "* c1 waits"]
    assert lines(third) == ["* c1 waits"]


# --- what happens -------------------------------------------------------------------------------------------------


def test_notices_go_to_members_with_notices_and_members_concerned(pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a, "tcrp", JAPANESE), pair.enter(pair.b, "tcrp", MemberOptions.COMMANDS)
    bare, noticed = (
        pair.enter(pair.b, "tcrp", 0),
        pair.enter(pair.a, "tcrp", ALL | MemberOptions.JAPANESE),
    )
    pair.type(host, "/topic 今日の話")
    assert lines(host) == ["server: c1 さんがトピックを変えました: 今日の話"]
    assert lines(noticed) == ["server: c1 さんがトピックを変えました: 今日の話"]
    assert lines(guest) == lines(bare) == []
    pair.type(host, "/mute c2 5")
    assert lines(guest) == ["server: c1 has muted c2 for 5 min."]
    assert len(lines(noticed)) == 1
    assert lines(host) == [
        "server: c1 さんが c2 さんの発言を 5 分間止めました。",
        "server: c2 さんの発言を名前だけで止めました。アドレス 127.0.0.1 は共用です（ここにいるほかの人: 3）。",
    ]
    pair.type(host, "/kick c2 too loud")
    assert lines(guest) == ["server: c1 has removed you from den: too loud", "exit!"]
    assert lines(host) == lines(noticed) == ["server: c1 さんが c2 さんを退室させました: too loud"]
    pair.type(bare, "/who")
    assert lines(host)[0] == "c3: /who"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_removed_member_is_told_in_its_dialects_words(dialect: str, pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a, "tcrp"), pair.enter(pair.b, dialect, MemberOptions.COMMANDS)
    pair.type(host, "/kick c2")
    told = DIALECTS[dialect].removed
    reason = "c1 has removed you from den."
    assert reason in guest.heard[0].decode()
    assert len(guest.heard) == len(told) + (not any("{reason}" in words for words in told))
    end = told[-1].format(reason=reason, room="den", user="c2").encode()
    assert end in guest.heard[-1]
    guest.heard.clear()
    pair.type(host, "still here?")
    assert guest.heard == []


def test_a_ban_by_the_operator_says_so_and_why() -> None:
    style = DIALECTS["tcrp"].down
    banned = Entry(7, EntryKind.LEFT, 2, "bob", "flood", LeaveReason.BANNED, 0)
    assert render.farewell(banned, "den", DIALECTS["tcrp"], ALL) == [
        b"server: The operator has removed you from den: flood",
        b"exit!",
    ]
    assert render.payload(banned, "den", style, ALL) == b"server: The operator has removed bob: flood"
    banned.peer, banned.peer_name, banned.text = 1, "alice", ""
    assert render.payload(banned, "den", style, ALL) == b"server: alice has banned bob."


def test_a_ban_for_minutes_says_for_how_many() -> None:
    banned = Entry(7, EntryKind.LEFT, 2, "bob", "5", LeaveReason.BANNED, 0, peer=1, peer_name="alice")
    assert render.payload(banned, "den", DIALECTS["tcrp"].down, ALL) == b"server: alice has banned bob for 5 min."
    assert (
        render.farewell(banned, "den", DIALECTS["tcrp"], ALL)[0] == b"server: alice has banned you from den for 5 min."
    )


def test_a_new_member_is_sent_the_topic_once_whichever_gateway_it_uses(pair: TwoGateways) -> None:
    host = pair.enter(pair.a, "tcrp")
    pair.type(host, "/topic 今日の話")
    plain = pair.world.enter_now(pair.b, "den", "tcrp", options=ALL | MemberOptions.JAPANESE)
    own = pair.world.enter_now(pair.a, "den", options=ALL)
    bare = pair.world.enter_now(pair.a, "den", "tcrp", options=MemberOptions.COMMANDS)
    pair.world.run(2.0)
    assert lines(plain)[0] == "server: トピック: 今日の話"
    (topic,) = [fields for fields in objects(own) if fields["notice"] == "answer"]
    assert topic == {"n": topic["n"], "notice": "answer", "code": "topic-is", "arg": "今日の話"}
    assert lines(bare) == []
    # Who has not been heard yet when its gateway dies is told at the next one.
    late = pair.world.enter_now(pair.b, "den", "tcrp", register=False, options=ALL)
    pair.world.kill(pair.b)
    node = pair.home[late] = pair.world.start_gateway()
    late.send(node)
    pair.world.run(5.0)
    assert lines(late) == ["server: Topic: 今日の話"]
    pair.world.kill(node)
    node = pair.world.start_gateway()
    late.send(node)
    pair.type(host, "still here?", 5.0)
    assert lines(late) == ["c1: still here?"]


def test_own_clients_are_told_in_values(pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a), pair.enter(pair.b)
    for line in ("/topic x", "/topic -", "/mute c2", "/unmute c2", "/host c2"):
        pair.type(host, line)
    told = objects(guest)
    assert [fields.pop("n") for fields in told] == [3, 4, 5, 7, 8]  # 6 tells the host what the mute covers
    assert told == [
        {"notice": "topic", "name": "c1", "topic": "x"},
        {"notice": "topic", "name": "c1", "topic": ""},
        {"notice": "muted", "name": "c2", "by": "c1", "minutes": 0},
        {"notice": "unmuted", "name": "c2", "by": "c1"},
        {"notice": "host", "name": "c2", "by": "c1"},
    ]
    pair.type(guest, "/nick ボブ")
    pair.type(guest, "/me は手を振った")
    pair.type(guest, "/leave")
    told = objects(host)[-3:]
    assert [(fields["notice"], fields["name"]) for fields in told[:2]] == [("renamed", "c2"), ("acted", "ボブ")]
    assert objects(guest)[-1]["notice"] == "closed"


def test_a_client_may_go_on_to_write_its_first_name(pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a, "tcrp"), pair.enter(pair.b, "tcrp")
    pair.type(guest, "/nick ボブ")
    lines(host)
    for text in ("c2: one", "ボブ: two", "three"):
        pair.type(guest, text)
    # Also at a gateway that has never heard of its first name.
    pair.world.kill(pair.b)
    pair.home[guest] = pair.world.start_gateway()
    pair.type(guest, "c2: four", 5.0)
    assert lines(host) == ["ボブ: one", "ボブ: two", "ボブ: three", "ボブ: four"]


def test_a_fenced_gateway_sends_no_numbers_of_a_big_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_events, "BIG_ROOM", 0)
    gateway = ScriptedGateway()
    gateway.enter(1, "tsudoi").options = ALL
    gateway.receive(1, b"", address_of(1))
    gateway.news(entry(2, EntryKind.JOINED, 9, code=2))
    gateway.canaries_come_back = False
    gateway.now += 5.0
    gateway.tick()
    assert gateway.outbound.to(address_of(1)) == []
    gateway.canaries_come_back = True
    gateway.wait(1.0)
    gateway.reply(gateway.asked(Reconcile)[-1].id, Reconciled([], []))
    gateway.tick()
    (told,) = gateway.outbound.to(address_of(1))
    assert json.loads(told)["notice"] == "people"


def test_in_a_big_room_coming_and_going_is_counted(pair: TwoGateways, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_events, "BIG_ROOM", 3)
    host, own = pair.enter(pair.a, "tcrp", ALL), pair.enter(pair.a)
    bare = pair.enter(pair.a, "tcrp", MemberOptions.COMMANDS)
    for _ in range(4):
        pair.world.enter_now(pair.b, "den", "tcrp")
    pair.world.run(2.0)
    told = objects(own)
    assert {fields["notice"] for fields in told} == {"people"}
    assert sum(fields["joined"] for fields in told) == 4
    assert len(told) <= 2
    assert len(lines(host)) == len(told)
    pair.type(host, "/kick c4", 2.0)
    # The member that removed another is told its name, besides the number.
    assert lines(host) == ["server: c1 has removed c4.", "server: 1 left."]
    assert [(fields["joined"], fields["left"]) for fields in objects(own)] == [(0, 1)]
    assert lines(bare) == []


# --- questions ----------------------------------------------------------------------------------------------------


def test_the_list_of_members_comes_in_pages_and_small_datagrams(pair: TwoGateways) -> None:
    host = pair.enter(pair.a, "tcrp", MemberOptions.COMMANDS)
    for _ in range(PAGE_SIZE):
        pair.world.enter_now(pair.b, "den", "tcrp")
    pair.type(host, "/who")
    assert all(len(raw) <= ANSWER_SIZE for raw in host.heard)
    told = "\n".join(lines(host)).split("\n")
    assert told[0] == f"server: {PAGE_SIZE + 1} in den, page 1 of 2:"
    assert told[1].startswith("c1 (host), silent for ")
    assert len(told) == 1 + PAGE_SIZE
    pair.type(host, "/who 2")
    assert len("\n".join(lines(host)).split("\n")) == 2
    pair.type(host, "/who 3")
    assert lines(host) == ["server: The last page is 2."]


def test_the_host_gets_the_list_of_bans_and_mutes(pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a, "tcrp", JAPANESE), pair.enter(pair.b, "tcrp", MemberOptions.COMMANDS)
    lines(host)
    pair.type(host, "/bans")
    assert lines(host) == ["server: 入室禁止や発言停止になっている人はいません。"]
    pair.type(host, "/mute c2")
    pair.type(host, "/ban 203.0.113.9 5")
    lines(host), lines(guest)
    pair.type(host, "/bans")
    head, muted, banned = "\n".join(lines(host)).split("\n")
    assert head == "server: 入室禁止と発言停止 2 件 (1/1 ページ):"
    assert muted == "c2、発言停止"
    assert banned.startswith("203.0.113.9、")
    assert banned.endswith(" UTC まで入室禁止")
    pair.type(host, "/bans 2")
    assert lines(host) == ["server: 1 ページまでです。"]
    pair.type(guest, "/bans")
    assert lines(guest) == ["server: Only the host can do that: /bans"]


def test_the_list_of_bans_comes_in_values_to_our_own_clients(pair: TwoGateways) -> None:
    host, _ = pair.enter(pair.a), pair.enter(pair.b)
    pair.type(host, "/bans")
    assert objects(host) == [{"notice": "bans", "count": 0, "page": 1, "pages": 1, "bans": []}]
    pair.type(host, "/mute c2")
    host.heard.clear()
    pair.type(host, "/bans")
    assert objects(host)[0]["bans"] == [{"name": "c2", "address": "", "muted": True, "until": 0}]


@pytest.mark.parametrize(
    ("dialect", "options"),
    [
        *((dialect, JAPANESE) for dialect in DIALECTS),
        *((dialect, MemberOptions.COMMANDS) for dialect in ("tsudoi", "tcrp")),
    ],
)
def test_every_answer_is_small_and_only_for_the_member_that_asked(
    dialect: str, options: int, pair: TwoGateways
) -> None:
    other, asker = pair.enter(pair.a, "tcrp", ALL), pair.enter(pair.b, dialect, options)
    for number in range(HISTORY_SIZE):
        pair.world.run(0.01)
        other.send(pair.a, f"{number} " + "あ" * 90)
    pair.world.run(1.0)
    asker.heard.clear()
    for line in (
        "/help",
        "/who",
        "/rooms",
        "/history 99",
        "/time",
        "/nothing",
        "/kick",
        "/topic",
        "/r x",
        "/msg zoe x",
    ):
        pair.type(asker, line)
        assert asker.heard, line
        assert all(len(raw) <= ANSWER_SIZE for raw in asker.heard), line
        asker.heard.clear()
    assert lines(other) == []


def test_history_is_what_was_said_last_oldest_first(pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a, "tcrp"), pair.enter(pair.b)
    for text in ("one", "/me waves", "two"):
        pair.type(host, text)
    objects(guest)
    pair.type(guest, "/history 2")
    (answer,) = objects(guest)
    assert answer["notice"] == "history"
    said = [(each["from"], each["said"], each.get("acted", False)) for each in answer["messages"]]
    assert said == [("c1", "waves", True), ("c1", "two", False)]
    assert "before" not in answer
    pair.type(guest, "/history 1 4")
    (answer,) = objects(guest)
    assert [answer["before"], *(each["said"] for each in answer["messages"])] == [4, "one"]


def test_history_of_long_messages_is_what_was_said_last(pair: TwoGateways, monkeypatch: pytest.MonkeyPatch) -> None:
    host, guest = pair.enter(pair.a, "tcrp"), pair.enter(pair.b)
    texts = [f"{number:09}" for number in range(20)]
    for text in texts:
        pair.type(host, text)
    monkeypatch.setattr(replays, "REPLAY_SIZE", 80)

    def history(line: str) -> list[tuple[int, str]]:
        objects(guest)
        pair.type(guest, line)
        return [(each["n"], each["said"]) for answer in objects(guest) for each in answer["messages"]]

    found = history("/history 14")
    assert [said for _, said in found] == texts[-14:]
    assert history("/history 3") == found[-3:]
    assert history(f"/history 3 {found[10][0]}") == found[7:10]


def test_too_many_questions_are_not_answered(pair: TwoGateways) -> None:
    host = pair.enter(pair.a, "tcrp")
    for _ in range(int(COMMANDS / QUESTION) + 10):
        host.send(pair.a, "/time")
    pair.world.run(1.0)
    counters = pair.a.gateway.counters
    assert (counters.questions_limited, counters.told_to_slow_down) == (10, 1)
    told = lines(host)
    assert len(told) == COMMANDS / QUESTION + 1
    assert told.count(TOO_FAST) == 1
    pair.world.run(1.0)
    pair.type(host, "/time")
    assert len(lines(host)) == 1


def test_too_many_commands_are_not_done_and_told_now_and_then(pair: TwoGateways) -> None:
    host, guest, own = pair.enter(pair.a, "tcrp"), pair.enter(pair.b, "tcrp"), pair.enter(pair.b)
    pair.type(host, "hello")
    lines(guest)
    for _ in range(520):
        guest.send(pair.b, "/kick c1")
    pair.world.run(0.1)
    told = lines(guest)
    assert told.count("server: Only the host can do that: /kick") == COMMANDS
    assert told.count(TOO_FAST) == 1
    assert pair.b.gateway.counters.questions_limited == 520 - COMMANDS
    # So the history still reaches back to the messages before them.
    pair.type(host, "/history")
    assert [line.rpartition(" ")[2] for line in lines(host)[0].split("\n")[1:]] == ["hello"]
    pair.world.run(2.0)
    lines(guest)
    for _ in range(520):
        guest.send(pair.b, "/me waves")
    pair.world.run(0.1)
    assert lines(guest) == [TOO_FAST]
    acted = lines(host)
    assert set(acted) == {"* c2 waves"}
    assert 5 * 2 <= len(acted) < COMMANDS
    # One of our own is told in values; talking, and leaving, are other things.
    objects(own)
    for _ in range(int(COMMANDS) + 5):
        own.send(pair.b, "/r hello?")
    pair.world.run(0.1)
    assert [fields for fields in objects(own) if "n" not in fields] == [
        {"notice": "answer", "code": "too-fast", "arg": ""}
    ]
    pair.type(own, "still here")
    assert lines(host) == ["c3: still here"]
    pair.type(own, "/leave")
    assert lines(host) == ["server: c3 has left."]


def asked_back(gateway: ScriptedGateway, *answers: backbone.Answer) -> list[tuple[int, int]]:
    """(position, how many from there) that are asked for while these are the answers."""
    asked = []
    for answer in answers:
        (request,) = gateway.asked(backbone.Replay)
        assert isinstance(request.body, backbone.Replay)
        asked.append((request.body.after, request.body.limit))
        gateway.reply(request.id, answer)
    assert gateway.asked(backbone.Replay) == []
    return asked


def test_history_looks_as_far_back_as_it_must_and_may() -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, "tcrp", offset=1_700, address=address_of(1)).options = ALL

    def portion(after: int, *entries: Entry, first: int = 0, epoch: int = 1) -> backbone.Replayed:
        known = {each.offset: each for each in entries}
        offsets = range(first or after + 1, max([after + 500, *known]) + 1)
        return backbone.Replayed(
            1, epoch, offsets[0], 1_700, [known.get(at, entry(at, EntryKind.JOINED, 2)) for at in offsets]
        )

    def history() -> list[str]:
        (raw,) = gateway.outbound.to(address_of(1))[-1:]
        return [line.rpartition(" ")[2] for line in raw.decode().split("\n")[1:]]

    gateway.receive(1, "/history 2", address_of(1))
    # Enough was found.
    assert asked_back(gateway, portion(1_200, said(1_300, 2, "a"), said(1_400, 2, "b"), said(1_500, 2, "c"))) == [
        (1_200, 500)
    ]
    assert history() == ["b", "c"]
    # To the room's beginning.
    gateway.receive(1, "/history 5", address_of(1))
    assert asked_back(
        gateway,
        portion(1_200, said(1_300, 2, "d")),
        portion(700),
        portion(200, said(300, 2, "b"), said(301, 2, "c")),
        portion(0, said(100, 2, "a")),
    ) == [(1_200, 500), (700, 500), (200, 500), (0, 200)]
    assert history() == ["a", "b", "c", "d"]
    # To the log's: what it holds is told once, though it may begin with what is known already.
    gateway.receive(1, "/history 5", address_of(1))
    known = said(1_300, 2, "d")
    assert asked_back(gateway, portion(1_200, known), portion(700, said(1_100, 2, "c"), known, first=1_100)) == [
        (1_200, 500),
        (700, 500),
    ]
    assert history() == ["c", "d"]
    # Not beyond another beginning of the room.
    gateway.receive(1, "/history 5", address_of(1))
    assert len(asked_back(gateway, portion(1_200, said(3, 2, "new"), first=1, epoch=2))) == 1
    assert history() == ["new"]
    # Before a position, and nothing from it on, though the log's answer reaches beyond it.
    gateway.receive(1, "/history 2 1250", address_of(1))
    entries = (said(1_100, 2, "a"), said(1_200, 2, "b"), said(1_249, 2, "c"), said(1_250, 2, "d"))
    assert asked_back(gateway, portion(749, *entries)) == [(749, 500)]
    assert history() == ["b", "c"]
    gateway.receive(1, "/history 5 3", address_of(1))
    assert asked_back(gateway, portion(0, said(2, 2, "a"), said(3, 2, "b"))) == [(0, 2)]
    assert history() == ["a"]
    # The broker goes away meanwhile: that is the answer, and the only one.
    gateway.outbound.sent.clear()
    gateway.receive(1, "/history", address_of(1))
    (request,) = gateway.asked(backbone.Replay)
    gateway.reply(request.id, portion(1_200, known))
    gateway.canaries_come_back = False
    gateway.wait(5.0)
    assert gateway.outbound.to(address_of(1)) == [b"server: The server is busy. Try again in a moment."]
    # Not beyond so many portions.
    gateway = ScriptedGateway()
    gateway.enter(1, "tcrp", offset=5_000, address=address_of(1)).options = ALL
    gateway.receive(1, "/history", address_of(1))
    asked_back(gateway, *(portion(5_000 - PORTION * number) for number in range(1, PORTIONS + 1)))


def test_without_a_broker_a_question_is_answered_all_the_same(pair: TwoGateways) -> None:
    host = pair.enter(pair.a, "tcrp")
    pair.world.stop_broker()
    pair.world.run(3.0)
    pair.type(host, "/who")
    assert lines(host) == ["server: The server is busy. Try again in a moment."]


def test_a_second_slash_says_the_first(pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a, "tcrp"), pair.enter(pair.b, "tcrp", 0)
    pair.type(host, "//who")
    assert lines(guest) == ["c1: /who"]
    pair.type(guest, "//who")
    assert lines(host) == ["c2: //who"]


def test_a_full_width_slash_is_a_slash(pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a, "tcrp"), pair.enter(pair.b, "tcrp", 0)
    pair.type(host, "／who")
    pair.type(host, "／topic お茶")
    assert [line.partition("\n")[0] for line in lines(host)] == [
        "server: 2 in den, page 1 of 1:",
        "server: c1 has set the topic: お茶",
    ]
    assert lines(guest) == []
    pair.type(host, "／dance")
    assert lines(host) == ["server: There is no command ／dance. /help lists them."]
    for typed, heard in (("／／who", "／who"), ("/／who", "／who"), ("／/who", "/who")):
        pair.type(host, typed)
        assert lines(guest) == [f"c1: {heard}"]
    pair.type(guest, "／who")
    assert lines(host) == ["c2: ／who"]


# --- in all weather -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weather", WEATHERS)
@given(seed=st.integers(0, 2**32))
@examples(4)
def test_what_commands_bring_about_comes_once_and_in_one_order(weather: str, seed: int) -> None:
    pair = TwoGateways(seed)
    host, guest, third = pair.enter(pair.a), pair.enter(pair.b), pair.enter(pair.b)
    pair.world.weather = WEATHERS[weather]
    sent = []
    for number in range(12):
        line = pair.world.dice.choice(["/topic {}", "/msg c2 {}", "/me {}", "{}", "/kick nobody{}"]).format(number)
        before = pair.a.gateway.counters.commands + pair.a.gateway.counters.accepted_messages
        pair.type(host, line, pair.world.dice.choice((0.0, 0.05, 0.3)))
        sent += [line] * (pair.a.gateway.counters.commands + pair.a.gateway.counters.accepted_messages - before)
    pair.world.weather = Weather()
    pair.world.settle()
    private = [line.rpartition(" ")[2] for line in sent if line.startswith("/msg")]
    public = [line.rpartition(" ")[2] for line in sent if not line.startswith(("/msg", "/kick"))]
    refused = [line.rpartition(" ")[2] for line in sent if line.startswith("/kick")]

    def said(client: FakeClient, *notices: str) -> list[str]:
        found = [fields for fields in objects(client) if fields.get("notice", "") in notices]
        assert [fields["n"] for fields in found] == sorted(fields["n"] for fields in found)
        return [str(fields.get("topic") or fields.get("said") or fields.get("arg")) for fields in found]

    texts = [raw for raw in third.heard if b'"from"' in raw]
    spoken = [json.loads(raw)["text"] for raw in texts]
    assert said(third, "topic", "acted") + spoken == [*[t for t in public if t not in spoken], *spoken]
    assert sorted(said(guest, "whispered")) == sorted(private)
    assert sorted(said(host, "answer")) == sorted(refused)


# --- the order of commands ----------------------------------------------------------------------------------------

LINES = st.sampled_from(["/password sun", "/password moon", "/password", "/topic tea", "hello", "/nick eve", "bye"])


def heard_in_order(client: FakeClient) -> list[str]:
    """What the room's other member hears of a host's lines."""
    heard = [json.loads(raw) for raw in client.heard]
    return [each.get("notice", each["text"]) for each in heard if each.get("notice") not in ("joined", "renamed")]


def expected_of(typed: list[str]) -> list[str]:
    expected, is_locked = [], False
    for line in typed:
        word, _, rest = line.partition(" ")
        if word == "/password":
            if rest or is_locked:
                expected.append("locked" if rest else "unlocked")
            is_locked = bool(rest)
        elif word != "/nick":
            expected.append("topic" if word == "/topic" else line)
    return expected


@examples(10)
@given(st.lists(LINES, min_size=1, max_size=12), st.integers(0, 2**20), st.booleans())
def test_lines_of_a_member_take_effect_in_their_order(typed: list[str], seed: int, wanders: bool) -> None:
    two = TwoGateways(seed)
    host, guest = two.enter(two.a), two.enter(two.b)
    nodes = [two.a, two.b]
    for number, line in enumerate(typed):
        host.send(nodes[number % 2] if wanders else two.a, line)
        if wanders:
            two.world.run(0.5)
    two.world.run(12.0 if wanders else 4.0)
    assert heard_in_order(guest) == expected_of(typed)
    passwords = [line.removeprefix("/password").strip() for line in typed if line.startswith("/password")]
    stored = two.world.broker.core.directory.by_name["den"].password_hash
    assert stored == (hash_of(passwords[-1]) if passwords and passwords[-1] else "")


def test_what_a_host_sends_after_a_password_waits_for_it(pair: TwoGateways) -> None:
    host, guest = pair.enter(pair.a), pair.enter(pair.b)
    for line in ("/password moon", "it is moon", "/host c2", "/leave"):
        host.send(pair.a, line)
    pair.world.run(2.0)
    assert [each.get("notice", each.get("text")) for each in map(json.loads, guest.heard)] == [
        "locked",
        "it is moon",
        "host",
        "left",
    ]
    assert pair.world.broker.core.directory.by_name["den"].password_hash


def test_a_member_whose_lines_wait_is_released_when_they_are_out() -> None:
    gateway = ScriptedGateway()
    member = gateway.enter(1, address=address_of(1))
    member.options = int(ALL)
    for line in ("/password moon", "it is moon"):
        gateway.receive(1, line, address_of(1))
    (asked,) = gateway.asked(backbone.HashPassword)
    release = backbone.Release(1, 1, "broker.1", False)
    gateway.answer(release)
    assert [item.kind for item in gateway.published()] == [EntryKind.ADDRESSED]
    gateway.reply(asked.id, backbone.Hashed("$argon2id$x"))
    gateway.answer(release)
    kinds = [item.kind for item in gateway.published() if item.kind != EntryKind.ADDRESSED]
    assert kinds == [EntryKind.COMMANDED, EntryKind.SAID, EntryKind.RELEASED]


def test_lines_that_wait_are_bounded_and_go_on_if_no_hash_comes() -> None:
    gateway = ScriptedGateway()
    member = gateway.enter(1, address=address_of(1))
    member.options = int(ALL)
    gateway.receive(1, "/password moon", address_of(1))
    for number in range(HELD_LINES + 5):
        gateway.receive(1, str(number), address_of(1))
    assert gateway.said() == []
    assert gateway.counters.window_full == 5
    gateway.wait(gateway.settings.request_timeout_s + 1)
    assert gateway.said() == [str(number) for number in range(HELD_LINES)]
    gateway.receive(1, "now", address_of(1))
    assert gateway.said() == ["now"]
