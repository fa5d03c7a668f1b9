"""Print the results of scenarios."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .story import StepResult, Story, StoryResult

LOG_SHOWN = 15
"""Lines of each process's log that are shown under a failure."""
_SLOW_S = 0.1
_COLOURS = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


class Report:
    """Prints each story as it is acted out, and a table of all at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, story: Story) -> None:
        self._line((story.title, "bold"), (f"  {story.name}", "dim"))

    def step(self, step: StepResult) -> None:
        """Print a step and, if it failed, why."""
        took = f"  {step.seconds:.1f} s" if step.seconds >= _SLOW_S else ""
        if step.failure is None:
            self._line(("  ✓ ", "green"), (step.scene.text, ""), (took, "dim"))
            return
        self._line(("  ✗ ", "red"), (step.scene.text, "bold"), (f"  (line {step.scene.line}){took}", "dim"))
        self._line(("      expected  ", "red"), (step.failure.expected, ""))
        self._line(("      instead   ", "red"), (step.failure.instead, ""))

    def end(self, result: StoryResult) -> None:
        """Print what concerns the whole story."""
        if result.skipped:
            self._line(("  – skipped: ", "yellow"), (result.skipped, ""))
        for problem in result.problems:
            self._line(("  ✗ ", "red"), (problem, "bold"))
        left = len(result.story.scenes) - len(result.steps)
        if left and result.steps:
            self._line((f"    {left} more step{'s' if left > 1 else ''} not acted out", "dim"))
        if not result.passed:
            for name, lines in result.logs.items():
                for line in lines[-LOG_SHOWN:]:
                    self._line((f"    {name}: {line}", "dim"))
        self._console.print()

    def summary(self, results: Sequence[StoryResult]) -> None:
        table = Table("scenario", "steps", "result", "seconds", box=None, header_style="dim", pad_edge=False)
        outcomes: Counter[str] = Counter()
        for result in results:
            outcome = "skipped" if result.skipped else "failed" if result.failed else "passed"
            outcomes[outcome] += 1
            counts = f"{sum(step.failure is None for step in result.steps)}/{len(result.story.scenes)}"
            name = Text(PurePath(result.story.name).stem)
            table.add_row(name, counts, Text(outcome, _COLOURS[outcome]), f"{result.seconds:.1f}")
        self._console.print(table)
        words = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in _COLOURS if outcomes[outcome])
        seconds = sum(result.seconds for result in results)
        self._line((f"{words} in {seconds:.1f} s", "bold red" if outcomes["failed"] else "bold green"))

    def _line(self, *parts: tuple[str, str]) -> None:
        # Not wrapped: a terminal breaks long lines itself, and a file should keep them.
        self._console.print(Text.assemble(*parts), soft_wrap=True)
