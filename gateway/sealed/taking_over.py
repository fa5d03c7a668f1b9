"""Take over members of version 2 that the directory has given to this gateway; PROTOCOL.md, "Recalled".

Their clients have to resume first: only they know their positions, and each gateway begins a run of its own. A Resume
of a gateway that was cut off may move a session there and back without a Release; the Adopt that follows ends the run
that was served here.

That run may also be newer than the Adopt. It goes on if the directory has granted it by the newest `resume` that it
knows. Else it is not known which is newer, and the client is told at both addresses.
"""

from tsudoi.protocol.backbone import Granted

from ..chat.address_moves import AddressMoves
from ..chat.kept_address import KeptAddress
from ..chat.members import Member
from .resuming import Resuming


def take_over(resuming: Resuming, moves: AddressMoves, member: Member, granted: Granted, token_hash: bytes) -> None:
    """Recall the client of a member that was adopted, at the address that the directory has, and at its run's here."""
    if member.sealed is not None and resuming.has_begun(member.sealed, granted.resumed):
        # The directory does not take it for live.
        resuming.streams.groups.publish_address(member, member.reached)
        return
    resuming.members.unproven.pop(member.id, None)
    sender, here = resuming.sender, None
    if (link := member.sealed) is not None:
        sender.detach(link)
        if link.address:
            here = link.listener, link.address
    kept = KeptAddress.parse(granted.address)
    if kept is not None and (session := sender.keys.uncover_untrusted(kept.session, token_hash)) is not None:
        link = resuming.link(member, session)
        link.listener, link.address = moves.place(kept.address, kept.listener)
    if member.sealed is not None:
        sender.recall(member.sealed, here)
