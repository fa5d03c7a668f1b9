"""Members of version 2 with real processes: PROTOCOL.md, "Version 2"."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.legacy.dialects import CLIENTS
from tests.support.sealed_client import HandshakeRefused, SealedClient, enter
from tests.support.services import Broker, Gateway

CREATE, JOIN = 1, 2
Come = Callable[..., SealedClient]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway("--notices", "on", data=tmp_path_factory.mktemp("sealed"), dialects=("auto", "classic")) as gateway:
        yield gateway


@pytest.fixture
def room() -> str:
    return f"den {secrets.token_hex(4)}"


@pytest.fixture
def come() -> Iterator[Come]:
    with ExitStack() as stack:

        def come(gateway: Gateway, operation: int, room: str, name: str, **more: Any) -> SealedClient:
            listener = gateway.listener("auto")
            client = enter(listener.tcp, listener.udp, operation, room, name, **more)
            stack.callback(client.close)
            return client

        yield come


@pytest.mark.parametrize(
    "how",
    [{}, {"suites": ("chacha20-poly1305",)}, {"suites": ("plain",), "tls": False}],
    ids=["aes", "chacha", "plain"],
)
def test_each_suite_carries_messages_of_all_lengths(
    gateway: Gateway, come: Come, room: str, how: dict[str, Any]
) -> None:
    alice = come(gateway, CREATE, room, "alice", **how)
    bob = come(gateway, JOIN, room, "bob")
    said = ["hello", "x" * 1_000, "y" * 3_000, "やあ" * 600, "bye"]
    for text in said:
        alice.say(text)
    bob.until(lambda: bob.texts() == said)
    alice.until(lambda: alice.texts() == said)
    own = [entry for entry in alice.entries if "from" in entry]
    assert [entry["number"] for entry in own] == [1, 2, 3, 4, 5]
    assert {entry["by"] for entry in own} == {alice.about["member"]}


def test_members_of_all_versions_share_a_room(gateway: Gateway, come: Come, room: str) -> None:
    alice = come(gateway, CREATE, room, "alice")
    classic = CLIENTS["classic"]("bob", gateway.listener("classic"))
    with classic:
        classic.join(room)
        classic.start()
        classic.say("from bob")
        alice.until(lambda: "from bob" in alice.texts())
        alice.say("from alice")
        classic.hear_until(lambda heard: "from alice" in heard.text)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"tls": False}, "over TLS only"),
        ({"suites": ("rot13",)}, "has none of"),
        ({"suites": "plain"}, '"suites" is not a list'),
        ({"language": "de"}, "neither"),
    ],
)
def test_a_refusal_says_why(gateway: Gateway, come: Come, room: str, how: dict[str, Any], words: str) -> None:
    with pytest.raises(HandshakeRefused, match=words):
        come(gateway, CREATE, room, "alice", **how)


def test_commands_are_answered_and_kept(gateway: Gateway, come: Come, room: str) -> None:
    alice, bob = come(gateway, CREATE, room, "alice"), come(gateway, JOIN, room, "bob")
    number = bob.say("/who")
    bob.until(lambda: bob.find("kept", number))
    assert (bob.find("notice", "who") or {})["count"] == 2
    number = bob.say("/msg alice psst")
    bob.until(lambda: bob.find("kept", number))
    alice.until(lambda: [entry for entry in alice.entries if entry.get("said") == "psst"])
    bob.say("/leave")
    bob.until(lambda: bob.find("ended", "left"))
    alice.until(lambda: [entry for entry in alice.entries if entry.get("notice") == "left"])
    assert not alice.missing


def test_a_line_is_said_once_however_often_it_comes(gateway: Gateway, come: Come, room: str) -> None:
    alice, bob = come(gateway, CREATE, room, "alice"), come(gateway, JOIN, room, "bob")
    for _ in range(5):
        alice.send({"say": "two", "number": 2}, {"say": "three", "number": 3})
    for _ in range(5):
        alice.send({"say": "one", "number": 1})
    alice.send({"say": "end", "number": 4})
    bob.until(lambda: "end" in bob.texts())
    assert bob.texts() == ["one", "two", "three", "end"]


def test_a_refused_line_uses_no_place(gateway: Gateway, come: Come, room: str) -> None:
    alice, bob = come(gateway, CREATE, room, "alice"), come(gateway, JOIN, room, "bob")
    alice.send({"say": "one", "number": 1}, {"say": " ", "number": 2}, {"say": "three", "number": 3})
    alice.until(lambda: alice.find("refused", 2))
    alice.send({"say": "three", "number": 3, "after": 1})
    bob.until(lambda: bob.texts() == ["one", "three"])


def test_a_client_moves_to_another_address(gateway: Gateway, come: Come, room: str) -> None:
    alice, bob = come(gateway, CREATE, room, "alice"), come(gateway, JOIN, room, "bob")
    alice.say("one")
    bob.until(lambda: bob.texts() == ["one"])
    bob.bind("127.0.0.2")
    bob.send({"ping": 1})
    bob.until(lambda: bob.cookie)
    alice.say("two")
    assert bob.resume()["state"] == "complete"
    alice.say("three")
    bob.until(lambda: bob.texts() == ["one", "two", "three"])


def test_what_is_missing_comes_again(gateway: Gateway, come: Come, room: str) -> None:
    alice, bob = come(gateway, CREATE, room, "alice"), come(gateway, JOIN, room, "bob")
    after = bob.offset
    texts = [f"line {number}" for number in range(100)]
    for number, text in enumerate(texts):
        alice.say(text)
        alice.until(partial(alice.has_said, number))
    bob.until(lambda: bob.texts() == texts)
    bob.entries.clear()
    bob.offset = after
    bob.until(lambda: bob.texts() == texts, again=lambda: bob.send({"want": [bob.offset, after + 100]}))


def test_another_gateway_takes_over_after_a_kill(tmp_path: Path, come: Come, room: str) -> None:
    secret = ("--session-secret", str(tmp_path / "secret"))
    with Broker(tmp_path / "rooms.sqlite") as broker, Gateway(*secret, broker=broker) as a:
        with Gateway(*secret, broker=broker) as b:
            alice, bob = come(a, CREATE, room, "alice"), come(b, JOIN, room, "bob")
            runs = {bob.run}
            for round_ in range(3):
                alice.say(f"before {round_}")
            bob.until(lambda: len(bob.texts()) == 3)
            b.kill()
        alice.say("meanwhile")
        bob.server = a.listener("auto").udp
        about = bob.resume()
        assert (about["state"], about["said"]) == ("complete", 0)
        assert bob.run not in runs
        bob.say("back")
        alice.until(lambda: "back" in alice.texts())
        bob.until(lambda: bob.texts()[-2:] == ["meanwhile", "back"])
