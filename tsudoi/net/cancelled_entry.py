"""Leave a room when the program is cancelled while it enters: the server may have made the member already.

Without this a member that no client has would stay until its idle time-out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from tsudoi import errors

LEAVE_S = 2.0
"""How much longer a cancelled program takes at most: to read the rest of the answer, and to leave."""

_Entered = TypeVar("_Entered")


class Attempt:
    """One attempt to enter."""

    def __init__(self) -> None:
        self.has_asked = False
        """The request is on its way: there may be a member."""


async def leave_if_cancelled(
    attempt: Attempt, entering: Coroutine[Any, Any, _Entered], leave: Callable[[_Entered], Awaitable[None]]
) -> _Entered:
    """Return what `entering` returns. If this is cancelled after the request, go on until the answer, and leave.

    Cancelled once more, or before the request, it ends at once.
    """
    task = asyncio.create_task(entering, name="enter")
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not attempt.has_asked:
            task.cancel()
        with suppress(errors.ClientError, OSError, asyncio.CancelledError):  # OSError: the time is over, too
            async with asyncio.timeout(LEAVE_S):
                await leave(await task)
        raise
