"""The SDK in version 2 with real processes behind a bad network, while gateways and the broker are killed."""

import asyncio
import os
from pathlib import Path
from random import Random

import pytest

import tsudoi
from scenarios.cluster import Gateway as Process
from tests.support.lossy_relay import LossyRelay
from tests.support.services import Broker, Gateway, at, steady_endpoint
from tsudoi.net.sealed_chat import SealedChat

PATIENCE_S = 60.0


class Talk:
    """Members that talk, and what each has heard."""

    def __init__(self) -> None:
        self.chats: list[tsudoi.ChatClient] = []
        self.said: list[list[str]] = []
        self.lines: list[list[tsudoi.Line]] = []
        self.heard: list[list[tuple[str, str]]] = []
        self.offsets: list[list[int]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.nonces: dict[bytes, bytes] = {}

    def add(self, chat: tsudoi.ChatClient) -> None:
        self.chats.append(chat)
        self.said.append([])
        self.lines.append([])
        self.heard.append([])
        self.offsets.append([])
        self._watch_nonces(chat)
        self._tasks.append(asyncio.create_task(self._hear(chat, len(self.chats) - 1)))

    def _watch_nonces(self, chat: tsudoi.ChatClient) -> None:
        """Note each sealed packet that this client sends and gets; no nonce may come with two texts."""
        assert isinstance(chat, SealedChat)
        sockets = chat._sockets
        send, received = sockets.send, sockets._received

        def note(side: bytes, data: bytes) -> None:
            if data[1] in (1, 2):
                assert self.nonces.setdefault(side + data[2:30], data) == data, "a nonce repeats"

        def noted_send(data: bytes, server: int) -> None:
            note(b"up", data)
            send(data, server)

        def noted_received(data: bytes, server: int) -> None:
            if len(data) > 30:
                note(b"down", data)
            received(data, server)

        sockets.send, sockets._received = noted_send, noted_received  # type: ignore[method-assign]

    async def _hear(self, chat: tsudoi.ChatClient, index: int) -> None:
        async for event in chat:
            assert not isinstance(event, tsudoi.Gap | tsudoi.Reset), event
            if isinstance(event, tsudoi.Message):
                self.heard[index].append((event.sender, event.text))
                assert event.offset is not None
                self.offsets[index].append(event.offset)

    async def speak(self, lines: int, lasts_s: float, dice: Random) -> None:
        async def one(index: int) -> None:
            for number in range(lines):
                await asyncio.sleep(lasts_s / lines * dice.uniform(0, 2))
                text = f"{index}/{number} " + "x" * dice.choice((0, 0, 40, 1_500))
                self.said[index].append(text)
                self.lines[index].append(self.chats[index].post(text))

        await asyncio.gather(*(one(index) for index in range(len(self.chats))))

    async def check(self) -> None:
        """Wait until all is kept and heard, and check that each line is there once, in one order for all."""
        async with asyncio.timeout(PATIENCE_S):
            kept = [[await line.kept() for line in lines] for lines in self.lines]
            for mine in kept:
                assert None not in mine
                assert mine == sorted(set(mine)), "kept out of order"  # type: ignore[type-var]
            others = [sum(map(len, self.said)) - len(mine) for mine in self.said]
            while [len(heard) for heard in self.heard] != others:
                assert all(len(heard) <= most for heard, most in zip(self.heard, others, strict=True)), "doubled"
                assert not any(task.done() for task in self._tasks), [task.exception() for task in self._tasks]
                await asyncio.sleep(0.05)
        order = sorted(
            (offset, f"member {index}", text)
            for index, (offsets, texts) in enumerate(zip(kept, self.said, strict=True))
            for offset, text in zip(offsets, texts, strict=True)
        )
        for index, chat in enumerate(self.chats):
            due = [(offset, sender, text) for offset, sender, text in order if sender != chat.name]
            heard = [(offset, *said) for offset, said in zip(self.offsets[index], self.heard[index], strict=True)]
            assert heard == due, f"{chat.name} heard something else"

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for chat in self.chats:
            await chat.vanish()


async def scenario(seed: int, lasts_s: float, lines: int, tmp_path: Path, faults: list[str]) -> None:
    dice = Random(seed)
    secret = ("--session-secret", str(tmp_path / "sessions"))
    endpoint = steady_endpoint()
    with (
        Broker(tmp_path / "rooms.sqlite", bind=endpoint) as broker,
        Gateway(*secret, broker=broker, steady=True) as one,
        Gateway(*secret, broker=broker, steady=True) as two,
        LossyRelay(one.udp, 0.1, doubling=0.1, seed=seed) as to_one,
        LossyRelay(two.udp, 0.1, doubling=0.1, seed=seed + 1) as to_two,
    ):
        talk = Talk()
        try:
            for index in range(3):
                enter = tsudoi.join if index else tsudoi.create
                listener = at(one if index % 2 else two)
                server = tsudoi.Server(listener.host, listener.tcp, (to_one if index % 2 else to_two).port)
                chat = await enter("den", name=f"member {index}", server=server)
                talk.add(chat)
                # The other gateway is one more address of the service.
                other = (to_two if index % 2 else to_one).port
                assert isinstance(chat, SealedChat)
                await chat.add_gateway(tsudoi.Server(listener.host, listener.tcp, other))
            speaking = asyncio.create_task(talk.speak(lines, lasts_s, dice))
            for fault in faults:
                await asyncio.sleep(lasts_s / (len(faults) + 1))
                process: Process | Broker = {"one": one, "two": two, "broker": broker}[fault]  # type: ignore[assignment]
                process.kill()
                await asyncio.sleep(dice.uniform(0.0, 0.5))
                await asyncio.to_thread(process.start)
            await speaking
            await talk.check()
        finally:
            await talk.end()


def test_a_gateway_is_killed_while_members_talk_through_loss(tmp_path: Path) -> None:
    asyncio.run(scenario(1, 1.5, 30, tmp_path, ["one"]))


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_gateways_and_broker_are_killed_while_members_talk_through_loss(tmp_path: Path) -> None:
    for seed in range(int(os.environ.get("SEALED_FAULT_SEEDS", "5"))):
        where = tmp_path / str(seed)
        where.mkdir()
        dice = Random(seed)
        faults = [dice.choice(("one", "two", "broker")) for _ in range(4)]
        try:
            asyncio.run(scenario(seed, 8.0, 80, where, faults))
        except (AssertionError, TimeoutError) as exc:
            raise AssertionError(f"seed {seed}, killed {faults}: {exc!r}") from exc
