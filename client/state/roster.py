"""Who is in a room: pages of `/who`, and what happened since."""

from collections.abc import Iterable
from dataclasses import replace

import tsudoi
from tsudoi.protocol.client.slash_commands import PAGE_SIZE

from .model import Listing, Person, Room, Speech

MAX_PAGES = 5
"""Pages of `/who` that the client asks for by itself; a room may have thousands of members."""
CROWD = 20
"""In a room with more members, joins and leavings of those that have not spoken lately are shown in the roster only."""
LATELY = 500
"""Items of a room among which a member's line counts as lately spoken."""


def take(room: Room, event: tsudoi.Event) -> Room:
    """Return the room after an event that may change who is in it, or who is host."""
    match event:
        case tsudoi.Joined(name) if all(person.name != name for person in room.people):
            count = room.count + 1 if room.count else 0
            return replace(room, people=_sorted((*room.people, Person(name))), count=count)
        case tsudoi.Left(name, reason) if reason != "rejoined":
            people = tuple(person for person in room.people if person.name != name)
            return replace(room, people=people, count=max(room.count - 1, 1) if room.count else 0)
        case tsudoi.Renamed(name, to):
            renamed = (replace(person, name=to) if person.name == name else person for person in room.people)
            return replace(room, people=_sorted(renamed))
        case tsudoi.HostChanged(name):
            return make_host(room, name)
    return room


def make_host(room: Room, name: str) -> Room:
    """Return the room with another host."""
    known = room.people if any(person.name == name for person in room.people) else (*room.people, Person(name))
    return replace(room, people=_sorted(Person(person.name, person.name == name) for person in known))


def passes_unnoticed(room: Room, event: tsudoi.Event) -> bool:
    """Return whether an event is a join or a leaving in a crowd, of a member that has not spoken lately."""
    match event:
        case tsudoi.Joined(name) | tsudoi.Left(name, "left" | "idle") if room.count > CROWD:
            return not any(isinstance(item, Speech) and item.sender == name for item in room.items[-LATELY:])
    return False


def by_last_word(room: Room) -> list[str]:
    """Return the names of the other members: those who spoke last first, then as the roster has them."""
    spoke = (item.sender for item in reversed(room.items) if isinstance(item, Speech))
    known = {person.name: None for person in room.people if person.name != room.me}
    return list(dict.fromkeys([*(name for name in spoke if name in known), *known]))


def ask(room: Room, page: int) -> Room:
    """Note that a page of `/who` is asked for: again, if a part of it is missing."""
    before = room.listing
    listing = before if before.page == page and not before.is_whole else Listing(page)
    return replace(room, listing=replace(listing, tries=listing.tries + 1))


def take_page(room: Room, listed: tsudoi.Listed) -> tuple[Room, int]:
    """Take a part of a page of `/who`; return the page to ask for next, 0 for none.

    The first part of the first page begins a new roster. Of two answers with the same number of members, parts are put
    together: where many are lost, no answer may come whole.
    """
    rows = {row.name: Person(row.name, row.is_host) for row in listed.rows if isinstance(row, tsudoi.Person)}
    listing = room.listing
    if listing.page != listed.page or listing.is_whole:
        listing = Listing(listed.page)
    if listing.count != listed.count:
        listing = replace(listing, names=frozenset(), count=listed.count)
    begins = listed.page == 1 and not listing.names
    known = rows if begins else {person.name: person for person in room.people} | rows
    names = listing.names | rows.keys()
    is_whole = len(names) >= _expected(listed)
    room = replace(
        room,
        people=_sorted(known.values()),
        count=listed.count or max(len(known), room.count),
        listing=replace(listing, names=names, is_whole=is_whole),
    )
    return room, listed.page + 1 if is_whole and listed.page < min(listed.pages, MAX_PAGES) else 0


def _expected(listed: tsudoi.Listed) -> int:
    """Return the number of rows of this page."""
    return min(listed.count - (listed.page - 1) * PAGE_SIZE, PAGE_SIZE) if listed.count else len(listed.rows)


def _sorted(people: Iterable[Person]) -> tuple[Person, ...]:
    return tuple(sorted(people, key=lambda person: (not person.is_host, person.name.casefold(), person.name)))
