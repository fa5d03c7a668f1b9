"""Acts a story out: its people are SDK clients, its servers local processes or servers that run already."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import tsudoi
from tsudoi import ChatClient, ClientError, Settings
from tsudoi.protocol.client.dialects import DIALECTS, TCRP, TCRP_200, TCRP_BARE_ACK, TCRP_NAMED, TSUDOI

from . import expect, steps
from .actors import Actor, judged
from .cluster import Cluster, Site
from .expect import Failed, Fulfilled, Verdict
from .process import ProcessError
from .raw_sender import RawSender, random_datagrams
from .results import StepFailed, StepResult, StoryResult
from .story import Story

AMBIGUOUS = tuple(dialect.name for dialect in (TCRP, TCRP_NAMED, TCRP_200, TCRP_BARE_ACK))
"""Dialects whose first request looks like another dialect's: a listener for all dialects takes them for that one."""

_REASONS: dict[str, tuple[type[ClientError], ...]] = {
    "room exists": (tsudoi.RoomExists,),
    "no such room": (tsudoi.RoomNotFound,),
    "wrong password": (tsudoi.WrongPassword,),
    "bad request": (tsudoi.BadRequest, tsudoi.InvalidName),
    "busy": (tsudoi.Busy,),
    "unreachable": (tsudoi.ServerUnreachable,),
    "no answer": (tsudoi.NoAnswer,),
    "refused": (tsudoi.Refused,),
}
_LIST_ROOMS_EVERY_S = 0.05


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
    result.skipped = _why_skipped(story, running)
    if not result.skipped:
        try:
            await _act_out(story, running, result, on_step)
        except ProcessError as exc:
            result.problems.append(str(exc))
    result.seconds = loop.time() - began
    return result


def _why_skipped(story: Story, running: Sequence[Site]) -> str:
    if not running:
        return ""
    if story.needs_local:
        return "needs local processes: run it without --server"
    lacking = [name for name in story.dialects if name in AMBIGUOUS and name not in running[0].dialect_ports]
    return f"needs a listener of their own for {', '.join(lacking)}: --door DIALECT=PORT" if lacking else ""


async def _act_out(
    story: Story, running: Sequence[Site], result: StoryResult, on_step: Callable[[StepResult], None]
) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        cluster: Cluster | None = None
        if running:
            # With fewer servers than the story has, the last one stands for the rest.
            given = [*running, *[running[-1]] * len(story.servers)]
            sites = dict(zip(story.servers, given, strict=False))
        else:
            own = [dialect for dialect in story.dialects if story.own_doors and dialect != TSUDOI.name]
            cluster = Cluster(story.broker, story.servers, own)
            stack.push_async_callback(_end, cluster, result)
            await asyncio.to_thread(cluster.start)
            sites = cluster.sites
        runner = Runner(story, sites, cluster)
        stack.push_async_callback(runner.close)
        for scene in story.scenes:
            at = loop.time()
            failure = None
            try:
                await runner.play(scene.step)
            except StepFailed as exc:
                failure = exc
            except (ProcessError, ClientError) as exc:
                failure = StepFailed("this to be possible", str(exc))
            step = StepResult(scene, loop.time() - at, failure)
            result.steps.append(step)
            on_step(step)
            if failure is not None:
                break


async def _end(cluster: Cluster, result: StoryResult) -> None:
    await asyncio.to_thread(cluster.close)
    result.problems += cluster.problems
    result.logs = {process.name: process.stderr.text.splitlines() for process in cluster.processes}


class Runner:
    """Plays the steps of one story."""

    def __init__(self, story: Story, sites: dict[str, Site], cluster: Cluster | None) -> None:
        """Args:
        sites: by the names that the story has for its servers.
        cluster: the local processes, if the servers are such.
        """
        self._story = story
        self._sites = sites
        self._cluster = cluster
        self._actors: dict[str, Actor] = {}
        self._lines_said: dict[str, int] = {}
        self._spoke_last: tuple[str, ...] = ()
        self._stranger = RawSender()
        self._news = asyncio.Event()
        # A server that runs already may still have the rooms of an earlier run.
        self._room_suffix = "" if cluster is not None else f"~{secrets.token_hex(2)}"

    async def close(self) -> None:
        """Let all people leave, the latest first: so hosts leave last, and rooms close behind their guests."""
        for actor in reversed(self._actors.values()):
            await actor.close(polite=True)
        await self._stranger.close()

    async def play(self, step: steps.Step) -> None:
        """Play one step; raise StepFailed, ClientError or ProcessError."""
        match step:
            case steps.Enter():
                for name in step.who:
                    await self._enter(name, step.how)
            case steps.CannotEnter():
                for name in step.who:
                    await self._cannot_enter(name, step)
            case steps.Say():
                await self._say(dict.fromkeys(self._names(step.who), step.texts))
            case steps.SayLines():
                await self._say({name: self._next_lines(name, step.count) for name in self._names(step.who)})
            case steps.Hear() | steps.HearLines():
                await self._each_hears(step)
            case steps.HearEnding():
                await self._hear_ending(step)
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
                    await actor.chat.move(self._site(step.to).for_dialect(actor.chat.dialect.name))
            case steps.SeeRooms():
                for name in step.who:
                    await self._see_rooms(name, step)
            case steps.InjectFault():
                if self._cluster is None:
                    raise ProcessError("this needs local processes: run it without --server")
                await asyncio.to_thread(self._cluster.inject, step.what, step.fault)
            case steps.Wait():
                await asyncio.sleep(step.for_s)
            case steps.SendRaw() | steps.SendRandom() | steps.HungUp() | steps.Unanswered():
                await self._send_raw(step)

    # --- People and places. ---

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
        return name + self._room_suffix

    def _shown_name(self, name: str) -> str:
        """Return the name that members see; a name that no person of the story has is one already."""
        if name in self._actors:
            return self._actors[name].chat.name
        return self._story.person(name).user or name

    def _patience(self, within_s: float | None) -> float:
        return self._story.patience_s if within_s is None else within_s

    # --- Joining and leaving. ---

    async def _enter(self, name: str, how: steps.JoinOptions) -> None:
        if name in self._actors:
            if not self._actors[name].chat.closed:
                raise StepFailed(f"{name} to be free to enter a room", f"{name} is in one already")
            await self._actors.pop(name).close(polite=False)
        self._actors[name] = Actor(name, await self._chat(name, how), self._news)

    async def _chat(self, name: str, how: steps.JoinOptions) -> ChatClient:
        person = self._story.person(name)
        dialect = self._story.dialect_of(name, how)
        return await (tsudoi.create if how.create else tsudoi.join)(
            self._room(how.room),
            name=how.user or person.user or name,
            server=self._site(how.at or person.at).for_dialect(dialect),
            dialect=dialect,
            password=how.password or person.password,
            settings=Settings(
                keep_alive_s=0 if how.silently else self._story.keep_alive_s, register_at_once=not how.silently
            ),
        )

    async def _cannot_enter(self, name: str, step: steps.CannotEnter) -> None:
        try:
            chat = await self._chat(name, step.how)
        except ClientError as exc:
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
        """Ask until it holds: the end of a room takes its way through the log."""
        person = self._story.person(name)
        dialect = person.dialect or self._story.dialect
        profile = DIALECTS[dialect]
        if not profile.lists_rooms and not profile.join_lists_rooms:
            dialect = TSUDOI.name
        server = self._site(person.at).for_dialect(dialect)
        wanted = {self._room(room) for room in step.rooms}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience(step.within_s)
        while True:
            seen = await tsudoi.rooms(server=server, dialect=dialect)
            if wanted <= set(seen) if step.there else wanted.isdisjoint(seen):
                return
            if loop.time() > deadline:
                listed = ", ".join(step.rooms)
                raise StepFailed(listed if step.there else f"no {listed}", expect.shorten(seen))
            await asyncio.sleep(_LIST_ROOMS_EVERY_S)

    # --- Messages. ---

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

    async def _each_hears(self, step: steps.Hear | steps.HearLines) -> None:
        lines = self._expected(step)
        in_any_order = isinstance(step, steps.Hear) and step.in_any_order
        await self._each(
            step.who,
            lambda actor: expect.hear(lines, in_any_order, actor.echo_of, actor.unread),
            self._patience(step.within_s),
            expect.shorten([expect.show_line(line) for line in lines]),
        )

    async def _hear_ending(self, step: steps.HearEnding) -> None:
        await self._each(
            step.who,
            lambda actor: expect.hear_ending(step.ending, actor.echo_of, actor.unread),
            self._patience(step.within_s),
            step.ending.value,
        )

    async def _each(self, who: steps.People, judge: Callable[[Actor], Verdict], within_s: float, expected: str) -> None:
        actors = self._cast(who)
        for actor, verdict in zip(actors, await self._wait(actors, judge, within_s), strict=True):
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
        return await judged(actors, self._news, judge, within_s)

    # --- The stranger. ---

    async def _send_raw(self, step: steps.SendRaw | steps.SendRandom | steps.HungUp | steps.Unanswered) -> None:
        match step:
            case steps.SendRaw(steps.Wire.TCP, data, to):
                await self._stranger.send_tcp(self._site(to).server, data)
            case steps.SendRaw(_, data, to):
                await self._stranger.send_udp(self._site(to).server, iter([data]))
            case steps.SendRandom(count, seed, to):
                await self._stranger.send_udp(self._site(to).server, random_datagrams(count, seed))
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
