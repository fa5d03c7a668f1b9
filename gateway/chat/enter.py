"""Begin to serve members: after a join, or from another gateway, by the member's token or by adoption."""

from dataclasses import dataclass

from tsudoi.protocol.backbone import Granted, room_topic
from tsudoi.protocol.client.dialects import member_dialect
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.names import hash_token

from ..join.rate_keys import RateKeys
from ..listeners import sockaddr
from .address_moves import AddressMoves
from .crowded_addresses import CrowdedAddresses
from .idle import IdleWheel
from .members import CatchUpState, Member
from .outbound import Component

UNKNOWN_IP = bytes(4)


@dataclass(slots=True, eq=False)
class Enter(Component):
    """Makes members from the directory's grants."""

    rate_keys: RateKeys
    moves: AddressMoves
    idle: IdleWheel
    crowded: CrowdedAddresses

    def may_enter(self, ip: str, room: str, now: float) -> bool:
        """Return whether an address may have one more member (`--address-members`); if not, count it."""
        return self.crowded.may_add(self.rate_keys.of(ip), room, now)

    def join(self, granted: Granted, token: bytes, now: float) -> Member:
        """Serve a new member; another one of its address may have to make room for it."""
        member = self.enter(granted, token, now)
        self.crowded.added(member, now)
        return member

    def enter(self, granted: Granted, token: bytes, now: float) -> Member:
        """Serve a member that the directory has granted, and return it."""
        # It may have been adopted while its client's datagram was held for the directory's answer.
        if token in self.members.by_token or self.members.claim_adopted(hash_token(token), token):
            return self.members.by_token[token]
        return self._serve(granted, token, None, now)

    def adopt(self, granted: Granted, token_hash: bytes, now: float) -> Member:
        """Serve a member whose client has sent nothing here yet, so that only the token's hash is known; return it."""
        return self._serve(granted, b"", token_hash, now)

    def _serve(self, granted: Granted, token: bytes, token_hash: bytes | None, now: float) -> Member:
        room = self.members.rooms.get(granted.room)
        if room is None:
            room = self.members.add_room(granted)
            # Once the subscription is live, the broker sends the room's position.
            self.out.subscribe(room.shard, room_topic(room.id))
        try:
            ip, rate_key = sockaddr.parse_ip(granted.ip), self.rate_keys.of(granted.ip)
        except ValueError:
            ip, rate_key = UNKNOWN_IP, ""
        dialect = member_dialect(granted.dialect)
        member = Member.from_grant(granted, token, dialect, ip, room, now, rate_key)
        if member.options & MemberOptions.HISTORY and self.settings.history:
            member.catch_up = CatchUpState(granted.offset, self.settings.history)
        if token_hash is None:
            self.members.add(member)
        else:
            self.members.add_adopted(member, token_hash)
        self.idle.add(member)
        self.moves.restore(member, granted.address, now)
        return member
