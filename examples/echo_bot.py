"""A bot that says again what others say, and rolls dice: python3 examples/echo_bot.py ROOM [HOST[:TCP[:UDP]]]"""

import random
import sys

import tsudoi

if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
bot = tsudoi.Bot(sys.argv[1], name="echo", server=tsudoi.Server.parse((*sys.argv, "127.0.0.1")[2]))


@bot.on(tsudoi.Message)
async def echo(chat: tsudoi.ChatClient, message: tsudoi.Message) -> None:
    if not message.text.startswith(("!", "！")):  # commands
        # As text: a member may be called `/nick mallory`, and lines that begin with `/` are orders.
        await chat.say(chat.as_text(f"{message.sender} says: {message.text}"))


@bot.command("roll")
async def roll(call: tsudoi.Call) -> str:
    """Roll a die of 6 sides, or of as many as you say."""
    sides = int(call.words[0]) if call.words and call.words[0].isdecimal() else 6
    return f"{call.sender} rolls {random.randint(1, max(sides, 1))}."


try:
    bot.run()
except tsudoi.ClientError as exc:
    sys.exit(f"echo_bot: {exc}")
except KeyboardInterrupt:
    pass
