"""Decide on messages of webhooks; PROTOCOL.md, "Webhook".

A webhook is no member: its message has the member id 0, and a name that no member can have (`names.webhook_name`).
"""

import hashlib
from collections.abc import Iterable

from tsudoi.ops.bounded import oldest
from tsudoi.protocol import names
from tsudoi.protocol.backbone import Post, Posted
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.errors import Banned, Muted

from ..store.interface import PostRow, RestrictionKind
from .bans_and_mutes import BansAndMutes
from .room_and_member import Room

POSTS = 10_000
"""Messages of all webhooks that are remembered, so that a repeated request says nothing twice."""


class Posts:
    """The webhooks' newest messages, by the keys of their requests."""

    def __init__(self, rows: Iterable[PostRow]) -> None:
        """Begin with what the store has, oldest first."""
        self._rows = {row.key: row for row in rows}
        self.changes: dict[bytes, PostRow | None] = {}
        """Those since the last turn, for the store, which takes them."""

    def find(self, room: Room, post: Post) -> Posted | None:
        """Return the answer to a request that is repeated; None if it is new."""
        row = self._rows.get(post.key)
        if row is None or row.room != room.id:
            return None
        is_same = row.text_hash == _hash(post)
        return Posted(names.webhook_name(names.user_name(post.user)), row.epoch, row.offset, is_same)

    def add(self, room: Room, post: Post, at_ms: int) -> None:
        """Remember that the room's newest entry is the message of a request."""
        row = PostRow(post.key, room.id, room.epoch, room.last, _hash(post), at_ms)
        self._rows.pop(post.key, None)
        self._rows[post.key] = self.changes[post.key] = row
        for key in oldest(self._rows, POSTS):
            del self._rows[key]
            self.changes[key] = None


def check_sender(bans_and_mutes: BansAndMutes, room: Room, post: Post, wall_ms: int) -> None:
    """Raise Banned or Muted if a webhook may not speak in a room, InvalidName if its name is invalid.

    Bans and mutes of both forms of its name count: as it is in the token, and with the mark.
    """
    name, is_shared = names.user_name(post.user), bool(post.options & MemberOptions.SHARED_ADDRESS)
    for known_as in (name, names.webhook_name(name)):
        if bans_and_mutes.until(room.id, RestrictionKind.BAN, known_as, post.ip, wall_ms, is_shared):
            raise Banned(f"{known_as} or its address is banned from this room or server")
        if bans_and_mutes.until(room.id, RestrictionKind.MUTE, known_as, post.ip, wall_ms, is_shared):
            raise Muted(f"{known_as} or its address is muted in this room")


def _hash(post: Post) -> bytes:
    """Return a hash of a text that does not tell whether two messages have the same text."""
    return hashlib.sha256(post.key + post.text.encode()).digest()[:16]
