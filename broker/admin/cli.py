"""`python -m broker admin`: the operator's command line.

Each command is one or a few requests to the broker (`admin_frames.py`) and a table of the answers, or JSON. Exit status
1: the broker does not answer, or refuses; the reason is one line on standard error.
"""

import datetime
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from tsudoi.ops import standard_streams
from tsudoi.ops.command_line import ask
from tsudoi.ops.host_port import HostPort, parse_host_port
from tsudoi.ops.ip_address import full_form, looks_like_address, plain
from tsudoi.ops.options import Parsed
from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol.backbone import admin_frames, is_tcp
from tsudoi.protocol.backbone.admin_frames import Done, Question, Refused
from tsudoi.protocol.codes import Rights
from tsudoi.protocol.errors import BackboneError, SettingError

from ..config import why_nowhere
from ..keys.key_folder import read_secret
from ..rooms.passwords import make_hash
from ..store.place import Database
from .spanning import Brokers
from .web.tokens import read_token

Cells = dict[str, str | int]
"""A row of a table, by heading."""
_A = TypeVar("_A")
_R = TypeVar("_R", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the broker, or all that share a store, and how to show the answers."""

    brokers: Brokers
    as_json: bool

    def ask(self, question: Question, kind: type[_A]) -> _A:
        """Return the answer, or end the program with one line of explanation."""
        try:
            answer = self.brokers.ask(question)
        except BackboneError as exc:
            _end(str(exc))
        if isinstance(answer, Refused):
            _end(answer.why)
        if not isinstance(answer, kind):
            _end(f"the broker answers with {type(answer).__name__}, not with {kind.__name__}")
        return answer

    def order(self, question: Question, words: str) -> None:
        """Send an order and print the result; `words` may contain {count}."""
        done = self.ask(question, Done)
        if self.as_json:
            _print_json({"done": done.count})
        else:
            click.echo(words.format(count=done.count))

    def show(self, what: str, rows: list[_R], cells: Callable[[_R], Cells], empty: str) -> None:
        """Print rows as a table with the `cells` of each, or all fields as JSON."""
        if self.as_json:
            _print_json({what: [_fields(row) for row in rows]})
        elif not rows:
            click.echo(empty)
        else:
            _print_table([cells(row) for row in rows])
        self.check_complete()

    def check_complete(self) -> None:
        """End the program with one line if some brokers have not answered: what was shown is without theirs."""
        if missing := self.brokers.unreachable:
            _end("without the rooms of " + "; ".join(f"{endpoint}: {why}" for endpoint, why in missing.items()))


def _print_table(rows: list[Cells]) -> None:
    # Only here: the import takes time and memory, and a broker that serves shows no tables.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.ROUNDED, header_style="dim")
    for heading, cell in rows[0].items():
        table.add_column(heading, justify="right" if isinstance(cell, int) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row.values()))
    # A pipe has no width, so there nothing is folded.
    Console(width=None if sys.stdout.isatty() else 500, highlight=False).print(table)


def _end(why: str) -> NoReturn:
    standard_streams.complain(f"broker: {why}")
    sys.exit(1)


def _print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)))


def _fields(row: msgspec.Struct) -> dict[str, Any]:
    # Ids mean nothing outside, and are too large for many readers of JSON.
    return {key: value for key, value in msgspec.structs.asdict(row).items() if key != "id"}


def _moment(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000).astimezone().isoformat(" ", "seconds")


# --- lists --------------------------------------------------------------------------------------------------------


@click.group("admin")
@click.option("--json", "as_json", is_flag=True, help="Answers as JSON, for scripts.")
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="TSUDOI_OPERATOR_KEY",
    show_envvar=True,
    help="An operator's secret key, for a broker with keys (python -m broker keys add --operator NAME).",
)
@click.pass_context
def admin(context: click.Context, as_json: bool, key: Path | None) -> None:
    """Look at a running broker, and give it orders.

    It is found by its --store (or TSUDOI_STORE): a user of that folder may operate. A broker that listens for operators
    elsewhere is named by --admin. A gateway's own broker has its store in the gateway's --data folder. Of brokers that
    share a database any one is enough: it knows the others, which are asked, too.
    """
    endpoint = context.obj.admin
    if endpoint is None:
        raise click.UsageError(why_nowhere(context.obj))
    try:
        is_needed = is_tcp(endpoint) or isinstance(context.obj.store, Database)
        secret = read_secret(key) if key and is_needed else None
    except SettingError as exc:
        raise click.UsageError(str(exc)) from exc
    context.obj = Connection(Brokers(endpoint, secret), as_json)


def _rooms(broker: Connection) -> list[admin_frames.Room]:
    answer = broker.ask(admin_frames.ListRooms(), admin_frames.Rooms)
    rooms = answer.rooms
    while answer.more and answer.rooms:
        answer = broker.ask(admin_frames.ListRooms(rooms[-1].id), admin_frames.Rooms)
        rooms += answer.rooms
    return rooms


def _members(broker: Connection, room: str) -> list[admin_frames.Member]:
    answer = broker.ask(admin_frames.ListMembers(room=room), admin_frames.Members)
    members = answer.members
    while answer.more and answer.members:
        answer = broker.ask(admin_frames.ListMembers(members[-1].id, room), admin_frames.Members)
        members += answer.members
    return members


def _room_cells(room: admin_frames.Room) -> Cells:
    marks, since = _marks(locked=room.locked, persistent=room.persistent), _moment(room.created_ms)
    cells: Cells = {"room": room.name, "members": room.members, "host": room.host}
    return cells | {"": marks, "topic": room.topic, "since": since}


def _member_cells(member: admin_frames.Member) -> Cells:
    rights = Rights(member.rights)
    marks = _marks(host=member.host, moderator=Rights.MODERATOR in rights, verified=Rights.VERIFIED in rights)
    cells: Cells = {"room": member.room, "name": member.name, "": marks, "dialect": member.dialect}
    return cells | {"from": member.ip, "hears at": member.address, "gateway": member.gateway}


def _gateway_cells(gateway: admin_frames.Gateway) -> Cells:
    name, _, run = gateway.instance.rpartition("/")
    heard = f"{gateway.silent_ms / 1000:.1f} s ago"
    return {"gateway": name or "–", "run": run, "state": gateway.state, "members": gateway.members, "heard": heard}


def _ban_cells(ban: admin_frames.ListedBan) -> Cells:
    return {"who": ban.name or ban.ip, "until": _moment(ban.until_ms) if ban.until_ms else "it is lifted"}


def _marks(**marks: bool) -> str:
    return " ".join(mark for mark, holds in marks.items() if holds)


@admin.command("rooms")
@click.pass_obj
def rooms_command(broker: Connection) -> None:
    """List all rooms."""
    broker.show("rooms", _rooms(broker), _room_cells, "There are no rooms.")


@admin.command("room")
@click.argument("name")
@click.pass_obj
def room_command(broker: Connection, name: str) -> None:
    """Show one room and its members."""
    rooms = broker.ask(admin_frames.ListRooms(0, name), admin_frames.Rooms).rooms
    members = _members(broker, name)
    if broker.as_json:
        _print_json(_fields(rooms[0]) | {"in_it": [_fields(member) for member in members]})
    else:
        broker.show("rooms", rooms, _room_cells, "")
        broker.show("members", members, _member_cells, "The room has no members.")


@admin.command("members")
@click.argument("room", default="")
@click.pass_obj
def members_command(broker: Connection, room: str) -> None:
    """List the members of ROOM, or of all rooms."""
    broker.show("members", _members(broker, room), _member_cells, "There are no members.")


@admin.command("gateways")
@click.pass_obj
def gateways_command(broker: Connection) -> None:
    """List the gateways that are known, and whether they are there."""
    gateways = broker.ask(admin_frames.ListGateways(), admin_frames.Gateways).gateways
    broker.show("gateways", gateways, _gateway_cells, "No gateway is known.")


@admin.command("counters")
@click.pass_obj
def counters_command(broker: Connection) -> None:
    """Show what there is, and what has happened since the broker started."""
    counters = broker.ask(admin_frames.Count(), admin_frames.Counted).counters
    if broker.as_json:
        _print_json(dict(counters))
    else:
        _print_table([{"what": name.replace("_", " "), "number": number} for name, number in counters])
    broker.check_complete()


@admin.command("shards")
@click.pass_obj
def shards_command(broker: Connection) -> None:
    """Show which broker serves which part of the rooms, where several share a database."""
    try:
        shards = broker.brokers.all_shards()
    except BackboneError as exc:
        _end(str(exc))
    brokers = shards.brokers
    if broker.as_json:
        rows = [
            _fields(row) | {"broker": brokers[row.broker - 1].endpoint if row.broker else ""} for row in shards.shards
        ]
        _print_json({"brokers": [_fields(row) for row in brokers], "shards": rows})
    else:
        _print_table([_shard_cells(shards, row, broker.brokers.unreachable) for row in shards.shards])
    broker.check_complete()


def _shard_cells(shards: admin_frames.Shards, row: admin_frames.Shard, unreachable: Collection[str]) -> Cells:
    broker, marks = "–", "free"
    if row.broker:
        owner = shards.brokers[row.broker - 1]
        broker, is_silent = owner.endpoint, owner.endpoint in unreachable
        marks = _marks(leaving=owner.leaving, silent=is_silent, loading=not row.served and not is_silent)
    cells: Cells = {"shard": row.number, "broker": broker, "": marks, "term": row.term}
    return cells | {"rooms": row.rooms, "members": row.members}


@admin.command("bans")
@click.pass_obj
def bans_command(broker: Connection) -> None:
    """List the names and addresses that may not join any room."""
    broker.show("bans", broker.ask(admin_frames.ListBans(), admin_frames.Bans).bans, _ban_cells, "There are no bans.")


# --- changes ------------------------------------------------------------------------------------------------------


@admin.command("close")
@click.argument("room")
@click.pass_obj
def close_command(broker: Connection, room: str) -> None:
    """Close ROOM; its members get a notice."""
    broker.order(admin_frames.CloseRoom(room), f"{room} is closed.")


@admin.command("remove")
@click.argument("room")
@click.argument("name")
@click.option("--reason", default="", help="Told to the member and to its room.")
@click.pass_obj
def remove_command(broker: Connection, room: str, name: str, reason: str) -> None:
    """Remove the member NAME from ROOM; if it is the host, this counts as its leaving (--host-leaves)."""
    broker.order(admin_frames.RemoveMember(room, name, reason), f"{name} is no longer in {room}.")


@admin.command("ban")
@click.argument("who")
@click.option("--minutes", type=click.IntRange(0, 10_000_000), default=0, help="0: until it is lifted.")
@click.option("--reason", default="", help="Told to the member and to its room.")
@click.option("--name", "is_name", is_flag=True, help="WHO is a user's name, though it looks like an address.")
@click.pass_obj
def ban_command(broker: Connection, who: str, minutes: int, reason: str, is_name: bool) -> None:
    """Ban WHO, a user's name or an IP address (of IPv6, 64 bits of it), from all rooms; members are removed."""
    name, ip = (who, "") if is_name else _name_or_address(who)
    told = who if name else rate_key(ip)
    broker.order(admin_frames.Ban(name, ip, minutes, reason), f"{told} is banned; members removed: {{count}}.")


def _name_or_address(who: str) -> tuple[str, str]:
    """Return (name, "") or ("", address); raise click.UsageError if it looks like an address and is none to ban."""
    if not looks_like_address(who):
        return who, ""
    address = plain(who)
    if rate_key(address) and (":" in address or full_form(address) == address):
        return "", address
    full = full_form(address)
    raise click.UsageError(
        f"{who} is no address that can be banned{f' ({full}?)' if full else ''}: write one of IPv4 (192.0.2.1), or one"
        " or 64 bits of IPv6 (2001:db8::1, 2001:db8::/64); larger networks are for the firewall. For a user of that"
        " name: --name"
    )


@admin.command("unban")
@click.argument("who")
@click.pass_obj
def unban_command(broker: Connection, who: str) -> None:
    """Lift the bans of WHO, a user's name or an IP address."""
    who = plain(who) if looks_like_address(who) else who
    broker.order(admin_frames.Unban(who), f"{who} may come in again.")


@admin.command("announce")
@click.argument("text")
@click.option("--room", default="", help="To this room only.")
@click.pass_obj
def announce_command(broker: Connection, text: str, room: str) -> None:
    """Announce TEXT in every room."""
    broker.order(admin_frames.Announce(text, room), "Announced; rooms told: {count}.")


@admin.command("persist")
@click.argument("room")
@click.option("--ask-password", is_flag=True, help="Ask for a password, which the room has from now on.")
@click.option("--no-password", is_flag=True, help="The room has none from now on.")
@click.option("--topic", default=None, help="What the room is about from now on.")
@click.pass_obj
def persist_command(broker: Connection, room: str, ask_password: bool, no_password: bool, topic: str | None) -> None:
    """Let ROOM outlive its members and the broker; create it if need be. It has no host."""
    if ask_password and no_password:
        raise click.UsageError("--ask-password or --no-password, not both")
    password_hash = "" if no_password else None
    if ask_password:
        password = ask("Password", is_secret=sys.stdin.isatty())
        # Made here: the password itself goes nowhere.
        password_hash = make_hash(password)
    broker.order(admin_frames.Persist(room, password_hash, topic), f"{room} is persistent.")


@admin.command("unpersist")
@click.argument("room")
@click.pass_obj
def unpersist_command(broker: Connection, room: str) -> None:
    """Let ROOM close when its last member leaves; at once, if it has none."""
    broker.order(admin_frames.Unpersist(room), f"{room} closes when its last member has left.")


# --- the page -----------------------------------------------------------------------------------------------------


@admin.command("page")
@click.option(
    "--listen",
    type=Parsed(parse_host_port, "HOST:PORT"),
    default="127.0.0.1:9088",
    show_default=True,
    help="Where the page is served; port 0 is any free one.",
)
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A name under which a proxy serves the page.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with the token; without it, each run makes another.",
)
@click.pass_obj
def page_command(broker: Connection, listen: HostPort, hosts: tuple[str, ...], token_file: Path | None) -> None:
    """Serve a page for the operator's browser: what happens, and what these commands do.

    It prints an address with the token that opens the page (with --token-file: without it), and serves until Ctrl-C.
    From another machine: ssh -L 9088:127.0.0.1:9088 HOST, then open the same address.
    """
    # Only here: a broker that serves has no page.
    from .web.run import serve

    try:
        token = None if token_file is None else read_token(token_file)
        serve(broker.brokers.copy, listen, hosts, token)
    except SettingError as exc:
        raise click.UsageError(str(exc)) from exc
