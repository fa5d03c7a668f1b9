"""The gateway's conversation with the broker: who we are, what was asked, what is not accepted yet, is it alive?"""

from collections.abc import Callable
from dataclasses import dataclass

from tsudoi.ops.histogram import SECONDS, Histogram
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Answer, Create, Granted, Item, Join, Question
from tsudoi.protocol.codes import EntryKind, LeaveReason

from ..counters import Counters
from ..publisher import Publisher

OnAnswer = Callable[[Answer | None, float], None]
"""Called once with the answer, or None when it did not come in time or the broker is away; and the time."""

CANARY_S = 0.25
ALIVE_S = 1.5
"""A broker from which nothing came for this long is away: who asks is told so at once."""
HEALTHY_S = 2.0
"""A canary that has not come back for this long turns health red."""
LEASE_S = 1.7
"""Nobody else is given our members for so long after a canary was sent that came back: the broker heard us then, and
waits 2 s. Beyond it we deliver nothing before the broker has said whom we serve still."""
ASK_AGAIN_S = 1.0
"""A question may get lost with a connection; it is asked again, which the broker's answers allow."""
CANARIES = 100
HELLO_S = 0.5
GIVEN_UP = 1_000
"""Creates and joins without an answer that are cleared up at a time; for more, the oldest is left as it is."""
CLEARED_UP_S = 10.0
"""For so long a create or join may still become a member after it was given up: its password may wait to be hashed."""
RESUMES = 1_000
"""Resumes that are remembered, so that a late grant is known for what it is."""


@dataclass(slots=True)
class _Asked:
    body: Question
    on_answer: OnAnswer
    deadline: float
    again_at: float


@dataclass(slots=True)
class _GivenUp:
    """A create or join whose client was told to try again: nobody knows the token, so no such member may stay."""

    token_hash: bytes
    until: float
    again_at: float
    pause_s: float = ASK_AGAIN_S
    left: int = 0
    """The member that came of it, and was taken out again."""


class Link:
    """Decides what to say to the broker; `frames` is what the I/O layer sends."""

    def __init__(self, instance: str, capacity: int, timeout_s: float, counters: Counters) -> None:
        self.instance = instance
        self.publisher = Publisher(capacity)
        self._timeout_s = timeout_s
        self._counters = counters
        self._broker = ""
        self._heard_at = float("-inf")
        self._canary_back_at = float("-inf")
        self._canary = 0
        self._canaries: dict[int, float] = {}
        """Number → when it was sent, of those that are not back."""
        self._forgotten = False
        self._lease_until = float("-inf")
        self.canary_s = Histogram(SECONDS)
        """How long canaries took."""
        self.canaries_lost = 0
        """Canaries that never came back though later ones did: news may be lost with them."""
        self._hello_at = float("-inf")
        self._welcomed = False
        self._asked: dict[int, _Asked] = {}
        self._given_up: dict[int, _GivenUp] = {}
        """By the id of the request, under which its token is asked for from then on."""
        self._resumes: dict[int, bytes] = {}
        """Request id → the token's hash, of the last resumes."""
        self.in_doubt = False
        """A resume was asked and not answered: the directory may count on us for a member that we do not know of."""
        self._last_id = 0
        self._frames: list[bytes] = []

    @property
    def outstanding(self) -> int:
        """Questions that wait for their answers."""
        return len(self._asked)

    # --- what is known --------------------------------------------------------------------------------------------

    def is_alive(self, now: float) -> bool:
        """Say whether the broker knows us and was heard lately."""
        return self._welcomed and now - self._heard_at < ALIVE_S

    def may_deliver(self, now: float) -> bool:
        """Say whether our members are surely still ours."""
        return now < self._lease_until

    def illness(self, now: float) -> str:
        """Return why health is red, empty if it is green: the canary came back over the whole way, lately."""
        if now - self._canary_back_at < HEALTHY_S:
            return ""
        if self._canary_back_at == float("-inf"):
            return "the broker has not been reached yet"
        return f"nothing came back from the broker for {now - self._canary_back_at:.1f} s"

    # --- what is said ---------------------------------------------------------------------------------------------

    def ask(self, body: Question, now: float, on_answer: OnAnswer) -> None:
        """Ask the broker; `on_answer` is called later, at once with None if the broker is away."""
        if not self.is_alive(now):
            on_answer(None, now)
            return
        self._last_id += 1
        self._asked[self._last_id] = _Asked(body, on_answer, now + self._timeout_s, now + ASK_AGAIN_S)
        self._frames.append(backbone.encode(backbone.Request(self._last_id, body)))
        if isinstance(body, backbone.Resume):
            self._resumes[self._last_id] = body.token_hash
            if len(self._resumes) > RESUMES:
                del self._resumes[next(iter(self._resumes))]

    def tell(self, message: backbone.Delivered | backbone.Bye) -> None:
        """Say something that needs no answer and may be lost."""
        if self._welcomed:
            self._frames.append(backbone.encode(message))

    def frames(self, now: float, publish: bool = True) -> list[bytes]:
        """Return what is to be sent now, in order; without `publish`, items wait on."""
        if publish:
            self._frames += [backbone.encode(publish) for publish in self.publisher.frames(now)]
        frames, self._frames = self._frames, []
        return frames

    def tick(self, now: float) -> None:
        """Greet, send the canary, give up on what was not answered. To be called every `CANARY_S`."""
        lost = not self._welcomed or now - self._heard_at > ALIVE_S
        if lost and now - self._hello_at >= HELLO_S:
            self._hello_at = now
            self._frames.append(backbone.encode(backbone.Hello(backbone.VERSION)))
        if self._welcomed:
            self._canary += 1
            self._canaries[self._canary] = now
            if len(self._canaries) > CANARIES:
                del self._canaries[next(iter(self._canaries))]
                self._forgotten = True
            self._frames.append(backbone.encode(backbone.Canary(self._canary)))
        for request_id, asked in list(self._asked.items()):
            if asked.deadline > now:
                if asked.again_at > now:
                    continue
                asked.again_at = now + ASK_AGAIN_S
                self._frames.append(backbone.encode(backbone.Request(request_id, asked.body)))
                continue
            del self._asked[request_id]
            self._counters.requests_timed_out += 1
            self.in_doubt |= isinstance(asked.body, backbone.Resume)
            if isinstance(asked.body, Create | Join):
                self._given_up[request_id] = _GivenUp(asked.body.token_hash, now + CLEARED_UP_S, now)
                if len(self._given_up) > GIVEN_UP:
                    del self._given_up[next(iter(self._given_up))]
                    self._counters.requests_not_cleared_up += 1
            asked.on_answer(None, now)
        if self._given_up and self.is_alive(now):
            self._clear_up(now)

    def _clear_up(self, now: float) -> None:
        """Ask what became of creates and joins that were given up; commands keep their order, so this comes after."""
        for request_id, given_up in self._given_up.items():
            if given_up.again_at <= now:
                given_up.again_at = now + given_up.pause_s
                given_up.pause_s *= 2
                resume = backbone.Resume(given_up.token_hash)
                self._frames.append(backbone.encode(backbone.Request(request_id, resume)))

    # --- what is heard --------------------------------------------------------------------------------------------

    def handle(self, message: backbone.Downward, now: float) -> None:
        """Take what the broker says on the command socket."""
        self._heard_at = now
        match message:
            case backbone.Accepted(number):
                self.publisher.accept(number, now)
            case backbone.Reply(request_id, body):
                self._answered(request_id, body, now)
            case backbone.Welcome(broker, accepted, is_new):
                if broker != self._broker:
                    self._end_lease()
                elif not is_new:
                    # News may have overtaken this: what they said was accepted is so.
                    accepted = max(accepted, self.publisher.accepted)
                self._broker = broker
                self._welcomed = True
                self.publisher.welcome(accepted, now)
            case backbone.Release() | backbone.Adopt():
                pass  # the core's business
            case backbone.Unknown() if self._welcomed:
                self._welcomed = False
                self._end_lease()
                self.publisher.close()
                self._hello_at = float("-inf")
                self.tick(now)
            case backbone.Unknown():
                pass  # a Hello is on its way

    def accepted(self, broker: str, number: int, now: float) -> None:
        """The broker says among the news what it has accepted. One that was another's says nothing of our numbers."""
        if broker == self._broker and self._welcomed:
            self._heard_at = now
            self.publisher.accept(number, now)

    def _end_lease(self) -> None:
        """A broker that does not know us may have given our members to others."""
        self._lease_until = float("-inf")
        self._forgotten = bool(self._canaries)
        self._canaries.clear()

    def canary_back(self, number: int, now: float) -> bool:
        """Our canary came back as news; False if others, sent before it, did not: what was lost with them?"""
        sent_at = self._canaries.pop(number, None)
        if sent_at is None:
            return True
        self._heard_at = self._canary_back_at = now
        self.canary_s.note(now - sent_at)
        self._lease_until = max(self._lease_until, sent_at + LEASE_S)
        # They come back in the order in which they were sent, or not at all.
        lost = [earlier for earlier in self._canaries if earlier < number]
        for earlier in lost:
            del self._canaries[earlier]
        self.canaries_lost += len(lost)
        complete = not lost and not self._forgotten
        self._forgotten = False
        return complete

    def resumed_late(self, message: backbone.Downward) -> bytes:
        """Return the token's hash if this grants a member whose datagram waits no more; empty otherwise.

        The question was asked more than once, or the answer took too long. The directory counts on us all the same.
        """
        if not isinstance(message, backbone.Reply) or message.id in self._asked:
            return b""
        return self._resumes.get(message.id, b"") if isinstance(message.body, Granted) else b""

    def _answered(self, request_id: int, body: Answer, now: float) -> None:
        asked = self._asked.pop(request_id, None)
        if asked is not None:
            asked.on_answer(body, now)
        elif given_up := self._given_up.get(request_id):
            if not isinstance(body, Granted):
                if now >= given_up.until:
                    del self._given_up[request_id]
            elif body.member != given_up.left:
                given_up.left = body.member
                self.publisher.add(Item(EntryKind.LEFT, body.room, body.member, "", LeaveReason.LEFT))
