"""Carry out what the chat core decides: send datagrams by the listeners, write log lines."""

from collections.abc import Callable, Sequence

from tsudoi.ops import logs

from ..chat.collecting import Collecting
from ..chat.dropped_log import Drop, DroppedLog
from ..chat.members import Member, Members, Recipients
from ..chat.outbound import Fill
from ..counters import Counters
from ..explain.datagram_hints import Known
from ..listeners import sockaddr
from ..listeners.packet_connection import PacketConnections
from ..listeners.prepared_recipients import OwnRecipients, PreparedRecipients
from ..listeners.udp import UDPServer

logger = logs.get("gateway")


class GatewayOutbound:
    """Implements `chat.outbound.Outbound`; its docstrings hold here."""

    members: Members
    """The core's."""
    subscribe: Callable[[int, bytes], None]
    """Those of the sockets to the brokers, which are made after the core."""
    unsubscribe: Callable[[int, bytes], None]

    new_recipients, new_own_recipients = PreparedRecipients, OwnRecipients

    def __init__(self, udp: Sequence[UDPServer], counters: Counters) -> None:
        self._udp = udp
        self.listeners: list[UDPServer | PacketConnections] = [*udp]
        """By the numbers that addresses are of."""
        self._counters = counters
        self._dropped_log = DroppedLog()

    @property
    def is_behind(self) -> bool:
        return any(server.waiting for server in self._udp)

    def fan_out(self, listener: int, recipients: Recipients, payloads: Sequence[bytes], skips: Sequence[int]) -> None:
        self._counters.deliveries += len(payloads) * (len(recipients) - 1) + skips.count(-1)
        if isinstance(recipients, Collecting):
            recipients.collect(payloads)
        else:
            self._udp[listener].fan_out(recipients, payloads, skips)

    def send(self, listener: int, address: bytes, payload: bytes) -> None:
        self._counters.deliveries += 1
        self._counters.to_one += 1
        self.listeners[listener].send_to(address, payload)

    def send_many(self, listener: int, address: bytes, payloads: Sequence[bytes]) -> None:
        self._counters.deliveries += len(payloads)
        self._counters.to_one += len(payloads)
        self.listeners[listener].send_many_to(address, payloads)

    def send_filled(
        self, listener: int, recipients: Recipients, slots: range, sizes: Sequence[int], fill: Fill
    ) -> None:
        self._counters.deliveries += len(slots) * len(sizes)
        self.listeners[listener].send_filled(recipients, slots, sizes, fill)

    def block_flooders(self, program: Sequence[bytes]) -> None:
        for server in self._udp:
            server.filter(program)

    def log_datagram(self, source: bytes, why: Drop | None, now: float, data: bytes = b"") -> None:
        line = self._dropped_log.line(sockaddr.ip_bytes(source), why, data, self._member_of, now)
        if line is not None:
            logger.info("datagram accepted" if why is None else "datagram dropped", **line)

    def _member_of(self, token: bytes) -> Known | None:
        """Return whose token this is, if the member is here."""
        member = self.members.by_token.get(token)
        return None if member is None else Known(member.room.raw_name, member.dialect, member.name.encode())

    def log_flood(self, member: Member, seconds: float) -> None:
        ip = sockaddr.unpack(member.address)[0] if member.address else ""
        logger.warning("a member floods", name=member.name, room=member.room.name, ip=ip, silenced_s=round(seconds))
