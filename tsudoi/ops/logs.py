"""What a program says about its life: one line a step, none a message; for people, or as JSON for machines.

    log = logs.get("gateway")
    log.info("broker is back", after_s=2.1)

What comes from outside stands in values, never in the event's own words, and nothing in a line can break it or move a
terminal's cursor: what is not printable is written as an escape.
"""

import codecs
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("human", "json")
Format = Literal["human", "json"]
Line = MutableMapping[str, Any]

# Python loads it when it is used first; then, there may be no descriptor to load it with, and no line that says so.
codecs.lookup("unicode_escape")


def get(name: str) -> Any:
    """Return the logger of a part of the program."""
    return structlog.stdlib.get_logger(name)


def set_up(level: str, form: Format, stream: TextIO = sys.stderr) -> None:
    """Say where lines go: `stream`, from `level` on. To be called once, before anything is said."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    common: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    last: list[Any] = [structlog.processors.JSONRenderer(ensure_ascii=False)]
    if form == "json":
        # Without the variables of each function: there are passwords, tokens and texts among them.
        transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        last.insert(0, structlog.processors.ExceptionRenderer(transform))
    else:
        plain = structlog.dev.plain_traceback
        colors = stream.isatty()
        last = [
            structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, pad_level=False, exception_formatter=plain)
        ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            # Lines of libraries, which know only the standard library, go the same way.
            foreign_pre_chain=common,
            processors=[*common, structlog.stdlib.ProcessorFormatter.remove_processors_meta, _escape_all, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    set_level(level)


def set_level(level: str) -> None:
    """Say from which level on lines are written; at any time."""
    logging.getLogger().setLevel(level.upper())


def toggle_debug(level: str) -> str:
    """Switch between debug and `level`; return what it is now."""
    now = level if logging.getLogger().level == logging.DEBUG else "debug"
    set_level(now)
    return now


def escaped(text: str) -> str:
    """Return a text in which everything is printable; what was not stands there as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _escape_all(_: object, __: str, line: Line) -> Line:
    for key, value in line.items():
        if key == "exc_info":
            continue
        if not isinstance(value, int | float | bool | None):
            line[key] = escaped(str(value))
    return line
