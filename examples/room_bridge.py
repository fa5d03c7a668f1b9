"""Carry what is said in one room to another, both ways: python3 examples/room_bridge.py ROOM ROOM [HOST[:TCP[:UDP]]]"""

import asyncio
import contextlib
import signal
import sys

import tsudoi

if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
server = tsudoi.Server.parse((*sys.argv, "127.0.0.1")[3])
bots = [tsudoi.Bot(room, name="bridge", server=server) for room in sys.argv[1:3]]


def carry(here: tsudoi.Bot, there: tsudoi.Bot) -> None:
    """Let one bot say what another one hears."""

    @here.on(tsudoi.Message)
    async def take(_: tsudoi.ChatClient, message: tsudoi.Message) -> None:
        if there.chat is not None:  # it is in its room
            for piece in there.chat.pieces(there.chat.as_text(f"<{message.sender}> {message.text}")):
                await there.chat.say(piece)  # waits until it is kept, also while the server is away


async def main() -> None:
    """Serve both rooms until one of them ends."""
    carry(bots[0], bots[1])
    carry(bots[1], bots[0])
    serving = [asyncio.create_task(bot.serve()) for bot in bots]
    with contextlib.suppress(NotImplementedError):  # Windows; `Bot.run` does this by itself
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving[0].cancel)
    try:
        done, _ = await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
    for task in done:
        if not task.cancelled():
            task.result()


try:
    asyncio.run(main())
except (tsudoi.ClientError, ValueError) as exc:
    sys.exit(f"room_bridge: {exc}")
except KeyboardInterrupt:
    pass
