"""Say each line of a pipe in a room: tail -F log | python3 examples/pipe_bridge.py ROOM NAME [HOST[:TCP[:UDP]]]

What members say goes to standard output. The exit status is 0 if all lines are kept.
"""

import asyncio
import sys

import tsudoi


async def bridge(room: str, name: str, server: tsudoi.Server) -> bool:
    """Carry lines until the pipe ends or the membership does; return whether all are kept."""
    pipe = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(pipe), sys.stdin)
    async with await tsudoi.join(room, name=name, server=server) as chat:
        printing = asyncio.create_task(show(chat))
        all_kept = True
        while (line := await pipe.readline()) and not chat.closed:
            try:
                for piece in chat.pieces(chat.as_text(line.decode(errors="replace").rstrip("\n"))):
                    await chat.say(piece)  # waits until it is kept, also while the server is away
            except (tsudoi.InvalidText, tsudoi.LineRefused, tsudoi.NotInRoom) as exc:
                print(f"not said: {exc}", file=sys.stderr)
                all_kept = False
        printing.cancel()
    return all_kept and not line


async def show(chat: tsudoi.ChatClient) -> None:
    """Print what members say, and on standard error when the server is away and back."""
    async for event in chat:
        if isinstance(event, tsudoi.Message):
            print(f"{event.sender}: {event.text}", flush=True)
        elif isinstance(event, tsudoi.ServerAway | tsudoi.ServerBack | tsudoi.Rejoined | tsudoi.Gap | tsudoi.Reset):
            print(event.text, file=sys.stderr)


if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
try:
    ok = asyncio.run(bridge(sys.argv[1], sys.argv[2], tsudoi.Server.parse((*sys.argv, "127.0.0.1")[3])))
except (tsudoi.ClientError, ValueError) as exc:
    sys.exit(f"pipe_bridge: {exc}")
except KeyboardInterrupt:
    ok = False
sys.exit(0 if ok else 1)
