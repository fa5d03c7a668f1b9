"""Decide which WebSocket gives way when its address has its most in rooms and another one enters a room.

All connections behind one address look alike, and one user may have made most of them. The rule is that for members
(`gateway/chat/crowded_addresses.py`): one gives way whose every room serves this address alone, has at least two more
of its connections than the newcomer's room, and has had no message lately or has more than a quarter of the address's
places. The largest room gives first; in it the newest member, so that the host goes last. Which one gives way depends
on the room that a newcomer enters, so it needs one of the places for newcomers (`gateway/join/quotas.py`) to say which.
"""

from collections import Counter
from collections.abc import Iterable

from ..chat.crowded_addresses import is_quiet
from ..chat.members import Member, Room
from .session import Session


def find_spare(sessions: Iterable[Session], rate_key: str, room: str, most: int, now: float) -> Session | None:
    """Return the session that makes room for one in a room of that name; None: each one keeps its place.

    Args:
        sessions: those of the address that are in rooms.
        rate_key: the address.
        most: how many of them may be in rooms.
        now: monotonic seconds.
    """
    found = [(session, session.members()) for session in sessions]
    shares = Counter(member.room.name for _, members in found for member in members)
    can_lose: dict[int, bool] = {}

    def is_spare(member: Member) -> bool:
        share, where = shares[member.room.name], member.room
        if share < shares[room] + 2 or not (is_quiet(where, now) or share > most // 4):
            return False
        if where.id not in can_lose:
            can_lose[where.id] = _serves_alone(where, rate_key)
        return can_lose[where.id]

    # A session without members waits for the directory's answer.
    spare = [(session, members) for session, members in found if members and all(map(is_spare, members))]
    ranked = [(max(shares[each.room.name] for each in members), members[-1].id, session) for session, members in spare]
    return max(ranked, key=lambda each: each[:2])[2] if ranked else None


def _serves_alone(room: Room, rate_key: str) -> bool:
    """Return whether all members of a room are of one address."""
    own = sum(member.rate_key == rate_key for member in room.members.values())
    return own >= room.size
