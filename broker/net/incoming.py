"""Take gateways' frames from the sockets to the cores that own their shards."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tsudoi.ops.keyfiles import Role
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import MalformedMessage

from ..core import Core
from ..counters import Counters
from ..fair_queue import FairQueue
from ..shards.cores import Cores
from ..turn import Moment
from .zeromq import GatewaySockets

if TYPE_CHECKING:
    from .membership import Membership

TURN_S = 0.01
"""How long a turn decides on frames; the rest waits for the next, so that timers run in time."""
WAITING = 32 * 2**20
"""Bytes of waiting frames from gateways of one key; more are dropped, and the gateways repeat the important ones. They
send so much at once only after a lost connection."""

FEW_PARTS = 8
"""Frames that a frame may carry to be handled at once if it has come alone."""

_Frame = tuple[bytes, Role | None, str, bool]
"""(frame, its key's role and account as in `zeromq.OnFrame`, whether another frame carried it)."""


class Incoming:
    """Frames that wait, and the way of each to its core."""

    def __init__(self, cores: Cores, sockets: GatewaySockets, counters: Counters) -> None:
        """Begin; `counters` count frames that reach no core."""
        self._cores = cores
        self._sockets = sockets
        self._counters = counters
        self.membership: Membership | None = None
        """This broker's part among those that share the store; None: the store is on one machine, and all frames are
        for its one core."""
        self.queue: FairQueue[_Frame] = FairQueue(WAITING)
        """Frames that are not handled yet."""
        self._lone: tuple[str, _Frame] | None = None
        """(gateway instance, frame) of the only one that has come; without load, so the queue costs nothing."""
        self.has_arrived = False
        """Frames have arrived since the caller last set this to False."""
        self._moment = Moment(0.0, 0)
        self._asks: set[str] = set()
        """Gateways that are to be sent a Cluster frame."""

    def drain(self, moment: Moment) -> None:
        """Receive a bounded number of frames, and let the cores decide on them."""
        self._moment = moment
        self._sockets.receive(self.queue.has_room, self._take)
        if self._lone is not None:
            (peer, lone), self._lone = self._lone, None
            if parts := self._handle(peer, lone):
                self._handle_parts(peer, lone, parts)
        elif self.queue.accounts:
            self.queue.serve(moment.now + TURN_S, time.monotonic, self._handle)
        for topic in self._sockets.subscribed():
            self._cores.subscribed(topic)
        if self._asks and self.membership is not None:
            frame = self.membership.frame()
            for peer in self._asks:
                self._sockets.answer(peer, frame)
            self._asks.clear()

    def _take(self, instance: str, frame: bytes, role: Role | None, account: str) -> None:
        taken: _Frame = frame, role, account, False
        if self._lone is None and not self.queue.accounts:
            self._lone = instance, taken
        else:
            if self._lone is not None:
                self._enqueue(*self._lone)
                self._lone = None
            self._enqueue(instance, taken)
        self.has_arrived = True

    def _enqueue(self, peer: str, frame: _Frame) -> None:
        self.queue.add(frame[2], peer, frame, len(frame[0]))

    def _handle_parts(self, peer: str, frame: _Frame, parts: Sequence[tuple[_Frame, int]]) -> None:
        if len(parts) > FEW_PARTS:
            self._enqueue(peer, frame)
            return
        for part, _ in parts:
            self._handle(peer, part)

    def _handle(self, peer: str, queued: _Frame) -> Sequence[tuple[_Frame, int]]:
        """Handle a gateway's frame, or return the frames that it carries: one may carry very many."""
        frame, role, account, is_part = queued
        if role is not None and role is not Role.GATEWAY:
            self._refuse(peer)
        elif not is_part and frame.startswith(backbone.PACKED) and (parts := Core.parts_untrusted(frame)):
            return [((part, role, account, True), len(part)) for part in parts]
        elif (alone := self._cores.alone) is not None:
            alone.handle_untrusted(peer, frame, self._moment, account if role is not None else "")
        else:
            self._handle_untrusted(peer, frame, account if role is not None else "")
        return ()

    def _handle_untrusted(self, peer: str, frame: bytes, account: str) -> None:
        """Let the owner of the frame's shard decide on it, or tell the gateway where that is."""
        try:
            shard, inner = backbone.split_shard_untrusted(frame)
            if shard is None:
                self._handle_unaddressed(peer, backbone.parse_upward_untrusted(inner))
                return
            if shard >= self._cores.shards:
                raise MalformedMessage("there is no such shard")
        except MalformedMessage:
            self._counters.malformed += 1
            return
        if (core := self._cores.find(shard)) is not None:
            core.handle_untrusted(peer, inner, self._moment, account)
        else:
            self._asks.add(peer)
            if self.membership is not None:
                self.membership.missed(shard, peer, inner, account)

    def _handle_unaddressed(self, peer: str, message: backbone.Upward) -> None:
        """Answer a frame for no shard: a gateway's question for the cluster, or another client's."""
        if isinstance(message, backbone.Hello) and message.version == backbone.VERSION:
            self._asks.add(peer)
        else:
            self._counters.from_unknown_gateways += 1
            self._refuse(peer)

    def _refuse(self, peer: str) -> None:
        """Let a client that is no gateway of ours know that a broker answers."""
        if self._cores.alone is not None:
            self._cores.alone.refuse(peer)
        elif self.membership is not None:
            self._sockets.answer(peer, backbone.encode(backbone.Unknown(self.membership.name)))
