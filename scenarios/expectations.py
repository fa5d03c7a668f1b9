"""The steps that expect something: wait until it is met, or raise StepFailed."""

from collections.abc import Callable

from . import steps, verdicts
from .actors import Actor, Cast
from .results import StepFailed
from .verdicts import Failed, Fulfilled, Verdict

Expectation = steps.Hear | steps.HearLines | steps.HearEnding | steps.HearTheSame | steps.HearNothing | steps.BeTold


class Expectations:
    """Checks what the people of a story receive."""

    def __init__(self, cast: Cast, patience_s: float) -> None:
        """Args:
        patience_s: how long to wait where a step names no time.
        """
        self._cast = cast
        self._patience_s = patience_s

    async def check(self, step: Expectation) -> None:
        """Wait until the step's expectation is met; raise StepFailed."""
        match step:
            case steps.Hear():
                lines = [line if line.sender is None else self._shown(line) for line in step.lines]
                await self._hear(step, lines, step.in_any_order)
            case steps.HearLines():
                await self._hear(step, self._cast.last_lines(step.sender, step.count), False)
            case steps.HearEnding():
                await self._read(
                    step,
                    lambda actor: verdicts.hear_ending(step.ending, actor.echo_of, actor.unread),
                    step.ending.value,
                )
            case steps.BeTold():
                await self._be_told(step)
            case steps.HearTheSame():
                await self._hear_the_same(step)
            case steps.HearNothing():
                await self._hear_nothing(step)

    def _shown(self, line: steps.Line) -> steps.Line:
        return steps.Line(self._cast.shown_name(line.sender or ""), line.text)

    def _within(self, step: Expectation) -> float:
        within_s: float | None = getattr(step, "within_s", None)
        return self._patience_s if within_s is None else within_s

    async def _hear(self, step: steps.Hear | steps.HearLines, lines: list[steps.Line], in_any_order: bool) -> None:
        await self._read(
            step,
            lambda actor: verdicts.hear(lines, in_any_order, actor.echo_of, actor.unread),
            verdicts.shorten([verdicts.show_line(line) for line in lines]),
        )

    async def _read(self, step: Expectation, judge: Callable[[Actor], Verdict], expected: str) -> None:
        actors, within_s = self._cast.of(step.who), self._within(step)
        for actor, verdict in zip(actors, await self._cast.judge(actors, judge, within_s), strict=True):
            if isinstance(verdict, Fulfilled):
                actor.read += verdict.read
                continue
            unread = verdicts.shorten([verdicts.show(event) for event in actor.unread])
            instead = verdict.instead if isinstance(verdict, Failed) else f"{unread}, and no more within {within_s:g} s"
            raise StepFailed(f"{actor.name}: {expected}", instead)

    async def _be_told(self, step: steps.BeTold) -> None:
        actors = self._cast.of(step.who)
        found = await self._cast.judge(
            actors, lambda actor: verdicts.be_told(step.texts, actor.told[actor.told_read :]), self._within(step)
        )
        for actor, verdict in zip(actors, found, strict=True):
            if not isinstance(verdict, Fulfilled):
                told = verdicts.shorten([verdicts.show(event) for event in actor.told[actor.told_read :]])
                raise StepFailed(f"{actor.name} to be told {verdicts.shorten(list(step.texts))}", f"told: {told}")
            actor.told_read += verdict.read

    async def _hear_the_same(self, step: steps.HearTheSame) -> None:
        actors, within_s = self._cast.of(step.who), self._within(step)
        (verdict,) = await self._cast.judge(
            actors[:1], lambda _: verdicts.hear_the_same(step.count, [actor.unread for actor in actors]), within_s
        )
        if isinstance(verdict, Fulfilled):
            for actor in actors:
                actor.read += step.count
            return
        counts = ", ".join(f"{actor.name} {len(actor.unread)}" for actor in actors)
        instead = verdict.instead if isinstance(verdict, Failed) else f"heard within {within_s:g} s: {counts}"
        raise StepFailed(f"{step.count} messages in one order", instead)

    async def _hear_nothing(self, step: steps.HearNothing) -> None:
        actors = self._cast.of(step.who)
        found = await self._cast.judge(
            actors, lambda actor: verdicts.hear_nothing(actor.echo_of, actor.unread), step.for_s
        )
        for actor, verdict in zip(actors, found, strict=True):
            if isinstance(verdict, Failed):
                raise StepFailed(f"{actor.name}: nothing", verdict.instead)
