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


async def leave_if_cancelled(
    asked: asyncio.Event, entering: Coroutine[Any, Any, _Entered], leave: Callable[[_Entered], Awaitable[None]]
) -> _Entered:
    """Return what `entering` returns. If this is cancelled after the request, go on until the answer, and leave.

    `entering` sets `asked` when the request leaves: from then on there may be a member. Cancelled once more, or before
    the request, it ends at once.
    """
    task = asyncio.create_task(entering, name="enter")
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not asked.is_set():
            task.cancel()
        with suppress(errors.ClientError, OSError, asyncio.CancelledError):  # OSError: the time is over, too
            async with asyncio.timeout(LEAVE_S):
                await leave(await task)
        raise
