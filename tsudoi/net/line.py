"""A line that a member says, and whether it is kept."""

import asyncio
from typing import Literal, TypeAlias

from tsudoi import errors

State: TypeAlias = Literal["waiting", "kept", "refused"]


class Line:
    """A line that was given to `ChatClient.post`."""

    def __init__(self, text: str, number: int) -> None:
        """Use `ChatClient.post` instead."""
        self.text = text
        self.number = number
        """It counts this member's lines, from 1."""
        self.state: State = "waiting"
        self.offset: int | None = None
        """The message's position in the room's log; None: it is not kept yet, or it is a command."""
        self._done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<line {self.number}, {self.state}>"

    async def kept(self) -> int | None:
        """Wait until the line is kept, also while the server is away; return its position, None for a command.

        Raises:
            LineRefused: the server refuses it; the message is the server's.
            NotInRoom: the membership has ended before, or was lost: the line is not kept if its state is `refused`;
                else that is not known.
        """
        return await asyncio.shield(self._done)

    def keep(self, offset: int | None) -> None:
        """Note that the line is kept."""
        self.state, self.offset = "kept", offset
        if not self._done.done():
            self._done.set_result(offset)

    def refuse(self, words: str) -> None:
        """Note that the line is refused."""
        self.state = "refused"
        self._fail(errors.LineRefused(words))

    def give_up(self, why: str, *, is_refused: bool = False) -> None:
        """Note that the membership has ended; `is_refused`: and that the line was not kept before."""
        if is_refused:
            self.state = "refused"
        self._fail(errors.NotInRoom(why))

    def _fail(self, error: errors.ClientError) -> None:
        if not self._done.done():
            self._done.set_exception(error)
            self._done.exception()  # A caller that does not wait for it is not told of it by asyncio.
