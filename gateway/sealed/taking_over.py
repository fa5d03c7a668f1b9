"""Take over members of version 2, which the directory has given to this gateway; PROTOCOL.md, "Recalled".

Other members are served at once at the address that the directory has. A client of version 2 has to resume first: only
it knows how far it has come, and each server draws a run of its own. A Resume of a gateway that was cut off may come
late and move a session there and back without a Release; the Adopt that follows ends the run that was served here.

Or that run is the newer one: its client came with another address while the Adopt was on its way, and it is still sent
what it missed. Nothing here tells which, so the client is told at both addresses.
"""

from contextlib import suppress
from dataclasses import dataclass

from ..chat import kept_address
from ..chat.address_moves import AddressMoves
from ..chat.members import Member
from ..chat.outbound import Component
from .recalls import Place
from .resuming import Resuming
from .sender import Sender


@dataclass(slots=True, eq=False)
class TakingOver(Component):
    """Recalls the clients of members that were adopted."""

    sender: Sender
    resuming: Resuming
    moves: AddressMoves

    def take(self, member: Member, written: bytes, token_hash: bytes) -> None:
        """Recall a member's client, at the address that the directory has, and at that of its run here."""
        self.members.unproven.pop(member.id, None)
        here: Place | None = None
        if (link := member.sealed) is not None:
            self.sender.detach(link)
            if link.address:
                here = link.listener, link.address
        with suppress(ValueError, OverflowError):
            address, listener, covered = kept_address.parse_with_session(written.decode())
            if (session := self.sender.keys.uncover_untrusted(covered, token_hash)) is not None:
                link = self.resuming.link(member, session)
                link.listener, link.address = self.moves.place(address, listener)
        if member.sealed is not None:
            self.sender.recall(member.sealed, here)
