"""Parse a step's sentence. LANGUAGE below is what `python -m client scenario --language` prints.

FORMS is the table: a pattern for the beginning of a sentence, the modifiers that may follow in any order, and the step
that it becomes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from tsudoi.protocol.client.header import Header
from tsudoi.protocol.codes import Operation

from . import steps
from .steps import EVERYONE, EVERYONE_ELSE, Line, People, Step

LANGUAGE = """\
A scenario is a YAML file:

  story: Two friends meet            what it is about, in one line
  about: why this matters            (optional) more words
  needs: local                       (optional) it kills or freezes processes, or depends on their settings
  servers:                           gateways that share one broker; without this there is one, called a
    a: {options: [--idle-timeout, "2", --history, "10"]}
    b: {}
  broker: {store: sqlite}            (optional) or memory; options: [--durability, full]
  people:                            (optional) for people with more than a name; all others use the first server
    bob: {at: b, in: classic, as: ボブ, password: moon}
  dialect: tsudoi                    (optional) the dialect of people without `in`
  listener: auto                     (optional) all dialects share one TCP listener; else each has its own
  patience: 3                        (optional) seconds to wait until an expectation is met
  keep_alive: 20                     (optional) seconds between keep-alives
  steps: [...]

A step is a sentence, or a sentence, a colon and a text. WHO is a name, several (alice, bob and carol), everyone, or
everyone else (all but the last speakers). Times are written 2 s, 300 ms, 1 min.

  WHO creates ROOM                   [at SERVER] [in DIALECT] [as NAME] [with password WORD]
  WHO joins ROOM                     the same; [silently]: send no datagram before the first message
  WHO cannot join ROOM: WHY          the same; also `cannot create`. WHY: room exists, no such room, wrong password,
                                     bad request, busy, unreachable, no answer, or refused (for any reason)
  WHO says: TEXT                     or a list of texts
  WHO says 1000 lines                numbered; several speakers speak at the same time
  WHO hears: TEXT                    [from NAME] [within TIME] [in any order]; or a list, of texts or of NAME: TEXT.
                                     These are the next messages: any other before or between them fails the step.
                                     (The echo of a member's own messages need not be listed.)
  WHO hears 1000 lines from NAME     [within TIME]: the last 1000 numbered lines of that speaker, in their order
  WHO hear the same 400 messages     [within TIME]: in one order for all
  WHO hears nothing                  [for TIME]: usually 300 ms
  WHO hears that the room is closed  [within TIME]
  WHO hears that time is up          [within TIME]: removed for silence
  WHO hears that they are removed    [within TIME]: kicked or banned
  WHO is told: TEXT                  [within TIME]; or a list. Notices and private messages: each TEXT is a part of one,
                                     in this order; others may come between. Commands are sent as messages:
                                     alice says "/kick bob". `//` sends a text that begins with /.
  WHO leaves                         with the dialect's leave word
  WHO vanishes                       without the leave word, as a program that crashed
  WHO falls silent                   receives on, but sends no keep-alives any more
  WHO moves to SERVER                goes on there with the same token
  WHO sees the rooms: NAMES          [within TIME]; also `does not see the rooms`
  SERVER is killed                   or stopped, frozen, continued, started; also `the broker is …`. Needs local runs.
  wait TIME
  a stranger sends over tcp: HEX     [to SERVER]; also `over udp`. A stranger is no member; its connection stays open.
  a stranger sends half a header     [to SERVER]
  a stranger promises N bytes        [to SERVER]: in a TCP header
  a stranger sends N random datagrams  [to SERVER] [with seed N]
  the stranger is hung up on         [within TIME]: the server ends the connection
  nobody answers the stranger        [for TIME]: no datagram comes back
"""

QUIET_S = 0.3
"""How long nothing must be received if a story names no time."""

Value: TypeAlias = "str | dict[str, str] | list[str | dict[str, str]] | None"
"""The value behind a sentence's colon."""

_NAME = r"[\w#.~'-]+"
_WORD = r"\"[^\"]*\"|[^\s\"]+"
_WHO = rf"(?P<who>everyone else|everyone|(?!wait\b|the\b|nobody\b){_NAME}(?:(?:, (?:and )?| and ){_NAME})*)"
_TIME = r"\d+(?:\.\d+)? ?(?:ms|s|min)\b"
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}
_QUOTED = re.compile(r"(.*? (?:says?|hears?|(?:is|are) told)) \"([^\"]*)\"(.*)")
"""A text may stand in quotes behind the verb instead of behind a colon."""

# The longer one first: " in any order" is no dialect.
_MODIFIERS = {
    "any_order": r" (in any order)",
    "password": rf" with password ({_WORD})",
    "seed": r" with seed (\d+)",
    "at": rf" at ({_NAME})",
    "in": rf" in ({_NAME})",
    "as": rf" as ({_WORD})",
    "silently": r" (silently)",
    "from": rf" from ({_WORD})",
    "to": rf" to ({_NAME})",
    "within": rf" within ({_TIME})",
    "for": rf" for ({_TIME})",
}


class NotUnderstood(Exception):
    """A sentence that is no step; the text is one line and gives the reason."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """The parts of one sentence."""

    match: re.Match[str]
    modifiers: Mapping[str, str]
    value: Value

    @property
    def who(self) -> People:
        written = self.match["who"]
        return (written,) if written in (EVERYONE, EVERYONE_ELSE) else tuple(re.split(r", and |, | and ", written))

    @property
    def count(self) -> int:
        count = int(self.match["count"])
        if not 0 < count < 2**231:
            raise NotUnderstood(f"{count} is not a number that makes sense here")
        return count

    @property
    def texts(self) -> tuple[str, ...]:
        items: Sequence[Any] = self.value if isinstance(self.value, list) else [self.value]
        if not items or not all(isinstance(item, str) and item for item in items):
            raise NotUnderstood("behind the colon stands a text, or a list of texts")
        return tuple(items)

    @property
    def to(self) -> str | None:
        return self.modifiers.get("to")

    @property
    def within_s(self) -> float | None:
        return _seconds(self.modifiers["within"]) if "within" in self.modifiers else None

    @property
    def quiet_s(self) -> float:
        return _seconds(self.modifiers["for"]) if "for" in self.modifiers else QUIET_S

    def word(self, modifier: str) -> str | None:
        """Return a modifier's word without its quotes."""
        word = self.modifiers.get(modifier)
        return None if word is None else _unquoted(word)

    @property
    def how(self) -> steps.JoinOptions:
        """The room and the modifiers `_JOIN`."""
        return steps.JoinOptions(
            _unquoted(self.match["room"]),
            self.match["verb"].startswith("create"),
            self.modifiers.get("at"),
            self.modifiers.get("in"),
            self.word("as"),
            self.word("password"),
            "silently" in self.modifiers,
        )


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of sentence."""

    pattern: re.Pattern[str]
    modifiers: frozenset[str]
    takes_value: bool
    make: Callable[[Sentence], Step]


def understand(sentence: str, value: Value = None) -> Step:
    """Return the step that a sentence means; raise NotUnderstood if it means none."""
    sentence = re.sub(r"\s+", " ", sentence.strip())
    written = sentence
    if value is None and (quoted := _QUOTED.fullmatch(sentence)):
        sentence, value = quoted[1] + quoted[3], quoted[2]
    problem = ""
    for form in FORMS:
        match = form.pattern.match(sentence)
        if match is None:
            continue
        try:
            found = _modifiers(sentence[match.end() :], form.modifiers)
        except NotUnderstood as exc:
            problem = problem or str(exc)
            continue
        if form.takes_value and value is None:
            raise NotUnderstood(f"{written!r} needs a colon and a text: `{written}: …`")
        if value is not None and not form.takes_value:
            raise NotUnderstood(f"{written!r} takes nothing behind a colon")
        return form.make(Sentence(match, found, value))
    raise NotUnderstood(problem or f"{written!r} is no step (`python -m client scenario --language` lists them)")


def _modifiers(rest: str, allowed: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    while rest:
        for name in _MODIFIERS:
            match = re.match(_MODIFIERS[name] + r"(?= |$)", rest)
            if match is not None and name in allowed:
                if name in found:
                    raise NotUnderstood(f"{match[0].strip()!r} is there twice")
                found[name] = match[1]
                rest = rest[match.end() :]
                break
        else:
            raise NotUnderstood(f"{rest.strip()!r} makes no sense here")
    return found


def _seconds(written: str) -> float:
    """Return the seconds in `2 s`, `300 ms` or `1 min`."""
    number, unit = re.findall(r"[\d.]+|[a-z]+", written)
    return float(number) * _SECONDS[unit]


def _unquoted(word: str) -> str:
    return word[1:-1] if word.startswith('"') else word


def _cannot_enter(said: Sentence) -> Step:
    if not isinstance(said.value, str) or said.value not in steps.REASONS:
        raise NotUnderstood(f"{said.value!r} is no reason; reasons are {', '.join(steps.REASONS)}")
    return steps.CannotEnter(said.who, said.how, said.value)


def _hear_lines(said: Sentence) -> Step:
    sender = said.word("from")
    if sender is None:
        raise NotUnderstood("say whose lines: `… lines from NAME`")
    return steps.HearLines(said.who, said.count, sender, said.within_s)


def _hear_the_same(said: Sentence) -> Step:
    if len(said.who) < 2 and said.who[0] not in (EVERYONE, EVERYONE_ELSE):
        raise NotUnderstood("the same as who? this takes two or more people")
    return steps.HearTheSame(said.who, said.count, said.within_s)


def _hear(said: Sentence) -> Step:
    items: Sequence[Any] = said.value if isinstance(said.value, list) else [said.value]
    lines: list[Line] = []
    for item in items:
        match item:
            case str() if item:
                lines.append(Line(said.word("from"), item))
            case dict() if len(item) == 1 and all(isinstance(text, str) for text in item.values()):
                lines += [Line(name, text) for name, text in item.items()]
            case _:
                raise NotUnderstood("behind the colon stands a text, or a list of texts and of `NAME: TEXT`")
    if not lines:
        raise NotUnderstood("behind the colon stands what is heard; for silence there is `hears nothing`")
    return steps.Hear(said.who, tuple(lines), "any_order" in said.modifiers, said.within_s)


def _send_raw(said: Sentence) -> Step:
    try:
        data = b"".join(bytes.fromhex(text) for text in said.texts)
    except ValueError as exc:
        raise NotUnderstood(f"this is no hex: {exc}") from exc
    return steps.SendRaw(steps.Wire(said.match["wire"]), data, said.to)


def _form(pattern: str, modifiers: str, make: Callable[[Sentence], Step], takes_value: bool = False) -> Form:
    written = pattern.replace("WHO", _WHO).replace("NAME", _NAME).replace("WORD", _WORD)
    # A pattern ends at a blank or the end of the sentence.
    return Form(re.compile(written + "(?= |$)"), frozenset(modifiers.split()), takes_value, make)


def _one_of(words: type[Enum]) -> str:
    return "|".join(word.value for word in words)


_JOIN = "at in as password silently"
FORMS = (
    _form(r"WHO (?P<verb>creates?|joins?) (?P<room>WORD)", _JOIN, lambda said: steps.Enter(said.who, said.how)),
    _form(r"WHO cannot (?P<verb>create|join) (?P<room>WORD)", _JOIN, _cannot_enter, True),
    _form(r"WHO says? (?P<count>\d+) lines", "", lambda said: steps.SayLines(said.who, said.count)),
    _form(r"WHO says?", "", lambda said: steps.Say(said.who, said.texts), True),
    _form(r"WHO (?:is|are) told", "within", lambda said: steps.BeTold(said.who, said.texts, said.within_s), True),
    _form(r"WHO hears? nothing", "for", lambda said: steps.HearNothing(said.who, said.quiet_s)),
    _form(
        rf"WHO hears? that (?P<ending>{_one_of(steps.Ending)})",
        "within",
        lambda said: steps.HearEnding(said.who, steps.Ending(said.match["ending"]), said.within_s),
    ),
    _form(r"WHO hears? (?:all )?(?P<count>\d+) lines", "from within", _hear_lines),
    _form(r"WHO hear the same (?P<count>\d+) messages", "within", _hear_the_same),
    _form(r"WHO hears?", "from within any_order", _hear, True),
    _form(
        r"WHO (?:(?P<act>leave|vanish)(?:s|es)?|falls? silent)",
        "",
        lambda said: steps.Do(said.who, steps.Act(said.match["act"] or "fall silent")),
    ),
    _form(r"WHO moves? to (?P<server>NAME)", "", lambda said: steps.Move(said.who, said.match["server"])),
    _form(
        r"WHO (?P<verb>sees?|does not see|do not see) the rooms?",
        "within",
        lambda said: steps.SeeRooms(said.who, said.texts, said.match["verb"].startswith("see"), said.within_s),
        True,
    ),
    _form(
        rf"(?P<what>the broker|NAME) is (?P<fault>{_one_of(steps.Fault)})(?: again)?",
        "",
        lambda said: steps.InjectFault(said.match["what"], steps.Fault(said.match["fault"])),
    ),
    _form(rf"wait (?P<time>{_TIME})", "", lambda said: steps.Wait(_seconds(said.match["time"]))),
    _form(r"a stranger sends over (?P<wire>tcp|udp)", "to", _send_raw, True),
    _form(
        r"a stranger sends half a header",
        "to",
        lambda said: steps.SendRaw(steps.Wire.TCP, Header(3, Operation.CREATE, 0, 5).serialize()[:16], said.to),
    ),
    _form(
        r"a stranger promises (?P<count>\d+) bytes",
        "to",
        lambda said: steps.SendRaw(
            steps.Wire.TCP, Header(3, Operation.CREATE, 0, said.count).serialize() + b"den", said.to
        ),
    ),
    _form(
        r"a stranger sends (?P<count>\d+) random datagrams",
        "to seed",
        lambda said: steps.SendRandom(said.count, int(said.modifiers.get("seed", "1")), said.to),
    ),
    _form(r"the stranger is hung up on", "within", lambda said: steps.HungUp(said.within_s)),
    _form(r"nobody answers the stranger", "for", lambda said: steps.Unanswered(said.quiet_s)),
)
"""Tried in this order: the first form that fits with its modifiers is meant."""
