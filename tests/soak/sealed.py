"""Members of version 2 in a soak: the SDK, which changes gateways while it talks."""

import asyncio
from collections.abc import Callable

import tsudoi
from tsudoi.net.sealed_chat import SealedChat

PATIENT = tsudoi.Settings(connect_timeout_s=30.0, answer_timeout_s=30.0)


class SealedMember:
    """One member; its methods are those of `chaos.clients.ChaosClient`."""

    def __init__(self, chat: SealedChat, gateways: list[int], group: asyncio.TaskGroup) -> None:
        self._chat, self._gateways, self._group = chat, gateways, group
        self._leaves = False

    @classmethod
    async def enter(
        cls,
        room: str,
        name: str,
        host: bool,
        servers: list[tsudoi.Server],
        group: asyncio.TaskGroup,
        on_event: Callable[[tsudoi.Event], None],
    ) -> "SealedMember | None":
        """Create or join a room at the first server, and listen in a task of the group; return None if that fails."""
        enter = tsudoi.create if host else tsudoi.join
        try:
            chat = await enter(room, name=name, server=servers[0], settings=PATIENT)
        except tsudoi.ClientError:
            return None
        assert isinstance(chat, SealedChat)
        group.create_task(listen(chat, on_event))
        return cls(chat, [await chat.add_gateway(server) for server in servers], group)

    def say(self) -> None:
        """Say a line."""
        if not self._chat.closed:
            self._chat.post("a line that is kept, sealed and heard exactly once")

    def move(self) -> None:
        """Go on at another gateway."""
        if not self._chat.closed:
            self._gateways.append(self._gateways.pop(0))
            self._chat.go_to(self._gateways[0])

    def leave(self) -> None:
        """Leave, when all lines are kept."""
        if not self._leaves:
            self._leaves = True
            self._group.create_task(self._chat.leave())

    def close(self) -> None:
        """End, which is leaving for this kind of client."""
        self.leave()


async def listen(chat: SealedChat, on_event: Callable[[tsudoi.Event], None]) -> None:
    """Tell of each event until the last."""
    async for event in chat:
        on_event(event)
