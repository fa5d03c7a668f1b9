"""Send and receive datagrams one by one: what `sendmmsg.py` does, for systems without its calls."""

import errno
import socket
from collections.abc import Sequence

from tsudoi.protocol.client.datagram import MAX_READ

from ..chat.members import Member
from ..chat.outbound import Fill
from . import pktinfo, sockaddr

BATCH = 64
"""Datagrams received by one call."""
RETRY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR)
"""The kernel has no room for a datagram now."""

Leftover = list[tuple[bytes, bytes]]
"""(payload, address) that the kernel had no room for."""


class SlotTable:
    """Maps slots to members. There are no holes: the last member moves into a gap."""

    def __init__(self) -> None:
        self._members: list[Member] = []

    def __len__(self) -> int:
        return len(self._members)

    def _append(self, member: Member) -> int:
        member.slot = len(self._members)
        self._members.append(member)
        return member.slot

    def _take_out(self, member: Member) -> tuple[int, int]:
        """Remove a member; return (its slot, the slot whose content must move there)."""
        last = self._members.pop()
        gap = member.slot
        if last is not member:
            self._members[gap] = last
            last.slot = gap
        member.slot = -1
        return gap, len(self._members)


class PortableRecipients(SlotTable):
    """A group of recipients for systems without sendmmsg."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[bytes] = []

    def add(self, member: Member, address: bytes) -> None:
        self._append(member)
        self.addresses.append(address)

    def address_in(self, slot: int) -> bytes:
        return self.addresses[slot]

    def remove(self, member: Member) -> None:
        gap, last = self._take_out(member)
        self.addresses[gap] = self.addresses[last]
        self.addresses.pop()


class PortableIo:
    """recvfrom and sendto, one datagram a call."""

    name = "recvfrom/sendto"
    new_recipients = new_own_recipients = PortableRecipients
    largest_segment = 0
    """None is sent in segments."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.learns_local = pktinfo.enable(sock)
        self.failed = 0
        """Datagrams that the kernel refused for good: no route, not permitted."""

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Return up to `BATCH` datagrams as (data, address); an empty list if none has come."""
        received = []
        try:
            for _ in range(BATCH):
                if self.learns_local:
                    data, ancillary, _, name = self._sock.recvmsg(MAX_READ, pktinfo.SPACE)
                else:
                    (data, name), ancillary = self._sock.recvfrom(MAX_READ), []
                source = sockaddr.pack(name[0], name[1], name[3] if len(name) > 2 else 0)
                received.append((data, source + pktinfo.local_of(ancillary)))
        except (BlockingIOError, InterruptedError, ConnectionError):
            pass
        return received

    def send_to(self, payload: bytes, address: bytes) -> bool:
        """Send one datagram; return False if the kernel has no room for it now."""
        name = sockaddr.as_tuple(address)
        local = sockaddr.local(address)
        try:
            if local:
                self._sock.sendmsg([payload], [pktinfo.ancillary(local)], 0, name)
            else:
                self._sock.sendto(payload, name)
        except OSError as exc:
            if exc.errno in RETRY:
                return False
            if local:  # it may be gone; the kernel then chooses one
                return self.send_to(payload, sockaddr.peer(address))
            self.failed += 1
        except TypeError:  # an IPv6 address, but an IPv4 socket
            self.failed += 1
        return True

    def send_many_to(self, payloads: Sequence[bytes], address: bytes) -> int:
        """Send datagrams to one address, in order; return how many the kernel had room for."""
        for count, payload in enumerate(payloads):
            if not self.send_to(payload, address):
                return count
        return len(payloads)

    def send_filled(
        self, recipients: PortableRecipients, slots: range, sizes: Sequence[int], start: int, fill: Fill
    ) -> tuple[int, Leftover]:
        """Send none: `send_many_to` is as fast here."""
        return slots.start, []

    def send(self, payload: bytes, recipients: PortableRecipients, skip: int) -> Leftover:
        """Send a payload to all recipients except slot `skip`; return the datagrams that the kernel had no room for."""
        targets = [address for slot, address in enumerate(recipients.addresses) if slot != skip]
        for at, address in enumerate(targets):
            if not self.send_to(payload, address):
                return [(payload, left) for left in targets[at:]]
        return []

    def send_many(self, payloads: Sequence[bytes], skips: Sequence[int], recipients: PortableRecipients) -> Leftover:
        """Send several payloads as `send` does, each except to the slot at the same place in `skips`."""
        left: Leftover = []
        for payload, skip in zip(payloads, skips, strict=True):
            if left:
                left += [(payload, address) for slot, address in enumerate(recipients.addresses) if slot != skip]
            else:
                left = self.send(payload, recipients, skip)
        return left
