"""The sockets to all brokers that a gateway is connected to, and which of them has the news of which shard.

A gateway subscribes to its rooms' topics at the owners of their shards only: with n brokers, each has an nth of all
subscriptions. When a shard moves, so do the subscriptions of its rooms.
"""

from collections.abc import Callable, Iterable
from functools import partial

import zmq

from tsudoi.ops import logs
from tsudoi.ops.keyfiles import SecretKey
from tsudoi.protocol.backbone import is_loopback

from .broker_sockets import BrokerSockets, WakeBroker
from .routes import Routes

logger = logs.get("gateway.brokers")

OnFramesOf = Callable[[str, list[bytes]], None]
"""Called with the endpoint of a broker and the frames that a drain of one of its sockets found."""


class BrokerPool:
    """Opens and closes sockets as `Routes` says."""

    def __init__(
        self,
        routes: Routes,
        instance: str,
        on_news: OnFramesOf,
        on_answers: OnFramesOf,
        topics_of: Callable[[int], Iterable[bytes]],
        key: SecretKey | None = None,
        insecure: bool = False,
        context: "zmq.Context[zmq.Socket[bytes]] | None" = None,
    ) -> None:
        """Connect to the brokers that are known at first.

        Args:
            routes: says to which brokers to be connected, and who owns which shard.
            instance: the name of this run of the gateway.
            on_news: takes frames of SUB sockets.
            on_answers: takes frames of DEALER sockets.
            topics_of: returns the topics of all rooms here that belong to a shard.
            key: this gateway's key and the brokers' public one, which all of them share; None: nothing is encrypted.
            insecure: connect to other machines without a key, too.
            context: of the broker in the same process, for inproc://; its owner closes it.
        """
        self._routes, self._topics_of = routes, topics_of
        self._owns_context = context is None
        self._context = zmq.Context() if context is None else context
        self._instance, self._key, self._on_news, self._on_answers = instance, key, on_news, on_answers
        self._may_leave = key is not None or insecure
        self._refused: list[str] = []
        """Brokers on other machines to which there may be no connection without a key."""
        self._sockets: dict[str, BrokerSockets] = {}
        """By endpoint."""
        self._homes: list[str | None] = []
        """Shard → the broker that has the subscriptions of its rooms."""
        self._unsent = 0
        """Of sockets that are closed."""
        self._is_started = False
        self.followed = -1
        """`Brokers.changes` when `follow` was last called."""
        self.follow()

    def start(self) -> None:
        """Receive from now on."""
        self._is_started = True
        for sockets in list(self._sockets.values()):
            sockets.start()

    def close(self) -> None:
        """Close; the brokers have a quarter of a second to take the last frames."""
        for sockets in self._sockets.values():
            sockets.close()
        if self._owns_context:
            self._context.term()

    def stay_in_process(self, endpoint: str, wake: WakeBroker) -> Callable[[int, int], None]:
        """Call a broker in this process whenever something was sent; return what it calls, see `BrokerSockets`."""
        self._sockets[endpoint].wake_broker = wake
        return self._sockets[endpoint].receive

    def follow(self) -> None:
        """Connect to the brokers to be connected to now, and move the subscriptions of shards that have moved."""
        brokers = self._routes.brokers
        self.followed = brokers.changes
        wanted = [each for each in brokers.connected if self._may_leave or is_loopback(each)]
        self._refused = [each for each in brokers.connected if each not in wanted]
        for endpoint in [each for each in self._sockets if each not in wanted]:
            self._disconnect(endpoint)
        for endpoint in wanted:
            if endpoint not in self._sockets:
                self._connect(endpoint)
        shards = len(self._routes.links)
        if len(self._homes) != shards:
            self._leave_homes()
            self._homes = [None] * shards
        for shard in range(shards):
            self._move(shard, self._routes.owner(shard))

    def _connect(self, endpoint: str) -> None:
        self._sockets[endpoint] = sockets = BrokerSockets(
            endpoint,
            self._instance,
            partial(self._on_news, endpoint),
            partial(self._on_answers, endpoint),
            self._context,
            self._key,
            partial(self._routes.reconnected, endpoint),
        )
        if self._is_started:
            logger.info("connecting to a broker", broker=endpoint)
            sockets.start()

    def _disconnect(self, endpoint: str) -> None:
        gone = self._sockets.pop(endpoint)
        self._unsent += gone.unsent
        # At once: a connection that lingers would, as soon as the broker is there, take the place of its successor,
        # because both have this gateway's name.
        gone.close(linger_ms=0)
        self._homes = [None if home == endpoint else home for home in self._homes]
        logger.info("disconnected from a broker", broker=endpoint)

    def _leave_homes(self) -> None:
        # There were fewer shards, whose rooms have been divided anew.
        for home in {home for home in self._homes if home is not None}:
            for shard in range(len(self._routes.links)):
                self._sockets[home].unsubscribe(self._topics_of(shard))

    def _move(self, shard: int, owner: str | None) -> None:
        home = self._homes[shard]
        if owner in (None, home) or owner not in self._sockets:
            return
        if home is not None:
            self._sockets[home].unsubscribe(self._topics_of(shard))
        self._homes[shard] = owner
        self._sockets[owner].subscribe(self._topics_of(shard))

    def send(self, endpoint: str, frames: list[bytes]) -> None:
        """Send a broker frames, packed together; count and drop those that can not be sent now."""
        if sockets := self._sockets.get(endpoint):
            sockets.send(frames)

    def subscribe(self, shard: int, topic: bytes) -> None:
        """Subscribe to a topic of a shard."""
        if (home := self._homes[shard]) is not None:
            self._sockets[home].subscribe((topic,))

    def unsubscribe(self, shard: int, topic: bytes) -> None:
        """End the subscription to a topic of a shard."""
        if (home := self._homes[shard]) is not None:
            self._sockets[home].unsubscribe((topic,))

    @property
    def connect_error(self) -> str:
        """The reasons why brokers can not be reached; empty if none is known. Any thread may read it."""
        errors = [f"{endpoint} is another machine: give --key FILE" for endpoint in self._refused]
        errors += [sockets.connect_error for sockets in list(self._sockets.values())]
        return "; ".join(error for error in errors if error)

    @property
    def unsent(self) -> int:
        """Frames dropped because a socket was full. Any thread may read it."""
        return self._unsent + sum(sockets.unsent for sockets in list(self._sockets.values()))
