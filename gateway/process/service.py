"""Run a gateway on one event loop: the listeners, the chat core, and the sockets to the broker."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from time import monotonic, sleep

import zmq

from tsudoi.ops import logs
from tsudoi.ops.rhythm import until_next
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone.endpoint import INPROC

from ..chat.delivery_reports import REPORT_FEW_S
from ..chat.dispatch import ChatCore
from ..chat.replay_limiter import PACE_S
from ..config import Config
from ..counters import Counters
from ..join.admission import AdmissionRules
from ..join.session_tokens import SessionTokens
from ..join.signed_tokens import load_verifier
from ..link.broker_pool import BrokerPool
from ..link.broker_sockets import WakeBroker
from ..link.canary import CANARY_S, HEALTHY_S
from ..link.gathering import GATHER_S
from ..link.reachability import unhealthy_reason
from ..link.routes import Routes
from ..listeners.options import Listener
from ..listeners.packet_connection import PacketConnections
from ..listeners.tcp import TCPServer
from ..listeners.udp import DRAIN, UDPServer
from ..sealed.draining import ASK_S
from ..sealed.sender import REPEAT_S
from .health_log import HealthLog
from .http_listeners import HttpListeners
from .measured import REPORT_S, measure
from .outbound import GatewayOutbound
from .session_files import Sessions

logger = logs.get("gateway")

CLOSE_GRACE_S = 2.0
"""When the gateway stops: how long it goes on answering pending TCP requests."""
DRAIN_S = 2.0
"""How long the broker then has to accept the last messages."""


class Service:
    """A whole gateway, except for its signals."""

    outbound = GatewayOutbound
    """`identify` has another class, which shows what is sent."""

    def __init__(
        self,
        config: Config,
        brokers: Sequence[str],
        sessions: Sessions,
        context: "zmq.Context[zmq.Socket[bytes]] | None" = None,
    ) -> None:
        """Bind the UDP listeners and connect to brokers at these endpoints; inproc:// needs a ZeroMQ `context`.

        Raises:
            SettingError: an address can not be bound, or a file with keys can not be used.
        """
        settings = config.settings
        self._loop = asyncio.get_running_loop()
        self.config = config
        """The settings in use."""
        # Before sockets are bound, which its error would leave to the garbage collector.
        self.verifier = None
        if config.verifies:
            self.verifier = load_verifier(config.auth_key, config.auth_secret, settings.auth)
        # By this name the next broker of the store knows that this run has ended, and does not wait for its lease.
        name = backbone.OF_ONE_PROCESS if brokers[0].startswith(INPROC) else config.name
        instance = backbone.new_instance(name, secrets.token_hex(8))
        logger.info("starting", instance=instance, broker=" ".join(brokers))
        self.udp: list[UDPServer] = []
        none = (None,) * len(config.udp)
        own, pings = (config.inherited.udp, config.inherited.pings or none) if config.inherited else (none, none)
        with contextlib.ExitStack() as bound:
            for index, (listener, *inherited) in enumerate(zip(config.udp, own, pings, strict=True)):
                server = UDPServer(index, listener, self._on_datagrams, self._on_drained, *inherited)
                self.udp.append(server)
                bound.callback(server.close)
            bound.pop_all()
        self.counters = Counters()
        self.routes = routes = Routes(brokers, settings.unaccepted, settings.request_timeout_s, self.counters)
        self.out = out = self.outbound(self.udp, self.counters)
        self.core = ChatCore(settings, routes, out, self.counters, [server.bound for server in self.udp], sessions.keys)
        out.members = self.core.members
        sender = self.core.sealed_sender
        sender.schedule = lambda: self._loop.call_soon(sender.flush)
        sender.schedule_repeats = self._repeat_later
        self._repeat_timer: asyncio.TimerHandle | None = None
        self.certificate = sessions.operators
        tokens = SessionTokens(config.inherited.workers if config.inherited else 1)
        rules = AdmissionRules(settings, self.counters, self.core, tokens, self.verifier)
        self.tcp = TCPServer(rules, self.settle, self.certificate, sessions.shown, has_web=bool(config.web))
        self.tcp.packets = self.packets = packets = PacketConnections(
            sender.carried, self.counters, self.core.sealed.handle_untrusted, self.settle, sender.detach_all
        )
        out.listeners.append(packets)
        self.http = HttpListeners(config, rules, self.settle, self.certificate)
        topics_of, key = self.core.topics_of, config.key
        self.sockets = BrokerPool(
            routes, instance, self._on_news, self._on_answers, topics_of, key, config.insecure, context
        )
        out.subscribe, out.unsubscribe = self.sockets.subscribe, self.sockets.unsubscribe
        self.is_draining = False
        """It stops soon: no new clients should be sent here."""
        self._lives_with_broker = False
        """The broker in this process calls `tick`. Both end together."""
        self._is_stopped = False
        self._published_at = 0.0
        self._resting = False
        """Datagrams are received at each flush, not on arrival."""
        self._flush_timer: asyncio.Handle | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        self._pace_timer: asyncio.TimerHandle | None = None
        self._healthy = asyncio.Event()
        """Set when the first canary comes back."""
        self._health_log = HealthLog()
        self._measured_at = float("-inf")
        self.checked_at = self._begun_at = monotonic()
        """When the event loop last called `tick`: the gateway is unhealthy if it stops doing so."""

    def unhealthy_reason(self, now: float) -> str:
        """Return why the gateway is unhealthy, empty if it is not. May be called from another thread: it only reads."""
        if now - self.checked_at > HEALTHY_S:
            return f"the event loop has not moved for {now - self.checked_at:.1f} s"
        if self.is_draining:
            return "the gateway stops"
        reason, why = self._why_not_served(now), self.sockets.connect_error
        return f"{reason}: {why}" if reason and why else reason

    def _why_not_served(self, now: float) -> str:
        return unhealthy_reason(self.routes, now) or self.core.fencing.unhealthy_reason(now)

    def stay_in_process(self, endpoint: str, wake: WakeBroker) -> Callable[[int, int], None]:
        """Join a broker in this process, which calls `tick` from now on; see `BrokerPool.stay_in_process`."""
        self._lives_with_broker = True
        return self.sockets.stay_in_process(endpoint, wake)

    async def start(self) -> list[Listener]:
        """Serve clients; return the TCP listeners with their ports when the first canary has come back.

        Raises:
            SettingError: a TCP address can not be bound.
        """
        self.sockets.start()
        self.tick()
        config, listeners = self.config, list[Listener]()
        if config.inherited is None:
            listeners = [await self.tcp.open(listener) for listener in config.tcp]
            await self.http.open()
        await self._healthy.wait()
        if config.inherited is not None:
            # The parent process listens already: clients wait in its backlog until this worker can serve them.
            listeners = [await self.tcp.open(*both) for both in zip(config.tcp, config.inherited.tcp, strict=True)]
            await self.http.open()
        for server in self.udp:
            server.start()
        return listeners

    async def drain(self) -> None:
        """Let members of version 2 go on elsewhere; return when all have gone, or after `--drain`."""
        settings, draining = self.config.settings, self.core.draining
        end = monotonic() + settings.drain_s
        self.is_draining = True
        while (left_s := end - monotonic()) > 0 and draining.ask(left_s, settings.drain_to):  # noqa: ASYNC110 - it asks
            await asyncio.sleep(min(ASK_S, left_s))

    async def stop(self) -> None:
        """Stop receiving, wait until the broker has accepted all items, and close."""
        await asyncio.gather(self.tcp.close(CLOSE_GRACE_S), *self.http.close(CLOSE_GRACE_S))
        for server in self.udp:
            server.stop_receiving()
        deadline = monotonic() + DRAIN_S
        while self.routes.is_undelivered(monotonic()) and monotonic() < deadline:
            self.settle()
            await asyncio.sleep(0.01)
        self.core.reports.report()
        self.routes.say_bye()
        self.settle()
        timers = self._flush_timer, self._tick_timer, self._report_timer, self._repeat_timer, self._pace_timer
        for timer in timers:
            if timer is not None:
                timer.cancel()
        self._is_stopped = True
        self.sockets.close()
        for server in self.udp:
            server.close()

    # --- callbacks of sockets and timers ---------------------------------------------------------------------------

    def settle(self) -> None:
        """Send the broker all pending frames; items wait until `gather_s` after the last ones."""
        if self.core.members.paced and self._pace_timer is None:
            self._pace_timer = self._loop.call_later(PACE_S, self._pace)
        routes = self.routes
        if routes.brokers.changes != self.sockets.followed:
            self.sockets.follow()
        is_waiting = routes.waiting
        if not is_waiting and not routes.has_frames:
            return
        now = monotonic()
        wait_s = self._published_at + routes.gather_s - now
        if is_waiting and wait_s <= 0:
            self._publish(now)
            return
        self._send(now, publish=False)
        if is_waiting and self._flush_timer is None:
            self._flush_later(wait_s)

    def _flush_later(self, wait_s: float) -> None:
        if self._lives_with_broker and 0 < wait_s <= GATHER_S:
            # Timers of the loop are exact to a millisecond, a sleep to 0.1. No broker answers meanwhile.
            self._flush_timer = self._loop.call_soon(self._flush, monotonic() + wait_s)
        else:
            self._flush_timer = self._loop.call_later(wait_s, self._flush)

    def _flush(self, at: float = 0.0) -> None:
        """Receive what has arrived, and publish; `at` a moment on `monotonic`'s clock, if that has not passed."""
        if (left_s := at - monotonic()) > 0:
            sleep(left_s)
        self._flush_timer = None
        try:
            taken = sum(server.receive() for server in self.udp) if self._resting else 0
        except Exception:
            # Without this, a bug in handling one datagram would stop the reading of all others.
            self._start_listeners()
            raise
        self._publish(monotonic())
        if taken:
            # If the drain was full, more datagrams wait: the next one only lets this turn pass first.
            self._flush_later(self.routes.gather_s if taken < DRAIN else 0.0)
        elif self._resting:
            self._start_listeners()

    def _start_listeners(self) -> None:
        self._resting = False
        for server in self.udp:
            server.start()

    def _publish(self, now: float) -> None:
        self._published_at = now
        if not self._lives_with_broker:
            # With what goes anyway: a frame of its own would be a turn of its own.
            self.core.reports.report_if_due(now)
        self._send(now)

    def _send(self, now: float, publish: bool = True) -> None:
        for endpoint, frames in self.routes.frames(now, publish):
            self.sockets.send(endpoint, frames)

    def _on_datagrams(self, listener: int, datagrams: list[tuple[bytes, bytes]], waited_s: float) -> None:
        self.core.handle_datagrams(listener, datagrams, monotonic(), waited_s)

    def _on_drained(self) -> None:
        self.settle()
        if self._flush_timer is not None and not self._resting:
            # Datagrams that arrive now can not be published before the next flush: a wake-up for each would cost more
            # than handling it.
            self._resting = True
            for server in self.udp:
                server.rest()

    def _on_news(self, endpoint: str, frames: list[bytes]) -> None:
        now = monotonic()
        for frame in frames:
            self.core.handle_news(endpoint, frame, now)
        self.settle()
        self._report_later(now)
        if not self._healthy.is_set() and not unhealthy_reason(self.routes, now):
            self._healthy.set()

    def _on_answers(self, endpoint: str, frames: list[bytes]) -> None:
        now = monotonic()
        for frame in frames:
            self.core.handle_answer(endpoint, frame, now)
        self.settle()

    def _repeat_later(self) -> None:
        self._repeat_timer = self._loop.call_later(REPEAT_S, self._repeat)

    def _repeat(self) -> None:
        self._repeat_timer = None
        if self.core.sealed_sender.repeat(monotonic()):
            self._repeat_later()

    def _report_later(self, now: float) -> None:
        """Report deliveries later, if no items take the report along before, and it does not go with the tick."""
        if self._lives_with_broker:
            return
        if self._report_timer is None and (wait_s := self.core.reports.wait_s(now)) is not None:
            # Somewhat later than it is due: the next items may take it along.
            self._report_timer = self._loop.call_later(max(wait_s, 0.0) + REPORT_FEW_S, self._report)

    def _report(self) -> None:
        self._report_timer, now = None, monotonic()
        self.core.reports.report_if_due(now)
        self.settle()
        self._report_later(now)

    def _pace(self) -> None:
        self._pace_timer = None
        self.core.deliver.go_on(monotonic())
        self.settle()

    def tick(self) -> None:
        """Run the periodic work, every `CANARY_S`."""
        if self._is_stopped:
            return  # a broker in this process goes on for a moment
        self.checked_at, routes = monotonic(), self.routes
        if not self._lives_with_broker:
            self._tick_timer = self._loop.call_later(until_next(CANARY_S, self.checked_at), self.tick)
        self.core.tick(self.checked_at)
        self.tcp.look()
        if self.checked_at - self._measured_at >= REPORT_S - CANARY_S / 2:
            self._measured_at = self.checked_at
            routes.report(measure(self.counters, routes, self.udp, self.checked_at))
        if self._lives_with_broker:
            self.core.reports.report()
        self._publish(self.checked_at)
        is_starting = not self._healthy.is_set() and self.checked_at < self._begun_at + HEALTHY_S
        reason = "" if is_starting else self._why_not_served(self.checked_at)
        self._health_log.look(reason, self.sockets.connect_error, routes)
