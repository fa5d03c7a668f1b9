"""Webhooks, as a program and a room's members meet them: real processes, an HTTP library, members of two dialects."""

import asyncio
import contextlib
import http.client
import json
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme

import tsudoi
from tests.integration.conftest import Enter
from tests.support.services import HEAR_S, ROOT, Broker, Gateway, at, steady_endpoint

HERE = "127.0.0.1"
PATIENCE_S = 60.0


class Issuer:
    """A website with a secret: it gives out tokens, as docs/issue_token.py does."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret"
        self.secret.write_text(secrets.token_hex(32))
        self.secret.chmod(0o600)
        self.flags = ("--auth-secret", str(self.secret), "--webhook", f"{HERE}:0")

    def token(self, *words: str) -> str:
        command = [sys.executable, str(ROOT / "docs/issue_token.py"), *words[:-1], str(self.secret), words[-1]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        return done.stdout.strip()


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


def connect(gateway: Gateway, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    (address,) = gateway.addresses("webhook")
    if context is not None:
        return http.client.HTTPSConnection(*address, timeout=PATIENCE_S, context=context)
    return http.client.HTTPConnection(*address, timeout=PATIENCE_S)


def post(
    connection: http.client.HTTPConnection, token: str, room: str, text: str, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Post a text on a connection, which stays open."""
    wanted = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
    wanted |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", f"/rooms/{quote(room, safe='')}/messages", text.encode(), wanted)
    response = connection.getresponse()
    body = response.read()
    assert body.endswith(b"}\n")
    return response.status, json.loads(body)


def until(outcome: Callable[[], tuple[int, dict[str, Any]]], status: int) -> dict[str, Any]:
    """Try again until an answer has that status, and return its body."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := outcome())[0] != status:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found[1]


async def hear(chat: tsudoi.ChatClient) -> tuple[str, str]:
    """Return the sender and text of the next message."""
    async with asyncio.timeout(HEAR_S):
        async for event in chat:
            if isinstance(event, tsudoi.Message):
                return event.sender, event.text
    raise AssertionError("it ended")


async def test_members_of_all_dialects_hear_it_and_the_history_has_it(
    tmp_path: Path, issuer: Issuer, client: Enter
) -> None:
    with Gateway(*issuer.flags, data=tmp_path / "data", dialects=["auto", "classic"]) as gateway:
        bob = client("classic", "bob", gateway)
        async with await tsudoi.create("部屋1", name="alice", server=at(gateway)) as alice:
            await asyncio.to_thread(bob.join, "部屋1")
            bob.start()
            connection, token = connect(gateway), issuer.token("--webhook", "ビルド")
            status, first = await asyncio.to_thread(post, connection, token, "部屋1", "build 7: 失敗\n")
            assert (status, first["room"], first["name"]) == (200, "部屋1", "ビルド[bot]")
            assert await hear(alice) == ("ビルド[bot]", "build 7: 失敗")
            heard = await asyncio.to_thread(bob.hear)
            assert heard.shown == "ビルド[bot]: build 7: 失敗"
            # On the same connection.
            status, second = await asyncio.to_thread(post, connection, token, "部屋1", "and again")
            assert (status, second["offset"]) == (200, first["offset"] + 1)
            # It is accepted a moment before its gateway hears of it.
            assert await hear(alice) == ("ビルド[bot]", "and again")
            assert [line.text for line in await alice.history()] == ["build 7: 失敗", "and again"]
            assert [person.name for person in await alice.who()] == ["alice", "bob"]
            # A token for joining does not post, and one for posting does not join.
            assert (await asyncio.to_thread(post, connection, issuer.token("carol"), "部屋1", "x"))[0] == 403
            with pytest.raises(tsudoi.WrongPassword):
                await tsudoi.join("部屋1", signed_token=token, server=at(gateway))
            connection.close()


async def test_while_the_broker_is_away_nothing_is_said_and_afterwards_it_is_said_once(
    tmp_path: Path, issuer: Issuer
) -> None:
    with (
        Broker(tmp_path / "rooms.sqlite", bind=steady_endpoint()) as broker,
        Gateway(*issuer.flags, broker=broker) as gateway,
    ):
        async with await tsudoi.create("den", name="alice", server=at(gateway)) as alice:
            token = issuer.token("--webhook", "ci")

            def say(text: str, key: str) -> tuple[int, dict[str, Any]]:
                with contextlib.closing(connect(gateway)) as connection:
                    return post(connection, token, "den", text, Idempotency_Key=key)

            first = await asyncio.to_thread(say, "one", "a")
            await asyncio.to_thread(broker.kill)
            # At first the broker is waited for.
            assert (await asyncio.to_thread(say, "two", "b"))[0] == 503
            status, answer = await asyncio.to_thread(say, "two", "b")
            assert status == 503
            assert "nothing was said" in answer["error"]
            await asyncio.to_thread(broker.start)
            second = await asyncio.to_thread(until, lambda: say("two", "b"), 200)
            assert await asyncio.to_thread(say, "two", "b") == (200, second)
            assert await asyncio.to_thread(say, "one", "a") == first
            assert (await asyncio.to_thread(say, "another", "a"))[0] == 422
            assert (await asyncio.to_thread(say, "three", "c"))[1]["offset"] == second["offset"] + 1
            assert [await hear(alice) for _ in range(3)] == [("ci[bot]", text) for text in ("one", "two", "three")]


async def test_each_worker_takes_posts(tmp_path: Path, issuer: Issuer) -> None:
    with Gateway("--workers", "2", *issuer.flags, data=tmp_path / "data") as gateway:
        async with await tsudoi.create("den", name="alice", server=at(gateway)) as alice:
            token = issuer.token("--webhook", "ci")
            connections = [connect(gateway) for _ in range(16)]
            for number, connection in enumerate(connections):
                assert (await asyncio.to_thread(post, connection, token, "den", str(number)))[0] == 200
                connection.close()
            assert [(await hear(alice))[1] for _ in connections] == [str(number) for number in range(len(connections))]


def test_a_listener_speaks_tls_with_the_servers_certificate(tmp_path: Path, issuer: Issuer) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert(HERE)
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    flags = ("--auth-secret", str(issuer.secret), "--webhook", f"{HERE}:0,tls=on", "--tls-cert", str(certificate))
    with Gateway(*flags, "--tls-key", str(key), data=tmp_path / "data") as gateway:
        (address,) = gateway.addresses("webhook")
        plain = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
        with pytest.raises((http.client.HTTPException, OSError)):
            post(plain, issuer.token("--webhook", "ci"), "den", "x")
        with contextlib.closing(connect(gateway, context)) as connection:
            for _ in range(2):
                assert post(connection, issuer.token("--webhook", "ci"), "den", "x")[0] == 404
            connection.request("POST", "/rooms/den/messages", b"x" * 100_000)
            assert connection.getresponse().status == 401
