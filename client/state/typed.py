"""What a line that the user has entered means: a text or command for the server, or a command of this client."""

from dataclasses import dataclass
from typing import TypeAlias

from tsudoi.pieces import as_taken, command_in
from tsudoi.protocol.client.lines import bound_lines
from tsudoi.protocol.client.own_name import own_names
from tsudoi.protocol.client.slash_commands import SLASHES, Act, Reply, Whisper, as_word, escaped_text
from tsudoi.protocol.errors import InvalidName
from tsudoi.protocol.names import room_name

from .model import SpeechKind

OWN_COMMANDS = ("join", "create", "go", "leave", "quit")
"""Commands of this client beside the server's, for completion."""
_SAME = {"exit": "quit", "part": "leave", "j": "join", "window": "go"}


@dataclass(frozen=True, slots=True)
class Say:
    """Send a line to the server."""

    line: str


@dataclass(frozen=True, slots=True)
class Enter:
    """Create or join a room."""

    room: str
    creates: bool = False


@dataclass(frozen=True, slots=True)
class Go:
    """Show another room: its name, or its number in the list, from 1."""

    room: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave the room that is shown."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave all rooms and end."""


@dataclass(frozen=True, slots=True)
class ShowHelp:
    """List the keys and commands of this client, and ask the server for its own."""


@dataclass(frozen=True, slots=True)
class Nameless:
    """A command of this client lacks the name of a room."""

    command: str


Intent: TypeAlias = Say | Enter | Go | Leave | Quit | ShowHelp | Nameless


def understand(line: str, current: str) -> Intent | None:
    """Return what the user wants; None for an empty line.

    `current` is the name of the room that is shown: `/join` alone enters it again.
    """
    stripped = line.strip()
    if not stripped:
        return None
    if not stripped.startswith(SLASHES) or escaped_text(stripped) or "\n" in stripped:
        return Say(line)
    word, _, rest = stripped[1:].replace("\u3000", " ").partition(" ")
    word, rest = _SAME.get(as_word(word), as_word(word)), _room(rest.strip())
    match word:
        case "join":
            return Enter(rest or current) if rest or current else Nameless(word)
        case "create":
            return Enter(rest, creates=True) if rest else Nameless(word)
        case "go":
            return Go(rest) if rest else Nameless(word)
        case "leave" if not rest:
            return Leave()
        case "quit":
            return Quit()
        case "help" if not rest:
            return ShowHelp()
    return Say(stripped)


def _room(name: str) -> str:
    """Return the room's name as the server has it, so that two ways to write it are one room."""
    bare = name[1:-1] if len(name) > 2 and name[0] == name[-1] == '"' else name
    try:
        return room_name(bare)
    except InvalidName:
        return bare  # What is wrong with it is told to the user later.


@dataclass(frozen=True, slots=True)
class Spoken:
    """A line for the server that members hear."""

    text: str
    kind: SpeechKind = SpeechKind.SAID
    to: str = ""
    """Of a whisper: the name of the member that gets it; `…`: who whispered last."""


def spoken(line: str, me: str) -> Spoken | None:
    """Return what a line says, as others will read it; None for other commands, whose effects the server tells."""
    taken = bound_lines(as_taken(line, own_names(me))).rstrip("\n")
    match command_in(taken):
        case None:
            return Spoken(escaped_text(taken) or taken if taken.startswith(SLASHES) else taken)
        case Act(text):
            return Spoken(text, SpeechKind.ACTED)
        case Whisper(name, text):
            return Spoken(text, SpeechKind.WHISPERED, name)
        case Reply(text):
            return Spoken(text, SpeechKind.WHISPERED, "…")
    return None
