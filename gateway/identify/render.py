"""Make lines of text from explanations, for a terminal of any width, in English or Japanese."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from tsudoi.ops.printable import escaped
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.words import Language, Words
from tsudoi.protocol.codes import Status
from tsudoi.protocol.errors import MalformedMessage

from ..explain.explain import TOKEN, DialectReading, Explanation, RequestExplanation
from ..explain.fields import OPERATIONS, Field, Part
from ..explain.mistakes import Hint
from ..explain.redaction import Span, redacted, without
from . import words

NARROW, LEAST = 64, 24
"""Columns: below the first a meaning goes under its bytes; no line is made shorter than the second."""
ROWS = 32
"""Rows of bytes of one field; the rest is a number."""
TEXT_SIZE = 256
"""Bytes of a field that are shown as text."""
_TEXTS = (Part.ROOM, Part.PAYLOAD, Part.TEXT, Part.NAME, Part.LEFT_OVER, Part.HEADER_CUT)
_OFFSET = 4
_CONSOLE = Console()


@dataclass(frozen=True, slots=True)
class Renderer:
    """Makes lines in one language for one width."""

    language: Language
    width: int
    colors: bool = False

    # --- blocks ---------------------------------------------------------------------------------------------------

    def heading(self, text: str) -> list[str]:
        """Return the first line of a block."""
        lines = fold(f"== {text}", self._width)
        return [f"\x1b[1m{line}\x1b[0m" for line in lines] if self.colors else lines

    def request(self, explained: RequestExplanation, is_auto: bool) -> list[str]:
        """Return a request: its bytes, and what each dialect makes of it."""
        lines = self.fields(explained)
        if explained.auto is not None:
            rule = explained.auto.rule.value
            if not is_auto:
                lines += self.note(words.AUTO_WOULD, dialect=explained.auto.dialect.name, why=self._in(rule))
            lines += self.note(words.DIALECTS)
            lines += self._readings(explained.readings)
        return lines

    def hints(self, hints: Sequence[Hint]) -> list[str]:
        """Return the hints, one under the other."""
        lines = [line for each in hints for line in self.note(words.HINT, hint=each.text(self.language))]
        return [f"\x1b[33m{line}\x1b[0m" for line in lines] if self.colors else lines

    def note(self, text: Words, **values: object) -> list[str]:
        """Return a sentence, indented."""
        return fold(text.text(self.language, **values), self._width, "  ")

    def plain(self, text: Words, **values: object) -> list[str]:
        """Return a text without indentation."""
        return fold(text.text(self.language, **values), self._width)

    def fields(self, explained: Explanation) -> list[str]:
        """Return each byte with its place and what it means."""
        lines: list[str] = []
        for each in explained.fields:
            lines += self._field(explained, each)
        return lines

    # --- fields ---------------------------------------------------------------------------------------------------

    def _field(self, explained: Explanation, each: Field) -> list[str]:
        meaning = self._in(each.part.value)
        if value := self._value(explained, each):
            meaning = f"{meaning}: {value}"
        rows = list(_rows(explained.data, each, explained.hidden, self._bytes_a_row))
        left = _OFFSET + 3 + 3 * self._bytes_a_row
        shown = rows[:ROWS]
        if len(rows) > ROWS:
            count = each.end - each.begin - ROWS * self._bytes_a_row
            meaning += f" ({words.MORE.text(self.language, count=count)})"
        if self._width < NARROW:
            return [*shown, *fold(meaning, self._width, " " * (_OFFSET + 2))]
        folded = fold(meaning, self._width - left)
        height = max(len(shown), len(folded))
        cells = zip(_padded(shown, height), _padded(folded, height), strict=True)
        return [f"{row:<{left}}{text}".rstrip() for row, text in cells]

    def _value(self, explained: Explanation, each: Field) -> str:
        if each.part is Part.TOKEN:
            text = words.TOKEN.text(self.language, size=each.end - each.begin)
            return text if each.meaning is None else self._in(words.AND).join((text, self._in(each.meaning)))
        if each.part is Part.STATUS and each.number is not None:
            return f"{each.number} = {_status(each.number)}"
        if each.number is not None:
            number = str(each.number) if each.number < 2**64 else "≥ 2^64"
            return number if each.meaning is None else f"{number} = {self._in(each.meaning)}"
        if each.part not in _TEXTS:
            return ""
        raw = without(explained.data, explained.hidden, each.begin, each.end)
        text = quoted(raw[:TEXT_SIZE])
        if len(raw) > TEXT_SIZE:
            return f"{text} …"
        size, count = each.end - each.begin, len(raw.decode(errors="replace"))
        if size == len(raw) and size != count:
            return words.CHARACTERS.text(self.language, text=text, size=size, count=count)
        return text

    # --- what dialects make of a request ---------------------------------------------------------------------------

    def _readings(self, readings: list[DialectReading]) -> Iterator[str]:
        for meaning, same in _grouped([(self._reading(each), each) for each in readings]).items():
            yield from fold(meaning, self._width, "  - ", "    ")
            for answer, alike in _grouped([(" ; ".join(map(notation, each.replies)), each) for each in same]).items():
                names = ", ".join(each.dialect.name for each in alike)
                yield from fold(f"{names}: {answer}", self._width, "      ", "        ")

    def _reading(self, reading: DialectReading) -> str:
        request = reading.request
        if request is None:
            return words.REFUSES.text(self.language, why=reading.error)
        password = words.WITH_PASSWORD.text(self.language) if request.password else ""
        port = words.WITH_PORT.text(self.language, port=request.port) if request.port else ""
        return words.AS_REQUEST.text(
            self.language,
            operation=self._in(OPERATIONS[request.operation]),
            room=quoted(redacted(request.room).encode(errors="replace")),
            user=quoted(redacted(request.user).encode(errors="replace")),
            password=password,
            port=port,
        )

    # --- measures ---------------------------------------------------------------------------------------------------

    def _in(self, text: Words) -> str:
        return text.text(self.language)

    @property
    def _width(self) -> int:
        return max(self.width, LEAST)

    @property
    def _bytes_a_row(self) -> int:
        return 8 if self._width >= NARROW else 4


def _grouped(items: list[tuple[str, DialectReading]]) -> dict[str, list[DialectReading]]:
    """Return each text with the readings that have it, in the order of the first."""
    groups: dict[str, list[DialectReading]] = {}
    for text, reading in items:
        groups.setdefault(text, []).append(reading)
    return groups


def _rows(data: bytes, each: Field, hidden: list[Span], width: int) -> Iterator[str]:
    for at in range(each.begin, each.end, width):
        cells = [
            "**" if any(begin <= place < end for begin, end in hidden) else f"{data[place]:02x}"
            for place in range(at, min(at + width, each.end))
        ]
        yield f"{at:>{_OFFSET}}  {' '.join(cells)}"


def _padded(lines: list[str], height: int) -> list[str]:
    return lines + [""] * (height - len(lines))


def _status(number: int) -> str:
    return Status(number).name.lower().replace("_", " ") if number in tuple(Status) else "?"


def quoted(raw: bytes) -> str:
    """Return bytes as PROTOCOL.md writes texts, «den», with what can not be shown as escapes."""
    return f"«{escaped(raw.decode(errors='backslashreplace'))}»"


def notation(frame: bytes) -> str:
    """Return a frame as PROTOCOL.md writes it: H32(3, 1, 0, 5) «den» «alice»; `explain.TOKEN` becomes T."""
    try:
        header = Header.parse_untrusted(frame[:HEADER_SIZE])
    except MalformedMessage:
        return _text(frame)
    body = frame[HEADER_SIZE:]
    if body and header.body_size != len(body):
        return _text(frame)
    parts = [f"H32({header.room_size}, {header.operation}, {header.state}, {header.payload_size})"]
    parts += [_text(part) for part in (body[: header.room_size], body[header.room_size :]) if part]
    return " ".join(parts)


def _text(raw: bytes) -> str:
    if raw == TOKEN.encode():
        return "T"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    return f"«{text.replace(TOKEN, 'T')}»" if text.isprintable() else raw.hex(" ")


def fold(text: str, width: int, first: str = "", after: str | None = None) -> list[str]:
    """Return a text in lines of at most `width` columns, of which Japanese characters take two.

    Breaks at spaces where it can. `first` begins the first line, `after` (or as many spaces) the others.
    """
    after = " " * len(first) if after is None else after
    lines = Text(text).wrap(_CONSOLE, width - max(len(first), len(after)))
    return [f"{after if number else first}{line.plain}".rstrip() for number, line in enumerate(lines)]
