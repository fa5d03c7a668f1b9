"""The sockets of gateway and broker in one process: each tells the other how many frames it has sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import zmq

from broker.net.zeromq import FRAMES_A_TURN, GatewaySockets
from gateway.link.broker_sockets import FRAMES_A_DRAIN, BrokerSockets
from tsudoi.protocol.backbone import own_topic

NAME = "a/1"


class Both:
    """Both ends, as `gateway/process/single.py` joins them, and what each has received."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self.frames: list[bytes] = []
        self.news: list[bytes] = []
        self.answers: list[bytes] = []
        self.broker = GatewaySockets(context, "inproc://both", 10_000, None)
        self.gateway = BrokerSockets("inproc://both", NAME, self.news.extend, self.answers.extend, context=context)
        self.gateway.wake_broker = self.broker.note
        self.broker.wake_gateway = self.gateway.receive
        self.receive()

    def receive(self) -> int:
        """Let the broker receive; return how many frames it has got meanwhile."""
        before = len(self.frames)
        self.broker.receive(lambda account: True, lambda peer, frame, role, account: self.frames.append(frame))
        self.broker.subscribed()
        return len(self.frames) - before

    def close(self) -> None:
        self.gateway.close(linger_ms=0)
        self.broker.close(linger_ms=0)


@asynccontextmanager
async def joined() -> AsyncIterator[Both]:
    with zmq.Context() as context:
        both = Both(context)
        try:
            yield both
        finally:
            both.close()


async def test_each_receives_what_the_other_has_sent() -> None:
    async with joined() as both:
        for frame in (b"1", b"2", b"3"):
            both.gateway.send([frame])
        assert both.broker.has_more()
        assert both.receive() == 3
        assert not both.broker.has_more()
        both.broker.publish(own_topic(NAME), b"x")
        both.broker.publish(own_topic(NAME), b"y")
        both.broker.answer(NAME, b"z")
        both.broker.hand_over()
        assert (both.news, both.answers) == ([own_topic(NAME) + b"x", own_topic(NAME) + b"y"], [b"z"])
        assert both.frames == [b"1", b"2", b"3"]


async def test_what_is_more_than_one_turn_takes_waits_for_the_next() -> None:
    async with joined() as both:
        for _ in range(FRAMES_A_TURN + 1):
            both.gateway.send([b"x"])
        assert both.receive() == FRAMES_A_TURN
        assert both.broker.has_more()
        assert both.receive() == 1
        assert not both.broker.has_more()


async def test_a_gateway_that_receives_a_part_receives_the_rest() -> None:
    async with joined() as both:
        for _ in range(FRAMES_A_DRAIN + 1):
            both.broker.publish(own_topic(NAME), b"x")
        both.broker.hand_over()
        assert len(both.news) == FRAMES_A_DRAIN
        both.gateway.receive(0, 1)
        assert len(both.news) == FRAMES_A_DRAIN + 1


async def test_news_for_no_subscriber_do_no_harm() -> None:
    async with joined() as both:
        both.broker.publish(own_topic("b/2"), b"x")
        both.broker.publish(own_topic(NAME), b"y")
        both.broker.hand_over()
        both.broker.publish(own_topic(NAME), b"z")
        both.broker.hand_over()
        assert both.news == [own_topic(NAME) + b"y", own_topic(NAME) + b"z"]


async def test_what_a_gateway_has_left_comes_before_what_is_announced_next() -> None:
    """Else it would stay behind for ever, and by more than 16 frames no item would be accepted in time."""
    async with joined() as both:
        for _ in range(FRAMES_A_DRAIN + 20):
            both.broker.publish(own_topic(NAME), b"old")
        both.broker.hand_over()
        both.broker.publish(own_topic(NAME), b"new")
        both.broker.hand_over()  # in the same round of the event loop
        assert len(both.news) == FRAMES_A_DRAIN + 21
        assert both.news[-1] == own_topic(NAME) + b"new"
