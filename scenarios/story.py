"""A story, its settings and its outcome, as values; `story_file.py` reads one."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from .steps import CannotEnter, Enter, JoinOptions, Step


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    options: tuple[str, ...] = ()
    """Of `python -m gateway`."""


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    store: Literal["sqlite", "memory"] = "sqlite"
    options: tuple[str, ...] = ()
    """Of `python -m broker`."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults for a person's steps."""

    at: str | None = None
    dialect: str | None = msgspec.field(default=None, name="in")
    user: str | None = msgspec.field(default=None, name="as")
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One step, with its line and its text in the file."""

    line: int
    text: str
    step: Step


@dataclass(frozen=True, slots=True)
class Story:
    """A scenario that was read and checked."""

    name: str
    """Of the file."""
    title: str
    needs_local: bool
    servers: dict[str, GatewaySettings]
    broker: BrokerSettings
    people: dict[str, Person]
    dialect: str
    own_listeners: bool
    """Each dialect has a TCP listener where nothing else is spoken."""
    patience_s: float
    keep_alive_s: float
    scenes: tuple[Scene, ...]

    @property
    def dialects(self) -> list[str]:
        """The dialects of all people that enter, each once."""
        entries = [scene.step for scene in self.scenes if isinstance(scene.step, Enter | CannotEnter)]
        return list(dict.fromkeys(self.dialect_of(name, step.how) for step in entries for name in step.who))

    def dialect_of(self, name: str, how: JoinOptions) -> str:
        """Return a person's dialect when it enters with these options."""
        return how.dialect or self.person(name).dialect or self.dialect

    def person(self, name: str) -> Person:
        """Return the settings of `name`; the usual ones if the story has none for it."""
        return self.people.get(name, Person())


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
