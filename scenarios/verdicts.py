"""Judge the events that a member has received so far against what a step expects.

The runner asks again whenever another event has come.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tsudoi import Event, Kicked, Message, RoomClosed, TimedOut
from tsudoi.event_lines import is_speech, notice_line, one_line, speech_line

from .steps import Ending, Line

_SHOWN = 4
"""Events that a report shows of those that came instead."""
_NUMBERED = re.compile(r"line (\d+)")


@dataclass(frozen=True, slots=True)
class Pending:
    """The expectation may still be met."""


@dataclass(frozen=True, slots=True)
class Fulfilled:
    """The expectation is met."""

    read: int
    """Events that it took."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The expectation can not be met any more."""

    instead: str


Verdict = Pending | Fulfilled | Failed


_ENDINGS: dict[Ending, type[Event]] = {Ending.CLOSED: RoomClosed, Ending.TIMED_OUT: TimedOut, Ending.REMOVED: Kicked}


def numbered(number: int) -> str:
    return f"line {number}"


def hear(lines: Sequence[Line], in_any_order: bool, echo_of: str | None, heard: Sequence[Event]) -> Verdict:
    """Judge whether `lines` are the next messages, with nothing between them.

    Args:
        lines: what is expected; senders have the names that members see.
        echo_of: the member's own name if its dialect echoes; such echoes are passed over where none is expected.
        heard: events not yet read.
    """
    missing = list(lines)
    for position, event in enumerate(heard):
        if not missing:
            return Fulfilled(position)
        candidates = missing if in_any_order else missing[:1]
        found = next((line for line in candidates if _fits(line, event)), None)
        if found is not None:
            missing.remove(found)
        elif not _is_echo(event, echo_of):
            return Failed(_instead(heard[position:]))
    return Fulfilled(len(heard)) if not missing else Pending()


def hear_the_same(count: int, everybody: Sequence[Sequence[Event]]) -> Verdict:
    """Judge whether the next `count` messages are the same for all, with each speaker's numbered lines in order."""
    for events in everybody:
        other = next((event for event in events[:count] if not isinstance(event, Message)), None)
        if other is not None:
            return Failed(show(other))
    for place in range(min(count, *(len(events) for events in everybody))):
        here = [events[place] for events in everybody]
        said = {(event.sender, event.text) for event in here if isinstance(event, Message)}
        if len(said) > 1:
            return Failed(f"at place {place + 1}: " + " / ".join(show(event) for event in here))
    last: Counter[str] = Counter()
    for event in min(everybody, key=len)[:count]:
        found = _NUMBERED.fullmatch(event.text)
        if found is not None and isinstance(event, Message):
            if int(found[1]) <= last[event.sender]:
                return Failed(f"{show(event)} after line {last[event.sender]}")
            last[event.sender] = int(found[1])
    if all(len(events) >= count for events in everybody):
        return Fulfilled(count)
    return Pending()


def hear_nothing(echo_of: str | None, heard: Sequence[Event]) -> Verdict:
    """Judge whether nothing but the member's own echo has come; the best verdict is `Pending`."""
    if all(_is_echo(event, echo_of) for event in heard):
        return Pending()
    return Failed(_instead([event for event in heard if not _is_echo(event, echo_of)]))


def hear_ending(ending: Ending, echo_of: str | None, heard: Sequence[Event]) -> Verdict:
    """Judge whether the next event ends the membership."""
    wanted = _ENDINGS[ending]
    for position, event in enumerate(heard):
        if isinstance(event, wanted):
            return Fulfilled(position + 1)
        if not _is_echo(event, echo_of):
            return Failed(_instead(heard[position:]))
    return Pending()


def be_told(texts: Sequence[str], told: Sequence[Event]) -> Verdict:
    """Judge whether each of `texts` is a part of one event, in this order; other events may come between."""
    missing = list(texts)
    for position, event in enumerate(told):
        if missing and missing[0] in (speech_line(event) if is_speech(event) else event.text):
            missing.pop(0)
        if not missing:
            return Fulfilled(position + 1)
    return Pending()


def _fits(line: Line, event: Event) -> bool:
    return isinstance(event, Message) and line.text == event.text and line.sender in (None, event.sender)


def _is_echo(event: Event, echo_of: str | None) -> bool:
    return isinstance(event, Message) and echo_of is not None and event.sender == echo_of


def show(event: Event) -> str:
    return speech_line(event) if is_speech(event) else f"[{notice_line(event)}]"


def show_line(line: Line) -> str:
    return f"{line.sender}: {one_line(line.text)}" if line.sender else one_line(line.text)


def _instead(events: Sequence[Event]) -> str:
    return shorten([show(event) for event in events])


def shorten(texts: Sequence[str]) -> str:
    """Return the first of some texts, and how many more there are."""
    if not texts:
        return "nothing"
    more = f" | … {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return " | ".join(texts[:_SHOWN]) + more
