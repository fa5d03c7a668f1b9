"""Events as lines of text, for programs that print or log them."""

from typing import TypeGuard

from tsudoi.protocol.client.notices import action_line

from .events import Emote, Event, Kicked, Message, Past, Private, RoomClosed, TimedOut


def one_line(text: str) -> str:
    """Return `text` with its line feeds as spaces."""
    return text.replace("\n", " ")


def is_speech(event: Event) -> TypeGuard[Message | Emote | Private]:
    """Return whether an event is a person's message; all others are notices."""
    return isinstance(event, Message | Emote | Private)


def speech_line(speech: Message | Emote | Private) -> str:
    """Return the line for a person's message."""
    text = one_line(speech.text)
    match speech:
        case Emote():
            return action_line(speech.sender, text)
        case Private():
            return f"{speech.sender} → {speech.to}: {text}"
        case Message():
            return f"{speech.sender}: {text}" if speech.sender else text


def earlier_line(row: Past) -> str:
    """Return the line for a message from before the join: that of a message."""
    kind = Emote if row.acted else Message
    return speech_line(kind(row.sender, row.text, row.offset))


def notice_line(event: Event) -> str:
    """Return the line for a notice. The server's closing words are in brackets, its other texts unchanged."""
    match event:
        case RoomClosed():
            return f"the room is closed ({one_line(event.text)})"
        case TimedOut(is_forgotten=False):
            return f"you were silent for too long and are no longer in the room ({one_line(event.text)})"
        case Kicked():
            return f"you were removed from the room ({one_line(event.text)})"
        case _:
            return one_line(event.text)
