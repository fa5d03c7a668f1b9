"""A gateway to which several brokers say anything, and a broker of some shards to which gateways say anything."""

from collections.abc import Callable
from typing import cast

from broker.config import Limits
from broker.core import Core
from broker.counters import Counters as BrokerCounters
from broker.net.incoming import Incoming
from broker.net.membership import Membership
from broker.net.zeromq import GatewaySockets
from broker.rooms.ids import Ids
from broker.shards.cores import Cores
from broker.store.interface import Snapshot
from broker.turn import Moment
from gateway.counters import Counters
from gateway.link.routes import Routes, unpack_untrusted
from tests.fuzz.pieces import Pieces
from tsudoi.ops.keyfiles import Role
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import MalformedMessage

ROUTES = (Routes.receive_untrusted, unpack_untrusted, backbone.split_shard_untrusted)
INCOMING = (Incoming._handle_untrusted, backbone.split_shard_untrusted)

ENDPOINTS = ("tcp://10.0.0.1:9003", "tcp://10.0.0.2:9003")
SHARDS = 4
CLUSTER = backbone.Cluster(list(ENDPOINTS), 1, [(1, 1), (1, 2), (2, 1), (3, 0)])


def routes(data: bytes) -> None:
    """A gateway that knows of four shards; what it says can be read."""
    here = Routes(ENDPOINTS[:1], 20, 3.0, Counters())
    here.take_cluster(ENDPOINTS[0], CLUSTER, 0.0)
    now = 0.0
    for kind, part in Pieces(data).each():
        now += kind >> 3
        try:
            for shard, _ in here.receive_untrusted(ENDPOINTS[kind & 1], part, now):
                assert 0 <= shard < SHARDS
        except MalformedMessage:
            pass
        here.tick(now)
        for endpoint, frames in here.frames(now):
            assert endpoint
            for frame in frames:
                for _, each in unpack_untrusted(frame):
                    backbone.parse_upward_untrusted(each)


class _Sockets:
    """Takes a frame to the broker at a time."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, bytes]] = []

    def receive(self, has_room: Callable[[str], bool], take: Callable[..., None]) -> None:
        for peer, frame in self.frames:
            take(peer, frame, Role.GATEWAY, peer)
        self.frames.clear()

    def subscribed(self) -> list[bytes]:
        return []

    def answer(self, peer: str, frame: bytes) -> bool:
        backbone.parse_downward_untrusted(frame)
        return True


class _Sharing:
    """What a broker knows of the others."""

    name = "broker"

    def frame(self) -> bytes:
        return backbone.encode(CLUSTER)

    def missed(self, shard: int, peer: str, frame: bytes, account: str) -> None:
        assert shard < SHARDS


def incoming(data: bytes) -> None:
    """A broker that serves two of four shards."""
    cores = Cores((Core(Snapshot(), "b", Limits(), 0.0, Ids(0, shard, SHARDS)) for shard in (0, 2)), SHARDS)
    sockets = _Sockets()
    told = Incoming(cores, cast(GatewaySockets, sockets), BrokerCounters())
    told.membership = cast(Membership, _Sharing())
    for kind, part in Pieces(data).each():
        sockets.frames.append(("ab"[kind & 1], part))
        told.drain(Moment(float(kind >> 1), 1))
        cores.take_turns(Moment(float(kind >> 1), 1))
