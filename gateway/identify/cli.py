"""Define the command line `python -m gateway identify`, which is also `tsudoi identify`."""

import asyncio
import os
import sys
from functools import partial

import click
import uvloop

from tsudoi.ops import logs
from tsudoi.ops.net.descriptors import require_descriptors
from tsudoi.ops.options import MarkdownOption, Parsed
from tsudoi.protocol.client.words import Language
from tsudoi.protocol.errors import SettingError

from ..listeners.options import Listener, parse_listener

TCP, UDP = "127.0.0.1:9101", "127.0.0.1:9102"


@click.command("identify")
@click.option(
    "--tcp",
    cls=MarkdownOption,
    type=Parsed(parse_listener, "HOST:PORT[=DIALECT]"),
    multiple=True,
    default=(TCP,),
    help="Where clients create and join rooms; may be given several times. Without `DIALECT` it is `auto`.",
)
@click.option(
    "--udp",
    type=Parsed(partial(parse_listener, takes_options=False), "HOST:PORT"),
    multiple=True,
    default=(UDP,),
    help="Where clients chat; may be given several times.",
)
@click.option("--language", type=click.Choice(("en", "ja")), help="The language. [default: that of the locale]")
@click.option("--count", type=click.IntRange(1), help="End after so many requests and datagrams.")
def identify(
    tcp: tuple[Listener, ...], udp: tuple[Listener, ...], language: Language | None, count: int | None
) -> None:
    """Show what a client sends, byte by byte, and what the server makes of it.

    It serves clients as the service does, with rooms in memory, on ports of its own: point your client at them. Tokens
    and passwords are never shown. Ctrl-C ends it.
    """
    # Only here: a gateway that serves does not need it, nor rich, with which it shows bytes.
    from .run import choose_language, run

    logs.set_up("warning", "human")
    language = language or choose_language(os.environ, getattr(sys.stdout, "encoding", None) or "ascii")
    try:
        require_descriptors()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            status = runner.run(run(tcp, udp, language, count))
    except SettingError as exc:
        raise click.UsageError(str(exc)) from exc
    sys.exit(status)
