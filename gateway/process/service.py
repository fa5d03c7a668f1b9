"""The gateway's parts on one event loop: carries out what the core leaves to do, after each drain and in order."""

import asyncio
import secrets
from collections.abc import Sequence
from time import monotonic

import zmq

from tsudoi.ops import logs
from tsudoi.ops.reload import differing, take_over
from tsudoi.protocol import backbone

from ..chat.delivery_reports import REPORT_FEW_S
from ..chat.dispatch import ChatCore
from ..chat.members import Member, Recipients
from ..config import Config, Door
from ..counters import Counters
from ..join.session_tokens import SessionTokens
from ..join.signed_tokens import load_verifier, reload_verifier
from ..link.broker_sockets import BrokerSockets
from ..link.canary import CANARY_S, HEALTHY_S
from ..link.link import Link
from ..listeners import sendmmsg, sockaddr
from ..listeners.tcp import TCPServer
from ..listeners.tls import Certificate, load
from ..listeners.udp import UDPServer

logger = logs.get("gateway")

CLOSE_GRACE_S = 2.0
DRAIN_S = 2.0


class Service:
    """A whole gateway but for its signals."""

    def __init__(self, config: Config, endpoint: str, context: "zmq.Context[zmq.Socket[bytes]] | None" = None) -> None:
        """Bind the UDP doors and connect to the broker.

        Args:
            config: see there.
            endpoint: of the broker.
            context: of a broker in this process, at inproc://; None: it is in another.

        Raises:
            SettingError: a door can not be bound, or a file with keys can not be used.
        """
        settings = config.settings
        self._loop = asyncio.get_running_loop()
        self._config = config
        kind = sendmmsg.choose()
        instance = backbone.new_instance(config.name, secrets.token_hex(8))
        logger.info("starting", instance=instance, broker=endpoint, datagrams=kind.name)
        self.udp: list[UDPServer] = []
        inherited = config.inherited.udp if config.inherited else (None,) * len(config.udp)
        for index, (door, descriptor) in enumerate(zip(config.udp, inherited, strict=True)):
            self.udp.append(UDPServer(index, door, self._on_datagrams, self._on_drained, kind, descriptor))
        self.counters = Counters()
        self.link = Link(settings.unaccepted, settings.request_timeout_s, self.counters)
        self.new_recipients = kind.new_recipients
        self.publish, self.ask, self.notify = self.link.publish, self.link.ask, self.link.notify
        self.core = ChatCore(settings, self.link, self, self.counters, [server.is_ipv6 for server in self.udp])
        self.verifier = None if config.auth_key is None else load_verifier(config.auth_key, settings.auth)
        self._certificate = None if config.tls is None else Certificate(config.tls)
        tokens = SessionTokens(config.inherited.steered if config.inherited else 1)
        self.tcp = TCPServer(
            settings, self.counters, self.core, self.link, self.settle, self.verifier, self._certificate, tokens
        )
        self._broker = BrokerSockets(endpoint, instance, self._on_news, self._on_answers, config.key, context)
        self._published_at = 0.0
        self._resting = False
        """Datagrams are taken at each flush and not when they come."""
        self._flush_timer: asyncio.TimerHandle | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        self._healthy = asyncio.Event()
        """A canary has come back since the start."""
        self._illness_told = ""
        self._connect_errors_logged: set[str] = set()
        self.checked_at = self._begun_at = monotonic()
        """When the event loop last came by: health is red if it does not."""

    @property
    def unsent(self) -> int:
        """Frames that found the socket to the broker full."""
        return self._broker.unsent

    def illness(self, now: float) -> str:
        """Return why health is red, empty if it is green. May be called from another thread: it only reads."""
        if now - self.checked_at > HEALTHY_S:
            return f"the event loop has not moved for {now - self.checked_at:.1f} s"
        illness, why = self.link.canary.unhealthy_reason(now), self.connect_error
        return f"{illness}: {why}" if illness and why else illness

    @property
    def connect_error(self) -> str:
        """Why the broker can not be reached, as far as that is known."""
        return self._broker.connect_error

    def reload(self, config: Config) -> tuple[list[str], list[str]]:
        """Take over what can be changed while members are here; who is in already keeps its time-out.

        Returns:
            (names of settings that changed, names of those that need a restart)

        Raises:
            SettingError: the keys for signed tokens or the certificate can not be read; then nothing has changed.
        """
        renewed = None if self._certificate is None or config.tls is None else load(config.tls)
        # Another file needs a restart, as is told: its keys are not taken before that.
        has_new_keys = False
        if self.verifier is not None and config.auth_key is not None and config.auth_key == self._config.auth_key:
            has_new_keys = reload_verifier(self.verifier, config.auth_key)
        settings = self._config.settings
        changed, fixed = take_over(settings, config.settings, fixed=("auth",))
        fixed += differing(self._config, config, but=("settings", "log_level", "tls"))
        if self._certificate is not None and renewed is not None and self._certificate.replace(renewed):
            changed.append("certificate")
        if has_new_keys:
            changed.append("keys for signed tokens")
        self.link.publisher.capacity = settings.unaccepted
        self.tcp.reload()
        return changed, fixed

    async def start(self) -> list[Door]:
        """Open the doors once a canary has gone to the broker and back; return them as they are, TCP first.

        Raises:
            SettingError: a TCP door can not be bound.
        """
        self._broker.start()
        self._tick()
        config, doors = self._config, list[Door]()
        if config.inherited is None:
            doors = [await self.tcp.open(door) for door in config.tcp]
        await self._healthy.wait()
        if config.inherited is not None:
            # Others hold these open already: who comes waits, and is not told that we are not ready.
            doors = [await self.tcp.open(*both) for both in zip(config.tcp, config.inherited.tcp, strict=True)]
        for server in self.udp:
            server.start()
        return doors

    async def stop(self) -> None:
        """Take nothing new, hand over what was accepted, and close."""
        await self.tcp.close(CLOSE_GRACE_S)
        for server in self.udp:
            server.stop_receiving()
        deadline = monotonic() + DRAIN_S
        while len(self.link.publisher) and self.link.is_alive(monotonic()) and monotonic() < deadline:
            self.settle()
            await asyncio.sleep(0.01)
        self.core.reports.report()
        self.link.notify(backbone.Bye())
        self.settle()
        for timer in (self._flush_timer, self._tick_timer, self._report_timer):
            if timer is not None:
                timer.cancel()
        self._broker.close()
        for server in self.udp:
            server.close()

    # --- what the core decides, carried out at once (gateway.chat.outbound.Outbound) --------------------------------

    def fan_out(self, listener: int, recipients: Recipients, payload: bytes, skip: int) -> None:
        """See `Outbound`."""
        self.counters.deliveries += len(recipients) - (skip >= 0)
        self.udp[listener].fan_out(recipients, payload, skip)

    def send(self, listener: int, address: bytes, payload: bytes) -> None:
        """See `Outbound`."""
        self.counters.deliveries += 1
        self.udp[listener].send_to(address, payload)

    def subscribe(self, topic: bytes) -> None:
        """See `Outbound`."""
        self._broker.subscribe(topic)

    def unsubscribe(self, topic: bytes) -> None:
        """See `Outbound`."""
        self._broker.unsubscribe(topic)

    def block_flooders(self, program: Sequence[bytes]) -> None:
        """See `Outbound`."""
        for server in self.udp:
            server.filter(program)

    def log_flood(self, member: Member, seconds: float) -> None:
        """See `Outbound`."""
        ip = sockaddr.unpack(member.address)[0] if member.address else ""
        logger.warning("a member floods", name=member.name, room=member.room.name, ip=ip, silenced_s=round(seconds))

    # --- what happens ----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Send the broker what there is for it, now or with company in a moment."""
        link, now = self.link, monotonic()
        wait_s = self._published_at + link.publisher.gather_s - now
        if not link.publisher.waiting or wait_s > 0:
            self._broker.send(link.frames(now, publish=False))
            if link.publisher.waiting and self._flush_timer is None:
                self._flush_timer = self._loop.call_later(wait_s, self._flush)
        else:
            self._publish(now)

    def _flush(self) -> None:
        self._flush_timer = None
        try:
            taken = sum(server.receive() for server in self.udp) if self._resting else 0
        except Exception:
            # A fault of ours costs what it met, not the doors: without a next time nothing would be read any more.
            self._wake_doors()
            raise
        self._publish(monotonic())
        if taken:
            self._flush_timer = self._loop.call_later(self.link.publisher.gather_s, self._flush)
        elif self._resting:
            self._wake_doors()

    def _wake_doors(self) -> None:
        self._resting = False
        for server in self.udp:
            server.start()

    def _publish(self, now: float) -> None:
        self._published_at = now
        self._broker.send(self.link.frames(now))

    def _on_datagrams(self, door: int, datagrams: list[tuple[bytes, bytes]]) -> None:
        self.core.handle_datagrams(door, datagrams, monotonic())

    def _on_drained(self) -> None:
        self.settle()
        if self._flush_timer is not None and not self._resting:
            # What comes now could not go before the next flush: to be woken for each would be the most of its cost.
            self._resting = True
            for server in self.udp:
                server.rest()

    def _on_news(self, frames: list[bytes]) -> None:
        now = monotonic()
        for frame in frames:
            self.core.handle_news(frame, now)
        self.settle()
        if self._report_timer is None:
            self._report_timer = self._loop.call_later(REPORT_FEW_S, self._report)
        if not self._healthy.is_set() and not self.link.canary.unhealthy_reason(now):
            self._healthy.set()

    def _on_answers(self, frames: list[bytes]) -> None:
        now = monotonic()
        for frame in frames:
            self.core.handle_answer(frame, now)
        self.settle()

    def _report(self) -> None:
        self._report_timer = None
        self.core.reports.report_if_due(monotonic())
        self.settle()

    def _tick(self) -> None:
        self.checked_at = monotonic()
        self._tick_timer = self._loop.call_later(CANARY_S, self._tick)
        self.core.tick(self.checked_at)
        self.tcp.look()
        self._publish(self.checked_at)
        self._tell_illness()

    def _tell_illness(self) -> None:
        """Write a line when health turns red, and one when it is green again."""
        is_starting = not self._healthy.is_set() and self.checked_at < self._begun_at + HEALTHY_S
        illness = "" if is_starting else self.link.canary.unhealthy_reason(self.checked_at)
        self._log_connect_error(bool(illness))
        if bool(illness) != bool(self._illness_told):
            if illness:
                logger.warning("ill", why=illness, unaccepted=len(self.link.publisher))
            else:
                logger.info("healthy again", unaccepted=len(self.link.publisher))
            self._illness_told = illness

    def _log_connect_error(self, is_ill: bool) -> None:
        """Write a line when it is known why the broker can not be reached, once each time that it is away."""
        error = self.connect_error if is_ill else ""
        if not is_ill:
            self._connect_errors_logged.clear()
        elif error and error not in self._connect_errors_logged:
            self._connect_errors_logged.add(error)
            logger.warning("the broker can not be reached", why=error)
