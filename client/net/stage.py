"""Acts a story out: people are SDK clients, servers are processes of this machine or run somewhere already."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from client.net.processes import ProcessTrouble, Site, Town
from client.net.stranger import Stranger, random_datagrams
from client.scenario import expect, steps
from client.scenario.expect import Failed, Fulfilled, Pending, Verdict
from client.scenario.story import Scene, Story
from tsudoi import errors
from tsudoi.events import LAST, Event, Message, ServerAway
from tsudoi.net.chat import ChatClient, create, join, rooms
from tsudoi.protocol.client.dialects import DIALECTS, TCRP, TCRP_200, TCRP_BARE_ACK, TCRP_NAMED, TSUDOI
from tsudoi.settings import Settings

NEED_A_DOOR = tuple(dialect.name for dialect in (TCRP, TCRP_NAMED, TCRP_200, TCRP_BARE_ACK))
"""Dialects whose first request is another's too: a door for all of them takes it for that one's."""

_REASONS: dict[str, tuple[type[errors.ClientError], ...]] = {
    "room exists": (errors.RoomExists,),
    "no such room": (errors.RoomNotFound,),
    "wrong password": (errors.WrongPassword,),
    "bad request": (errors.BadRequest, errors.InvalidName),
    "busy": (errors.Busy,),
    "unreachable": (errors.ServerUnreachable,),
    "no answer": (errors.NoAnswer,),
    "refused": (errors.Refused,),
}
_COALESCE_S = 0.002
"""What comes in so short a time is judged together."""
_ASK_ROOMS_EVERY_S = 0.05


class StepFailed(Exception):
    """What was expected did not happen."""

    def __init__(self, expected: str, instead: str) -> None:
        super().__init__(f"expected {expected}; instead: {instead}")
        self.expected = expected
        self.instead = instead


@dataclass(frozen=True, slots=True)
class StepResult:
    scene: Scene
    seconds: float
    failure: StepFailed | None = None


@dataclass(slots=True)
class StoryResult:
    story: Story
    steps: list[StepResult] = field(default_factory=list)
    seconds: float = 0.0
    skipped: str = ""
    """Why it was not acted out."""
    problems: list[str] = field(default_factory=list)
    """What was wrong outside of steps: servers that did not start or stop."""
    logs: dict[str, list[str]] = field(default_factory=dict)
    """What local processes wrote, by their names."""

    @property
    def passed(self) -> bool:
        return not self.problems and not self.skipped and all(step.failure is None for step in self.steps)

    @property
    def failed(self) -> bool:
        return not self.passed and not self.skipped


async def act_out(
    story: Story, running: Sequence[Site] = (), on_step: Callable[[StepResult], None] = lambda result: None
) -> StoryResult:
    """Act a story out, up to the first step that fails.

    Args:
        running: servers that run already, in the order of the story's; none: start processes.
    """
    loop = asyncio.get_running_loop()
    result = StoryResult(story)
    began = loop.time()
    result.skipped = _why_not(story, running)
    if not result.skipped:
        try:
            await _act_out(story, running, result, on_step)
        except ProcessTrouble as exc:
            result.problems.append(str(exc))
    result.seconds = loop.time() - began
    return result


def _why_not(story: Story, running: Sequence[Site]) -> str:
    if not running:
        return ""
    if story.needs_local:
        return "needs local processes: run it without --server"
    lacking = [dialect for dialect in story.dialects if dialect in NEED_A_DOOR and dialect not in running[0].doors]
    return f"needs a door of their own for {', '.join(lacking)}: --door DIALECT=PORT" if lacking else ""


async def _act_out(
    story: Story, running: Sequence[Site], result: StoryResult, on_step: Callable[[StepResult], None]
) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        town: Town | None = None
        if running:
            # With fewer servers than the story has, the last one plays the rest.
            given = [*running, *[running[-1]] * len(story.servers)]
            sites = dict(zip(story.servers, given, strict=False))
        else:
            own_doors = [dialect for dialect in story.dialects if story.own_doors and dialect != TSUDOI.name]
            town = Town(story.broker, story.servers, own_doors)
            stack.push_async_callback(_note_the_end, town, result)
            await stack.enter_async_context(town)
            sites = town.sites
        stage = Stage(story, sites, town)
        stack.push_async_callback(stage.close)
        for scene in story.scenes:
            at = loop.time()
            failure = None
            try:
                await stage.play(scene.step)
            except StepFailed as exc:
                failure = exc
            except (ProcessTrouble, errors.ClientError) as exc:
                failure = StepFailed("this to be possible", str(exc))
            step = StepResult(scene, loop.time() - at, failure)
            result.steps.append(step)
            on_step(step)
            if failure is not None:
                break


async def _note_the_end(town: Town, result: StoryResult) -> None:
    for process in town.processes:
        result.logs[process.name] = list(process.log)
        if process.problem is not None:
            result.problems.append(process.problem)


class Actor:
    """One person of the story, while in a room."""

    def __init__(self, name: str, chat: ChatClient, silent: bool, news: asyncio.Event) -> None:
        self.name = name
        self.chat = chat
        self.silent = silent
        self.heard: list[Event] = []
        self.read = 0
        self.told: list[Event] = []
        """What the server tells, and what is said in private; stories expect it apart, as it may come at any time."""
        self.told_read = 0
        self._news = news
        self._listening = asyncio.create_task(self._listen(), name=f"{name} listens")

    async def _listen(self) -> None:
        async for event in self.chat:
            # That a server is away is what a story may be about; nobody said it.
            if isinstance(event, ServerAway):
                continue
            (self.heard if isinstance(event, (Message, *LAST)) else self.told).append(event)
            self._news.set()

    @property
    def unread(self) -> list[Event]:
        return self.heard[self.read :]

    @property
    def echo_of(self) -> str | None:
        return self.chat.name if self.chat.dialect.echo else None

    async def close(self, polite: bool) -> None:
        await (self.chat.leave() if polite else self.chat.vanish())
        # The iteration ends with the room; what was under way is still taken.
        await self._listening


class Stage:
    """Where one story is acted out."""

    def __init__(self, story: Story, sites: dict[str, Site], town: Town | None) -> None:
        self._story = story
        self._sites = sites
        self._town = town
        self._actors: dict[str, Actor] = {}
        self._lines_said: dict[str, int] = {}
        self._spoke_last: tuple[str, ...] = ()
        self._stranger = Stranger()
        self._news = asyncio.Event()
        # At a server that goes on running, rooms of an earlier run may still be there.
        self._mark = "" if town is not None else f"~{secrets.token_hex(2)}"

    async def close(self) -> None:
        """Let everybody leave, the latest first: so hosts are the last, and rooms close behind their guests."""
        for actor in reversed(self._actors.values()):
            await actor.close(polite=True)
        await self._stranger.close()

    async def play(self, step: steps.Step) -> None:
        """Let one step happen; raise StepFailed, ClientError or ProcessTrouble."""
        match step:
            case steps.Enter():
                for name in step.who:
                    await self._enter(name, step.place)
            case steps.CannotEnter():
                for name in step.who:
                    await self._cannot_enter(name, step)
            case steps.Say():
                await self._say(dict.fromkeys(self._names(step.who), step.texts))
            case steps.SayLines():
                await self._say({name: self._next_lines(name, step.count) for name in self._names(step.who)})
            case steps.Hear() | steps.HearLines() | steps.HearEnding():
                await self._each_hears(step)
            case steps.BeTold():
                await self._be_told(step)
            case steps.HearTheSame():
                await self._hear_the_same(step)
            case steps.HearNothing():
                await self._hear_nothing(step)
            case steps.Do():
                await self._do(step)
            case steps.Move():
                for actor in self._cast(step.who):
                    await actor.chat.move(self._site(step.to).server(actor.chat.dialect.name))
            case steps.SeeRooms():
                for name in step.who:
                    await self._see_rooms(name, step)
            case steps.Befall():
                if self._town is None:
                    raise ProcessTrouble("this needs local processes: run it without --server")
                await self._town.befall(step.what, step.fate)
            case steps.Wait():
                await asyncio.sleep(step.for_s)
            case steps.SendRaw() | steps.SendRandom() | steps.HungUp() | steps.Unanswered():
                await self._be_strange(step)

    # Who and where.

    def _names(self, who: steps.People) -> list[str]:
        if who == (steps.EVERYONE,):
            return list(self._actors)
        if who == (steps.EVERYONE_ELSE,):
            return [name for name in self._actors if name not in self._spoke_last]
        return list(who)

    def _cast(self, who: steps.People) -> list[Actor]:
        names = self._names(who)
        for name in names:
            if name not in self._actors:
                raise StepFailed(f"{name} to be in a room", f"{name} is in none")
        return [self._actors[name] for name in names]

    def _site(self, server: str | None) -> Site:
        return self._sites[server if server is not None else next(iter(self._story.servers))]

    def _room(self, name: str) -> str:
        return name + self._mark

    def _shown_name(self, name: str) -> str:
        """Return the name that others see; what is nobody's in the story is that name already."""
        if name in self._actors:
            return self._actors[name].chat.name
        return self._story.person(name).user or name

    def _patience(self, within_s: float | None) -> float:
        return self._story.patience_s if within_s is None else within_s

    # Coming and going.

    async def _enter(self, name: str, place: steps.HostPort) -> None:
        if name in self._actors:
            if not self._actors[name].chat.closed:
                raise StepFailed(f"{name} to be free to enter a room", f"{name} is in one already")
            await self._actors.pop(name).close(polite=False)
        chat = await self._chat(name, place)
        self._actors[name] = Actor(name, chat, place.silently, self._news)

    async def _chat(self, name: str, place: steps.HostPort) -> ChatClient:
        person = self._story.person(name)
        dialect = place.dialect or person.dialect or self._story.dialect
        return await (create if place.create else join)(
            self._room(place.room),
            name=place.user or person.user or name,
            server=self._site(place.at or person.at).server(dialect),
            dialect=dialect,
            password=place.password or person.password,
            settings=Settings(
                keep_alive_s=0 if place.silently else self._story.keep_alive_s, register_at_once=not place.silently
            ),
        )

    async def _cannot_enter(self, name: str, step: steps.CannotEnter) -> None:
        try:
            chat = await self._chat(name, step.place)
        except errors.ClientError as exc:
            if isinstance(exc, _REASONS[step.reason]):
                return
            raise StepFailed(step.reason, str(exc)) from exc
        await chat.leave()
        raise StepFailed(step.reason, f"{name} was let in")

    async def _do(self, step: steps.Do) -> None:
        for actor in self._cast(step.who):
            match step.act:
                case steps.Act.FALL_SILENT:
                    actor.chat.rest()
                case act:
                    del self._actors[actor.name]
                    await actor.close(polite=act is steps.Act.LEAVE)

    async def _see_rooms(self, name: str, step: steps.SeeRooms) -> None:
        """Ask until it is so: a room's end takes its way through the log."""
        person = self._story.person(name)
        dialect = person.dialect or self._story.dialect
        profile = DIALECTS[dialect]
        if not profile.lists_rooms and not profile.join_lists_rooms:
            dialect = TSUDOI.name
        server = self._site(person.at).server(dialect)
        wanted = {self._room(room) for room in step.rooms}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience(step.within_s)
        while True:
            seen = await rooms(server=server, dialect=dialect)
            if wanted <= set(seen) if step.there else wanted.isdisjoint(seen):
                return
            if loop.time() > deadline:
                listed = ", ".join(step.rooms)
                raise StepFailed(listed if step.there else f"no {listed}", expect.shorten(seen))
            await asyncio.sleep(_ASK_ROOMS_EVERY_S)

    # Speaking and hearing.

    def _next_lines(self, name: str, count: int) -> list[str]:
        first = self._lines_said.get(name, 0) + 1
        self._lines_said[name] = first + count - 1
        return [expect.numbered(number) for number in range(first, first + count)]

    async def _say(self, texts: dict[str, Sequence[str]]) -> None:
        actors = self._cast(tuple(texts))
        self._spoke_last = tuple(texts)

        async def speak(actor: Actor) -> None:
            for text in texts[actor.name]:
                await actor.chat.say(text)

        await asyncio.gather(*(speak(actor) for actor in actors))

    async def _each_hears(self, step: steps.Hear | steps.HearLines | steps.HearEnding) -> None:
        within_s = self._patience(step.within_s)

        def judge(actor: Actor) -> Verdict:
            if isinstance(step, steps.HearEnding):
                return expect.hear_ending(step.ending, actor.echo_of, actor.unread)
            in_any_order = isinstance(step, steps.Hear) and step.in_any_order
            return expect.hear(lines, in_any_order, actor.echo_of, actor.unread)

        lines = [] if isinstance(step, steps.HearEnding) else self._expected(step)
        expected = (
            step.ending.value
            if isinstance(step, steps.HearEnding)
            else expect.shorten([expect.show_line(line) for line in lines])
        )
        actors = self._cast(step.who)
        for actor, verdict in zip(actors, await self._wait([*actors], judge, within_s), strict=True):
            if not isinstance(verdict, Fulfilled):
                raise StepFailed(f"{actor.name}: {expected}", _instead(actor, verdict, within_s))
            actor.read += verdict.read

    def _expected(self, step: steps.Hear | steps.HearLines) -> list[steps.Line]:
        if isinstance(step, steps.Hear):
            return [
                steps.Line(None if line.sender is None else self._shown_name(line.sender), line.text)
                for line in step.lines
            ]
        last = self._lines_said.get(step.sender, 0)
        shown = self._shown_name(step.sender)
        return [steps.Line(shown, expect.numbered(number)) for number in range(last - step.count + 1, last + 1)]

    async def _be_told(self, step: steps.BeTold) -> None:
        actors, within_s = self._cast(step.who), self._patience(step.within_s)

        def judge(actor: Actor) -> Verdict:
            return expect.be_told(step.texts, actor.told[actor.told_read :])

        for actor, verdict in zip(actors, await self._wait(actors, judge, within_s), strict=True):
            if not isinstance(verdict, Fulfilled):
                told = expect.shorten([expect.show(event) for event in actor.told[actor.told_read :]])
                raise StepFailed(f"{actor.name} to be told {expect.shorten(list(step.texts))}", f"told: {told}")
            actor.told_read += verdict.read

    async def _hear_the_same(self, step: steps.HearTheSame) -> None:
        actors = self._cast(step.who)
        within_s = self._patience(step.within_s)

        def judge(actor: Actor) -> Verdict:
            return expect.hear_the_same(step.count, [actor.unread for actor in actors])

        verdict = (await self._wait(actors[:1], judge, within_s))[0]
        if isinstance(verdict, Fulfilled):
            for actor in actors:
                actor.read += step.count
            return
        counts = ", ".join(f"{actor.name} {len(actor.unread)}" for actor in actors)
        instead = verdict.instead if isinstance(verdict, Failed) else f"heard within {within_s:g} s: {counts}"
        raise StepFailed(f"{step.count} messages in one order", instead)

    async def _hear_nothing(self, step: steps.HearNothing) -> None:
        actors = self._cast(step.who)

        def judge(actor: Actor) -> Verdict:
            return expect.hear_nothing(actor.echo_of, actor.unread)

        for actor, verdict in zip(actors, await self._wait(actors, judge, step.for_s), strict=True):
            if isinstance(verdict, Failed):
                raise StepFailed(f"{actor.name}: nothing", verdict.instead)

    async def _wait(self, actors: Sequence[Actor], judge: Callable[[Actor], Verdict], within_s: float) -> list[Verdict]:
        """Judge again whenever something came, until nothing is pending, something has failed, or time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while True:
            self._news.clear()
            verdicts = [judge(actor) for actor in actors]
            left = deadline - loop.time()
            is_over = left <= 0 or any(isinstance(verdict, Failed) for verdict in verdicts)
            if is_over or not any(isinstance(verdict, Pending) for verdict in verdicts):
                return verdicts
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
                    await asyncio.sleep(_COALESCE_S)
            except TimeoutError:
                pass

    # Strangers.

    async def _be_strange(self, step: steps.SendRaw | steps.SendRandom | steps.HungUp | steps.Unanswered) -> None:
        match step:
            case steps.SendRaw(steps.Wire.TCP, data, to):
                await self._stranger.send_tcp(self._site(to).server(TSUDOI.name), data)
            case steps.SendRaw(_, data, to):
                await self._stranger.send_udp(self._site(to).server(TSUDOI.name), iter([data]))
            case steps.SendRandom(count, seed, to):
                await self._stranger.send_udp(self._site(to).server(TSUDOI.name), random_datagrams(count, seed))
            case steps.HungUp(within_s):
                patience_s = self._patience(within_s)
                if not await self._stranger.hung_up(patience_s):
                    raise StepFailed("an end of the connection", f"it is still open after {patience_s:g} s")
            case steps.Unanswered(for_s):
                await asyncio.sleep(for_s)
                if self._stranger.answers:
                    raise StepFailed("no datagram", f"{self._stranger.answers} came back")


def _instead(actor: Actor, verdict: Verdict, within_s: float) -> str:
    if isinstance(verdict, Failed):
        return verdict.instead
    return f"{expect.shorten([expect.show(event) for event in actor.unread])}, and no more within {within_s:g} s"
