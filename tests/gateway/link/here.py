"""A link whose broker is the test."""

from gateway.counters import Counters
from gateway.link.canary import CANARY_S
from gateway.link.link import Link
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Answer, Canary, Create, Hello, Upward

HELLO = Hello(backbone.VERSION)
TIMEOUT_S = 3.0
CREATE = Create("den", "alice", None, bytes(16), "tcrp", "::1", 100_000)


class Here:
    """A link, its clock, and the answers that came."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.link = Link(100, TIMEOUT_S, self.counters)
        self.now = 50.0
        self.answers: list[tuple[Answer | None, float]] = []

    def said(self) -> list[Upward]:
        """What it has to say now."""
        return [backbone.parse_upward_untrusted(frame) for frame in self.link.frames(self.now)]

    def tick(self) -> list[Upward]:
        self.link.tick(self.now)
        return self.said()

    def wait(self, seconds: float, *, canaries_come_back: bool = False) -> list[Upward]:
        """Let time go by; return what it said meanwhile, but for canaries."""
        said: list[Upward] = []
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = min(self.now + CANARY_S, until)
            for message in self.tick():
                if not isinstance(message, Canary):
                    said.append(message)
                elif canaries_come_back:
                    self.link.handle_canary(message.number, self.now)
        return said

    def handle(self, *messages: backbone.Downward) -> None:
        for message in messages:
            self.link.handle(message, self.now)

    def ask(self, body: backbone.Question) -> None:
        self.link.ask(body, self.now, lambda answer, now: self.answers.append((answer, now)))
