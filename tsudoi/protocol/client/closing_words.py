"""Keep other members' texts from ending a client that ends when it reads certain words; PROTOCOL.md, "Datagrams".

A zero-width space breaks the words where a member wrote them; the server's own stay whole.
"""

from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle
from tsudoi.protocol.names import MAX_NAME_SIZE

_ZERO_WIDTH_SPACE = "\u200b"


def closing_text(dialect: Dialect, template: str, room: str, user: str, reason: str = "") -> str:
    """Return a dialect's closing words, filled in.

    Where the line alone tells who speaks, a zero-width space breaks the separators in the room's name: else a member
    whose name is the words before one could write the same line. No member can write words of `ends_at`.
    """
    return template.format(user=user, room=room_in_closing(dialect.down, template, room), reason=reason)


def room_in_closing(style: DownStyle, template: str, room: str) -> str:
    """Return a room's name as it stands in closing words made from this template."""
    if style.form not in (DownForm.RAW, DownForm.U1) or any(words in template for words in style.ends_at):
        return room
    return room.replace(style.separator, style.separator[0] + _ZERO_WIDTH_SPACE + style.separator[1:])


def break_closing_words(style: DownStyle, line: str) -> str:
    """Return a line in which the words at which the client ends are broken."""
    for words in style.ends_at:
        line = line.replace(words, words[0] + _ZERO_WIDTH_SPACE + words[1:])
    return line


def restore_closing_words(style: DownStyle, line: str) -> str:
    """Return a line as it was before `break_closing_words`."""
    for words in style.ends_at:
        line = line.replace(words[0] + _ZERO_WIDTH_SPACE + words[1:], words)
    return line


def break_name(style: DownStyle, sender: str) -> str:
    """Return the sender's name for a NAMED datagram, which must not begin as the words at which the client ends."""
    return _ZERO_WIDTH_SPACE + sender if _starts_with_closing_word(style, sender) else sender


def restore_name(style: DownStyle, name: str) -> str:
    """Return the sender's name in a NAMED datagram as it was before `break_name`."""
    bare = name.removeprefix(_ZERO_WIDTH_SPACE)
    return bare if _starts_with_closing_word(style, bare) else name


def sized_name(name: str) -> bytes:
    """Return the head of a NAMED datagram: one byte of size, and the name."""
    raw = name.encode()
    return bytes((len(raw),)) + raw


def _starts_with_closing_word(style: DownStyle, sender: str) -> bool:
    """Return whether the size byte and the name together begin as a word at which the client ends."""
    if not style.ends_at or len(sender.encode()) > MAX_NAME_SIZE:
        return False
    return sized_name(sender).startswith(tuple(words.encode() for words in style.ends_at))
