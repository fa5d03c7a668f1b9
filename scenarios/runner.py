"""Act a story out: its people are SDK clients, its servers local processes or servers that run already."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import tsudoi
from tsudoi import ChatClient, ClientError, Settings
from tsudoi.protocol.client.dialects import DIALECTS, TCRP, TCRP_200, TCRP_BARE_ACK, TCRP_NAMED, TSUDOI

from . import steps, verdicts
from .actors import Actor, Cast
from .cluster import Cluster, Site
from .expectations import Expectations
from .process import ProcessError
from .raw_sender import RawSender, random_datagrams
from .story import StepFailed, StepResult, Story, StoryResult

AMBIGUOUS = tuple(dialect.name for dialect in (TCRP, TCRP_NAMED, TCRP_200, TCRP_BARE_ACK))
"""Dialects whose first request looks like another dialect's: a listener for all dialects takes them for that one."""

_ASK_EVERY_S = 0.05
_RECONNECT_S = 20.0
"""How long gateways may take to reach a broker that was started again; long, for a busy machine."""


async def act_out(story: Story, running: Sequence[Site], on_step: Callable[[StepResult], None]) -> StoryResult:
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
    return f"needs a listener of their own for {', '.join(lacking)}: --dialect-port DIALECT=PORT" if lacking else ""


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
            own = [dialect for dialect in story.dialects if story.own_listeners and dialect != TSUDOI.name]
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
            except (ProcessError, ClientError, OSError) as exc:
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
        """Play at `sites`, by the names that the story has for them; `cluster` is the local processes, if any."""
        self._story = story
        self._sites = sites
        self._cluster = cluster
        self._cast = Cast(story)
        self._expectations = Expectations(self._cast, story.patience_s)
        self._stranger = RawSender()
        # A server that runs already may still have the rooms of an earlier run.
        self._room_suffix = "" if cluster is not None else f"~{secrets.token_hex(2)}"

    async def close(self) -> None:
        """Let all people leave, the latest first: so hosts leave last, and rooms close behind their guests."""
        for actor in reversed(self._cast.actors.values()):
            await actor.close(polite=True)
        self._stranger.close()

    async def play(self, step: steps.Step) -> None:
        """Play one step; raise StepFailed, ClientError, ProcessError or OSError."""
        match step:
            case steps.Enter():
                for name in step.who:
                    await self._enter(name, step.how)
            case steps.CannotEnter():
                for name in step.who:
                    await self._cannot_enter(name, step)
            case steps.Say():
                await self._cast.say(dict.fromkeys(self._cast.names(step.who), step.texts))
            case steps.SayLines():
                names = self._cast.names(step.who)
                await self._cast.say({name: self._cast.next_lines(name, step.count) for name in names})
            case steps.Do():
                await self._do(step)
            case steps.Move():
                for actor in self._cast.of(step.who):
                    await actor.chat.move(self._site(step.to).for_dialect(actor.chat.dialect.name))
            case steps.SeeRooms():
                for name in step.who:
                    await self._see_rooms(name, step)
            case steps.InjectFault():
                if self._cluster is None:
                    raise ProcessError("this needs local processes: run it without --server")
                await asyncio.to_thread(self._cluster.inject, step.what, step.fault)
                if step.what == steps.BROKER and step.fault in (steps.Fault.STARTED, steps.Fault.CONTINUED):
                    await asyncio.gather(*(self._reconnected(name) for name in self._cluster.serving))
            case steps.Wait():
                await asyncio.sleep(step.for_s)
            case steps.Expectation():
                await self._expectations.check(step)
            case steps.SendRaw(steps.Wire.TCP, data, to):
                await self._stranger.send_tcp(self._site(to).server, data)
            case steps.SendRaw(_, data, to):
                await self._stranger.send_udp(self._site(to).server, iter([data]))
            case steps.SendRandom(count, seed, to):
                await self._stranger.send_udp(self._site(to).server, random_datagrams(count, seed))
            case steps.HungUp(within_s):
                patience_s = self._expectations.patience_s(within_s)
                if not await self._stranger.hung_up(patience_s):
                    raise StepFailed("an end of the connection", f"it is still open after {patience_s:g} s")
            case steps.Unanswered(for_s):
                await asyncio.sleep(for_s)
                if self._stranger.answers:
                    raise StepFailed("no datagram", f"{self._stranger.answers} came back")

    async def _reconnected(self, gateway: str) -> None:
        """Wait until a gateway has reached the broker again: it answers joins with `busy` until then.

        Its health does not show that: it stays green for two seconds after the last canary of the broker's former run.
        """
        deadline = asyncio.get_running_loop().time() + _RECONNECT_S
        while True:
            try:
                await tsudoi.join(secrets.token_hex(8), name="probe", server=self._sites[gateway].server)
            except (tsudoi.Busy, tsudoi.NoAnswer, tsudoi.ServerUnreachable) as exc:
                if asyncio.get_running_loop().time() > deadline:
                    raise ProcessError(f"gateway {gateway} does not reach the broker again: {exc}") from exc
                await asyncio.sleep(_ASK_EVERY_S)
            except tsudoi.RoomNotFound:
                return

    # --- Places. ---

    def _site(self, server: str | None) -> Site:
        return self._sites[server if server is not None else next(iter(self._story.servers))]

    # --- Joining and leaving. ---

    async def _enter(self, name: str, how: steps.JoinOptions) -> None:
        if name in self._cast.actors:
            if not self._cast.actors[name].chat.closed:
                raise StepFailed(f"{name} to be free to enter a room", f"{name} is in one already")
            await self._cast.actors.pop(name).close(polite=False)
        self._cast.actors[name] = Actor(name, await self._chat(name, how), self._cast.news)

    async def _chat(self, name: str, how: steps.JoinOptions) -> ChatClient:
        person = self._story.person(name)
        dialect = self._story.dialect_of(name, how)
        return await (tsudoi.create if how.create else tsudoi.join)(
            how.room + self._room_suffix,
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
            if isinstance(exc, steps.REASONS[step.reason]):
                return
            raise StepFailed(step.reason, str(exc)) from exc
        await chat.leave()
        raise StepFailed(step.reason, f"{name} was let in")

    async def _do(self, step: steps.Do) -> None:
        for actor in self._cast.of(step.who):
            if step.act is steps.Act.FALL_SILENT:
                actor.chat.stop_keep_alives()
            else:
                del self._cast.actors[actor.name]
                await actor.close(polite=step.act is steps.Act.LEAVE)

    async def _see_rooms(self, name: str, step: steps.SeeRooms) -> None:
        """Ask until it holds: the end of a room comes through the log."""
        person = self._story.person(name)
        dialect = person.dialect or self._story.dialect
        profile = DIALECTS[dialect]
        if not profile.lists_rooms and not profile.join_lists_rooms:
            dialect = TSUDOI.name
        server = self._site(person.at).for_dialect(dialect)
        wanted = {room + self._room_suffix for room in step.rooms}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._expectations.patience_s(step.within_s)
        while True:
            seen = await tsudoi.rooms(server=server, dialect=dialect)
            if wanted <= set(seen) if step.there else wanted.isdisjoint(seen):
                return
            if loop.time() > deadline:
                listed = ", ".join(step.rooms)
                raise StepFailed(listed if step.there else f"no {listed}", verdicts.shorten(seen))
            await asyncio.sleep(_ASK_EVERY_S)
