"""The gateway's conversation with the broker: greeting, requests, publishing, canaries. No socket and no clock.

`frames` returns what the I/O layer sends; `handle` takes what the broker sends on the command socket.
"""

from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Question, Upward

from ..counters import Counters
from .canary import Canary
from .publisher import Publisher
from .requests import OnAnswer, Requests

ALIVE_S = 1.5
"""If nothing comes from the broker for this time, it is away: questions are answered with None at once."""
HELLO_S = 0.5
"""The time between two Hellos to a broker that has not answered."""


class Link:
    """The state of the conversation; `now` is monotonic seconds."""

    def __init__(self, capacity: int, timeout_s: float, counters: Counters) -> None:
        """Begin unknown to the broker; a question is given up after `timeout_s`."""
        self.publisher = Publisher(capacity)
        self.publish = self.publisher.add
        self.canary = Canary()
        self.requests = Requests(timeout_s, counters, self.publish, self._send)
        self._broker = ""
        self.is_welcomed = False
        """The last greeting was answered: a broker that was restarted meanwhile does not know this gateway."""
        self._heard_at = self._hello_at = float("-inf")
        self._frames: list[bytes] = []
        self._report: backbone.Delivered | None = None
        """Goes with the next items, if there are some when the next frames are sent."""

    # --- to the broker --------------------------------------------------------------------------------------------

    def ask(self, body: Question, now: float, on_answer: OnAnswer) -> None:
        """Ask the broker; `on_answer` is called later, or at once with None if the broker is away."""
        if self.is_alive(now):
            self.requests.ask(body, now, on_answer)
        else:
            on_answer(None, now)

    def ask_patiently(self, body: Question, now: float, on_answer: OnAnswer, timeout_s: float | None = None) -> None:
        """Ask the broker also while it is away: it, or its successor, may be there within the time-out."""
        self.requests.ask(body, now, on_answer, timeout_s)

    def notify(self, message: backbone.Delivered | backbone.Measured | backbone.Bye) -> None:
        """Send a message that needs no answer and may be lost."""
        if not self.is_welcomed:
            return
        if not isinstance(message, backbone.Delivered):
            self._send(message)
            return
        if self._report is not None:
            self._send(self._report)
        self._report = message

    def _send(self, message: Upward) -> None:
        self._frames.append(backbone.encode(message))

    @property
    def has_frames(self) -> bool:
        """Whether there are frames to send besides items."""
        return bool(self._frames) or self._report is not None

    def frames(self, now: float, publish: bool = True) -> list[bytes]:
        """Return the frames to send now, in order; without `publish`, items wait for more."""
        frames, self._frames = self._frames, []
        report, self._report = self._report, None
        items = self.publisher.frames(now) if publish else ()
        if report is not None and items and not frames:
            items[0].delivered = report.positions
        elif report is not None:
            frames.insert(0, backbone.encode(report))  # before a Bye
        for each in items:
            frames.append(backbone.encode(each))
        return frames

    def tick(self, now: float) -> None:
        """Send a Hello or a canary, repeat and give up questions. Call it every `CANARY_S`."""
        if (not self.is_welcomed or now - self._heard_at > ALIVE_S) and now - self._hello_at >= HELLO_S:
            self._hello_at = now
            self._send(backbone.Hello(backbone.VERSION))
        if self.is_welcomed:
            self._send(backbone.Canary(self.canary.send(now)))
        self.requests.tick(now)
        if self.is_alive(now):
            self.requests.follow_up(now)

    def postpone(self, seconds: float) -> None:
        """Wait longer for the broker: this process has stood still, and its frames may have come meanwhile."""
        self._heard_at += seconds
        self.requests.postpone(seconds)

    # --- from the broker ------------------------------------------------------------------------------------------

    def handle(self, message: backbone.Downward, now: float) -> None:
        """Handle a message from the command socket; `chat/handover.py` takes Release and Adopt."""
        self._heard_at = now
        match message:
            case backbone.Accepted(number):
                self.publisher.accept(number, now)
            case backbone.Reply(request_id, body):
                self.requests.handle_reply(request_id, body, now)
            case backbone.Welcome(broker, accepted, is_new):
                self._handle_welcome(broker, accepted, is_new, now)
            case backbone.Unknown() if self.is_welcomed:
                self.begin_again(now)

    def begin_again(self, now: float) -> None:
        """End the lease, say Hello, and publish nothing before the next Welcome."""
        self.is_welcomed = False
        self.canary.end_lease()
        self.publisher.close()
        self._hello_at = float("-inf")
        self.tick(now)

    def _handle_welcome(self, broker: str, accepted: int, is_new: bool, now: float) -> None:
        if broker != self._broker:
            self.canary.end_lease()
        elif not is_new:
            # A bundle with a higher number may have overtaken this message.
            accepted = max(accepted, self.publisher.accepted)
        self._broker = broker
        self.is_welcomed = True
        self.requests.repeat(now)
        self.publisher.welcome(accepted, now)

    def handle_accepted(self, broker: str, number: int, now: float) -> None:
        """Handle the accepted number of a bundle; ignore it if it belongs to an earlier run of the broker."""
        if self.is_from(broker):
            self._heard_at = now
            self.publisher.accept(number, now)

    def handle_canary(self, number: int, now: float) -> bool:
        """Handle a canary of a bundle; return False if news may have been lost before it."""
        is_complete = self.canary.take_back(number, now)
        self._heard_at = max(self._heard_at, self.canary.back_at)
        return is_complete

    def is_from(self, broker: str) -> bool:
        """Return whether a bundle comes from the run of the broker that knows this gateway."""
        return self.is_welcomed and broker == self._broker

    def is_alive(self, now: float) -> bool:
        """Return whether the broker knows this gateway, and has sent something lately."""
        return self.is_welcomed and self.is_heard(now)

    def is_heard(self, now: float) -> bool:
        """Return whether a broker, this one or the shard's last, has sent something in the last 1.5 s (`ALIVE_S`)."""
        return now - self._heard_at < ALIVE_S
