"""Run `identify` until a signal: a service with its broker in memory, looked on by a terminal or a pipe."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping

from tsudoi.net import known_servers
from tsudoi.ops import standard_streams
from tsudoi.ops.host_port import with_both_families
from tsudoi.ops.threaded_output import ThreadedOutput
from tsudoi.protocol.client.words import Language
from tsudoi.protocol.errors import SettingError

from ..config import Config
from ..listeners.options import Listener
from ..process.session_files import Sessions, open_sessions
from ..process.single import ENDPOINT, LocalBroker
from . import words
from .render import Renderer
from .watch import Watch, WatchedService

_ASCII = str.maketrans({"«": '"', "»": '"', "…": "...", "≥": ">="})
STARTING_S = 30.0
GRACE_S = 0.5
"""After the last item of --count: for its answer to leave."""


async def run(tcp: tuple[Listener, ...], udp: tuple[Listener, ...], language: Language, count: int | None) -> int:
    """Serve and show; return the exit status. Ends after `count` requests and datagrams, if that is given.

    Raises:
        SettingError: an address can not be bound.
        OSError: the output can not be written.
    """
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    left = count
    problems: list[OSError] = []
    encoding = sys.stdout.encoding or "utf-8"

    def lost(count: int) -> str:
        return in_encoding("\n".join(renderer(language).plain(words.LOST, count=count)), encoding) + "\n"

    # In a thread: a client is served while the reader of the output, a pager for example, stands still.
    output = standard_streams.track(ThreadedOutput(sys.stdout, lost))

    def show(lines: list[str]) -> None:
        text = in_encoding("\n".join(lines), encoding)
        output.put(f"{text}\n", lambda problem: problem and loop.call_soon_threadsafe(fail, problem))

    def fail(problem: OSError) -> None:
        problems.append(problem)
        stopped.set()

    def count_down() -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if left == 0:
                loop.call_later(GRACE_S, stopped.set)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        broker = LocalBroker(None, None, "human", stopped.set)
        stack.push_async_callback(broker.stop)
        await broker.start()
        service = WatchedService(
            Config(tcp=with_both_families(tcp), udp=with_both_families(udp), name="identify"),
            (broker.endpoint,),
            _sessions(stack),
            broker.context,
        )
        service.look_on(Watch(lambda: renderer(language), show, count_down))
        stack.push_async_callback(service.stop)
        async with asyncio.timeout(STARTING_S):
            bound = await service.start()
        listeners = [f"{each.kind} {each}" for each in bound] + [f"udp {server.listener}" for server in service.udp]
        show(renderer(language).plain(words.READY, listeners=f"ready {' '.join(listeners)}"))
        await stopped.wait()
    if problems:
        raise problems[0]
    return 0


def _sessions(stack: contextlib.AsyncExitStack) -> Sessions:
    """Return sessions with a certificate that stays, so that clients which trust it on first use are not alarmed."""
    path = known_servers.default_path()
    if path is not None:
        with contextlib.suppress(SettingError):
            return open_sessions(Config(session_secret=path.with_name("identify-session")), stack)
    return open_sessions(Config(broker=(ENDPOINT,)), stack)


def renderer(language: Language) -> Renderer:
    """Return a renderer for standard output as it is now."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    colors = is_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Renderer(language, shutil.get_terminal_size().columns, colors)


def choose_language(environment: Mapping[str, str], encoding: str) -> Language:
    """Return the language of the locale, if the output's encoding has its characters."""
    names = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next(filter(None, names), "")
    return "ja" if locale.startswith("ja") and _has(encoding, "集い") else "en"


def in_encoding(text: str, encoding: str) -> str:
    """Return a text with its quotation marks and ellipses in ASCII if the encoding has none."""
    return text if _has(encoding, "«»…") else text.translate(_ASCII)


def _has(encoding: str, characters: str) -> bool:
    try:
        characters.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
