"""Broker and gateways in one process, without sockets or clocks: their real cores, joined by a simulated network.

A `World` has one broker with its store and any number of gateways; `run` lets time go by. Each gateway has three
streams to or from the broker, as over ZeroMQ: commands, answers, news. A stream keeps its order. A seeded generator
decides how streams mix, how long frames take and how many arrive at once. `Weather` says which faults happen: news are
dropped, or connections break, which loses what is under way and makes the broker send the rooms' positions again.
"""

import base64
import hashlib
import json
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from broker.config import Limits
from broker.core import Core as BrokerCore
from broker.rooms import replays
from broker.store.memory import MemoryStore
from broker.turn import Moment, PasswordJob, Turn
from gateway.chat.collecting import Collecting
from gateway.chat.dispatch import ChatCore
from gateway.chat.dropped_log import Drop
from gateway.chat.members import Member, Recipients
from gateway.chat.outbound import Fill, filled
from gateway.counters import Counters
from gateway.link.canary import CANARY_S
from gateway.link.routes import Routes
from gateway.listeners import sockaddr
from gateway.listeners.bound import Bound
from gateway.process.session_files import Sessions
from gateway.sealed.keys import SECRET_SIZE, SessionKeys
from gateway.sealed.sender import REPEAT_S
from gateway.settings import Settings
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Answer,
    Create,
    Downward,
    Entry,
    Granted,
    Item,
    Join,
    Publish,
    Question,
    Request,
    Upward,
)
from tsudoi.protocol.client import datagram
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.errors import BackboneError
from tsudoi.protocol.names import hash_token

BROKER = "inproc://broker"
"""Where gateways reach the one broker."""
STEP_S = 0.01
HASHING_S = 0.2
"""The longest that a password is hashed in a World."""
TICK_S = 0.25
WALL_MS = 1_700_000_000_000
"""When every world begins."""


def own_sessions() -> Sessions:
    """Return what sessions of one process are made with, without files and TLS."""
    return Sessions(SessionKeys([bytes(SECRET_SIZE)]))


class FakeRecipients:
    """A group of recipients (`gateway.chat.members.Recipients`) as two lists."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.addresses: list[bytes] = []

    def add(self, member: Member, address: bytes) -> None:
        member.slot = len(self.members)
        self.members.append(member)
        self.addresses.append(address)

    def remove(self, member: Member) -> None:
        # The last one moves into the gap, as in the product.
        last, address = self.members.pop(), self.addresses.pop()
        if last is not member:
            self.members[member.slot], self.addresses[member.slot] = last, address
            last.slot = member.slot
        member.slot = -1

    def address_in(self, slot: int) -> bytes:
        return self.addresses[slot]

    def __len__(self) -> int:
        return len(self.members)


@dataclass
class FakeOutbound:
    """Records what a gateway sends to members, in order, and its topics."""

    sent: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    """(listener, address, payload)"""
    topics: list[bytes] = field(default_factory=list)
    on_send: Callable[[int, bytes, bytes], None] | None = None
    on_topics: Callable[[bytes, bool], None] | None = None
    floods: list[tuple[Member, float]] = field(default_factory=list)
    dropped: list[tuple[bytes, Drop, bytes]] = field(default_factory=list)
    doubtful: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Datagrams that were accepted, but something may be wrong with them."""
    filter: Sequence[bytes] = ()
    """What the kernel was told to drop last."""
    is_behind: bool = False

    def send(self, listener: int, address: bytes, payload: bytes) -> None:
        self.sent.append((listener, address, payload))
        if self.on_send is not None:
            self.on_send(listener, address, payload)

    def new_recipients(self) -> FakeRecipients:
        return FakeRecipients()

    new_own_recipients = new_recipients

    def send_filled(
        self, listener: int, recipients: Recipients, slots: range, sizes: Sequence[int], fill: Fill
    ) -> None:
        for slot in slots:
            for payload in filled(fill, 0, sizes, slot):
                self.send(listener, recipients.address_in(slot), payload)

    def fan_out(self, listener: int, recipients: Recipients, payloads: Sequence[bytes], skips: Sequence[int]) -> None:
        if isinstance(recipients, Collecting):
            recipients.collect(payloads)
            return
        for payload, skip in zip(payloads, skips, strict=True):
            for slot in range(len(recipients)):
                if slot != skip:
                    self.send(listener, recipients.address_in(slot), payload)

    def send_many(self, listener: int, address: bytes, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            self.send(listener, address, payload)

    def block_flooders(self, program: Sequence[bytes]) -> None:
        self.filter = program

    def log_datagram(self, source: bytes, why: Drop | None, now: float, data: bytes = b"") -> None:
        if why is None:
            self.doubtful.append((source, data))
        else:
            self.dropped.append((source, why, data))

    def log_flood(self, member: Member, seconds: float) -> None:
        self.floods.append((member, seconds))

    def subscribe(self, shard: int, topic: bytes) -> None:
        self.topics.append(topic)
        if self.on_topics is not None:
            self.on_topics(topic, True)

    def unsubscribe(self, shard: int, topic: bytes) -> None:
        self.topics.remove(topic)
        if self.on_topics is not None:
            self.on_topics(topic, False)

    def to(self, address: bytes) -> list[bytes]:
        """The payloads that went to one address."""
        return [payload for _, sent_to, payload in self.sent if sent_to == address]


class FakeGateway:
    """A gateway's parts put together as `gateway.process.service` does it, but for sockets and timers."""

    keys = SessionKeys([bytes(32)])
    """Of version 2: all gateways are of one service."""

    def __init__(
        self, instance: str, settings: Settings, ipv6: tuple[bool, ...] = (False,), wildcard: bool = False
    ) -> None:
        self.settings = settings
        self.instance = instance
        self.counters = Counters()
        self.routes = Routes([BROKER], self.settings.unaccepted, self.settings.request_timeout_s, self.counters)
        self.link = self.routes.links[0]
        self.outbound = FakeOutbound()
        bound = [Bound(each, is_wildcard=wildcard) for each in ipv6]
        self.core = ChatCore(self.settings, self.routes, self.outbound, self.counters, bound, self.keys)
        self.connections = self.core.sealed_sender.carried.listener
        """The number of the listener for packets over TCP."""
        self.repeats = self.flushes = False
        """Whether the timer of `Sender.repeat` runs, and whether `Sender.flush` is to be called."""
        self.core.sealed_sender.schedule, self.core.sealed_sender.schedule_repeats = self._schedule, self._repeat_later
        self.members = self.core.members

    def _schedule(self) -> None:
        self.flushes = True

    def _repeat_later(self) -> None:
        assert not self.repeats, "a second timer"
        self.repeats = True

    def repeat(self, now: float) -> None:
        """Do what the timer does, if it runs."""
        if self.repeats:
            self.repeats = self.core.sealed_sender.repeat(now)

    def frames(self, now: float) -> list[bytes]:
        if self.flushes:
            self.flushes = False
            self.core.sealed_sender.flush()
        self.core.reports.report_if_due(now)
        return [frame for _, frames in self.routes.frames(now) for frame in frames]


class ScriptedGateway(FakeGateway):
    """A gateway whose broker is the test.

    It begins welcomed, with a lease, and has reconciled. Its canaries come back by themselves while
    `canaries_come_back`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        ipv6: tuple[bool, ...] = (False,),
        now: float = 100.0,
        alive: bool = True,
        wildcard: bool = False,
    ):
        super().__init__("a/1", settings or Settings(), ipv6, wildcard)
        self.now = now
        self.canaries_come_back = True
        self._requests: list[Request] = []
        self._items: list[Item] = []
        self._others: list[Upward] = []
        if alive:
            self.tick()
            self.answer(backbone.Welcome("broker", 0, True, 0))
            for _ in range(3):
                self.wait(CANARY_S)
                for request in self.asked(backbone.Reconcile):
                    self.reply(request.id, backbone.Reconciled([], []))
            assert self.notified() == [backbone.Hello(backbone.VERSION)]

    # --- time, and what the gateway sends ---------------------------------------------------------------------------

    def tick(self) -> None:
        self.core.tick(self.now)
        self.listen()

    def wait(self, seconds: float) -> None:
        """Let time go by, a tick at least every `CANARY_S`."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + CANARY_S, until)
            self.tick()

    def listen(self) -> None:
        """Take what it has for the broker; accept what it publishes."""
        for frame in self.frames(self.now):
            match backbone.parse_upward_untrusted(frame):
                case Publish(first, items):
                    self._items += items
                    self.answer(backbone.Accepted(first + len(items) - 1))
                case Request() as request:
                    self._requests.append(request)
                case backbone.Canary(number):
                    if self.canaries_come_back:
                        body = backbone.encode_bundle(self.link._broker, 0, [number], [])
                        self.core.handle_news(BROKER, backbone.own_topic(self.instance) + body, self.now)
                case other:
                    self._others.append(other)

    def published(self) -> list[Item]:
        """Return the items published since the last call."""
        self.listen()
        items, self._items = self._items, []
        return items

    def said(self) -> list[str]:
        """Return the texts of the messages published since the last call of this or of `published`."""
        return [item.text for item in self.published() if item.kind == EntryKind.SAID]

    def asked(self, *kinds: type[Question]) -> list[Request]:
        """Return the requests of these kinds made since the last call for them."""
        self.listen()
        found = [request for request in self._requests if isinstance(request.body, kinds)]
        self._requests = [request for request in self._requests if not isinstance(request.body, kinds)]
        return found

    def notified(self) -> list[Upward]:
        """Return the other messages sent to the broker since the last call."""
        self.listen()
        others, self._others = self._others, []
        return others

    # --- what the broker sends -------------------------------------------------------------------------------------

    def answer(self, message: Downward) -> None:
        self.core.handle_answer(BROKER, backbone.encode(message), self.now)

    def reply(self, request_id: int, body: Answer) -> None:
        self.answer(backbone.Reply(request_id, body))

    def news(self, *entries: Entry, room: int = 1, epoch: int = 1, last: int | None = None) -> None:
        """Publish entries of a room; without any, only its position."""
        position = entries[-1].offset if last is None else last
        body = backbone.encode(backbone.News(epoch, position, list(entries)))
        self.core.handle_news(BROKER, backbone.room_topic(room) + body, self.now)

    # --- members --------------------------------------------------------------------------------------------------

    def enter(
        self,
        number: int,
        dialect: str = "tcrp",
        *,
        room: int = 1,
        offset: int = 1,
        address: bytes | None = None,
        name: str = "",
        ip: str = "192.0.2.1",
    ) -> Member:
        """Let a member enter as the TCP listener does, with an address if one is given; its room is confirmed."""
        granted = a_grant(number, dialect, room=room, offset=offset, name=name, ip=ip)
        member = self.core.enter(granted, token_of(number), self.now)
        if not member.room.confirmed:
            self.news(room=room, last=offset)
        if address is not None:
            self.receive(number, b"", address)
        return member

    def receive(self, number: int, text: bytes | str, source: bytes, *, listener: int = 0, room: str = "") -> None:
        raw = text if isinstance(text, bytes) else text.encode()
        name = (room or self.room_of(number)).encode()
        head = bytes((len(name), 32)) + name + token_of(number)
        self.core.handle_datagrams(listener, [(head + raw, source)], self.now)

    def room_of(self, number: int) -> str:
        """The name of a member's room; room 1's if it is not known here."""
        member = self.members.by_token.get(token_of(number))
        return member.room.name if member else room_name(1)


def token_of(number: int) -> bytes:
    return b"%032x" % number


def hash_of(password: str) -> str:
    """A text in the form of a password's hash, which takes no time to make."""
    digest = base64.b64encode(hashlib.sha256(password.encode()).digest()).decode().rstrip("=")
    return f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${digest}"


def room_name(room: int) -> str:
    return f"部屋{room}"


def address_of(number: int, port: int = 0, network: str = "192.0.2.1") -> bytes:
    """An address for a test's member; all of one network have the same IP."""
    return sockaddr.pack(network, port or 20_000 + number)


def a_grant(
    number: int,
    dialect: str = "tcrp",
    *,
    room: int = 1,
    offset: int = 1,
    name: str = "",
    ip: str = "192.0.2.1",
    address: bytes = b"",
    idle_s: float = 100.0,
) -> Granted:
    user = name or f"m{number}"
    idle_ms = int(idle_s * 1000)
    return Granted(room, room_name(room), number, user, dialect, ip, address, idle_ms, False, 1, offset, 1)


def said(offset: int, member: int, text: str, name: str = "") -> Entry:
    """Return a log entry of a message."""
    return Entry(offset, EntryKind.SAID, member, name or f"m{member}", text, 0, WALL_MS)


def entry(offset: int, kind: EntryKind, member: int, code: int = 0, name: str = "") -> Entry:
    """Return a log entry of another kind."""
    return Entry(offset, kind, member, name or f"m{member}", "", code, WALL_MS)


# --- a broker -------------------------------------------------------------------------------------------------------


class FakeBroker:
    """The broker's core with a store, its turns carried out as `broker.net.turns` does it."""

    def __init__(self, limits: Limits | None) -> None:
        self.store = MemoryStore()
        self.limits = limits or Limits()
        self.now = 100.0
        self.core = BrokerCore(self.store.load(), "broker-1", self.limits, self.now)
        self.turns: list[Turn] = []

    @property
    def moment(self) -> Moment:
        """Both clocks; they go alike."""
        return Moment(self.now, WALL_MS + int(self.now * 1000))

    def start_again(self, instance: str) -> None:
        """Go on from what the store has, as a new run of the program."""
        self.core = BrokerCore(self.store.load(), instance, self.limits, self.now)

    def handle(self, peer: str, message: Upward) -> None:
        """Take a message from a gateway, as bytes."""
        self.core.handle_untrusted(peer, backbone.encode(message), self.moment)

    def receive(self, peer: str, frame: bytes) -> None:
        """Take a frame from a gateway, packed or not."""
        for part in self.core.parts_untrusted(frame) or (frame,):
            self.core.handle_untrusted(peer, part, self.moment)

    def take_turn(self) -> Turn:
        """Carry out a turn: what is to be kept is kept, and replays are among the replies."""
        turn = self.core.take_turn(self.moment)
        if turn.batch:
            self.store.commit(turn.batch)
        for peer, request_id, replay in turn.replays:
            answer = replays.answer(self.core.directory, replay, self.store.read)
            turn.replies.append((peer, backbone.Reply(request_id, answer)))
        self.turns.append(turn)
        return turn

    def hash(self, job: PasswordJob) -> None:
        """Make or check a password's hash, at once."""
        as_hash = hash_of(job.password)
        result = job.stored == as_hash if job.stored else as_hash
        self.core.requests.hashed(job, result, self.moment)

    def log(self, room: int) -> list[Entry]:
        """All that the store has of a room's log."""
        return [
            entry
            for chunk in self.store.read(room, 0, 2**31)
            for entry in backbone.parse_news_untrusted(chunk.news).entries
        ]


# --- both, and what is between --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weather:
    """What happens between broker and gateways, as chances in a second of each gateway."""

    delay_s: float = 0.0
    """Frames take up to this long."""
    dropped_news: float = 0.0
    """Chance of each frame of news to be dropped, as at a full queue."""
    repeated_news: float = 0.0
    """Chance of each frame of news to come again later."""
    breaks: float = 0.0
    """Connections that break, commands' and news' each for itself: what is under way is lost."""
    restarts: float = 0.0
    """The broker is killed and started again."""


class Stream:
    """Frames under way in one direction, which keep their order."""

    def __init__(self) -> None:
        self.frames: deque[tuple[float, bytes]] = deque()
        self.is_up = True
        self.last_due = 0.0

    def put(self, frame: bytes, due: float) -> None:
        """Send a frame that arrives at `due`, or after the one before it."""
        self.last_due = max(self.last_due, due)
        self.frames.append((self.last_due, frame))

    def has_arrived(self, now: float) -> bool:
        """Return whether a frame has arrived."""
        return bool(self.frames) and self.frames[0][0] <= now

    def take(self, now: float, count: int) -> list[bytes]:
        """Take up to `count` frames that have arrived."""
        taken: list[bytes] = []
        while self.frames and len(taken) < count and self.frames[0][0] <= now:
            taken.append(self.frames.popleft()[1])
        return taken


class Node:
    """A gateway and its three streams."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.up, self.down, self.news = Stream(), Stream(), Stream()
        self.is_frozen = False
        self.is_dead = False
        self.away_until = 0.0
        """Until then its command connection is broken: its frames wait in its socket, frames to it are lost."""
        self.is_away = False
        """Whether it has not noticed yet that it has a new one, which its socket's monitor tells it."""
        self.cut_until = 0.0
        """Until then packets to and from the broker vanish: all frames wait, and come afterwards."""
        self.datagrams: list[tuple[bytes, bytes]] = []
        """Those that came while it was frozen: the kernel keeps them."""
        self.carried: list[tuple[bytes, bytes]] = []
        """Packets of version 2 that came over TCP, likewise."""
        self.next_tick = self.next_repeat = 0.0


class FakeClient:
    """One member's client: sends datagrams to any gateway, and takes down what comes to its address."""

    def __init__(self, world: "World", number: int, dialect: str) -> None:
        self.world = world
        self.dialect = dialect
        self.token = b"%032x" % random.Random(number).getrandbits(128)
        self.address = sockaddr.pack("127.0.0.1", 10_000 + number)
        self.granted: Granted | None = None
        self.refused = False
        self.is_ready = False
        self.heard: list[bytes] = []
        world.clients[self.address] = self

    @property
    def member(self) -> Granted:
        assert self.granted is not None
        return self.granted

    def send(self, node: Node, text: str = "", address: bytes | None = None) -> None:
        """Send a datagram to a gateway; without a text it only registers."""
        raw = datagram.serialize(self.member.room_name, self.token.decode(), text)
        if not node.is_dead:
            node.datagrams.append((raw, address or self.address))
            self.world.receive(node)

    def offsets(self) -> list[int]:
        """The offsets of the messages it has heard; for the dialect `tsudoi`, which tells them."""
        told = (json.loads(payload) for payload in self.heard)
        return [fields["n"] for fields in told if "n" in fields]

    def notices(self) -> list[str]:
        """The kinds of the notices it has heard; likewise."""
        told = (json.loads(payload) for payload in self.heard)
        return [fields["notice"] for fields in told if "notice" in fields]


class World:
    """A broker, gateways and clients, and a seeded generator that decides what happens when."""

    def __init__(
        self, seed: int, weather: Weather | None = None, settings: Settings | None = None, limits: Limits | None = None
    ):
        self.dice = random.Random(seed)
        self.weather = weather or Weather()
        self.settings = settings or Settings()
        self.broker = FakeBroker(limits)
        self.nodes: list[Node] = []
        self.clients: dict[bytes, FakeClient] = {}
        self.broker_is_down = False
        self._next_broker_tick = 0.0
        self._hashing: list[tuple[float, PasswordJob]] = []
        """Passwords that are being hashed: each is ready at a time of its own."""
        self._runs = 1

    @property
    def now(self) -> float:
        """Monotonic seconds, the same for all."""
        return self.broker.now

    # --- who is there ---------------------------------------------------------------------------------------------

    def start_gateway(self, name: str = "") -> Node:
        """Start a gateway, and wait until it is healthy."""
        instance = backbone.new_instance(name, f"{len(self.nodes) + 1:016x}")
        node = self.add(Node(FakeGateway(instance, self.settings)))
        self.run_until(lambda: not node.gateway.link.canary.unhealthy_reason(self.now))
        return node

    def add(self, node: Node) -> Node:
        node.gateway.outbound.on_send = self._on_send
        node.gateway.outbound.on_topics = lambda topic, wanted: self._subscribed(node, topic) if wanted else None
        self.nodes.append(node)
        return node

    def kill(self, node: Node) -> None:
        """End a gateway at once, and with it what was under way."""
        node.is_dead = True
        self.break_commands(node)
        node.news.frames.clear()

    def stop_broker(self) -> None:
        """Kill the broker; until it is started again, frames to it wait in the gateways' sockets."""
        self.broker_is_down = True
        self._hashing.clear()
        for node in self.nodes:
            self.break_commands(node)
            node.news.frames.clear()

    def restart_broker(self) -> None:
        """Start the broker again with the same store, killed before if it was not; all connections break."""
        self._runs += 1
        self.broker_is_down = False
        self._hashing.clear()
        self.broker.start_again(f"broker-{self._runs}")
        for node in self.nodes:
            self.break_commands(node)
            self.break_news(node)

    def break_commands(self, node: Node) -> None:
        """Lose the commands and answers that are under way; after half a second at most there is a new connection."""
        node.up.frames.clear()
        node.down.frames.clear()
        node.away_until = self.now + self.dice.uniform(0, 0.5)
        node.is_away = True

    def break_news(self, node: Node) -> None:
        """Lose the news that are under way; subscriptions come again by themselves."""
        node.news.frames.clear()
        for topic in node.gateway.outbound.topics:
            self._subscribed(node, topic)

    def enter(
        self, node: Node, room: str, dialect: str = "tsudoi", password: str | None = None, options: int = 0
    ) -> FakeClient:
        """Create the room or join it, as the TCP listener does; `granted` or `refused` comes later."""
        client = FakeClient(self, len(self.clients) + 1, dialect)
        exists = room in self.broker.core.directory.by_name
        name, token_hash = f"c{len(self.clients)}", hash_token(client.token)
        kind = Join if exists else Create
        if exists and self.settings.history:
            options |= MemberOptions.HISTORY
        idle_ms = int(self.settings.idle_timeout_s * 1000)
        body = kind(room, name, password, token_hash, dialect, "127.0.0.1", idle_ms, options=options)

        def answered(answer: Answer | None, now: float) -> None:
            if isinstance(answer, Granted) and not node.is_dead:
                client.granted = answer
                node.gateway.core.enter(answer, client.token, now)
                client.is_ready = True
            else:
                client.refused = True

        node.gateway.link.ask(body, self.now, answered)
        self.flush(node)
        return client

    def enter_now(
        self, node: Node, room: str, dialect: str = "tsudoi", *, register: bool = True, options: int = 0
    ) -> FakeClient:
        """Create or join, let time go by until the client is told, and let it send an empty datagram."""
        client = self.enter(node, room, dialect, options=options)
        self.run_until(lambda: client.is_ready)
        if register:
            client.send(node)
        return client

    # --- time -----------------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.step()

    def run_until(self, done: Callable[[], bool], patience_s: float = 30.0) -> None:
        """Let time go by until a condition holds."""
        until = self.now + patience_s
        while not done():
            if self.now > until:
                raise BackboneError("the condition never held")
            self.step()

    def step(self) -> None:
        """Let a moment go by: arrived frames are taken in an order and in portions that the seed decides."""
        self.broker.now += STEP_S
        now = self.now
        self._have_weather()
        for node in self.nodes:
            self.receive(node)
            if node.is_frozen or node.is_dead:
                continue
            if node.is_away and now >= node.away_until:
                node.is_away = False
                node.gateway.routes.reconnected(BROKER)
            if now >= node.next_repeat:
                node.next_repeat = now + REPEAT_S
                node.gateway.repeat(now)
            if now >= node.next_tick:
                node.next_tick = now + CANARY_S
                node.gateway.core.tick(now)
                self.flush(node)
            elif node.gateway.members.paced:
                node.gateway.core.deliver.go_on(now)
                self.flush(node)
        if now >= self._next_broker_tick and not self.broker_is_down:
            self._next_broker_tick = now + TICK_S
            self.broker.core.tick(self.broker.moment)
            self._turn()
        for due in [each for each in self._hashing if each[0] <= self.now]:
            self._hashing.remove(due)
            self.broker.hash(due[1])
            self._turn()
        while deeds := self._deeds():
            stream, act, node = self.dice.choice(deeds)
            act(node, stream.take(self.now, self.dice.choice((1, 2, 5, 500))))

    def settle(self) -> None:
        """Let the weather become fine and all that is under way arrive; then let connections break once.

        That shows where rooms stand, as the last news of a room may have been dropped with nothing after it to tell.
        """
        self.weather = Weather()
        self.run(1.0)
        for node in self.nodes:
            self.break_news(node)
        self.run(6.0)

    def _have_weather(self) -> None:
        weather = self.weather
        if self.dice.random() < weather.restarts * STEP_S and not self.broker_is_down:
            self.restart_broker()
        for node in self.nodes:
            if self.dice.random() < weather.breaks * STEP_S:
                self.break_commands(node)
            if self.dice.random() < weather.breaks * STEP_S:
                self.break_news(node)

    def _deeds(self) -> list[tuple[Stream, Callable[[Node, list[bytes]], None], Node]]:
        """Return which streams have frames that have arrived, and what takes them."""
        now = self.now
        deeds: list[tuple[Stream, Callable[[Node, list[bytes]], None], Node]] = []
        for node in self.nodes:
            if node.cut_until > now:
                continue
            if node.up.has_arrived(now) and not self.broker_is_down:
                deeds.append((node.up, self._at_broker, node))
            if node.is_frozen or node.is_dead:
                continue
            if node.down.has_arrived(now):
                deeds.append((node.down, self._answers, node))
            if node.news.has_arrived(now):
                deeds.append((node.news, self._news, node))
        return deeds

    # --- what the I/O layers do -----------------------------------------------------------------------------------

    def flush(self, node: Node) -> None:
        for frame in node.gateway.frames(self.now):
            self._put(node.up, frame, node.away_until)

    def receive(self, node: Node) -> None:
        if node.datagrams and not node.is_frozen:
            datagrams, node.datagrams = node.datagrams, []
            node.gateway.core.handle_datagrams(0, datagrams, self.now)
            self.flush(node)
        if node.carried and not node.is_frozen:
            packets, node.carried = node.carried, []
            for packet, address in packets:
                node.gateway.core.sealed.handle_untrusted(node.gateway.connections, packet, address, self.now)
            self.flush(node)

    def _put(self, stream: Stream, frame: bytes, earliest: float = 0.0) -> None:
        stream.put(frame, max(self.now, earliest) + self.dice.uniform(0, self.weather.delay_s))

    def _answers(self, node: Node, frames: list[bytes]) -> None:
        for frame in frames:
            node.gateway.core.handle_answer(BROKER, frame, self.now)
        self.flush(node)

    def _news(self, node: Node, frames: list[bytes]) -> None:
        for frame in frames:
            node.gateway.core.handle_news(BROKER, frame, self.now)
        self.flush(node)

    def _at_broker(self, node: Node, frames: list[bytes]) -> None:
        for frame in frames:
            self.broker.receive(node.gateway.instance, frame)
        self._turn()

    def _subscribed(self, node: Node, topic: bytes) -> None:
        # In the real thing it takes a moment until the broker knows; what is said meanwhile is for the log to repair.
        if not self.broker_is_down:
            self.broker.core.subscribed(topic)

    def _turn(self) -> None:
        turn = self.broker.take_turn()
        for topic, body in turn.news:
            for node in self.nodes:
                own = backbone.own_topic(node.gateway.instance)
                wanted = topic == own or topic in node.gateway.outbound.topics
                if wanted and not node.is_dead and self.dice.random() >= self.weather.dropped_news:
                    self._put(node.news, topic + body)
                    if self.dice.random() < self.weather.repeated_news:
                        self._put(node.news, topic + body, self.now + self.dice.uniform(0, 1))
        for peer, answer in turn.replies:
            there = [node for node in self.nodes if node.gateway.instance == peer and not node.is_dead]
            if there and there[0].away_until <= self.now:
                self._put(there[0].down, backbone.encode(answer))
            else:
                self.broker.core.ownership.unreachable(peer, self.now)
        self._hashing += [(self.now + self.dice.uniform(0, HASHING_S), job) for job in turn.passwords]

    def _on_send(self, listener: int, address: bytes, payload: bytes) -> None:
        client = self.clients.get(address)
        if client is not None:
            client.heard.append(payload)

    # --- what should be -------------------------------------------------------------------------------------------

    def expected(self, client: FakeClient) -> list[int]:
        """Offsets of what a member should have heard.

        That is all that was said from when it came in to when it left, but for its own words.
        """
        own, echo = client.member.member, DIALECTS[client.dialect].echo
        expected: list[int] = []
        for told in self.broker.log(client.member.room):
            if told.kind == EntryKind.LEFT and told.member == own:
                break
            if told.kind == EntryKind.SAID and told.offset > client.member.offset and (echo or told.member != own):
                expected.append(told.offset)
        return expected
