"""Members by WebSocket with `centrifuge` from npm, in Node.js: a client library of browsers, which we did not write."""

import asyncio
import json
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scenarios.ports import steady_port
from tests.integration.test_web import HERE, Person, address_of, people
from tests.support.services import Gateway
from tests.support.waiting import until
from tsudoi.protocol.web.codes import Ending

pytestmark = pytest.mark.slow

SOURCES = Path(__file__).with_name("js")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client, with the packages that its lock file names."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("js")
    for path in SOURCES.iterdir():
        shutil.copy(path, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode:
        pytest.skip(f"npm can not install the client: {done.stderr[-200:]}")
    return folder / "client.mjs"


class Script:
    """A run of the client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, client: Path, address: tuple[str, int], name: str, room: str) -> "Script":
        url = f"ws://{address[0]}:{address[1]}/connection/websocket"
        pipe = asyncio.subprocess.PIPE
        command = ("node", str(client), url, name, secrets.token_hex(16), room)
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**20))

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.events.append(json.loads(line))

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())

    async def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()
        await self._reading

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    def texts(self) -> list[str]:
        return [event["data"]["text"] for event in self.of("publication") if "from" in event["data"]]


async def test_it_chats_and_comes_back_after_a_killed_gateway_with_nothing_lost_or_doubled(
    tmp_path: Path, client: Path
) -> None:
    web = ("--notices", "on", "--web", f"{HERE}:{steady_port()}")
    with Gateway(*web, data=tmp_path / "data", steady=True) as gateway:
        bob = Person(address_of(gateway), "bob")
        script = await Script.start(client, address_of(gateway), "アリス", "部屋1")
        try:
            await until(lambda: script.of("subscribed"))
            async with people(bob):
                await bob.enter("部屋1")
                for number in range(40):
                    script.say(f"js {number}")
                for number in range(10):
                    await bob.say(f"py {number}")
                gateway.kill()
                await asyncio.to_thread(gateway.start)
                for number in range(10, 20):
                    await bob.say(f"py {number}")
                script.say("last")
                everything = sorted(["last", *(f"js {n}" for n in range(40)), *(f"py {n}" for n in range(20))])
                await until(lambda: min(len(script.texts()), len(bob.heard.texts())) >= len(everything))
                assert sorted(script.texts()) == everything
                assert script.texts() == bob.heard.texts()
                first, *again = script.of("subscribed")
                assert first["data"]["name"] == "アリス"
                assert again
                assert all(each["wasRecovering"] and each["recovered"] for each in again)
                assert [each["info"]["user"] for each in script.of("join")] == ["bob"]
                await script.end()
                # It was the host.
                await until(lambda: bob.heard.ended)
                assert bob.heard.ended[0].code == Ending.CLOSED
        finally:
            if script.process.returncode is None:
                script.process.kill()
                await script.process.wait()
