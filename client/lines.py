"""Chat as lines of text: what a line from a pipe says, and how what is heard is written."""

from typing import TypeGuard

from tsudoi.events import Emote, Event, Kicked, Message, Private, RoomClosed, ServerAway, TimedOut

LINE_LIMIT = 1 << 20
"""Bytes of a line; what is longer is taken apart there."""


class LineReader:
    """Takes bytes as they come and gives lines, without their ends; what is not UTF-8 becomes U+FFFD."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Take what has come and return the lines that are whole."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            whole.append(self._rest)
            self._rest = b""
        return [_decode(line) for line in whole]

    def end(self) -> list[str]:
        """Return the last line, if it has no end of its own."""
        last, self._rest = self._rest, b""
        return [_decode(last)] if last else []


def _decode(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")


def one_line(text: str) -> str:
    """Return `text` with its line feeds as spaces."""
    return text.replace("\n", " ")


def is_speech(event: Event) -> TypeGuard[Message | Emote | Private]:
    """Say whether an event is something that somebody says; all else is a notice."""
    return isinstance(event, Message | Emote | Private)


def speech_line(speech: Message | Emote | Private) -> str:
    """Return the line for what somebody said."""
    text = one_line(speech.text)
    match speech:
        case Emote():
            return f"* {speech.sender} {text}"
        case Private():
            return f"{speech.sender} → {speech.to}: {text}"
        case Message():
            return f"{speech.sender}: {text}" if speech.sender else text


def notice_line(event: Event) -> str:
    """Return the line for anything else; the server's closing words stand in brackets, all its others as they are."""
    match event:
        case RoomClosed():
            return f"the room is closed ({one_line(event.text)})"
        case TimedOut():
            return f"you were silent for too long and are no longer in the room ({one_line(event.text)})"
        case Kicked():
            return f"you were removed from the room ({one_line(event.text)})"
        case ServerAway():
            return f"{event.text}; what you say may be lost"
        case _:
            return one_line(event.text)
