"""Connect to the one of a database's hosts that takes writes.

asyncpg tries the hosts of a URL one after another, within one time-out. A host whose machine is lost does not answer,
and uses up the time of those after it. So all are asked at once.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from .place import split_url
from .postgres_schema import SCHEMA

Check = Callable[[Any], Awaitable[None]]
_MISSING: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError)
"""What PostgreSQL says when a table, or what is made of it, was dropped by hand, or not restored."""
TAKES_WRITES: Final = {"target_session_attrs": "read-write"}
"""As an option of `asyncpg.connect`: without, the environment or the URL may name another kind of host."""


class NoHost(OSError):
    """None of several hosts takes writes; the text has the reason of each."""


def host_urls(url: str) -> dict[str, str]:
    """Return host → URL with this host alone, for each host in a URL."""
    parts = split_url(url)
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
        raise NoHost("; ".join(f"{host}: {why(attempt.exception())}" for host, attempt in attempts.items()))
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
        raise ValueError(
            "no user is named, and this process's user has no name here: write postgresql://USER@HOST/DATABASE"
        ) from exc
    try:
        await check(connection)
    except BaseException:
        connection.terminate()
        raise
    return url, connection


def why(exc: BaseException | None) -> str:
    """Return an error's words on one line."""
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, asyncpg.TargetServerAttributeNotMatched):
        return "it takes no writes: it is a standby"
    if isinstance(exc, socket.gaierror):
        return exc.strerror or "its name is not known"
    if isinstance(exc, OSError) and "Connect call failed" in str(exc):  # asyncio's words, for each address of a name
        return "connection refused: is the database running, and is this its port?"
    if isinstance(exc, _MISSING):
        # The text of a missing function has a hint about type casts.
        found = str(exc).partition("\n")[0]
        return f"{found}: the schema {SCHEMA} is not whole; restore it from a backup, or drop it to begin anew"
    return " ".join(str(exc).split()) or type(exc).__name__
