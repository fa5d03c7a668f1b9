"""Connect to the one of a database's hosts that takes writes.

asyncpg tries the hosts of a URL one after another, within one time-out. A host whose machine is lost does not answer,
and uses up the time of those after it. So all are asked at once.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

Check = Callable[[Any], Awaitable[None]]
TAKES_WRITES: Final = {"target_session_attrs": "read-write"}
"""As an option of `asyncpg.connect`: without, the environment or the URL may name another kind of host."""


class NoHost(OSError):
    """None of several hosts takes writes; the text has the reason of each."""


def host_urls(url: str) -> dict[str, str]:
    """Return host → URL with this host alone, for each host in a URL."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return {hosts: url}
    return {host: parts._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")}


async def connect(url: str, timeout_s: float, check: Check, **options: Any) -> tuple[str, Any]:
    """Connect to the first host that takes writes and suits; the other attempts end.

    Returns the URL with this host alone, and the connection.

    Args:
        url: of the database, with one or more hosts.
        timeout_s: for all hosts together.
        check: raises any error if a connection's host does not suit.
        options: more of `asyncpg.connect`.

    Raises:
        NoHost: none of several hosts takes writes.
        Exception: as `asyncpg.connect`, if there is one host.
    """
    options = {"timeout": timeout_s, **TAKES_WRITES, **options}
    attempts = {host: asyncio.create_task(_connect(each, check, options)) for host, each in host_urls(url).items()}
    chosen = None
    try:
        for finished in asyncio.as_completed(attempts.values()):
            with contextlib.suppress(Exception):
                chosen = await finished
                return chosen
        if len(attempts) == 1:
            return next(iter(attempts.values())).result()  # raises what it failed with
        raise NoHost("; ".join(f"{host}: {_reason(attempt)}" for host, attempt in attempts.items()))
    finally:
        for attempt in attempts.values():
            attempt.cancel()
        for found in await asyncio.gather(*attempts.values(), return_exceptions=True):
            if found is not chosen and not isinstance(found, BaseException):
                _, connection = found
                connection.terminate()


async def _connect(url: str, check: Check, options: dict[str, Any]) -> tuple[str, Any]:
    try:
        connection = await asyncpg.connect(url, **options)
    except KeyError as exc:  # of the module getpass; since Python 3.13 an OSError
        why = "no user is named, and this process's user has no name here: write postgresql://USER@HOST/DATABASE"
        raise ValueError(why) from exc
    try:
        await check(connection)
    except BaseException:
        connection.terminate()
        raise
    return url, connection


def _reason(attempt: "asyncio.Task[Any]") -> str:
    exc = attempt.exception()
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, asyncpg.TargetServerAttributeNotMatched):
        return "it takes no writes"
    return " ".join(str(exc).split()) or type(exc).__name__
