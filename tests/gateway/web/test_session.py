"""gateway/web/session.py and what it leans on, with a broker's and a gateway's real cores."""

import json

import pytest

from broker.rooms import replays
from tests.gateway.web.surfing import Surfer
from tests.support.fakes import Node, Weather, World
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.web.codes import Close, Ending, Error

SECRET = "0123456789abcdef0123456789abcdef"


def test_two_members_chat_and_each_gets_its_own_messages_too(world: World, node: Node) -> None:
    alice, bob = Surfer(world, node), Surfer(world, node, "bob")
    assert alice.enter()["data"] == {"name": "alice", "members": 1}
    assert bob.enter()["data"] == {"name": "bob", "members": 2}
    said = alice.say("hello")
    bob.say("hi")
    world.run(0.5)
    assert alice.texts() == bob.texts() == ["hello", "hi"]
    (kept,) = (pub for pub in bob.pubs() if pub["data"].get("text") == "hello")
    assert (kept["offset"], alice.position()["epoch"]) == (said["offset"], said["epoch"])
    assert kept["data"] == {"n": kept["offset"], "from": "alice", "text": "hello"}
    assert kept["time"] > 0


def test_members_by_datagrams_are_in_the_same_room_and_order(world: World, node: Node) -> None:
    udp = world.enter_now(node, "den")
    alice = Surfer(world, node)
    alice.enter()
    udp.send(node, "from far")
    world.run(0.5)
    alice.say("from here")
    world.run(0.5)
    assert alice.texts() == ["from far", "from here"]
    assert [json.loads(each)["text"] for each in udp.heard if b'"from"' in each] == ["from here"]


def test_a_second_member_of_a_name_is_numbered(world: World, node: Node) -> None:
    Surfer(world, node).enter()
    assert Surfer(world, node).enter()["data"]["name"] == "alice#2"


def test_a_room_may_be_entered_under_another_name_than_the_connections(world: World, node: Node) -> None:
    alice = Surfer(world, node, "alice")
    entered = alice.ask(subscribe={"channel": "den", "data": {"create": True, "name": " アリス "}})
    assert entered["data"]["name"] == "アリス"
    assert alice.enter("tea")["data"]["name"] == "alice"
    refused = alice.ask(subscribe={"channel": "hall", "data": {"name": "a\nb", "create": True}})
    assert refused["code"] == Error.BAD_REQUEST


def test_each_attempt_to_enter_is_logged_with_its_outcome_and_no_name(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    alice.lose()
    again = alice.again()
    again.enter()
    again.enter("den ")
    bob = Surfer(world, node, "bob")
    bob.ask(subscribe={"channel": "tea"})
    bob.ask(subscribe={"channel": "den"})
    nameless = Surfer(world, node, "")
    assert alice.port.logged == [("created", "den")]
    assert again.port.logged[0] == ("returned", "den")
    assert again.port.logged[1][0].startswith("refused: write the room's name")
    assert bob.port.logged == [("refused: Room does not exist", "tea"), ("joined", "den")]
    assert nameless.port.logged == [('refused: give your "name" in "data"', "")]


def test_a_reader_is_told_while_the_broker_is_away(world: World, node: Node) -> None:
    alice, bob = Surfer(world, node), Surfer(world, node, "bob", language="ja")
    alice.enter()
    bob.enter()
    udp = world.enter_now(node, "den")
    world.run(1)
    heard = len(udp.heard)
    world.stop_broker()
    world.run(4)
    assert alice.notices()[-1:] == bob.notices()[-1:] == ["away"]
    assert "サーバー" in bob.pubs()[-1]["data"]["text"]
    assert "offset" not in alice.pubs()[-1]
    # A client that comes back meanwhile is told, too.
    alice.lose()
    again = alice.again()
    again.enter(**alice.position())
    assert again.notices() == ["away"]
    world.restart_broker()
    world.run_until(lambda: "back" in again.notices() and "back" in bob.notices())
    world.run(3)
    assert again.notices() == ["away", "back"]
    assert bob.notices()[-2:] == ["away", "back"]
    assert len(udp.heard) == heard
    assert bob.say("heard again")["offset"]


def test_a_broker_that_is_quickly_back_is_not_told(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    world.restart_broker()
    world.run(3)
    assert alice.notices() == []


def test_without_create_there_is_no_such_room(world: World, node: Node) -> None:
    refused = Surfer(world, node).ask(subscribe={"channel": "den"})
    assert refused["code"] == Error.UNKNOWN_CHANNEL
    assert "temporary" not in refused


@pytest.mark.parametrize("seed", range(5))
def test_all_enter_who_create_a_room_at_the_same_time(seed: int) -> None:
    world = World(seed)
    surfers = [Surfer(world, world.start_gateway()) for _ in range(3)]
    for surfer in surfers:
        surfer.send(subscribe={"channel": "den", "data": {"create": True}})
    world.run(1)
    assert sorted(name for surfer in surfers for name, _ in surfer.port.logged) == ["created", "joined", "joined"]
    surfers[0].say("hello")
    world.run(0.5)
    assert [surfer.texts() for surfer in surfers] == [["hello"]] * 3


def test_a_rooms_password_is_asked_for(world: World, node: Node) -> None:
    Surfer(world, node).ask(subscribe={"channel": "den", "data": {"create": True, "password": "sesame"}})
    bob = Surfer(world, node, "bob")
    japanese = Surfer(world, node, "ハナコ", language="ja")
    for data, english, words in (
        ({}, "this room has a password", "このルームにはパスワードがあります"),
        ({"password": "wrong"}, "Wrong password", "パスワードが違います"),
    ):
        about = {"code": Error.PERMISSION_DENIED, "message": english}
        assert bob.ask(subscribe={"channel": "den", "data": data}) == about
        assert japanese.ask(subscribe={"channel": "den", "data": data}) == {**about, "message": words}
    assert "epoch" in bob.ask(subscribe={"channel": "den", "data": {"password": "sesame"}})


def test_a_session_goes_on_by_another_connection_without_leaving(world: World, node: Node) -> None:
    alice, bob = Surfer(world, node), Surfer(world, node, "bob")
    alice.enter()
    bob.enter()
    alice.lose()
    world.run(5)
    again = alice.again()
    assert again.enter()["data"]["name"] == "alice"
    again.say("still me")
    world.run(0.5)
    assert bob.notices() == []
    assert bob.texts() == ["still me"]


def test_what_was_said_meanwhile_is_recovered_once_and_in_order(world: World, node: Node) -> None:
    alice, bob = Surfer(world, node), Surfer(world, node, "bob")
    alice.enter()
    bob.enter()
    bob.say("before")
    world.run(0.5)
    position = alice.position()
    alice.lose()
    for number in range(700):
        bob.say(f"{number}")
    again = alice.again()
    reply = again.enter(**position)
    assert (reply["was_recovering"], reply["recovered"], reply["offset"]) == (True, True, position["offset"])
    bob.say("after")
    world.run(3)
    assert again.texts() == [*map(str, range(700)), "after"]
    assert len(reply["publications"]) == 500


def test_a_position_that_is_the_rooms_needs_nothing(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    alice.say("mine")
    world.run(0.5)
    position = alice.position()
    alice.lose()
    reply = alice.again().enter(**position)
    assert reply["recovered"] is True
    assert reply["publications"] == []


def test_a_gap_is_told_exactly_and_what_is_left_is_sent(world: World, node: Node) -> None:
    alice, bob = Surfer(world, node), Surfer(world, node, "bob")
    alice.enter()
    bob.enter()
    world.run(0.5)
    position = alice.position()
    alice.lose()
    for number in range(10):
        bob.say(f"{number}")
        world.run(0.05)
    world.broker.core.trimmed(world.broker.store.trim(keep=4, before_ms=0))
    again = alice.again()
    reply = again.enter(**position)
    assert reply["recovered"] is False
    lost = reply["data"]["lost"]
    assert lost["from"] == position["offset"] + 1
    assert reply["publications"][0]["offset"] == lost["to"] + 1
    assert again.texts() == [str(number) for number in range(10)][-4:]


def test_another_epoch_is_not_recovered(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    alice.say("before")
    world.run(0.5)
    alice.lose()
    again = alice.again()
    reply = again.enter(recover=True, epoch="_", offset=0)
    assert (reply["was_recovering"], reply["recovered"]) == (True, False)
    again.say("after")
    world.run(0.5)
    assert again.texts() == ["after"]


def test_a_position_in_the_room_that_had_the_name_before_is_of_another_epoch(world: World, node: Node) -> None:
    """A new room counts from 1 again; what it has beyond an old offset is not what the client has missed."""
    alice, bob = Surfer(world, node), Surfer(world, node, "bob")
    alice.enter()
    bob.enter()
    alice.say("the old room")
    world.run(0.5)
    position = bob.position()
    bob.lose()
    alice.say("/close")
    world.run(0.5)
    carol = Surfer(world, node, "carol")
    epoch = carol.enter()["epoch"]
    for number in range(position["offset"] + 5):
        carol.say(f"{number}")
    world.run(0.5)
    again = bob.again()
    again.enter(**position)
    world.run(0.5)
    assert again.ended() == [("den", Ending.CLOSED)]
    reply = again.enter(**position)
    assert (reply["was_recovering"], reply["recovered"], reply["epoch"]) == (True, False, epoch)
    assert again.texts() == []
    wrong = again.ask(history={"channel": "den", "since": {k: position[k] for k in ("epoch", "offset")}, "limit": 9})
    assert wrong["code"] == Error.BAD_REQUEST


def test_a_position_beyond_the_log_is_not_recovered_and_changes_nothing(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    epoch = alice.enter()["epoch"]
    world.run(0.5)
    alice.lose()
    reply = alice.again().enter(recover=True, epoch=epoch, offset=10**9)
    assert reply["recovered"] is False
    assert reply["epoch"] == epoch


def test_a_member_goes_on_at_another_gateway_when_its_own_is_killed(world: World, node: Node) -> None:
    other = world.start_gateway()
    alice, bob = Surfer(world, node), Surfer(world, other, "bob")
    alice.enter()
    bob.enter()
    alice.say("one", 1)
    world.run(0.5)
    position = alice.position()
    world.kill(node)
    bob.say("two")
    again = alice.again(other)
    reply = again.enter(**position)
    assert reply["recovered"] is True
    assert reply["data"]["name"] == "alice"
    again.say("one", 1)
    again.say("three", 2)
    world.run(1)
    assert again.texts() == ["two", "three"]
    assert bob.texts() == ["one", "two", "three"]


def test_a_line_that_is_repeated_is_said_once(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    for _ in range(3):
        assert "epoch" in alice.say("hello", 5)
    assert alice.say("lower", 4)["code"] == Error.BAD_REQUEST
    world.run(0.5)
    assert alice.texts() == ["hello"]
    assert [pub["data"]["number"] for pub in alice.pubs() if "from" in pub["data"]] == [5]


@pytest.mark.parametrize("ending", ["/leave", "/kick alice"])
def test_a_line_that_was_kept_is_not_told_to_be_refused_when_its_member_is_gone(
    world: World, node: Node, ending: str
) -> None:
    """The gateway does not know yet of the end, and a kept line is repeated; its reply was lost."""
    host, alice = Surfer(world, node, "host"), Surfer(world, node)
    host.enter()
    alice.enter()
    world.run(0.5)
    world.weather = Weather(dropped_news=1.0)
    alice.say("hello", 5)
    host.say(ending)
    again, new = alice.say("hello", 5), alice.say("new", 6)
    if ending == "/leave":
        assert "epoch" in again
        assert (new["code"], new["message"]) == (Error.BAD_REQUEST, "the room is closed: this was not said")
    else:
        assert (again["code"], again["temporary"]) == (Error.INTERNAL, True)
        assert alice.say("without a number")["code"] == Error.PERMISSION_DENIED
    world.weather = Weather()
    world.settle()
    assert alice.texts() == ["hello"]
    assert [code for _, code in alice.ended()] == [Ending.CLOSED if ending == "/leave" else Ending.KICKED]


def test_while_the_broker_is_away_a_line_is_refused_for_now_and_then_said_once(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    world.stop_broker()
    world.run(2)
    refused = alice.say("hello", 1)
    assert (refused["code"], refused["temporary"]) == (Error.INTERNAL, True)
    world.restart_broker()
    world.run(5)
    alice.say("hello", 1)
    alice.say("hello", 1)
    world.run(0.5)
    assert alice.texts() == ["hello"]


def test_the_newest_connection_of_a_session_has_the_member(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    again = alice.again()
    again.enter()
    assert alice.ended() == [("den", Ending.ELSEWHERE)]
    again.say("here")
    world.run(0.5)
    assert alice.texts() == []
    assert again.texts() == ["here"]
    assert alice.say("and there?")["code"] == Error.PERMISSION_DENIED


def test_one_that_unsubscribes_leaves_and_one_that_is_lost_does_after_the_idle_time_out(
    world: World, node: Node
) -> None:
    host, alice, bob = Surfer(world, node, "host"), Surfer(world, node), Surfer(world, node, "bob")
    for each in (host, alice, bob):
        each.enter()
    assert alice.ask(unsubscribe={"channel": "den"}) == {}
    world.run(0.5)
    bob.lose()
    world.run(world.settings.idle_timeout_s + 3)
    left = [pub["data"] for pub in host.pubs() if pub["data"].get("notice") == "left"]
    assert [(each["name"], each["reason"]) for each in left] == [("alice", "left"), ("bob", "idle")]
    assert host.ended() == []


def test_one_that_unsubscribes_before_it_is_in_leaves_all_the_same(world: World, node: Node) -> None:
    host, alice = Surfer(world, node, "host"), Surfer(world, node)
    host.enter()
    alice.send(subscribe={"channel": "den"})
    alice.send(unsubscribe={"channel": "den"})
    world.run(2)
    assert host.notices() == ["joined", "left"]


@pytest.mark.parametrize(
    ("order", "ending"), [("/kick bob", Ending.KICKED), ("/ban bob", Ending.BANNED), ("/close", Ending.CLOSED)]
)
def test_who_is_removed_is_told_why(world: World, node: Node, order: str, ending: Ending) -> None:
    alice, bob = Surfer(world, node), Surfer(world, node, "bob")
    alice.enter()
    bob.enter()
    alice.say(order)
    world.run(0.5)
    assert bob.ended() == [("den", ending)]
    assert bob.say("hello?")["code"] == Error.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("order", "english", "japanese"),
    [
        (
            "/leave",
            "The host alice has left: the room is closed.",
            "ホストの alice さんが退室し、ルームが閉じられました。",
        ),
        ("/close", "The host alice has closed the room.", "ホストの alice さんがルームを閉じました。"),
        ("/kick bob", "alice has removed you from den.", None),
        ("/ban bob", "you are banned from this room", "このルームへの入室を禁止されています"),
    ],
)
def test_an_end_and_a_ban_are_told_in_the_language_of_the_reader(
    world: World, node: Node, order: str, english: str, japanese: str | None
) -> None:
    alice, bob, hanako = Surfer(world, node), Surfer(world, node, "bob"), Surfer(world, node, "ハナコ", language="ja")
    for each in (alice, bob, hanako):
        each.enter()
    alice.say(order)
    world.run(0.5)
    if order.startswith("/ban"):
        again = Surfer(world, node, "bob", language="ja")
        assert bob.ask(subscribe={"channel": "den"})["message"] == english
        assert again.ask(subscribe={"channel": "den"})["message"] == japanese
    else:
        assert bob.reasons() == [english]
        assert hanako.reasons() == ([japanese] if japanese else [])


def test_a_closed_room_is_told_to_a_client_that_comes_back(world: World, node: Node) -> None:
    alice, bob = Surfer(world, node), Surfer(world, node, "bob")
    alice.enter()
    bob.enter()
    world.run(0.5)
    position = bob.position()
    bob.lose()
    alice.say("bye")
    alice.say("/close")
    world.run(0.5)
    again = bob.again()
    again.enter(**position)
    world.run(3)
    assert again.texts() == ["bye"]
    assert again.ended() == [("den", Ending.CLOSED)]


def test_whispers_are_for_two_and_answers_for_one(world: World, node: Node) -> None:
    alice, bob, carol = (Surfer(world, node, name) for name in ("alice", "bob", "carol"))
    for each in (alice, bob, carol):
        each.enter()
    alice.say("/msg bob psst")
    alice.say("/who")
    world.run(0.5)
    assert [each.notices().count("whispered") for each in (alice, bob, carol)] == [1, 1, 0]
    assert [each.notices().count("who") for each in (alice, bob, carol)] == [1, 0, 0]
    (whisper,) = (pub for pub in bob.pubs() if pub["data"].get("notice") == "whispered")
    assert whisper["offset"] > 0
    assert "psst" not in json.dumps(carol.ask(history={"channel": "den", "limit": 100}))
    assert "psst" in json.dumps(bob.ask(history={"channel": "den", "limit": 100}))


def test_words_are_in_the_language_of_the_reader(world: World, node: Node) -> None:
    alice, bob = Surfer(world, node, language="ja"), Surfer(world, node, "bob")
    alice.enter()
    bob.enter()
    Surfer(world, node, "carol").enter()
    world.run(0.5)
    words = [[pub["data"]["text"] for pub in each.pubs()][-1] for each in (alice, bob)]
    assert words == ["carol さんが入室しました。", "carol has joined."]


def test_a_joined_member_is_a_presence_too(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    bob = Surfer(world, node, "bob")
    bob.enter()
    bob.ask(unsubscribe={"channel": "den"})
    world.run(0.5)
    alice.pubs()
    pushes = [each["push"] for each in alice.got if "push" in each]
    info = {"info": {"client": "bob", "user": "bob"}}
    assert [each["join"] for each in pushes if "join" in each] == [info]
    assert [each["leave"] for each in pushes if "leave" in each] == [info]


def test_history_goes_both_ways_in_portions(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    for number in range(20):
        alice.say(f"{number}")
    world.run(0.5)

    def texts(**asked: object) -> list[str]:
        found = alice.ask(history={"channel": "den", **asked})["publications"]
        return [pub["data"]["text"] for pub in found if "from" in pub["data"]]

    assert texts(limit=0) == []
    assert texts(limit=-1) == [f"{number}" for number in range(20)]
    assert texts(limit=3, reverse=True) == ["19", "18", "17"]
    newest = alice.ask(history={"channel": "den", "limit": 3, "reverse": True})
    since = {"offset": newest["publications"][-1]["offset"], "epoch": newest["epoch"]}
    assert texts(limit=2, reverse=True, since=since) == ["16", "15"]
    assert texts(limit=2, since=since) == ["18", "19"]
    wrong = alice.ask(history={"channel": "den", "limit": 2, "since": {"offset": 3, "epoch": "9"}})
    assert wrong["code"] == Error.BAD_REQUEST


def test_history_of_long_messages_has_no_holes(world: World, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Surfer(world, node)
    alice.enter()
    texts = [f"{number:09}" for number in range(20)]
    for text in texts:
        alice.say(text)
    world.run(0.5)
    monkeypatch.setattr(replays, "REPLAY_SIZE", 80)
    found = alice.ask(history={"channel": "den", "limit": 14, "reverse": True})["publications"]
    assert [pub["data"]["text"] for pub in found] == texts[:-15:-1]


def test_presence_and_the_rooms(world: World, node: Node) -> None:
    members = [Surfer(world, node, f"m{number}") for number in range(120)]
    for each in members:
        each.enter()
    alice = members[0]
    found = alice.ask(presence={"channel": "den"})["presence"]
    assert sorted(found) == sorted(each.name for each in members)
    assert (found["m0"]["client"], found["m0"]["user"], found["m0"]["conn_info"]["host"]) == ("m0", "m0", True)
    world.run(0.5)
    assert alice.ask(presence_stats={"channel": "den"}) == {"num_clients": 120, "num_users": 120}
    rooms = alice.ask(rpc={"method": "rooms", "data": {"page": 1}})["data"]
    assert rooms == {"count": 1, "page": 1, "rooms": [{"name": "den", "members": 120, "locked": False}]}


def test_a_turn_is_one_frame_for_a_room(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    udp = world.enter_now(node, "den")
    world.run(0.5)
    alice.pubs()
    before = alice.port.frames
    for number in range(20):
        udp.send(node, f"{number}")
    world.run(0.5)
    assert alice.texts() == [f"{number}" for number in range(20)]
    assert alice.port.frames - before == 1


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"publish": {"channel": "elsewhere", "data": {"text": "x"}}}, Error.PERMISSION_DENIED),
        ({"history": {"channel": "elsewhere"}}, Error.PERMISSION_DENIED),
        ({"publish": {"channel": "den", "data": {"text": "  "}}}, Error.BAD_REQUEST),
        ({"publish": {"channel": "den", "data": {"text": "x" * 5_000}}}, Error.BAD_REQUEST),
        ({"publish": {"channel": "den", "data": {"words": "x"}}}, Error.BAD_REQUEST),
        ({"publish": {"channel": "den", "data": "x"}}, Error.BAD_REQUEST),
        ({"subscribe": {"channel": "den"}}, Error.ALREADY_SUBSCRIBED),
        ({"subscribe": {"channel": " other"}}, Error.BAD_REQUEST),
        ({"subscribe": {"channel": ""}}, Error.BAD_REQUEST),
        ({"connect": {"data": {"name": "alice"}}}, Error.BAD_REQUEST),
        ({"rpc": {"method": "reboot"}}, Error.METHOD_NOT_FOUND),
        ({"refresh": {}}, Error.METHOD_NOT_FOUND),
    ],
    ids=json.dumps,
)
def test_what_does_not_go_is_refused_in_words(
    world: World, node: Node, command: dict[str, object], code: Error
) -> None:
    alice = Surfer(world, node)
    alice.enter()
    refused = alice.ask(**command)
    assert refused["code"] == code
    assert refused["message"]
    assert not alice.port.closed


def test_an_invalid_name_is_refused_in_the_language_of_the_reader(world: World, node: Node) -> None:
    surfer = Surfer(world, node, "あ" * 86, language="ja")
    assert surfer.got[-1]["error"]["message"] == "名前が 255 バイトを超えています"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({}, Error.UNAUTHORIZED),
        ({"name": "a: b"}, Error.BAD_REQUEST),
        ({"name": "alice", "session": "short"}, Error.BAD_REQUEST),
        ({"name": "alice", "session": f"{SECRET[:-1]}!"}, Error.BAD_REQUEST),
        ({"name": "alice", "language": "fr"}, Error.BAD_REQUEST),
        ({"name": 7}, Error.BAD_REQUEST),
    ],
    ids=json.dumps,
)
def test_a_connect_command_that_does_not_go_is_refused(
    world: World, node: Node, data: dict[str, object], code: Error
) -> None:
    surfer = Surfer(world, node)
    surfer.session._who = None
    assert surfer.ask(connect={"data": data})["code"] == code


def test_a_drawn_session_is_told_and_an_own_one_kept(world: World, node: Node) -> None:
    assert Surfer(world, node, session=SECRET).secret == SECRET
    drawn = {Surfer(world, node).secret for _ in range(2)}
    assert len(drawn) == 2
    assert all(len(each) == 32 for each in drawn)


def test_the_first_command_must_be_connect_and_frames_must_be_json(world: World, node: Node) -> None:
    for text in ('{"id":9,"subscribe":{"channel":"den"}}', "hello", '{"id":"x"}', "[]", '{"id":1,"connect":3}'):
        surfer = Surfer(world, node)
        surfer.session._who = None
        surfer.raw(text)
        assert [code for code, _ in surfer.port.closed] == [Close.BAD_REQUEST], text


def test_too_many_commands_end_the_connection(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    for _ in range(10):
        if not alice.port.closed:
            alice.raw("\n".join(["{}"] * 100))
    assert [code for code, _ in alice.port.closed] == [Close.TOO_MANY]


def test_too_many_questions_are_refused_for_now(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    codes = {alice.ask(presence={"channel": "den"}).get("code") for _ in range(300)}
    assert codes == {None, Error.TOO_MANY}


def test_a_member_that_speaks_too_fast_is_told_in_the_answer(world: World, node: Node) -> None:
    world.settings.rate, world.settings.burst = 1.0, 3.0
    alice = Surfer(world, node)
    alice.enter()
    refused = [alice.say(f"{number}") for number in range(6)][-1]
    assert (refused["code"], refused["temporary"]) == (Error.TOO_MANY, True)


def test_a_members_token_is_no_token_for_datagrams(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    (token,) = node.gateway.members.by_token
    assert alice.secret.encode() not in token
    head = bytes((3, 32)) + b"den" + token
    node.gateway.core.handle_datagrams(0, [(head + b"forged", b"\2\0\x23\x28\xc0\0\2\x09" + bytes(8))], world.now)
    world.run(0.5)
    assert alice.texts() == []
    assert node.gateway.counters.wrong_addresses == 1


def test_the_directory_knows_no_secret(world: World, node: Node) -> None:
    alice = Surfer(world, node, session=SECRET)
    alice.enter()
    alice.enter("other")
    rows = world.broker.store.load().members
    assert len({row.token_hash for row in rows}) == 2
    assert all(SECRET.encode() not in str(row).encode() for row in rows)
    assert {row.dialect for row in rows} == {"web"}


def test_a_room_event_is_an_entry_like_any_other(world: World, node: Node) -> None:
    alice, bob = Surfer(world, node), Surfer(world, node, "bob")
    alice.enter()
    bob.enter()
    bob.say("/nick robert")
    bob.say("/me waves")
    world.run(0.5)
    assert alice.notices()[-2:] == ["renamed", "acted"]
    kinds = [entry.kind for entry in world.broker.log(world.broker.core.directory.by_name["den"].id)]
    assert kinds[-2:] == [EntryKind.RENAMED, EntryKind.ACTED]
