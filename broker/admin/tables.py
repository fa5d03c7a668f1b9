"""Show rooms, members, gateways, bans and shards as rows of a table, for operators."""

import datetime
import sys
from collections.abc import Collection

from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.client.sanitize import strip_bidi
from tsudoi.protocol.codes import Rights

Cells = dict[str, str | int]
"""A row of a table, by heading."""


def print_table(rows: list[Cells]) -> None:
    """Print rows, one or more, on standard output."""
    # Only here: the import takes time and memory, and a broker that serves shows no tables.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.ROUNDED, header_style="dim")
    for heading, cell in rows[0].items():
        table.add_column(heading, justify="right" if isinstance(cell, int) else "left", overflow="fold")
    for row in rows:
        # Folded, a cell would lose what ends its change of direction.
        table.add_row(*(Text(strip_bidi(str(cell))) for cell in row.values()))
    # A pipe has no width, so there nothing is folded.
    Console(width=None if sys.stdout.isatty() else 500, highlight=False).print(table)


def room_cells(room: admin_frames.Room) -> Cells:
    marks, since = _marks(locked=room.locked, persistent=room.persistent), _moment(room.created_ms)
    cells: Cells = {"room": room.name, "members": room.members, "host": room.host}
    return cells | {"": marks, "topic": room.topic, "since": since}


def member_cells(member: admin_frames.Member) -> Cells:
    rights = Rights(member.rights)
    marks = _marks(host=member.host, moderator=Rights.MODERATOR in rights, verified=Rights.VERIFIED in rights)
    cells: Cells = {"room": member.room, "name": member.name, "": marks, "dialect": member.dialect}
    return cells | {"from": member.ip, "hears at": member.address, "gateway": member.gateway}


def gateway_cells(gateway: admin_frames.Gateway) -> Cells:
    name, _, run = gateway.instance.rpartition("/")
    heard = f"{gateway.silent_ms / 1000:.1f} s ago"
    return {"gateway": name or "–", "run": run, "state": gateway.state, "members": gateway.members, "heard": heard}


def ban_cells(ban: admin_frames.ListedBan) -> Cells:
    return {"who": ban.name or ban.ip, "until": _moment(ban.until_ms) if ban.until_ms else "it is lifted"}


def _marks(**marks: bool) -> str:
    return " ".join(mark for mark, holds in marks.items() if holds)


def shard_cells(shards: admin_frames.Shards, row: admin_frames.Shard, unreachable: Collection[str]) -> Cells:
    """Return the row of a shard; `unreachable` are endpoints of brokers that do not answer."""
    broker, marks = "–", "free"
    if row.broker:
        owner = shards.brokers[row.broker - 1]
        broker, is_silent = owner.endpoint, owner.endpoint in unreachable
        marks = _marks(leaving=owner.leaving, silent=is_silent, loading=not row.served and not is_silent)
    cells: Cells = {"shard": row.number, "broker": broker, "": marks, "term": row.term}
    return cells | {"rooms": row.rooms, "members": row.members}


def _moment(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000).astimezone().isoformat(" ", "seconds")
