"""A whole service, as an operator, a website and people have it: real processes, the SDK, the command line."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

import tsudoi
from broker.admin import client
from broker.cli import main as broker
from tests.support import forked
from tests.support.services import ROOT, Gateway
from tsudoi import Kicked, Left, Server

SECRET = "a secret of at least thirty-two bytes"
PATIENCE_S = 60.0


def a_token(name: str, **claims: Any) -> str:
    return jwt.encode({"name": name, "exp": time.time() + 60, **claims}, SECRET)


def operate(store: Path, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of an operator's command."""
    command = [sys.executable, "-m", "broker", "--store", f"sqlite:{store}", "admin", "--json", *words]
    done = forked.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout, done.stderr


def listed(store: Path, what: str) -> Any:
    status, told, problem = operate(store, what)
    assert (status, problem) == (0, "")
    return json.loads(told)[what]


async def until_heard(place: tsudoi.ChatClient, kind: type) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        async for event in place:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"no {kind.__name__} was heard")


def test_a_website_lets_people_in_and_an_operator_keeps_order(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET)
    key.chmod(0o600)
    store = tmp_path / "d" / "tsudoi.sqlite"

    async def story(gateway: Gateway) -> None:
        host, tcp = gateway.listener("tsudoi").tcp
        server = Server(host, tcp, gateway.udp[1])
        with pytest.raises(tsudoi.WrongPassword, match="a token is needed"):
            await tsudoi.create("den", name="eve", server=server, dialect="tsudoi")
        hers = a_token("アリス", create=True)
        async with await tsudoi.create("den", signed_token=hers, server=server) as alice:
            assert alice.name == "アリス"
            # The oldest kind of client has one place for it: the name.
            bobs = await tsudoi.join("den", signed_token=a_token("bob"), server=classic(gateway), dialect="classic")
            carol = await tsudoi.join(
                "den", name="x", password=a_token("carol", moderator=True), server=server, dialect="tsudoi"
            )
            await carol.set_topic("お茶")
            await until_heard(alice, tsudoi.TopicChanged)
            assert [person.name for person in await alice.who()] == ["アリス", "bob", "carol"]
            rooms = await asyncio.to_thread(listed, store, "rooms")
            assert [(room["name"], room["members"], room["topic"]) for room in rooms] == [("den", 3, "お茶")]
            assert (await asyncio.to_thread(operate, store, "remove", "den", "carol", "--reason", "enough"))[0] == 0
            kicked = await until_heard(carol, Kicked)
            assert (kicked.by, kicked.reason) == ("", "enough")
            gone = await until_heard(alice, Left)
            assert (gone.name, gone.reason, gone.why) == ("carol", "operator", "enough")
            assert (await asyncio.to_thread(operate, store, "ban", "bob"))[0] == 0
            with pytest.raises(tsudoi.BadRequest, match="you are banned from this server"):
                await tsudoi.join("den", signed_token=a_token("bob"), server=server, dialect="tsudoi")
            await bobs.vanish()
            assert (await asyncio.to_thread(operate, store, "close", "den"))[0] == 0
            await until_heard(alice, tsudoi.RoomClosed)
        assert await asyncio.to_thread(listed, store, "rooms") == []

    dialects = ("tsudoi", "classic")
    with Gateway(
        "--auth-secret", str(key), "--auth", "required", "--notices", "on", data=store.parent, dialects=dialects
    ) as gateway:
        asyncio.run(story(gateway))
        assert operate(store, "close", "den")[::2] == (1, "broker: there is no room called den\n")
    status, told, problem = operate(store, "rooms")
    assert (status, told) == (1, "")
    assert problem.startswith("broker: no broker answers at ipc://")
    assert problem.count("\n") == 1


def test_a_service_that_does_not_run_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_S", 10 * PATIENCE_S)  # for this an operator waits where something listens
    with pytest.raises(SystemExit):
        broker.main(["--store", f"sqlite:{tmp_path / 'tsudoi.sqlite'}", "admin", "rooms"])


def classic(gateway: Gateway) -> Server:
    host, tcp = gateway.listener("classic").tcp
    return Server(host, tcp, gateway.udp[1])
