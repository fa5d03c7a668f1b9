"""Join a room again when its service has lost the membership: its secret is another one, or its rooms are.

Such a server answers none of the session's packets, and can not say why. So it is asked once more while a connection to
it is open; if it does not answer then either, the room is joined as at the beginning.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tsudoi import errors
from tsudoi.net.sockets import Address
from tsudoi.protocol.sealed.grant import Grant

ASK_S = 5.0
"""How long a server that can be reached has to answer `resume`; it comes each 4 s at the latest."""
AGAIN_S = 10.0
LAST_AGAIN_S = 60.0
"""Between two attempts; each time twice as long."""
GIVE_UP_S = 600.0
"""How long a certificate that is not trusted is borne: the network of a hotel shows its own until its page was read."""

Prove: TypeAlias = Callable[[], Awaitable[None]]


class HandshakeResult(NamedTuple):
    """What a handshake has brought."""

    grant: Grant
    addresses: list[Address]
    """Where datagrams go."""
    first_seen: str
    """See `sockets.ServerStream`."""


Enter: TypeAlias = Callable[[Prove], Awaitable[HandshakeResult]]
"""Joins the room: connects, awaits the argument, then asks."""


@dataclass(slots=True, eq=False)
class Rejoining:
    """One membership's way back."""

    _enter: Enter
    _after_s: float
    """How long to wait before the first attempt."""
    _resume: Callable[[], None]
    """Sends a `resume` in the old session."""
    _tell: Callable[[str], None]
    """Takes what the user should know, once."""
    _go_on: Callable[[HandshakeResult], None]
    """Takes the new session."""
    _end: Callable[[str], None]
    """Takes why the room can not be joined any more."""
    _task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin: the server is away."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="join again")

    def stop(self) -> None:
        """Stop: the server answers, or the membership is over."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._after_s)
        wait_s, distrusted_at = AGAIN_S, None
        while True:
            try:
                found = await self._enter(self._prove)
            except errors.Busy:
                pass
            except (errors.Refused, errors.InvalidName) as exc:
                self._end(str(exc))
                return
            except errors.ServerNotTrusted as exc:
                if distrusted_at is None:
                    distrusted_at = loop.time()
                    self._tell(str(exc))
                elif loop.time() >= distrusted_at + GIVE_UP_S:
                    self._end(str(exc))
                    return
            except errors.ClientError:
                pass
            else:
                self._go_on(found)
                return
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LAST_AGAIN_S)

    async def _prove(self) -> None:
        self._resume()
        await asyncio.sleep(ASK_S)
