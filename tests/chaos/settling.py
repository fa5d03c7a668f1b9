"""The end of a run: all faults are over, and each message that is sent now must reach everyone."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

from tests.chaos.allowances import ASKS_S
from tests.chaos.clients import ChaosClient
from tests.chaos.history import Recording, Uplink
from tests.chaos.sealed_clients import SealedChaosClient
from tests.chaos.servers import Stage

SETTLE_S = 12.0
"""How long it may take until a marker has reached everyone."""
MARK_AGAIN_S = 1.5
LINGER_S = 0.6
"""After the last marker, for datagrams that must not come."""


async def at_rest(open_of: Callable[[], Mapping[int, int]], patience_s: float) -> list[int]:
    """Wait until nothing is open; return the members of which nothing has been done for `patience_s`.

    As long as each comes on it is waited for: how much members have to say, and how busy the machine is, is no fault.

    Args:
        open_of: returns member → how much is open, without those of which nothing is.
    """
    since: dict[int, tuple[int, float]] = {}
    while counts := open_of():
        now = time.time()
        since = {
            member: since[member] if since.get(member, (0, 0.0))[0] == count else (count, now)
            for member, count in counts.items()
        }
        if stuck := [member for member, (_, at) in since.items() if now - at >= patience_s]:
            return stuck
        await asyncio.sleep(0.02)
    return []


class Settling:
    """Sends markers, two from each room and gateway, until all members have received one of each."""

    def __init__(
        self, clients: dict[int, ChaosClient | SealedChaosClient], servers: Stage, recording: Recording
    ) -> None:
        self._clients = clients
        self._servers = servers
        self._recording = recording
        self._history = recording.history

    async def settle(self, patience_s: float) -> None:
        """Return when all is received; after `patience_s` complain of what is not.

        Before, members say what they had to say, including those that leave: a marker stands behind it.
        """
        self._nudge()
        await asyncio.sleep(0.1)
        self._history.complaints += [
            f"nothing that client {stuck} says is kept after all faults are over"
            for stuck in await at_rest(self._waiting, patience_s)
        ]
        deadline = time.time() + patience_s
        missing: list[str] = []
        while time.time() < deadline:
            speakers = self._mark()
            again = min(time.time() + MARK_AGAIN_S, deadline)
            missing = self._missing(speakers)
            while missing and time.time() < again:
                await asyncio.sleep(0.02)
                missing = self._missing(speakers)
            if not missing:
                break
        self._history.complaints += missing
        has_newest = False
        while not has_newest and time.time() < deadline:
            has_newest = self._has_newest()
            await asyncio.sleep(0.02)
        await asyncio.sleep(LINGER_S)

    def _has_newest(self) -> bool:
        """Say whether all have what was sent last, too, which the checker expects; a busy machine may take its time."""
        newest = dict(sorted(self._recording.markers))
        speakers = {client.plan.id: client for client in self._staying() if client.plan.id in newest}
        return not self._waiting() and all(
            client.plan.id in self._recording.markers[speaker, newest[speaker]]
            for client in self._staying()
            for speaker, other in speakers.items()
            if other is not client and other.room == client.room
        )

    def _waiting(self) -> dict[int, int]:
        return {client.plan.id: client.waiting for client in self._clients.values() if client.waiting}

    def _inside(self) -> list[ChaosClient | SealedChaosClient]:
        return [client for client in self._clients.values() if client.is_in and not client.has_left]

    def _staying(self) -> list[ChaosClient | SealedChaosClient]:
        """Return the members of rooms whose host has not left."""
        closed = {client.room for client in self._clients.values() if client.plan.host and client.has_left}
        return [client for client in self._inside() if client.room not in closed]

    def _nudge(self) -> None:
        """Let clients send a datagram whose gateway can not know them any more: it makes them known again.

        This includes rooms whose host has left: its leave word may have gone to a gateway that was dead.
        """
        down = self._servers.down
        for client in self._inside():
            must_send = self._must_send(client, down)
            if client.gateway in down:
                if not must_send:
                    continue  # it only listens, at the successor of its gateway
                client.gateway = 0
            if must_send:
                client.nudge()

    def _must_send(self, client: ChaosClient | SealedChaosClient, down: list[int]) -> bool:
        history = self._history
        if history.relayed or isinstance(client, SealedChaosClient):
            return True
        uplinks = [uplink for uplink in history.uplinks if uplink.client == client.plan.id]
        calm = [uplink for uplink in uplinks if not self._was_disturbed(uplink)]
        if not calm:
            return True
        since = calm[-1].at
        # All gateways that ask for a member of one that is away get it in turn, once it is back or gone: one that was
        # visited before may be the last.
        for number in {calm[-1].gateway, *(uplink.gateway for uplink in uplinks if uplink.at > since - ASKS_S)}:
            name = history.names[number]
            died = any(
                outage.kind in ("kill", "drain") and outage.target == f"gateway {number}" and outage.start >= since
                for outage in history.outages
            )
            successors = [other for other, its in enumerate(history.names) if its == name and other not in down]
            if died and not (name and successors):
                return True
        return False

    def _was_disturbed(self, uplink: Uplink) -> bool:
        targets = ("broker", f"gateway {uplink.gateway}", f"link {uplink.gateway}")
        return any(
            outage.target in targets and outage.touches(uplink.at - 2.0, uplink.at + 1.0)
            for outage in self._history.outages
        )

    def _mark(self) -> dict[int, list[int]]:
        """Let two members of each room at each gateway send a marker; return room → senders.

        Two, so that a sender too has one to receive.
        """
        speakers: dict[int, list[int]] = {}
        down = self._servers.down
        taken: Counter[tuple[int, int]] = Counter()
        for client in self._staying():
            place = (client.plan.room, client.gateway)
            if taken[place] == 2 or client.gateway in down:
                continue
            taken[place] += 1
            self._recording.markers[client.plan.id, client.lines_sent + 1] = set()
            client.say()
            speakers.setdefault(client.plan.room, []).append(client.plan.id)
        return speakers

    def _missing(self, speakers: dict[int, list[int]]) -> list[str]:
        reached: dict[int, set[int]] = {}
        for (speaker, _), by in self._recording.markers.items():
            reached.setdefault(speaker, set()).update(by)
        return [
            f"client {client.plan.id} ({client.plan.dialect}, at gateway {client.gateway}) receives nothing from"
            f" client {speaker} in {client.room} after all faults are over"
            for client in self._staying()
            for speaker in speakers.get(client.plan.room, ())
            if speaker != client.plan.id and client.plan.id not in reached.get(speaker, ())
        ]
