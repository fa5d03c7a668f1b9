"""Hold a link to each shard, and route frames between links and brokers; ARCHITECTURE.md, "Several brokers".

A gateway begins with one link, and says Hello to all brokers that it was told of. A broker whose store has one shard
answers Welcome: then all frames go there, without a prefix. Brokers that share a store answer Cluster: then there is a
link to each shard, and its frames go to the shard's owner. To a link, a shard that moves is a broker that was started
again: its lease ends at once, and it says Hello to the new owner. While a shard has no owner, its link waits with its
items.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Answer, Cluster, Delivered, Downward, Item, Measured, Question
from tsudoi.protocol.backbone.endpoint import INPROC

from ..counters import Counters
from .brokers import Brokers
from .gathering import BUSY_RATE, BUSY_RATE_INSIDE, Gathering
from .link import Link
from .owners import Owners
from .publisher import TALK
from .requests import OnAnswer

PATIENCE_S = 6.0
"""How long some questions wait for a broker. Of several brokers, one takes the place of another in 4 s."""
OnAnswers = Callable[[list[Answer | None], float], None]
"""Called once with the answers of the shards that were asked, in order, and the time; None: one gave none in time."""


class Routes:
    """All links of a gateway; `now` is monotonic seconds."""

    def __init__(self, seeds: Sequence[str], capacity: int, timeout_s: float, counters: Counters) -> None:
        """Begin with one link.

        Args:
            seeds: endpoints of brokers, at least one; of brokers that share a store, any.
            capacity: how many items may wait for the brokers, in all links together.
            timeout_s: see `Link`.
            counters: of this gateway.
        """
        self.capacity = capacity
        self.brokers = Brokers(seeds)
        self.links: tuple[Link, ...] = (Link(capacity, timeout_s, counters),)
        """By shard."""
        self.owners: Owners | None = None
        """Of shards that several brokers share; None: there is one shard, or no broker has answered yet."""
        self.on_split: Callable[[list[Item]], None] = lambda _: None
        """Called when there are several shards instead of one, with the items that were not accepted."""
        self._timeout_s = timeout_s
        self._counters = counters
        self._active: set[int] = set()
        """Shards whose links may have something to send."""
        self._unaccepted = 0
        """At least as many as the items that wait in all links."""
        is_inside = self.brokers.seeds[0].startswith(INPROC)
        self._gathering = Gathering(counters, BUSY_RATE_INSIDE if is_inside else BUSY_RATE)
        self.links[0].publisher.gathering = self._gathering

    # --- to the brokers -------------------------------------------------------------------------------------------

    def shard_named(self, room: str) -> int | None:
        """Return the shard of a room by its name as a client writes it; None: no room can have this name."""
        return backbone.shard_named(room, len(self.links))

    def publish(self, shard: int, item: Item) -> bool:
        """Publish an item reliably and in order; return False if too many wait to take a message or command.

        Items for shards without an owner may take half of the capacity: one broker's end leaves room for the others.
        """
        link = self.links[shard]
        if self.owners is not None:
            if item.kind in TALK and self._is_full(link):
                return False
            self._unaccepted += 1 + len(item.more)
            self._active.add(shard)
        return link.publish(item)

    def published(self, shard: int) -> int:
        """Return how many items a shard was published since the start."""
        return self.links[shard].publisher.added

    def settled(self, shard: int) -> int:
        """Return how many of these, the first ones, its broker has accepted."""
        return self.links[shard].publisher.settled

    def _is_full(self, link: Link) -> bool:
        if self._unaccepted < self.capacity // 2:
            return False
        self._unaccepted = sum(each.publisher.lines for each in self.links)
        if self._unaccepted >= self.capacity:
            return True
        if link.is_welcomed or self._unaccepted < self.capacity // 2:
            return False
        return sum(each.publisher.lines for each in self.links if not each.is_welcomed) >= self.capacity // 2

    def ask(self, shard: int, question: Question, now: float, on_answer: OnAnswer) -> None:
        """Ask a shard; `on_answer` is called later, or at once with None if the only broker is away.

        Of several brokers another one may take its place within the time-out, so the question waits.
        """
        if self.owners is None:
            self.ask_at_once(shard, question, now, on_answer)
        else:
            self._active.add(shard)
            self.links[shard].ask_patiently(question, now, on_answer)

    def ask_at_once(self, shard: int, question: Question, now: float, on_answer: OnAnswer) -> None:
        """Ask a shard; `on_answer` is called later, or at once with None if its broker is away."""
        self._active.add(shard)
        self.links[shard].ask(question, now, on_answer)

    def ask_patiently(self, shard: int, question: Question, now: float, on_answer: OnAnswer) -> None:
        """Ask a shard also while its broker is away, and wait for `PATIENCE_S`."""
        self._active.add(shard)
        self.links[shard].ask_patiently(question, now, on_answer, PATIENCE_S)

    def ask_about(self, room: str, question: Question, now: float, on_answer: OnAnswer) -> None:
        """Ask the shard of a room, by its name as a client writes it; any broker refuses a name that none can have."""
        self.ask(self.shard_named(room) or 0, question, now, on_answer)

    def ask_all(
        self, question: Question, now: float, on_answers: OnAnswers, shards: Sequence[int] | None = None
    ) -> None:
        """Ask some shards, or all; one whose broker is away answers None at once, others do after the time-out."""
        asked = range(len(self.links)) if shards is None else shards
        answers: list[Answer | None] = [None] * len(asked)
        missing = len(answers)

        def answered(at: int, answer: Answer | None, now: float) -> None:
            nonlocal missing
            answers[at] = answer
            missing -= 1
            if not missing:
                on_answers(answers, now)

        for at, shard in enumerate(asked):
            self.ask_at_once(shard, question, now, partial(answered, at))

    def notify(self, shard: int, message: Delivered | Measured | backbone.Bye) -> None:
        """Send a shard's broker a message that needs no answer and may be lost."""
        self._active.add(shard)
        self.links[shard].notify(message)

    def report(self, measured: Measured) -> None:
        """Send each broker a report, by one of its shards."""
        if self.owners is None:
            self.notify(0, measured)
            return
        shards = {self.owner(shard): shard for shard in range(len(self.links))}
        for owner, shard in shards.items():
            if owner is not None:
                self.notify(shard, measured)

    def say_bye(self) -> None:
        """Tell all brokers that this gateway stops."""
        for shard in range(len(self.links)):
            self.notify(shard, backbone.Bye())

    @property
    def waiting(self) -> bool:
        """Whether items have not been sent yet that can be sent."""
        if self.owners is None:
            return self.links[0].publisher.waiting > 0
        links = self.links
        return any(links[shard].publisher.waiting and links[shard].is_welcomed for shard in self._active)

    @property
    def has_frames(self) -> bool:
        """Whether there may be frames to send besides items."""
        return self.owners is not None or self.links[0].has_frames

    @property
    def gather_s(self) -> float:
        """How long after the last frames the next ones should be sent; see `Gathering`."""
        return self._gathering.wait_s

    def frames(self, now: float, publish: bool = True) -> Iterable[tuple[str, list[bytes]]]:
        """Return the frames to send now, in order, for each broker; without `publish`, items wait for more."""
        if self.owners is None:
            frames = self.links[0].frames(now, publish)
            if (only := self.brokers.only) is not None:
                return ((only, frames),) if frames else ()
            return [(endpoint, frames) for endpoint in self.brokers.seeds] if frames else ()
        found = {broker: [hello] for broker, hello in self.brokers.take_hellos()}
        active, self._active = self._active, set()
        for shard in active:
            link = self.links[shard]
            frames = link.frames(now, publish)
            if link.publisher.waiting and link.is_welcomed:
                self._active.add(shard)
            # What a link says while its shard has no owner is lost; it says it again.
            if frames and (owner := self.owners.endpoint(shard)) is not None:
                found.setdefault(owner, []).extend(backbone.for_shard(shard, frame) for frame in frames)
        return found.items()

    def tick(self, now: float) -> None:
        """Let all links do their periodic work. Call it every `CANARY_S`."""
        for link in self.links:
            link.tick(now)
        self._active.update(range(len(self.links)))
        self._unaccepted = sum(link.publisher.lines for link in self.links)
        if self.owners is not None:
            self.brokers.tick(self.owners, now)

    def postpone(self, seconds: float) -> None:
        """Wait longer for the brokers; see `Link.postpone`."""
        for link in self.links:
            link.postpone(seconds)

    def reconnected(self, endpoint: str) -> None:
        """Note that another connection leads to a broker: members that it gave to this gateway last may be lost.

        If that took less than a second, the broker may not have noticed it.
        """
        for shard, link in enumerate(self.links):
            if self.owners is None or self.owner(shard) == endpoint:
                link.requests.in_doubt = True

    # --- from the brokers -----------------------------------------------------------------------------------------

    def receive_untrusted(self, endpoint: str, carrier: bytes, now: float) -> Iterator[tuple[int, Downward]]:
        """Let the links handle what came from a broker's command socket; yield each message and its shard.

        Frames for a shard that the broker does not own, as far as is known here, are passed over.

        Raises:
            MalformedMessage: what follows it is lost.
        """
        for shard, frame in unpack_untrusted(carrier):
            if shard is None:
                message = backbone.parse_downward_untrusted(frame)
                if isinstance(message, Cluster):
                    self.take_cluster(endpoint, message, now)
                elif self.owners is None and self.brokers.is_of_one_shard(endpoint, message):
                    self.links[0].handle(message, now)
                    yield 0, message
            elif self.owners is not None and self.owner(shard) == endpoint:
                message = backbone.parse_downward_untrusted(frame)
                if isinstance(message, backbone.Welcome) and message.term < self.owners.term(shard):
                    # It was on its way while the shard went to another broker and came back: the numbers that this one
                    # had accepted then are not those of now.
                    continue
                self._active.add(shard)
                self.links[shard].handle(message, now)
                if isinstance(message, backbone.Welcome):
                    # Its canary ends the silence of a shard that has moved: it should not wait for the next tick.
                    self.links[shard].tick(now)
                yield shard, message

    def take_cluster(self, endpoint: str, cluster: Cluster, now: float) -> None:
        """Learn from a broker who owns which shard; links whose owner has changed begin again.

        Raises:
            MalformedMessage: see `Owners.take`.
        """
        if self.owners is None:
            if not self.brokers.may_share(endpoint):
                return
            owners = Owners(len(cluster.owners))
            changed = owners.take(cluster, now)
            self._split(owners, now)
        else:
            changed = self.owners.take(cluster, now)
        for shard in changed:
            self.links[shard].begin_again(now)
            self._active.add(shard)
        assert self.owners is not None
        self.brokers.tick(self.owners, now)
        if changed:
            self.brokers.changes += 1

    def _split(self, owners: Owners, now: float) -> None:
        """Have a link to each shard. They share what is measured."""
        first = self.links[0]
        links = []
        for _ in range(len(owners)):
            link = Link(self.capacity, self._timeout_s, self._counters)
            link.publisher.accept_s = first.publisher.accept_s
            link.publisher.gathering = self._gathering
            link.canary.round_trip_s = first.canary.round_trip_s
            links.append(link)
        self.owners, self.links = owners, tuple(links)
        self.on_split(first.publisher.take_back())
        first.requests.give_up(now)

    def handle_accepted(self, shard: int, broker: str, number: int, now: float) -> None:
        """Handle the accepted number of a bundle; see `Link`."""
        self._active.add(shard)
        self.links[shard].handle_accepted(broker, number, now)

    def handle_canary(self, shard: int, broker: str, number: int, now: float) -> bool:
        """Handle a canary of a bundle; return False if news may have been lost before it.

        A canary that a former owner of the shard has sent back is ignored.
        """
        link = self.links[shard]
        return not link.is_from(broker) or link.handle_canary(number, now)

    def owner(self, shard: int) -> str | None:
        """Return where a shard's owner is reached; None: it has none now, or there is no such shard."""
        if self.owners is None:
            return self.brokers.only
        return self.owners.endpoint(shard) if shard < len(self.links) else None

    # --- what is known --------------------------------------------------------------------------------------------

    def is_alive(self, shard: int, now: float) -> bool:
        """Return whether a shard's broker knows this gateway and has lately sent something."""
        return self.links[shard].is_alive(now)

    def is_any_alive(self, now: float) -> bool:
        """Return whether any shard's broker is there."""
        return any(link.is_alive(now) for link in self.links)

    def is_undelivered(self, now: float) -> bool:
        """Return whether items wait that a broker may still accept."""
        return any(len(link.publisher) and link.is_alive(now) for link in self.links)

    @property
    def unaccepted(self) -> int:
        """How many items wait in all links."""
        return sum(link.publisher.lines for link in self.links)

    @property
    def resent(self) -> int:
        """Items that were sent again."""
        return sum(link.publisher.resent for link in self.links)

    @property
    def lost_canaries(self) -> int:
        """Canaries that never came back though later ones of their shard did."""
        return sum(link.canary.lost for link in self.links)

    def change_capacity(self, capacity: int) -> None:
        """Keep at most so many items from now on."""
        self.capacity = capacity
        for link in self.links:
            link.publisher.capacity = capacity


def unpack_untrusted(carrier: bytes) -> Iterator[tuple[int | None, bytes]]:
    """Yield the frames in a packed or single frame, and the shard of each; packed frames may have a prefix too.

    Raises:
        MalformedMessage: it can not be unpacked.
    """
    for part in backbone.unpack_frames_untrusted(carrier):
        shard, frame = backbone.split_shard_untrusted(part)
        if shard is None:
            yield None, frame
        else:
            for each in backbone.unpack_frames_untrusted(frame):
                yield shard, each
