"""Check the steps that expect something: wait until they are met, or raise StepFailed."""

from collections.abc import Callable
from typing import TypeAlias

from . import steps, verdicts
from .actors import Actor, Cast
from .story import StepFailed
from .verdicts import Failed, Fulfilled, Verdict

_Read: TypeAlias = steps.Hear | steps.HearLines | steps.HearEnding | steps.BeTold


class Expectations:
    """Checks what the people of a story receive."""

    def __init__(self, cast: Cast, patience_s: float) -> None:
        """Wait for `patience_s` where a step names no time."""
        self._cast = cast
        self._patience_s = patience_s

    async def check(self, step: steps.Expectation) -> None:
        """Wait until the step's expectation is met; raise StepFailed."""
        match step:
            case steps.Hear(_, lines, in_any_order):
                shown = [
                    line if line.sender is None else steps.Line(self._cast.shown_name(line.sender), line.text)
                    for line in lines
                ]
                await self._hear(step, shown, in_any_order)
            case steps.HearLines(_, count, sender):
                await self._hear(step, self._cast.last_lines(sender, count), False)
            case steps.HearEnding(_, ending):
                await self._read(
                    step, lambda actor: verdicts.hear_ending(ending, actor.echo_of, actor.heard), ending.value
                )
            case steps.BeTold(_, texts):
                expected = f"to be told {verdicts.shorten(texts)}"
                await self._read(step, lambda actor: verdicts.be_told(texts, actor.told), expected, told=True)
            case steps.HearTheSame():
                await self._hear_the_same(step)
            case steps.HearNothing():
                await self._hear_nothing(step)

    def patience_s(self, within_s: float | None) -> float:
        """Return how long to wait for what a step expects `within_s`; None: it names no time."""
        return self._patience_s if within_s is None else within_s

    async def _hear(self, step: steps.Hear | steps.HearLines, lines: list[steps.Line], in_any_order: bool) -> None:
        await self._read(
            step,
            lambda actor: verdicts.hear(lines, in_any_order, actor.echo_of, actor.heard),
            verdicts.shorten([verdicts.show_line(line) for line in lines]),
        )

    async def _read(self, step: _Read, judge: Callable[[Actor], Verdict], expected: str, told: bool = False) -> None:
        actors, within_s = self._cast.of(step.who), self.patience_s(step.within_s)
        for actor, verdict in zip(actors, await self._cast.judge(actors, judge, within_s), strict=True):
            events = actor.told if told else actor.heard
            if isinstance(verdict, Fulfilled):
                del events[: verdict.read]
                continue
            came = verdicts.shorten([verdicts.show(event) for event in events])
            instead = verdict.instead if isinstance(verdict, Failed) else f"{came}, and no more within {within_s:g} s"
            raise StepFailed(f"{actor.name}: {expected}", instead)

    async def _hear_the_same(self, step: steps.HearTheSame) -> None:
        actors, within_s = self._cast.of(step.who), self.patience_s(step.within_s)
        (verdict,) = await self._cast.judge(
            actors[:1], lambda _: verdicts.hear_the_same(step.count, [actor.heard for actor in actors]), within_s
        )
        if isinstance(verdict, Fulfilled):
            for actor in actors:
                del actor.heard[: step.count]
            return
        counts = ", ".join(f"{actor.name} {len(actor.heard)}" for actor in actors)
        instead = verdict.instead if isinstance(verdict, Failed) else f"heard within {within_s:g} s: {counts}"
        raise StepFailed(f"{step.count} messages in one order", instead)

    async def _hear_nothing(self, step: steps.HearNothing) -> None:
        actors = self._cast.of(step.who)
        found = await self._cast.judge(
            actors, lambda actor: verdicts.hear_nothing(actor.echo_of, actor.heard), step.for_s
        )
        for actor, verdict in zip(actors, found, strict=True):
            if isinstance(verdict, Failed):
                raise StepFailed(f"{actor.name}: nothing", verdict.instead)
