"""Members of rooms of commands: the SDK itself, through the run's relays; `command_rules` judges what they saw."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, cast

import tsudoi
from tests.chaos.command_plan import CommandMember, Step
from tests.chaos.sealed_clients import ENTER_S, PATIENT
from tsudoi.net.sealed_chat import SealedChat

if TYPE_CHECKING:
    from tests.chaos.command_rooms import CommandRooms

PASSWORD = "open sesame"
"""With which members lock their rooms, and enter all."""


@dataclass(slots=True)
class Asked:
    """A command, and what became of it."""

    kind: str
    """As in the plan."""
    about: str
    """The name that it is about; empty: none."""
    tag: str
    """What its entry in the log has, and no other one."""
    since: int = 0
    """The client's offset when it was given."""
    outcome: str = ""
    """`done`, `refused`, `no answer`, `cancelled`, `over` (no member any more), or an error that must not be."""
    code: str = ""
    """Why it was refused."""
    value: list[str] = field(default_factory=list)
    """What it returned."""
    ended_at: float = 0.0


@dataclass(slots=True)
class Stay:
    """One membership, as its client saw it."""

    member: int
    """Its number in messages."""
    said: dict[int, str] = field(default_factory=dict)
    """Number of a line → its text."""
    kept: dict[int, int | None] = field(default_factory=dict)
    """Number of a line that the client takes for kept → position."""
    refused: list[int] = field(default_factory=list)
    """Numbers of lines that the client takes for not said."""
    asked: list[Asked] = field(default_factory=list)
    heard: list[list[str]] = field(default_factory=list)
    """The events with a place in the room's order, each as `row_of` returns it."""
    heard_at: list[float] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """Gaps and the like."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Of the gaps the first and the last offset."""
    notes: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    """The last event: its class, its text, and whether it tells of a ban."""
    has_left: bool = False


def row_of(event: tsudoi.Event) -> list[str]:
    """Return an event as texts: its class, offset and other values, but not what the server writes for a person."""
    keeps_text = isinstance(event, tsudoi.Message | tsudoi.Emote | tsudoi.Private)
    names = [each.name for each in fields(event) if each.name != "offset" and (each.name != "text" or keeps_text)]
    return [type(event).__name__, *(str(getattr(event, name)) for name in ("offset", *names))]


class CommandClient:
    """One client, with one membership after the other."""

    def __init__(self, plan: CommandMember, stays: list[Stay], rooms: "CommandRooms") -> None:
        self.plan = plan
        self.chat: SealedChat | None = None
        self.is_host = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._stays, self._rooms = stays, rooms
        self._gateway = plan.gateway
        self._is_entering = self._is_away = False
        self._tags = 0
        self._index: list[int] = []
        self._hearing: set[asyncio.Task[None]] = set()

    @property
    def is_in(self) -> bool:
        return self.chat is not None and not self.chat.closed

    @property
    def position(self) -> tuple[int, int]:
        assert self.chat is not None
        return self.chat.position

    @property
    def waiting(self) -> int:
        return 0 if self.chat is None else self.chat.waiting

    @property
    def name(self) -> str:
        """The name that it has, or would ask for."""
        return self.chat.name if self.chat is not None and not self.chat.closed else self.plan.name

    def close(self) -> None:
        """End without a word."""
        for task in self.tasks:
            task.cancel()
        if self.chat is not None:
            self.chat._end()  # so `_hear` ends, too

    def take(self, step: Step) -> None:
        """Begin a step."""
        if step.kind == "enter":
            self._start(self._enter())
        elif (chat := self.chat) is not None and not chat.closed:
            self._take_inside(step, chat, self._stays[-1])

    def wake(self) -> None:
        """Be no longer away, and resume as after a ping that had no answer."""
        if self.chat is not None and not self.chat.closed:
            self._is_away = self.chat._is_silent = False
            self.chat._woken()

    def mark(self) -> tsudoi.Line:
        """Say something; only inside."""
        assert self.chat is not None
        return self._say(self.chat, self._stays[-1])

    def _say(self, chat: SealedChat, stay: Stay) -> tsudoi.Line:
        line = chat.post(self._new_tag())
        stay.said[line.number] = line.text
        self._start(self._settle(line, stay))
        return line

    def _start(self, work: Coroutine[None, None, None], among: set[asyncio.Task[None]] | None = None) -> None:
        tasks = self.tasks if among is None else among

        def over(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            if not task.cancelled() and (exc := task.exception()) is not None:
                self._rooms.complaints.append(f"member {self.plan.id} of the run itself failed: {exc!r}")

        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(over)

    def _take_inside(self, step: Step, chat: SealedChat, stay: Stay) -> None:
        match step.kind:
            case "say":
                self._say(chat, stay)
            case "leave" | "say and leave":
                for _ in range(3 if step.kind == "say and leave" else 0):
                    self._say(chat, stay)
                stay.has_left = True
                self._start(chat.leave())
            case "away":
                self._start(self._be_away(chat, step.lasts))
            case "rebind":
                self._start(self._rebind(chat))
            case "move":
                self._gateway = step.other
                if self._index:
                    chat.go_to(self._index[step.other])
            case _:
                self._command(step, chat, stay)

    # --- commands ---

    def _command(self, step: Step, chat: SealedChat, stay: Stay) -> None:
        tag, name = self._new_tag(), self._rooms.clients[step.other].name if step.kind != "history" else ""
        minutes = self._tags
        if minutes % 7 == 0:
            name = f"nobody{self.plan.id}.{minutes}"
        call: Awaitable[Any]
        about, text = "", (tag, f"  {tag}", f"{tag} \t", f"\a{tag}")[minutes % 4]
        match step.kind:
            case "me":
                call = chat.me(text)
            case "msg":
                call, about = chat.msg(name, text), name
            case "reply":
                call = chat.reply(text)
            case "nick":
                about = tag = name if minutes % 5 == 0 else f"n{self.plan.id}.{minutes}"
                call = chat.nick(tag)
            case "set topic":
                tag = "" if minutes % 5 == 0 else tag
                call = chat.set_topic(text if tag else "")
            case "kick":
                call, about = chat.kick(name, text), name
            case "ban":
                call, about, tag = chat.ban(name, minutes), name, str(minutes)
            case "unban":
                call, about = chat.unban(name), name
            case "mute":
                call, about, tag = chat.mute(name, minutes), name, str(minutes)
            case "unmute":
                call, about = chat.unmute(name), name
            case "hand over":
                call, about = chat.hand_over(name), name
            case "lock" | "unlock":
                call = chat.set_password(PASSWORD if step.kind == "lock" else "")
            case "close":
                call = chat.close_room()
            case "history":
                call, tag = chat.history(step.other), str(step.other)
            case "who" | "rooms" | "bans" | "help" | "topic":
                call = getattr(chat, step.kind)()
            case _:
                raise ValueError(step.kind)
        self._start(_carry_out(Asked(step.kind, about, tag), call, step.lasts, chat, stay))

    def _new_tag(self) -> str:
        self._tags += 1
        return f"<{self.plan.id}.{self._tags}>"

    async def _settle(self, line: tsudoi.Line, stay: Stay) -> None:
        try:
            stay.kept[line.number] = await line.kept()
        except tsudoi.LineRefused:
            stay.refused.append(line.number)
        except tsudoi.NotInRoom:
            if line.state == "refused":
                stay.refused.append(line.number)

    # --- the way to the server ---

    async def _enter(self) -> None:
        if self.is_in or self._is_entering or (server := self._rooms.server_of(self._gateway)) is None:
            return
        self._is_entering = True
        try:
            await self._enter_at(server)
        except (tsudoi.ClientError, TimeoutError):
            pass
        finally:
            self._is_entering = False

    async def _enter_at(self, server: tsudoi.Server) -> None:
        async with asyncio.timeout(ENTER_S):
            chat, has_created = await self._join_or_create(server)
        chat._answer_timeout_s = self.plan.answer_timeout_s
        stay = Stay(chat._core._member)
        self._stays.append(stay)
        self.chat, self.is_host, self._is_away, self._index = chat, has_created, False, []
        self._start(self._hear(chat, stay), self._hearing)
        chat._sockets._received = self._unless_away(chat._sockets._received)
        chat._tcp._received = self._unless_away(chat._tcp._received)
        self._note_sockets(chat)
        self._index = [await chat.add_gateway(each) for each in self._rooms.servers]

    async def _join_or_create(self, server: tsudoi.Server) -> tuple[SealedChat, bool]:
        room, name, settings = self.plan.room_name, self.plan.name, replace(PATIENT, flush_s=self.plan.flush_s)
        while True:
            with contextlib.suppress(tsudoi.RoomNotFound):
                chat = await tsudoi.join(room, name=name, server=server, settings=settings, password=PASSWORD)
                return cast(SealedChat, chat), False
            with contextlib.suppress(tsudoi.RoomExists):
                chat = await tsudoi.create(room, name=name, server=server, settings=settings)
                return cast(SealedChat, chat), True

    def _unless_away(self, received: Callable[[bytes, int], None]) -> Callable[[bytes, int], None]:
        def take(data: bytes, way: int) -> None:
            if not self._is_away:
                received(data, way)

        return take

    async def _be_away(self, chat: SealedChat, lasts: float) -> None:
        """Neither send nor receive, as where there is no network; the client does not know."""
        self._is_away = chat._is_silent = True
        await asyncio.sleep(lasts)
        if self.chat is chat:
            self._is_away = False
        chat._is_silent = False

    async def _rebind(self, chat: SealedChat) -> None:
        await chat._sockets._open()
        self._note_sockets(chat)

    def _note_sockets(self, chat: SealedChat) -> None:
        for transport in chat._sockets._transports.values():
            if not transport.is_closing():  # a member may have been removed before this comes to know it
                self._rooms.addresses.add(("127.0.0.1", transport.get_extra_info("sockname")[1]))

    async def _hear(self, chat: SealedChat, stay: Stay) -> None:
        async for event in chat:
            match event:
                case tsudoi.RoomClosed(text) | tsudoi.TimedOut(text) | tsudoi.Kicked(text):
                    stay.ended = [type(event).__name__, text, str(getattr(event, "banned", False))]
                case tsudoi.Gap() | tsudoi.Reset() | tsudoi.Rejoined():
                    stay.odd.append(f"{time.time():.3f} {event!r}")
                    if isinstance(event, tsudoi.Gap):
                        stay.gaps.append((event.first, event.last))
                case tsudoi.ServerAway() | tsudoi.ServerBack() | tsudoi.Rerouted():
                    stay.notes.append(f"{time.time():.3f} {type(event).__name__}")
                case tsudoi.HostChanged(name):
                    self.is_host = name == chat.name
            if getattr(event, "offset", None) is not None:
                stay.heard.append(row_of(event))
                stay.heard_at.append(time.time())


async def _carry_out(asked: Asked, call: Awaitable[Any], patience_s: float, chat: SealedChat, stay: Stay) -> None:
    asked.since = chat.position[1]
    stay.asked.append(asked)
    try:
        async with asyncio.timeout(patience_s or None):
            value = await call
        asked.outcome = "done"
        if asked.kind == "history":
            asked.value = [f"{row.offset} {row.sender}: {row.text}" for row in value]
        elif asked.kind in ("who", "topic"):
            asked.value = [value] if asked.kind == "topic" else [row.name for row in value]
    except TimeoutError:
        asked.outcome = "cancelled"
    except tsudoi.CommandRefused as exc:
        asked.outcome, asked.code = "refused", exc.code
    except tsudoi.NoAnswer:
        asked.outcome = "no answer"
    except tsudoi.NotInRoom:
        asked.outcome = "over"
    except Exception as exc:
        asked.outcome = repr(exc)
    asked.ended_at = time.time()
