"""Steps as a person writes them. LANGUAGE below is what `python -m client scenario --language` prints.

Each form is a pattern for the beginning of a sentence, modifiers that may follow in any order, and what it becomes.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from client.scenario.steps import (
    EVERYONE,
    EVERYONE_ELSE,
    Act,
    Befall,
    BeTold,
    CannotEnter,
    Do,
    Ending,
    Enter,
    Fate,
    Hear,
    HearEnding,
    HearLines,
    HearNothing,
    HearTheSame,
    HostPort,
    HungUp,
    Line,
    Move,
    People,
    Say,
    SayLines,
    SeeRooms,
    SendRandom,
    SendRaw,
    Step,
    Unanswered,
    Wait,
    Wire,
)
from tsudoi.protocol.client.header import Header
from tsudoi.protocol.codes import Operation

LANGUAGE = """\
A scenario is a YAML file:

  story: Two friends meet            what it is about, in one line
  about: why this matters            (optional) more words
  needs: local                       (optional) it kills or freezes processes, or counts on their settings
  servers:                           gateways that share one broker; without this there is one, called a
    a: {idle_timeout: 2, check_ip: off, move_after: 5, options: [--backlog, "10"]}
    b: {}
  broker: {store: sqlite}            (optional) or memory; durability: process or full; options: [...]
  people:                            (optional) who is not just a name, speaking tsudoi at the first server
    bob: {at: b, in: classic, as: ボブ, password: moon}
  dialect: tsudoi                    (optional) what those speak who do not say `in`
  door: auto                         (optional) all use the door for all dialects; if not, each has a door of its own
  patience: 3                        (optional) seconds that an expectation waits for
  keep_alive: 20                     (optional) seconds between the signs of life of people's programs
  steps: [...]

A step is a sentence, or a sentence, a colon, and what it is about. WHO is a name, several (alice, bob and carol),
everyone, or everyone else (all but who spoke last). Times are written 2 s, 300 ms, 1 min.

  WHO creates ROOM                   [at SERVER] [in DIALECT] [as NAME] [with password WORD]
  WHO joins ROOM                     the same; [silently]: shows no UDP address before something is said
  WHO cannot join ROOM: WHY          the same; also `cannot create`. WHY: room exists, no such room, wrong password,
                                     bad request, busy, unreachable, no answer, or refused (for any reason)
  WHO says: TEXT                     or a list of texts
  WHO says 1000 lines                numbered; several speakers speak at the same time
  WHO hears: TEXT                    [from NAME] [within TIME] [in any order]; or a list, of texts or of NAME: TEXT.
                                     These are the very next messages: anything else before or between them fails.
                                     (A dialect's echo of one's own words need not be listed.)
  WHO hears 1000 lines from NAME     [within TIME]: the last 1000 numbered lines of that speaker, in their order
  WHO hear the same 400 messages     [within TIME]: one order for all of them
  WHO hears nothing                  [for TIME]: 300 ms if not said
  WHO hears that the room is closed  [within TIME]
  WHO hears that time is up          [within TIME]: removed for silence
  WHO hears that they are removed    [within TIME]: kicked or banned
  WHO is told: TEXT                  [within TIME]; or a list. What the server tells, and what is said in private: each
                                     TEXT is a part of one of these, in this order; what else it tells does not matter.
                                     Commands are said: alice says "/kick bob". `//` says a text that begins with /.
  WHO leaves                         with the dialect's word for it
  WHO vanishes                       without a word, as a program that crashed
  WHO falls silent                   listens on, but sends no more signs of life
  WHO moves to SERVER                goes on there with the same token
  WHO sees the rooms: NAMES          [within TIME]; also `does not see the rooms`
  SERVER is killed                   or stopped, frozen, continued, started; also `the broker is …`. Needs local runs.
  wait TIME
  a stranger sends over tcp: HEX     [to SERVER]; `over udp` too. The connection stays open.
  a stranger sends half a header     [to SERVER]
  a stranger promises N bytes        [to SERVER]: in a TCP header
  a stranger sends N random datagrams  [to SERVER] [with seed N]
  the stranger is hung up on         [within TIME]
  nobody answers the stranger        [for TIME]: not one datagram has come back
"""

REASONS = (
    "room exists",
    "no such room",
    "wrong password",
    "bad request",
    "busy",
    "unreachable",
    "no answer",
    "refused",
)

QUIET_S = 0.3
"""How long nothing must be heard if a story does not say."""

Value: TypeAlias = "str | dict[str, str] | list[str | dict[str, str]] | None"
"""What stands behind a sentence's colon."""

_NAME = r"[\w#.~'-]+"
_WORD = r"\"[^\"]*\"|[^\s\"]+"
_WHO = rf"(?P<who>everyone else|everyone|(?!wait\b|the\b|nobody\b){_NAME}(?:(?:, (?:and )?| and ){_NAME})*)"
_TIME = r"\d+(?:\.\d+)? ?(?:ms|s|min)\b"
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}

# The longer ones first: " in any order" is no dialect.
_MODIFIERS = {
    "any_order": r" (in any order)",
    "order": r" (in order)",
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
    """A step that means nothing; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence's parts."""

    match: re.Match[str]
    modifiers: Mapping[str, str]
    value: Value

    @property
    def who(self) -> People:
        return people(self.match["who"])

    def seconds(self, modifier: str) -> float | None:
        """Return the time of a modifier that may not be there."""
        written = self.modifiers.get(modifier)
        return None if written is None else seconds(written)


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of sentence."""

    pattern: re.Pattern[str]
    modifiers: frozenset[str]
    takes_value: bool
    make: Callable[[Said], Step]


FORMS: list[Form] = []


def _form(
    pattern: str, modifiers: str = "", takes_value: bool = False
) -> Callable[[Callable[[Said], Step]], Callable[[Said], Step]]:
    def register(make: Callable[[Said], Step]) -> Callable[[Said], Step]:
        compiled = re.compile(pattern.replace("WHO", _WHO).replace("NAME", _NAME).replace("WORD", _WORD))
        FORMS.append(Form(compiled, frozenset(modifiers.split()), takes_value, make))
        return make

    return register


def understand(sentence: str, value: Value = None) -> Step:
    """Return the step that a sentence means.

    Raises:
        NotUnderstood: it means none.
    """
    sentence = re.sub(r"\s+", " ", sentence.strip())
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
            raise NotUnderstood(f"{sentence!r} needs a colon and what it is about: `{sentence}: …`")
        if value is not None and not form.takes_value:
            raise NotUnderstood(f"{sentence!r} takes nothing behind a colon")
        return form.make(Said(match, found, value))
    raise NotUnderstood(problem or f"{sentence!r} is no step{_suggestion(sentence)}")


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


_VERBS = (
    *("creates", "joins", "cannot join", "cannot create", "says", "hears", "hears nothing", "leaves", "vanishes"),
    *("falls silent", "is told", "moves to", "sees the rooms", "does not see the rooms"),
    *("is killed", "is frozen", "is started"),
)


def _suggestion(sentence: str) -> str:
    _, _, rest = sentence.partition(" ")
    words = rest.split(" ")
    for count in (3, 2, 1):
        close = difflib.get_close_matches(" ".join(words[:count]), _VERBS, 1, 0.7)
        if close:
            return f"; did you mean {close[0]!r}?"
    return " (`python -m client scenario --language` lists them)"


def seconds(written: str) -> float:
    """Return the seconds in `2 s`, `300 ms` or `1 min`."""
    match = re.fullmatch(r"([\d.]+) ?(\w+)", written)
    assert match is not None
    return float(match[1]) * _SECONDS[match[2]]


def people(written: str) -> People:
    """Return the names in `alice, bob and carol`."""
    if written in (EVERYONE, EVERYONE_ELSE):
        return (written,)
    return tuple(re.split(r", and |, | and ", written))


def _unquoted(word: str) -> str:
    return word[1:-1] if word.startswith('"') else word


def _optional(said: Said, modifier: str) -> str | None:
    word = said.modifiers.get(modifier)
    return None if word is None else _unquoted(word)


_PLACE = "at in as password silently"


def _place(said: Said) -> HostPort:
    return HostPort(
        _unquoted(said.match["room"]),
        said.match["verb"].startswith("create"),
        said.modifiers.get("at"),
        said.modifiers.get("in"),
        _optional(said, "as"),
        _optional(said, "password"),
        "silently" in said.modifiers,
    )


@_form(r"WHO (?P<verb>creates?|joins?) (?P<room>WORD)(?= |$)", _PLACE)
def _enter(said: Said) -> Step:
    return Enter(said.who, _place(said))


@_form(r"WHO cannot (?P<verb>create|join) (?P<room>WORD)(?= |$)", _PLACE, takes_value=True)
def _cannot(said: Said) -> Step:
    reason = said.value
    if not isinstance(reason, str) or reason not in REASONS:
        raise NotUnderstood(f"{reason!r} is no reason; reasons are {', '.join(REASONS)}")
    return CannotEnter(said.who, _place(said), reason)


@_form(r"WHO says? (?P<count>\d+) lines$")
def _say_lines(said: Said) -> Step:
    return SayLines(said.who, _count(said))


@_form(r"WHO says? \"(?P<text>[^\"]*)\"$")
def _say_quoted(said: Said) -> Step:
    return Say(said.who, (said.match["text"],))


@_form(r"WHO says?$", takes_value=True)
def _say(said: Said) -> Step:
    return Say(said.who, tuple(_texts(said.value)))


@_form(r"WHO hears? nothing(?= |$)", "for")
def _hear_nothing(said: Said) -> Step:
    return HearNothing(said.who, said.seconds("for") or QUIET_S)


@_form(r"WHO hears? that the room is closed(?= |$)", "within")
def _hear_closed(said: Said) -> Step:
    return HearEnding(said.who, Ending.CLOSED, said.seconds("within"))


@_form(r"WHO hears? that they are removed(?= |$)", "within")
def _hear_removed(said: Said) -> Step:
    return HearEnding(said.who, Ending.REMOVED, said.seconds("within"))


@_form(r"WHO (?:is|are) told \"(?P<text>[^\"]*)\"(?= |$)", "within")
def _told_quoted(said: Said) -> Step:
    return BeTold(said.who, (said.match["text"],), said.seconds("within"))


@_form(r"WHO (?:is|are) told(?= |$)", "within", takes_value=True)
def _told(said: Said) -> Step:
    return BeTold(said.who, tuple(_texts(said.value)), said.seconds("within"))


@_form(r"WHO hears? that time is up(?= |$)", "within")
def _hear_timed_out(said: Said) -> Step:
    return HearEnding(said.who, Ending.TIMED_OUT, said.seconds("within"))


@_form(r"WHO hears? (?:all )?(?P<count>\d+) lines(?= |$)", "from within order")
def _hear_lines(said: Said) -> Step:
    sender = _optional(said, "from")
    if sender is None:
        raise NotUnderstood("say whose lines: `… lines from NAME`")
    return HearLines(said.who, _count(said), sender, said.seconds("within"))


@_form(r"WHO hear the same (?P<count>\d+) messages(?= |$)", "within")
def _hear_the_same(said: Said) -> Step:
    if len(said.who) < 2 and said.who[0] not in (EVERYONE, EVERYONE_ELSE):
        raise NotUnderstood("the same as who? this takes two or more people")
    return HearTheSame(said.who, _count(said), said.seconds("within"))


@_form(r"WHO hears? \"(?P<text>[^\"]*)\"", "from within")
def _hear_quoted(said: Said) -> Step:
    line = Line(_optional(said, "from"), said.match["text"])
    return Hear(said.who, (line,), within_s=said.seconds("within"))


@_form(r"WHO hears?(?= |$)", "from within any_order order", takes_value=True)
def _hear(said: Said) -> Step:
    sender = _optional(said, "from")
    return Hear(said.who, tuple(_lines(said.value, sender)), "any_order" in said.modifiers, said.seconds("within"))


@_form(r"WHO leaves?$")
def _leave(said: Said) -> Step:
    return Do(said.who, Act.LEAVE)


@_form(r"WHO vanish(?:es)?$")
def _vanish(said: Said) -> Step:
    return Do(said.who, Act.VANISH)


@_form(r"WHO falls? silent$")
def _fall_silent(said: Said) -> Step:
    return Do(said.who, Act.FALL_SILENT)


@_form(r"WHO moves? to (?P<server>NAME)$")
def _move(said: Said) -> Step:
    return Move(said.who, said.match["server"])


@_form(r"WHO (?P<verb>sees?|does not see|do not see) the rooms?(?= |$)", "within", takes_value=True)
def _see(said: Said) -> Step:
    there = said.match["verb"].startswith("see")
    return SeeRooms(said.who, tuple(_texts(said.value)), there, said.seconds("within"))


@_form(rf"(?P<what>the broker|NAME) is (?P<fate>{'|'.join(fate.value for fate in Fate)})(?: again)?$")
def _befall(said: Said) -> Step:
    return Befall(said.match["what"], Fate(said.match["fate"]))


@_form(rf"wait (?P<time>{_TIME})$")
def _wait(said: Said) -> Step:
    return Wait(seconds(said.match["time"]))


@_form(r"a stranger sends over (?P<wire>tcp|udp)(?= |$)", "to", takes_value=True)
def _send_raw(said: Said) -> Step:
    try:
        data = b"".join(bytes.fromhex(text) for text in _texts(said.value))
    except ValueError as exc:
        raise NotUnderstood(f"this is no hex: {exc}") from exc
    return SendRaw(Wire(said.match["wire"]), data, said.modifiers.get("to"))


@_form(r"a stranger sends half a header(?= |$)", "to")
def _send_half(said: Said) -> Step:
    return SendRaw(Wire.TCP, Header(3, Operation.CREATE, 0, 5).serialize()[:16], said.modifiers.get("to"))


@_form(r"a stranger promises (?P<count>\d+) bytes(?= |$)", "to")
def _promise(said: Said) -> Step:
    data = Header(3, Operation.CREATE, 0, _count(said)).serialize() + b"den"
    return SendRaw(Wire.TCP, data, said.modifiers.get("to"))


@_form(r"a stranger sends (?P<count>\d+) random datagrams(?= |$)", "to seed")
def _send_random(said: Said) -> Step:
    return SendRandom(_count(said), int(said.modifiers.get("seed", "1")), said.modifiers.get("to"))


@_form(r"the stranger is hung up on(?= |$)", "within")
def _hung_up(said: Said) -> Step:
    return HungUp(said.seconds("within"))


@_form(r"nobody answers the stranger(?= |$)", "for")
def _unanswered(said: Said) -> Step:
    return Unanswered(said.seconds("for") or QUIET_S)


def _count(said: Said) -> int:
    count = int(said.match["count"])
    if not 0 < count < 2**231:
        raise NotUnderstood(f"{count} is not a number that makes sense here")
    return count


def _texts(value: Value) -> list[str]:
    items: Sequence[Any] = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, str) and item for item in items):
        raise NotUnderstood("behind the colon stands a text, or a list of texts")
    return list(items)


def _lines(value: Value, sender: str | None) -> list[Line]:
    items: Sequence[Any] = value if isinstance(value, list) else [value]
    lines: list[Line] = []
    for item in items:
        match item:
            case str() if item:
                lines.append(Line(sender, item))
            case dict() if len(item) == 1 and all(isinstance(text, str) for text in item.values()):
                lines += [Line(name, text) for name, text in item.items()]
            case _:
                raise NotUnderstood("behind the colon stands a text, or a list of texts and of `NAME: TEXT`")
    if not lines:
        raise NotUnderstood("behind the colon stands what is heard; for silence there is `hears nothing`")
    return lines
