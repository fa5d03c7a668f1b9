"""What must hold for a member of version 2: each message once and in order, nothing kept that the log does not have.

No fault excuses anything: not the repeats and losses that other dialects have at the ends of a gateway's life.
"""

from collections.abc import Iterator

from tests.chaos.evidence import Membership, described, shown
from tests.chaos.history import RoomLog
from tests.chaos.sealed_clients import SealedSeen
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind

Blame = tuple[str, str]
"""Kind of violation, what."""


def judge(membership: Membership, seen: SealedSeen, room: RoomLog, settled: bool) -> Iterator[Blame]:
    """Yield the violations of one member.

    Args:
        settled: the member stayed to the end, so that it must have heard all, and all that it said must be kept.
    """
    who = described(membership.member)
    for nonce in seen.repeated_nonces:
        yield "nonce", f"{who}: the nonce {nonce} came with two texts"
    for odd in seen.odd:
        yield "lost", f"{who}: {odd}, and no history was lost"
    if settled and seen.ended:
        yield "lost", f"{who}: {seen.ended}, and it is in the room"
    # Of a room that has closed it has heard all when it is told the end: no fault excuses an end that comes too early.
    is_over = bool(seen.ended) and membership.ends is not None and membership.ends.kind == EntryKind.CLOSED
    yield from _heard(who, membership, seen, settled or is_over)
    mine = [entry for entry in _own(membership, room) if entry.text in seen.said.values()]
    yield from judge_lines(who, mine, seen.said, seen.kept, seen.refused, settled)
    whispered = [entry.text for entry in membership.whispers if entry.sender == membership.member.name]
    if len(whispered) != len(set(whispered)):
        yield "doubled", f"{who}: its whispers are in the log as {whispered}"


def _heard(who: str, membership: Membership, seen: SealedSeen, settled: bool) -> Iterator[Blame]:
    entries = sorted(membership.due + membership.whispers, key=lambda entry: entry.offset)
    due = [(entry.offset, entry.sender, entry.text) for entry in entries]
    for at, (heard, must) in enumerate(zip(seen.heard, due, strict=False)):
        if heard != must:
            kind = "doubled" if heard in due[:at] else "lost" if heard in due[at:] else "altered"
            yield (
                kind,
                f"{who} heard {heard[0]} {shown(heard[2].encode())} where {must[0]} {shown(must[2].encode())} is due",
            )
            return
    if len(seen.heard) > len(due):
        yield "invented", f"{who} heard {seen.heard[len(due)]} after the last"
    # The run ends when the last messages have come. Whispers that were said beside these may be on their way.
    while entries and entries[-1].kind == EntryKind.WHISPERED:
        entries.pop()
    if settled and len(seen.heard) < len(entries):
        missed = due[len(seen.heard)]
        count = len(entries) - len(seen.heard)
        yield "lost", f"{who} never heard the last {count}, from {missed[0]} {missed[2]!r} on; {seen.notes}"


def judge_lines(
    who: str, mine: list[Entry], said: dict[int, str], kept: dict[int, int | None], refused: list[int], settled: bool
) -> Iterator[Blame]:
    """Yield what is wrong with a member's own lines.

    Args:
        mine: what the log has of them.
        said, kept, refused: as in `SealedSeen`.
        settled: none may be open.
    """
    number_of = {text: number for number, text in said.items()}
    numbers = [number_of[entry.text] for entry in mine]
    if numbers != sorted(set(numbers)):
        yield "doubled", f"{who}: its lines are in the log as {numbers}"
    logged = {number_of[entry.text]: entry.offset for entry in mine}
    for number, offset in kept.items():
        if number not in logged:
            yield "lost", f"{who}: line {number} is kept, and no log has it"
        elif offset is not None and offset != logged[number]:
            yield "altered", f"{who}: line {number} is kept at {offset}, the log has it at {logged[number]}"
    for number in refused:
        if number in logged:
            yield "altered", f"{who}: line {number} is refused, and the log has it"
    if settled:
        open_ = said.keys() - kept.keys() - set(refused)
        if open_:
            yield "not accepted", f"{who}: of its lines {sorted(open_)} are neither kept nor refused"


def _own(membership: Membership, room: RoomLog) -> list[Entry]:
    name = membership.member.name
    return [entry for entry in room.entries if entry.kind == EntryKind.SAID and entry.sender == name]
