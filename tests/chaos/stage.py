"""Carries a plan out with real processes, waits until all is well again, and returns what was written down."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.chaos.crowd import KINDS, Voice, key_of, text_of
from tests.chaos.history import Heard, History, Knock, Outage, Person, Sent, read_log
from tests.chaos.plan import Action, Plan
from tests.chaos.relay import BackboneRelay, UdpRelay
from tests.support.legacy.wire import Address, Door
from tests.support.ports import steady_port
from tests.support.services import Broker, Service

QUIET_S = 12.0
"""How long the end may take: everything alive again, and a marker heard by everyone."""
MARK_AGAIN_S = 1.5
LINGER_S = 0.6
"""After the last marker: for what must not come any more."""
OPENS_S = 2.0

Started = TypeVar("Started", bound=Service)
Recorder = Callable[[History, Heard], None]
"""Writes down what was heard."""


def record(history: History, heard: Heard) -> None:
    """Write it down as it is."""
    history.heard.append(heard)


class PinnedGateway(Service):
    """A gateway whose ports stay the same when it is started again."""

    def __init__(self, name: str, broker: tuple[str, ...], dialects: list[str], pinned: list[Address]) -> None:
        ports = [port for _, port in pinned] or [steady_port() for _ in range(len(dialects) + 1)]
        # Whoever comes and goes is in the log; the checker reads it there, and expects of datagrams only what was said.
        arguments = [*broker, "--backlog", "10000", "--notices", "off"]
        if name:
            arguments += ["--name", name]
        for dialect, port in zip(dialects, ports, strict=False):
            arguments += ["--tcp", f"127.0.0.1:{port}={dialect}"]
        super().__init__("gateway", (*arguments, "--udp", f"127.0.0.1:{ports[-1]}"))
        words = self.ready.split()[2::2]
        self.addresses: list[Address] = [(word.rpartition(":")[0], int(word.rpartition(":")[2])) for word in words]


class Stage:
    """One run."""

    def __init__(self, plan: Plan, directory: Path, recorder: Recorder = record) -> None:
        self.plan = plan
        self.history = History(plan.seed, plan.names, plan.udp is not None)
        self._store = directory / ("tsudoi.sqlite" if plan.is_single else "chaos.sqlite")
        self._settings = directory / "tsudoi.toml"
        self._recorder = recorder
        self._dialects = sorted({client.dialect for client in plan.clients})
        self._broker: Broker | None = None
        self._endpoint = f"ipc://{directory}/broker" if plan.is_local else f"tcp://127.0.0.1:{steady_port(2)}"
        self._gateways: list[PinnedGateway | None] = [None] * len(plan.names)
        self._pins: list[list[Address]] = [[] for _ in plan.names]
        paths = [directory / f"link{number}" if plan.is_local else None for number in range(len(plan.names))]
        self._links = [BackboneRelay(path) for path in paths]
        self._relays: list[UdpRelay] = []
        self._voices: dict[int, Voice] = {}
        self._by_address: dict[Address, int] = {}
        self._door_of: dict[Address, int] = {}
        self._keys: dict[tuple[int, int], Sent] = {}
        self._marks: dict[tuple[int, int], set[int]] = {}
        """Marker → who has heard it."""
        self._open_outages: dict[str, Outage] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: set[asyncio.Future[Service]] = set()
        self._services: list[Service] = []
        """All that were ever started, to be ended and looked at."""
        self.counts: dict[str, int] = {}
        """Fault → how often it was carried out."""

    async def run(self) -> History:
        """Do it all; processes are gone when it returns."""
        try:
            await self._open()
            await self._act()
            await self._quiesce()
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            raise
        finally:
            await self._close()
        self.history.log = read_log(self._store)
        return self.history

    # --- before ---------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        if self.plan.is_single:
            self._settings.write_text("[broker]\nlog-entries = 1000000\n")
        else:
            await self._start_broker()
            for link in self._links:
                await link.start(self._endpoint)
        await asyncio.gather(*(self._start_gateway(number) for number in range(len(self._gateways))))
        udp = [pins[-1] for pins in self._pins]
        self._door_of = {address: number for number, address in enumerate(udp)}
        if self.plan.udp is not None:
            for number, door in enumerate(udp):
                self._relays.append(self._new_relay(number, door))
        for plan in self.plan.clients:
            on_up = None if self._relays else self._note_up
            room = self.plan.room_name(plan.room)
            self._voices[plan.id] = Voice(plan, room, on_up, self._note_heard, self._note_socket)
        early = [voice for voice in self._voices.values() if voice.plan.enters_at == 0]
        await asyncio.gather(*(self._enter(voice) for voice in early if voice.plan.host))
        await asyncio.gather(*(self._enter(voice) for voice in early if not voice.plan.host))
        missing = [voice.plan.id for voice in early if not voice.is_in]
        if missing:
            raise AssertionError(f"seed {self.plan.seed}: clients {missing} could not enter before anything happened")

    def _new_relay(self, gateway: int, door: Address) -> UdpRelay:
        assert self.plan.udp is not None

        def up(at: float, raw: bytes, source: Address) -> None:
            self._note_up(at, self._by_address[source], gateway, raw)

        def down(at: float, raw: bytes, client: Address, source: Address, address: Address) -> None:
            self._note(Heard(at, self._by_address[client], self._door_of.get(source, -1), raw, address[1]))

        return UdpRelay(door, self.plan.udp, f"relay {self.plan.seed} {gateway}", up, down)

    async def _start_broker(self) -> None:
        limits = ("--log-entries", "1000000", "--log-level", "warning")
        self._broker = await self._start(lambda: Broker(self._store, *limits, bind=self._endpoint))
        self._endpoint = self._broker.endpoint

    async def _start_gateway(self, number: int) -> None:
        broker: tuple[str, ...] = ("--broker", self._links[number].endpoint)
        if self.plan.is_single:
            broker = ("--data", str(self._store.parent), "--config", str(self._settings))
        name, pins = self.plan.names[number], self._pins[number]
        gateway = await self._start(lambda: PinnedGateway(name, broker, self._dialects, pins))
        self._gateways[number], self._pins[number] = gateway, gateway.addresses

    async def _start(self, new: Callable[[], Started]) -> Started:
        """Start a process. If nobody waits for it any more, as the run was ended, it is ended with the others."""

        def start() -> Started:
            service = new()
            self._services.append(service)
            return service

        starting = asyncio.ensure_future(asyncio.to_thread(start))
        self._starting.add(starting)  # type: ignore[arg-type]
        return await asyncio.shield(starting)

    async def _enter(self, voice: Voice) -> None:
        gateway = voice.gateway
        if self._gateways[gateway] is None:
            return
        tcp = self._pins[gateway][self._dialects.index(voice.plan.dialect)]
        udp = [relay.address for relay in self._relays] or [pins[-1] for pins in self._pins]
        kind = KINDS[voice.plan.dialect]
        if await voice.enter(Door(tcp, udp[gateway]), udp):
            self.history.people[voice.plan.id] = Person(
                voice.plan.id, voice.plan.name, voice.plan.dialect, voice.room, gateway, kind.echoes, time.time()
            )

    # --- what is written down -------------------------------------------------------------------------------------

    def _note_up(self, at: float, client: int, gateway: int, raw: bytes) -> None:
        self.history.knocks.append(Knock(at, client, gateway))
        key = key_of(raw)
        if key is None:
            return
        if key in self._keys:
            self._keys[key].copies += 1
            return
        sent = self._keys[key] = Sent(at, client, text_of(*key), gateway)
        self.history.sent.append(sent)

    def _note_heard(self, at: float, client: int, raw: bytes, source: Address, port: int) -> None:
        if not self._relays and source in self._door_of:
            # Ports are used again: a datagram may be for another program that was there before.
            self._note(Heard(at, client, self._door_of[source], raw, port))

    def _note(self, heard: Heard) -> None:
        self._recorder(self.history, heard)
        key = key_of(heard.raw)
        if key in self._marks:
            self._marks[key].add(heard.client)

    def _note_socket(self, address: Address, client: int) -> None:
        self._by_address[address] = client

    # --- what happens ---------------------------------------------------------------------------------------------

    async def _act(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        entries = [
            Action(voice.plan.enters_at, "enter", voice.plan.id)
            for voice in self._voices.values()
            if voice.plan.enters_at > 0
        ]
        for action in sorted((*self.plan.actions, *entries), key=lambda action: action.at):
            await asyncio.sleep(max(0.0, start + action.at - loop.time()))
            task = asyncio.create_task(self._do(action))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.sleep(max(0.0, start + self.plan.lasts - loop.time()))

    async def _do(self, action: Action) -> None:
        if action.kind in ("kill", "freeze", "drain"):
            await self._do_process(action)
        elif action.kind in ("cut", "stall"):
            await self._do_link(action)
        else:
            await self._do_client(action, self._voices[action.target])

    async def _do_client(self, action: Action, voice: Voice) -> None:
        if action.kind == "enter":
            await self._enter(voice)
        elif not voice.is_in:
            pass
        elif action.kind == "say":
            voice.say()
        elif action.kind == "leave":
            voice.leave()
            self.history.leavers.add(voice.plan.id)
        elif action.kind == "rebind":
            self._count("new socket")
            voice.rebind()
            voice.say()
        elif action.kind == "move":
            self._count("other gateway")
            voice.gateway = action.other
            voice.say()
        elif action.kind == "roam":
            self._count("to and fro")
            for step in range(4):
                voice.gateway = (action.other + step) % len(self._gateways)
                voice.say()
                await asyncio.sleep(0.02 * step)

    async def _do_process(self, action: Action) -> None:
        target = "broker" if action.target < 0 else f"gateway {action.target}"
        service = self._broker if action.target < 0 else self._gateways[action.target]
        if service is None or (action.kind == "freeze" and target in self._open_outages):
            return
        self._count(f"{action.kind} {target.partition(' ')[0]}")
        outage = self._begin(action.kind, target)
        if action.kind == "freeze":
            service.freeze()
            await asyncio.sleep(action.lasts)
            service.resume()
            self._end(outage)
            return
        if action.target < 0:
            self._broker = None
        else:
            self._gateways[action.target] = None
        if action.kind == "kill":
            service.kill()
        else:
            with self._complaining():
                await asyncio.to_thread(service.stop)
        if action.lasts:
            await asyncio.sleep(action.lasts)
            await (self._start_broker() if action.target < 0 else self._start_gateway(action.target))
            self._end(outage)

    async def _do_link(self, action: Action) -> None:
        target = f"link {action.target}"
        if target in self._open_outages:
            return
        self._count(action.kind)
        outage = self._begin(action.kind, target)
        link = self._links[action.target]
        (link.cut if action.kind == "cut" else link.stall)(action.other)
        await asyncio.sleep(action.lasts)
        link.heal()
        self._end(outage)

    def _begin(self, kind: str, target: str) -> Outage:
        outage = self._open_outages[target] = Outage(kind, target, time.time())
        self.history.outages.append(outage)
        return outage

    def _end(self, outage: Outage) -> None:
        outage.end = time.time()
        if self._open_outages.get(outage.target) is outage:
            del self._open_outages[outage.target]

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except AssertionError as exc:
            self.history.complaints.append(str(exc))

    # --- after ----------------------------------------------------------------------------------------------------

    async def _quiesce(self) -> None:
        """Everything is alive again: wait until what is said now is heard by everyone."""
        if self._tasks:
            # Also those that start something again.
            await asyncio.gather(*self._tasks)
        for relay in self._relays:
            relay.faulty = False
        self._nudge()
        await asyncio.sleep(0.1)
        deadline = time.time() + QUIET_S
        missing: list[str] = []
        while time.time() < deadline:
            speakers = self._mark()
            again = min(time.time() + MARK_AGAIN_S, deadline)
            missing = self._unheard(speakers)
            while missing and time.time() < again:
                await asyncio.sleep(0.02)
                missing = self._unheard(speakers)
            if not missing:
                break
        self.history.complaints += missing
        await asyncio.sleep(LINGER_S)

    def _inside(self) -> list[Voice]:
        return [voice for voice in self._voices.values() if voice.is_in and not voice.has_left]

    def _staying(self) -> list[Voice]:
        """Those who are in rooms that nobody has asked to close."""
        closed = {voice.room for voice in self._voices.values() if voice.plan.host and voice.has_left}
        return [voice for voice in self._inside() if voice.room not in closed]

    def _nudge(self) -> None:
        """Let those send something whose gateway can not know them: a client's next datagram brings it back.

        Also where the host has said that it leaves: it may have told that to a gateway that was dead.
        """
        for voice in self._inside():
            gone = [number for number, gateway in enumerate(self._gateways) if gateway is None]
            needy = self._must_send(voice, gone)
            if voice.gateway in gone:
                if not needy:
                    continue  # it only listens, at the gateway that goes on for the one that is gone
                voice.gateway = 0
            if needy:
                voice.nudge()

    def _must_send(self, voice: Voice, gone: list[int]) -> bool:
        if self._relays:
            return True
        history, client = self.history, voice.plan.id
        knocks = [knock for knock in history.knocks if knock.client == client]
        calm = [knock for knock in knocks if not self._troubled(knock)]
        if not calm:
            return True
        since = calm[-1].at
        for number in {calm[-1].gateway, *(knock.gateway for knock in knocks if knock.at > since)}:
            name = history.names[number]
            died = any(
                outage.kind in ("kill", "drain") and outage.target == f"gateway {number}" and outage.start >= since
                for outage in history.outages
            )
            heirs = [other for other, its in enumerate(history.names) if its == name and other not in gone]
            if died and not (name and heirs):
                return True
        return False

    def _troubled(self, knock: Knock) -> bool:
        targets = ("broker", f"gateway {knock.gateway}", f"link {knock.gateway}")
        return any(
            outage.target in targets and outage.touches(knock.at - 2.0, knock.at + 1.0)
            for outage in self.history.outages
        )

    def _mark(self) -> dict[int, list[int]]:
        """Let one member of each room at each gateway say something; return room → who did."""
        speakers: dict[int, list[int]] = {}
        gone = [number for number, gateway in enumerate(self._gateways) if gateway is None]
        taken: set[tuple[int, int]] = set()
        for voice in self._staying():
            place = (voice.plan.room, voice.gateway)
            if place in taken or voice.gateway in gone:
                continue
            taken.add(place)
            self._marks[voice.plan.id, voice.said + 1] = set()
            voice.say()
            speakers.setdefault(voice.plan.room, []).append(voice.plan.id)
        return speakers

    def _unheard(self, speakers: dict[int, list[int]]) -> list[str]:
        heard: dict[int, set[int]] = {}
        for (speaker, _), by in self._marks.items():
            heard.setdefault(speaker, set()).update(by)
        return [
            f"client {voice.plan.id} ({voice.plan.dialect}, at gateway {voice.gateway}) hears nothing of client"
            f" {speaker} in {voice.room} after all is well again"
            for voice in self._staying()
            for speaker in speakers.get(voice.plan.room, ())
            if speaker != voice.plan.id and voice.plan.id not in heard.get(speaker, ())
        ]

    async def _close(self) -> None:
        # Not cancelled: one of them may be starting a process just now.
        await asyncio.gather(*self._tasks, *self._starting, return_exceptions=True)
        self.history.ended_at = time.time()
        # From here on nobody listens any more: what a stopping gateway does has a test of its own.
        for voice in self._voices.values():
            voice.close()
        for relay in self._relays:
            relay.close()
        for kind in (PinnedGateway, Broker):
            await asyncio.gather(*(self._stop(service) for service in self._services if isinstance(service, kind)))
        for link in self._links:
            await link.close()

    async def _stop(self, service: Service) -> None:
        with self._complaining():
            await asyncio.to_thread(service.__exit__, None, None, None)
