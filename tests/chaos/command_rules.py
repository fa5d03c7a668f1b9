"""What must hold in rooms of commands: what each member was told, and what became of its commands, is what the log has.

A command that returned is in the log once; one that was refused is not, and one that had no answer is at most once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import tsudoi
from tests.chaos.command_clients import Asked, Stay, row_of
from tests.chaos.history import Outage, RoomLog, ending
from tests.chaos.sealed_rules import Blame, judge_lines
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client.phrases import Phrase, unpack_arguments
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.names import in_normal_form

LISTS = frozenset(("who", "rooms", "bans", "history", "help"))
"""Commands that only ask: the log has nothing of them."""
UNORDERED = frozenset(("", "muted", "usage", "too-fast", "busy", "moved-away", "no-history"))
"""Why a command is refused that no log has: the codes of the gateway's answers, and of a line that was refused."""
BESIDE = frozenset((Phrase.NAME_BANNED, Phrase.BOTH_BANNED, Phrase.NAME_MUTED))
"""Answers beside the entry that shows the effect."""
NAMING = frozenset(("no-such-member", "name-taken", "not-banned", "not-muted"))
"""Codes of refusals that are about a name."""
REMOVALS = frozenset((LeaveReason.KICKED, LeaveReason.BANNED))
LATE_S = 0.3
"""How long a client may take to find out that an event has come, on a busy machine."""


def judge_stay(who: str, stay: Stay, room: RoomLog, joined: int, broker_deaths: Sequence[Outage]) -> Iterator[Blame]:
    """Yield the violations of one membership, which began with the entry at index `joined`."""
    me, ends = room.entries[joined].member, ending(room, joined)
    entries = room.entries[joined + 1 : ends.offset if ends else None]
    is_lost = ends is not None and ends.code in REMOVALS and _was_forgotten(ends, broker_deaths)
    for odd in stay.odd if not is_lost else ():
        yield "lost", f"{who}: {odd}, and no history was lost"
    whole = not stay.has_left and not is_lost
    yield from _ended(who, stay, ends, is_lost)
    gaps = stay.gaps if is_lost else ()
    due = [one for one in entries if one is not ends and not any(first <= one.offset <= last for first, last in gaps)]
    yield from _heard(who, stay, [row for entry in due if (row := _row(entry, me))], whole)
    said = [entry for entry in entries if entry.kind == EntryKind.SAID and entry.member == me]
    if others := [entry for entry in said if entry.text not in stay.said.values()]:
        yield "invented", f"{who} never said {others[0]}"
        return
    yield from judge_lines(who, said, stay.said, stay.kept, stay.refused, ends is None and not stay.has_left)
    first = entries[0] if entries else None
    greeting = first if first is not None and _is_answer(first, me) and first.code == Phrase.TOPIC_IS else None
    mine = [entry for entry in entries if entry is not greeting and _is_outcome(entry, me)]
    asked = [_without(greeting, each) for each in stay.asked if each.kind not in LISTS]
    for acts in (True, False):
        yield from _carried_out(
            who,
            [each for each in asked if (each.kind == "me") is acts],
            [entry for entry in mine if (entry.kind == EntryKind.ACTED) is acts],
            me,
        )
    yield from _in_time(who, stay, entries, me)
    yield from _values(who, stay, room)


def judge_room(room: RoomLog) -> Iterator[Blame]:
    """Yield what the log has that the room's host did not allow."""
    host, muted, banned = 0, set[int](), set[str]()
    for entry in room.entries:
        where = f"room {room.room_id} at {entry.offset}: {entry.sender}"
        match entry.kind:
            case EntryKind.JOINED:
                host = host or entry.member
                if entry.sender in banned:
                    yield "log", f"{where} has joined, and is banned"
            case EntryKind.SAID | EntryKind.ACTED | EntryKind.WHISPERED | EntryKind.RENAMED if entry.member in muted:
                yield "log", f"{where} speaks, and is muted"
            case EntryKind.LEFT if entry.code == LeaveReason.BANNED:
                banned.add(entry.sender)
            case EntryKind.ANSWERED if entry.code == Phrase.UNBANNED:
                banned.discard(entry.text)
            case EntryKind.MUTED:
                muted.add(entry.member)
            case EntryKind.UNMUTED:
                muted.discard(entry.member)
        if host != _needs_host(entry, host):
            yield (
                "log",
                f"{where}: {EntryKind(entry.kind).name} by {entry.peer or entry.member}, and {host} is the host",
            )
        if entry.kind == EntryKind.HOST:
            host = entry.member


def _needs_host(entry: Entry, host: int) -> int:
    """Return the member that must be the host for this entry."""
    match entry.kind:
        case EntryKind.TOPIC | EntryKind.LOCKED | EntryKind.CLOSED:
            return entry.member
        case EntryKind.MUTED | EntryKind.UNMUTED | EntryKind.HOST:
            return entry.peer
        case EntryKind.LEFT if entry.code in REMOVALS:
            return entry.peer
    return host


# --- what it was told ---


def _row(entry: Entry, me: int) -> list[str] | None:
    """Return the event of an entry as `row_of` does; None: this member is not told of it."""
    event = _event(entry)
    concerned = {EntryKind.WHISPERED: (entry.member, entry.peer), EntryKind.ANSWERED: (entry.member,)}
    is_own_message = entry.kind == EntryKind.SAID and entry.member == me
    if event is None or is_own_message or me not in concerned.get(EntryKind(entry.kind), (me,)):
        return None
    return row_of(event)


def _event(entry: Entry) -> tsudoi.Event | None:
    n, name, by, text = entry.offset, entry.sender, entry.peer_name, entry.text
    match entry.kind:
        case EntryKind.SAID:
            return tsudoi.Message(name, text, n)
        case EntryKind.ACTED:
            return tsudoi.Emote(name, text, n)
        case EntryKind.WHISPERED:
            return tsudoi.Private(name, by, text, n)
        case EntryKind.JOINED:
            return tsudoi.Joined(name, n, "")
        case EntryKind.LEFT:
            return tsudoi.Left(name, LeaveReason(entry.code).name.lower(), by, text, n, "")
        case EntryKind.RENAMED:
            return tsudoi.Renamed(name, text, n, "")
        case EntryKind.TOPIC:
            return tsudoi.TopicChanged(name, text, n, "")
        case EntryKind.HOST:
            return tsudoi.HostChanged(name, by, n, "")
        case EntryKind.MUTED:
            return tsudoi.Muted(name, by, entry.code, n, "")
        case EntryKind.UNMUTED:
            return tsudoi.Unmuted(name, by, n, "")
        case EntryKind.LOCKED:
            return tsudoi.LockChanged(name, bool(entry.code), n, "")
        case EntryKind.ANSWERED:
            return tsudoi.Answered(Phrase(entry.code).code, str(unpack_arguments(text)["arg"]), n, "")
    return None


def _heard(who: str, stay: Stay, due: list[list[str]], whole: bool) -> Iterator[Blame]:
    """Compare the events with those that are due. Answers may be missing: those that commands have taken."""
    answers = [row for row in due if row[0] == "Answered"]
    for row in (row for row in stay.heard if row[0] == "Answered"):
        if row not in answers:
            yield "invented", f"{who} heard {row}, and no log has it, or twice"
            return
        answers.remove(row)
    if whole and len(answers) > len(stay.asked):
        yield "lost", f"{who}: {len(answers)} answers did not come, and {len(stay.asked)} commands can have taken one"
    heard = [row for row in stay.heard if row[0] != "Answered"]
    due = [row for row in due if row[0] != "Answered"]
    for at, (row, must) in enumerate(zip(heard, due, strict=False)):
        if row != must:
            kind = "doubled" if row in due[:at] else "lost" if row in due[at:] else "altered"
            yield kind, f"{who} heard {row} where {must} is due"
            return
    if len(heard) > len(due):
        yield "invented", f"{who} heard {heard[len(due)]} after the last"
    elif whole and len(heard) < len(due):
        yield (
            "lost",
            f"{who} never heard {len(due) - len(heard)}, from {due[len(heard)]} on; {stay.notes}, {stay.ended}",
        )


def _ended(who: str, stay: Stay, ends: Entry | None, is_lost: bool) -> Iterator[Blame]:
    """Check that a member is told the end of its membership, and why."""
    if stay.has_left:
        return
    if ends is None:
        if stay.ended:
            yield "lost", f"{who} was told {stay.ended}, and is in the room"
        return
    if not stay.ended:
        yield "lost", f"{who} was not told of its end at {ends.offset}; {stay.notes}"
        return
    what, text, banned = stay.ended
    must = "RoomClosed" if ends.kind == EntryKind.CLOSED else "Kicked"
    by, why = (ends.sender, "") if ends.kind == EntryKind.CLOSED else (ends.peer_name, ends.text)
    is_right = what == must and by in text and why in text and banned == str(ends.code == LeaveReason.BANNED)
    if not is_right and not (is_lost and what == "TimedOut"):
        yield "altered", f"{who} was told {stay.ended} of its end: {ends}; {stay.notes}"


def _was_forgotten(ends: Entry, broker_deaths: Sequence[Outage]) -> bool:
    """Say whether the broker may have been started again before a removed member was told: it forgets these then."""
    return any(death.end > ends.at_ms / 1000 for death in broker_deaths)


# --- what became of its commands ---


def _is_answer(entry: Entry, me: int) -> bool:
    return entry.kind == EntryKind.ANSWERED and entry.member == me


def _without(greeting: Entry | None, asked: Asked) -> Asked:
    """Return a command; a question for the topic as one without an answer, if the one told to newcomers may be its."""
    if greeting is not None and (asked.kind, asked.since, asked.value) == (
        "topic",
        greeting.offset - 1,
        [greeting.text],
    ):
        return replace(asked, outcome="no answer")
    return asked


def _is_outcome(entry: Entry, me: int) -> bool:
    """Say whether an entry is what the log has of a command of this member."""
    match entry.kind:
        case EntryKind.ACTED | EntryKind.WHISPERED | EntryKind.RENAMED | EntryKind.TOPIC | EntryKind.LOCKED:
            return entry.member == me
        case EntryKind.LEFT | EntryKind.MUTED | EntryKind.UNMUTED | EntryKind.HOST:
            return entry.peer == me
        case EntryKind.CLOSED:
            return entry.member == me and entry.code == LeaveReason.HOST_CLOSED
        case EntryKind.ANSWERED if entry.member == me:
            return entry.code not in BESIDE
    return False


def _carried_out(who: str, asked: list[Asked], entries: list[Entry], me: int) -> Iterator[Blame]:
    """Explain each entry by a command, in the order of both, and let none be without that must have one."""
    reached = {0}
    for entry in entries:
        after = {
            at + 1
            for first in reached
            for at in range(first, len(asked))
            if _may_have(asked[at], entry, me) and not any(map(_must_have_one, asked[first:at]))
        }
        if not after:
            near = asked[min(reached) : max(reached) + 1]
            yield (
                "commands",
                f"{who}: {entry} is the outcome of none of its commands, or of one that has another: {near}",
            )
            return
        reached = after
    if not any(not any(map(_must_have_one, asked[first:])) for first in reached):
        yield "commands", f"{who}: the log has nothing of one of {asked[max(reached) :]}"


def _must_have_one(asked: Asked) -> bool:
    """Say whether the log has what became of a command. A room may be closed by another command, or by a leave."""
    return (asked.outcome == "done" and asked.kind != "close") or (
        asked.outcome == "refused" and asked.code not in UNORDERED
    )


def _may_have(asked: Asked, entry: Entry, me: int) -> bool:
    """Say whether an entry may be what became of a command."""
    answer = _event(entry)
    refuses = isinstance(answer, tsudoi.Answered) and (
        answer.code not in NAMING or are_same_name(answer.about, asked.about)
    )
    match asked.outcome:
        case "done":
            return _shows(asked, entry)
        case "refused":
            return isinstance(answer, tsudoi.Answered) and refuses and answer.code == asked.code
    return refuses or _shows(asked, entry)


def _shows(asked: Asked, entry: Entry) -> bool:
    """Say whether an entry shows that a command was carried out."""
    kind, text, code = entry.kind, entry.text, entry.code
    is_about = are_same_name(entry.sender, asked.about)
    is_answer, about = kind == EntryKind.ANSWERED, str(unpack_arguments(text)["arg"])
    match asked.kind:
        case "me":
            return kind == EntryKind.ACTED and asked.tag == text
        case "msg":
            return kind == EntryKind.WHISPERED and asked.tag == text and are_same_name(entry.peer_name, asked.about)
        case "reply":
            return kind == EntryKind.WHISPERED and asked.tag == text
        case "nick":
            return kind == EntryKind.RENAMED and asked.tag == text
        case "topic":
            shown = {Phrase.TOPIC_IS: [text], Phrase.NO_TOPIC: [""]}.get(Phrase(code)) if is_answer else None
            return shown is not None and (asked.outcome != "done" or asked.value == shown)
        case "set topic":
            has_none = is_answer and code == Phrase.NO_TOPIC and not asked.tag
            return has_none or (kind == EntryKind.TOPIC and asked.tag == text)
        case "kick":
            return kind == EntryKind.LEFT and code == LeaveReason.KICKED and is_about and asked.tag == text
        case "ban":
            return kind == EntryKind.LEFT and code == LeaveReason.BANNED and is_about and asked.tag == text
        case "mute":
            return kind == EntryKind.MUTED and is_about and asked.tag == str(code)
        case "unban":
            return is_answer and code == Phrase.UNBANNED and are_same_name(about, asked.about)
        case "unmute":
            lifted = is_answer and code == Phrase.UNMUTED and are_same_name(about, asked.about)
            return lifted or (kind == EntryKind.UNMUTED and is_about)
        case "hand over":
            return kind == EntryKind.HOST and is_about
        case "lock":
            return kind == EntryKind.LOCKED and code == 1
        case "unlock":
            return (kind == EntryKind.LOCKED and code == 0) or (is_answer and code == Phrase.NO_PASSWORD)
        case "close":
            return kind == EntryKind.CLOSED
    return False


def _in_time(who: str, stay: Stay, entries: Sequence[Entry], me: int) -> Iterator[Blame]:
    """Check that no command had no answer, or an error that must not be, although what shows its effect had come."""
    came_at = {row[1]: at for row, at in zip(stay.heard, stay.heard_at, strict=False)}
    for asked in stay.asked:
        if asked.outcome not in ("", "done", "refused", "no answer", "cancelled", "over"):
            yield "commands", f"{who}: {asked}"
        if asked.outcome == "no answer" and asked.kind not in LISTS and asked.tag:
            others = [other for other in stay.asked if other is not asked]
            # What another command may have done as well, such as an earlier /password, proves nothing.
            shown = [
                entry
                for entry in entries
                if entry.offset > asked.since
                and _is_outcome(entry, me)
                and _shows(asked, entry)
                and not any(_shows(o, entry) for o in others)
            ]
            if any(came_at.get(str(entry.offset), asked.ended_at) < asked.ended_at - LATE_S for entry in shown):
                yield "commands", f"{who}: {asked}, and its outcome had come: {shown}"


# --- what its questions were answered ---


def _values(who: str, stay: Stay, room: RoomLog) -> Iterator[Blame]:
    people = list(_people(room))
    for asked in stay.asked:
        if asked.outcome != "done":
            continue
        if asked.kind == "history":
            messages = [
                entry for entry in room.entries[: asked.since] if entry.kind in (EntryKind.SAID, EntryKind.ACTED)
            ]
            must = [f"{one.offset} {one.sender}: {one.text}" for one in messages[-int(asked.tag) :]]
            if asked.value != must:
                yield "commands", f"{who}: /history gave {asked}, and the log has {must}"
        elif asked.kind == "who":
            later = [len(people)] + [one.offset for one in room.entries if one.at_ms / 1000 > asked.ended_at + LATE_S]
            if sorted(asked.value) not in people[asked.since - 1 : min(later)]:
                yield "commands", f"{who}: {asked}, and never since were these in the room"


def _people(room: RoomLog) -> Iterator[list[str]]:
    """Yield who is there after each entry."""
    names: dict[int, str] = {}
    for entry in room.entries:
        if entry.kind == EntryKind.JOINED:
            names[entry.member] = entry.sender
        elif entry.kind == EntryKind.RENAMED:
            names[entry.member] = entry.text
        elif entry.kind == EntryKind.LEFT:
            names.pop(entry.member, None)
        yield sorted(names.values())


def are_same_name(one: str, other: str) -> bool:
    """Say whether two texts are one name for the server."""
    return in_normal_form(one) == in_normal_form(other)
