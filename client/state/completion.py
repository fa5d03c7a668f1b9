"""Tab completion: of commands, of members' names and of rooms' names."""

from collections.abc import Sequence
from dataclasses import dataclass

from tsudoi.protocol.client.slash_commands import COMMANDS, SLASHES, as_word, quoted

from .typed import OWN_COMMANDS

_NAMES = frozenset({"msg", "kick", "ban", "mute", "unmute", "host", "unban"})
"""Commands whose first argument is a member's name."""
_ROOMS = frozenset({"join", "go"})
_BETWEEN = frozenset(" \u3000、。，．：！？「『（")


@dataclass(frozen=True, slots=True)
class Completion:
    """What stands before the cursor is `text[start:]` of one of the candidates; Tab goes on to the next."""

    head: str
    """The text before the word that is completed."""
    tail: str
    """The text behind the cursor."""
    candidates: tuple[str, ...]
    at: int = 0

    @property
    def text(self) -> str:
        """The text before the cursor."""
        return self.head + self.candidates[self.at]

    def next(self, step: int = 1) -> "Completion":
        """Return the completion with the next candidate."""
        return Completion(self.head, self.tail, self.candidates, (self.at + step) % len(self.candidates))


def complete(before: str, tail: str, names: Sequence[str], rooms: Sequence[str]) -> Completion | None:
    """Complete the word that ends at the cursor; None if nothing begins so.

    A name at the beginning of a line gets a colon, a name with spaces in a command quotes.
    """
    if before.startswith(SLASHES) and "\n" not in before and not before[1:].startswith(SLASHES):
        return _in_command(before, tail, names, rooms)
    # The longest beginning of a name that ends at the cursor: names may have spaces.
    for start in _word_starts(before):
        at_sign = before[start : start + 1] == "@"
        word = before[start + at_sign :]
        found = _matching(word, names)
        if found:
            end = ": " if start == 0 and not at_sign else " "
            head = before[: start + at_sign]
            return Completion(head, tail, tuple(f"{name}{end}" for name in found))
    return None


def _in_command(before: str, tail: str, names: Sequence[str], rooms: Sequence[str]) -> Completion | None:
    slash, (word, space, rest) = before[0], before[1:].partition(" ")
    if not space:
        known = sorted({*COMMANDS, *OWN_COMMANDS})
        found = _matching(word, known)
        return Completion(slash, tail, tuple(f"{command} " for command in found)) if found else None
    command = as_word(word)
    head = before[: len(before) - len(rest)]
    if command in _ROOMS and (found := _matching(rest, rooms)):
        return Completion(head, tail, tuple(found))
    if command in _NAMES and (found := _matching(rest.removeprefix('"'), names)):
        return Completion(head, tail, tuple(f"{quoted(name)} " for name in found))
    for start in _word_starts(rest):
        if start and (found := _matching(rest[start:], names)):
            return Completion(head + rest[:start], tail, tuple(f"{name} " for name in found))
    return None


def _word_starts(text: str) -> list[int]:
    """Return where the words of the last line begin, first one first; an empty word is none.

    Japanese has no spaces: its punctuation separates words, and `@` begins one.
    """
    line = text.rfind("\n") + 1
    places = range(line + 1, len(text))
    starts = [line, *(at for at in places if text[at - 1] in _BETWEEN or (text[at] == "@" != text[at - 1]))]
    return [start for start in starts if start < len(text) and text[start] not in _BETWEEN]


def _matching(word: str, names: Sequence[str]) -> list[str]:
    beginning = word.casefold()
    return [name for name in names if name.casefold().startswith(beginning)]
