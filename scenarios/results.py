"""The outcome of a story, for whoever runs it and for the report."""

from dataclasses import dataclass, field

from .story import Scene, Story


class StepFailed(Exception):
    """A step's expectation was not met."""

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
    """The reason, if it was not acted out."""
    problems: list[str] = field(default_factory=list)
    """What went wrong apart from steps: servers that did not start or stop, tracebacks."""
    logs: dict[str, list[str]] = field(default_factory=dict)
    """The lines that local processes logged, by the processes' names."""

    @property
    def passed(self) -> bool:
        return not self.skipped and not self.failed

    @property
    def failed(self) -> bool:
        return not self.skipped and (bool(self.problems) or any(step.failure is not None for step in self.steps))
