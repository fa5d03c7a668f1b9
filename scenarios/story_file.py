"""Read a story from YAML. An error names the line where it was found."""

import re
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import msgspec
import yaml

from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.errors import SettingError

from . import steps
from .sentences import NotUnderstood, understand
from .story import BrokerSettings, GatewaySettings, Person, Scene, Story

_T = TypeVar("_T")

# YAML's aliases let a node stand in many places, even in itself.
_DEEPEST = 8
_MOST_NODES = 100_000


class StoryError(SettingError):
    """A scenario that can not be acted out; the text is one line: file, line, and the problem."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    story: str
    steps: list[Any]
    about: str = ""
    needs: Literal["local"] | None = None
    servers: dict[str, Any] = {}
    broker: dict[str, Any] = {}
    people: dict[str, Any] = {}
    dialect: str = "tsudoi"
    listener: Literal["own", "auto"] = "own"
    patience: float = 3.0
    keep_alive: float = 20.0


def read(text: str, name: str) -> Story:
    """Return the story in the text of the file `name`; raise StoryError."""
    return _Reader(name).read(text)


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes = 0

    def read(self, text: str) -> Story:
        root = self._compose(text)
        if not isinstance(root, yaml.MappingNode):
            raise self._error(1, "a scenario is a mapping that begins with `story:`")
        raw = self._value(root)
        file = self._convert(raw, _File, root)
        story = Story(
            self._name,
            file.story,
            file.needs is not None,
            self._each(file.servers, GatewaySettings, root, "servers") or {"a": GatewaySettings()},
            self._convert(file.broker, BrokerSettings, _child(root, "broker") or root),
            self._each(file.people, Person, root, "people"),
            file.dialect,
            file.listener == "own",
            file.patience,
            file.keep_alive,
            tuple(self._scenes(_child(root, "steps"), file.steps)),
        )
        self._check(story, root)
        return story

    def _error(self, line: int, problem: str) -> StoryError:
        return StoryError(f"{self._name}:{line}: {problem}")

    def _compose(self, text: str) -> yaml.Node | None:
        try:
            return yaml.compose(text, Loader=yaml.BaseLoader)
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            raise self._error(mark.line + 1 if mark else 1, _in_one_line(exc.problem or "not YAML")) from exc
        except (yaml.YAMLError, RecursionError) as exc:
            raise self._error(1, _in_one_line(str(exc) or "nested too deeply")) from exc

    def _value(self, node: yaml.Node, depth: int = 0) -> Any:
        """Return a node as lists, dicts and texts. No scalar is converted: `yes` is a word here, and 0501 hex."""
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise self._error(_line_of(node), "nested too deeply, or too much of it")
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, depth + 1) for item in node.value]
        if not isinstance(node, yaml.MappingNode):
            return node.value
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(_line_of(key), "a key must be a plain word")
            if key.value in found:
                # YAML silently takes the last one.
                raise self._error(_line_of(key), f"{key.value!r} is there twice")
            found[key.value] = self._value(value, depth + 1)
        return found

    def _convert(self, raw: Any, kind: type[_T], node: yaml.Node) -> _T:
        try:
            return msgspec.convert(raw, kind, strict=False)
        except msgspec.ValidationError as exc:
            problem, _, path = str(exc).partition(" - at ")
            line = _line_at(node, path.strip("`"), problem)
            raise self._error(line, _in_one_line(_plain(problem, path.strip("`$.")))) from exc

    def _each(self, raw: dict[str, Any], kind: type[_T], root: yaml.Node, key: str) -> dict[str, _T]:
        parent = _child(root, key)
        found: dict[str, _T] = {}
        for name, value in raw.items():
            node = _child(parent, name) or root
            found[name] = self._convert(value or {}, kind, node)
            if name == "stranger" or not re.fullmatch(r"[\w.~-]+", name):
                raise self._error(node.start_mark.line + 1, f"{name!r} can not be a name in sentences")
        return found

    def _scenes(self, node: yaml.Node | None, steps: list[Any]) -> Iterator[Scene]:
        assert isinstance(node, yaml.SequenceNode)
        for item, written in zip(node.value, steps, strict=True):
            line = item.start_mark.line + 1
            try:
                match written:
                    case str():
                        yield Scene(line, written, understand(written))
                    case dict() if len(written) == 1:
                        ((sentence, value),) = written.items()
                        yield Scene(line, _shown(sentence, value), understand(sentence, value))
                    case _:
                        raise NotUnderstood("a step is a sentence, or one sentence, a colon, and what it is about")
            except NotUnderstood as exc:
                hint = "; a ` #` in it begins a comment: use quotes" if str(written).count('"') % 2 else ""
                raise self._error(line, f"{exc}{hint}") from exc

    def _check(self, story: Story, root: yaml.Node) -> None:
        """Raise StoryError for a name that is not known where it is used."""
        for name, person in story.people.items():
            line = _line_of(_child(_child(root, "people"), name) or root)
            self._check_place(story, line, person.at, person.dialect)
        self._check_place(story, _line_of(_child(root, "dialect") or root), None, story.dialect)
        if story.patience_s <= 0:
            raise self._error(_line_of(_child(root, "patience") or root), "patience must be more than 0 seconds")
        if not story.scenes:
            raise self._error(_line_of(_child(root, "steps") or root), "a story has at least one step")
        known = set(story.people)
        for scene in story.scenes:
            step = scene.step
            if isinstance(step, steps.Enter | steps.CannotEnter):
                self._check_place(story, scene.line, step.how.at, step.how.dialect)
                known |= set(step.who)
            elif isinstance(step, steps.SeeRooms):
                known |= set(step.who)
            for name in getattr(step, "who", ()):
                if name not in known and name not in (steps.EVERYONE, steps.EVERYONE_ELSE):
                    raise self._error(scene.line, f"nobody called {name!r} has come into the story before this")
            if isinstance(step, steps.Move | steps.SendRaw | steps.SendRandom):
                self._check_place(story, scene.line, step.to, None)
            if isinstance(step, steps.InjectFault) and step.what != steps.BROKER:
                self._check_place(story, scene.line, step.what, None)

    def _check_place(self, story: Story, line: int, server: str | None, dialect: str | None) -> None:
        if server is not None and server not in story.servers:
            raise self._error(line, f"there is no server {server!r}; there are {', '.join(story.servers)}")
        if dialect is not None and dialect not in DIALECTS:
            raise self._error(line, f"there is no dialect {dialect!r}; there are {', '.join(DIALECTS)}")


def _entries(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    return next((value for name, value in _entries(node) if name.value == key), None)


def _line_of(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _line_at(node: yaml.Node, path: str, problem: str) -> int:
    """Return the line of `path` (as msgspec writes it: $.servers.a), or of the nearest node above it."""
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        if isinstance(node, yaml.SequenceNode) and index:
            node = node.value[int(index)]
        node = _child(node, name) or node
    unknown = re.search(r"unknown field `(.+)`", problem)
    for key, _ in _entries(node):
        if unknown is not None and key.value == unknown[1]:
            return _line_of(key)
    return _line_of(node)


def _plain(problem: str, where: str) -> str:
    """Translate a message of msgspec for a person who writes YAML."""
    problem = problem.replace("Object contains unknown field", "there is no such setting:")
    problem = problem.replace("Object missing required field", "this is missing:")
    problem = re.sub(r"Expected `(\w+)(?: \| null)?`, got `\w+`", lambda found: f"must be {_KINDS[found[1]]}", problem)
    problem = re.sub(r"Invalid enum value '(.*)'", r"'\1' is not one of the possible words", problem)
    return f"{where}: {problem}" if where else problem


_KINDS = {
    "float": "a number",
    "int": "a number",
    "str": "a text",
    "object": "a mapping",
    "array": "a list",
    "bool": "true or false",
}


def _shown(sentence: str, value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    texts = [_shown(*next(iter(item.items()))) if isinstance(item, dict) and item else str(item) for item in items]
    return _in_one_line(f"{sentence}: {' | '.join(texts)}")


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
