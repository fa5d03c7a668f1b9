"""Split a line that is too long for one datagram, so that each piece means what it meant as a part of the line."""

from bisect import bisect_right
from collections.abc import Callable

from tsudoi import errors
from tsudoi.protocol.client import slash_commands
from tsudoi.protocol.client.downlink_encoder import carried_size, json_size
from tsudoi.protocol.client.lines import MAX_LINES, has_too_many_lines, without_blank_runs
from tsudoi.protocol.client.own_name import without_own_name
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.client.slash_commands import SLASHES, Act, Reply, Whisper
from tsudoi.protocol.visible_characters import boundary

_FAR = 200
"""Characters that a cut moves back to find a place where a piece may begin."""
_LOOK_AHEAD = 1_024
"""Characters of a piece that decide whether it may begin so: more than any name or word has."""


def as_taken(line: str, names: tuple[str, ...]) -> str:
    """Return a line as a server takes it: without control characters, and without the sender's name in front.

    So `alice: /msg bob …` from alice is a whisper, as `/msg bob …` is.
    """
    return without_own_name(clean(line), names)


def command_in(line: str) -> slash_commands.Command | slash_commands.Unknown | slash_commands.Misused | None:
    """Return the command that a line is, `as_taken`; None: it is a message."""
    if line.startswith(SLASHES) and not slash_commands.escaped_text(line):
        return slash_commands.parse_untrusted(line)
    return None


def check_one_line(line: str) -> None:
    """Raise InvalidText for a command with more lines, which were pasted; whispers and actions may have more."""
    command = command_in(line)
    if command is not None and not isinstance(command, Whisper | Reply | Act) and "\n" in line.strip():
        raise errors.InvalidText("a command has one line; put a second slash in front to say it as a text")


def split_speech(command: Whisper | Act, limit: int) -> list[str]:
    """Return the lines that whisper a long text to the same member, or that act on: each with a piece of the text."""
    texts = (piece.strip() for piece in _split(command.text, json_size, limit, lambda rest: True))
    if isinstance(command, Act):
        return [slash_commands.serialize(Act(text)) for text in texts if text]
    return [slash_commands.serialize(Whisper(command.name, text)) for text in texts if text]


def split_message(text: str, limit: int, names: tuple[str, ...], reserved: frozenset[str]) -> list[str]:
    """Return the pieces of a long message, each of which a server takes for a message, and leaves as it is.

    A piece does not begin with a slash, nor with one of the sender's names and a colon, and is not one of the dialect's
    words.
    """

    def is_message(rest: str) -> bool:
        return not rest.startswith(SLASHES) and rest not in reserved and without_own_name(rest, names) == rest

    # Else a control character would hide that a piece begins with a slash.
    return _split(clean(text), carried_size, limit, is_message)


def _split(text: str, size: Callable[[str], int], limit: int, may_begin: Callable[[str], bool]) -> list[str]:
    """Return pieces of at most `limit`, and of `MAX_LINES` lines.

    They are cut behind white space where there is some, and where a piece may begin.
    """

    def is_place(at: int) -> bool:
        return boundary(text, at) == at and may_begin(text[at : at + _LOOK_AHEAD])

    pieces = []
    if has_too_many_lines(text):
        text = without_blank_runs(text)
    while len(text) > limit or size(text) > limit or has_too_many_lines(text):
        longest = _longest(text, size, limit)
        end = _behind_a_space(text, longest, is_place) or next(
            filter(is_place, range(longest, max(longest - _FAR, 0), -1)), boundary(text, longest) or longest
        )
        pieces.append(text[:end])
        text = text[end:]
        if text.startswith(SLASHES) and not may_begin(text[:_LOOK_AHEAD]):
            # Slashes alone, as far as one looks: with one more the server says the rest.
            text = text[0] + text
    return [*pieces, text] if text else pieces


def _longest(text: str, size: Callable[[str], int], limit: int) -> int:
    """Return how many characters fit; at least one, so that there is an end."""
    lines = text.split("\n", MAX_LINES)
    most = len(text) - len(lines[-1]) if len(lines) > MAX_LINES else len(text)
    return 1 + bisect_right(
        range(2, min(len(text), most + 1, limit + 1)), limit, key=lambda length: size(text[:length])
    )


def _behind_a_space(text: str, longest: int, is_place: Callable[[int], bool]) -> int:
    """Return the last place in the second half behind a line feed, or else behind or before a space; 0: none."""
    for space in "\n ":
        at = text.rfind(space, longest // 2, longest)
        for place in (at + 1, at):
            if at > 0 and is_place(place):
                return place
    return 0
