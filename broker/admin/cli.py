"""`python -m broker admin`: the operator's command line.

Each command is one or a few requests to the broker (`backbone/admin_frames.py`) and a table of the answers, or JSON
(`console.py`). Exit status 1: the broker does not answer, or refuses; the reason is one line on standard error.
"""

import sys
from pathlib import Path

import click

from tsudoi.ops.command_line import ask
from tsudoi.ops.host_port import HostPort, parse_host_port
from tsudoi.ops.ip_address import full_form, looks_like_address, plain
from tsudoi.ops.options import Parsed
from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol.backbone import admin_frames

from ..config import why_nowhere
from ..keys.key_folder import read_secret
from ..rooms.passwords import make_hash
from .console import Console, print_json, shown_fields
from .spanning import Brokers
from .tables import ban_cells, gateway_cells, member_cells, print_table, room_cells, shard_cells
from .web.tokens import read_token

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
    context.obj = Console(Brokers(endpoint, read_secret(key) if key else None), as_json)


def _rooms(broker: Console) -> list[admin_frames.Room]:
    answer = broker.ask(admin_frames.ListRooms(), admin_frames.Rooms)
    rooms = answer.rooms
    while answer.more and answer.rooms:
        answer = broker.ask(admin_frames.ListRooms(rooms[-1].id), admin_frames.Rooms)
        rooms += answer.rooms
    return rooms


def _members(broker: Console, room: str) -> list[admin_frames.Member]:
    answer = broker.ask(admin_frames.ListMembers(room=room), admin_frames.Members)
    members = answer.members
    while answer.more and answer.members:
        answer = broker.ask(admin_frames.ListMembers(members[-1].id, room), admin_frames.Members)
        members += answer.members
    return members


@admin.command("rooms")
@click.pass_obj
def rooms_command(broker: Console) -> None:
    """List all rooms."""
    broker.show("rooms", _rooms(broker), room_cells, "There are no rooms.")


@admin.command("room")
@click.argument("name")
@click.pass_obj
def room_command(broker: Console, name: str) -> None:
    """Show one room and its members."""
    rooms = broker.ask(admin_frames.ListRooms(0, name), admin_frames.Rooms).rooms
    members = _members(broker, name)
    if broker.as_json:
        print_json(shown_fields(rooms[0]) | {"in_it": [shown_fields(member) for member in members]})
    else:
        broker.show("rooms", rooms, room_cells, "")
        broker.show("members", members, member_cells, "The room has no members.")


@admin.command("members")
@click.argument("room", default="")
@click.pass_obj
def members_command(broker: Console, room: str) -> None:
    """List the members of ROOM, or of all rooms."""
    broker.show("members", _members(broker, room), member_cells, "There are no members.")


@admin.command("gateways")
@click.pass_obj
def gateways_command(broker: Console) -> None:
    """List the gateways that are known, and whether they are there."""
    gateways = broker.ask(admin_frames.ListGateways(), admin_frames.Gateways).gateways
    broker.show("gateways", gateways, gateway_cells, "No gateway is known.")


@admin.command("counters")
@click.pass_obj
def counters_command(broker: Console) -> None:
    """Show what there is, and what has happened since the broker started."""
    counters = broker.ask(admin_frames.Count(), admin_frames.Counted).counters
    if broker.as_json:
        print_json(dict(counters))
    else:
        print_table([{"what": name.replace("_", " "), "number": number} for name, number in counters])
    broker.check_complete()


@admin.command("shards")
@click.pass_obj
def shards_command(broker: Console) -> None:
    """Show which broker serves which part of the rooms, where several share a database."""
    shards = broker.brokers.all_shards()
    brokers = shards.brokers
    if broker.as_json:
        rows = [
            shown_fields(row) | {"broker": brokers[row.broker - 1].endpoint if row.broker else ""}
            for row in shards.shards
        ]
        print_json({"brokers": [shown_fields(row) for row in brokers], "shards": rows})
    elif len(shards.shards) == 1:
        click.echo("This broker serves all rooms: it shares its store with no other.")
    else:
        print_table([shard_cells(shards, row, broker.brokers.unreachable) for row in shards.shards])
    broker.check_complete()


@admin.command("bans")
@click.pass_obj
def bans_command(broker: Console) -> None:
    """List the names and addresses that may not join any room."""
    broker.show("bans", broker.ask(admin_frames.ListBans(), admin_frames.Bans).bans, ban_cells, "There are no bans.")


# --- changes ------------------------------------------------------------------------------------------------------


@admin.command("close")
@click.argument("room")
@click.pass_obj
def close_command(broker: Console, room: str) -> None:
    """Close ROOM; its members get a notice."""
    broker.order(admin_frames.CloseRoom(room), f"{room} is closed.")


@admin.command("remove")
@click.argument("room")
@click.argument("name")
@click.option("--reason", default="", help="Told to the member and to its room.")
@click.pass_obj
def remove_command(broker: Console, room: str, name: str, reason: str) -> None:
    """Remove the member NAME from ROOM; if it is the host, this counts as its leaving (--host-leaves)."""
    broker.order(admin_frames.RemoveMember(room, name, reason), f"{name} is no longer in {room}.")


@admin.command("ban")
@click.argument("who")
@click.option("--minutes", type=click.IntRange(0, admin_frames.MAX_MINUTES), default=0, help="0: until it is lifted.")
@click.option("--reason", default="", help="Told to the member and to its room.")
@click.option("--name", "is_name", is_flag=True, help="WHO is a user's name, though it looks like an address.")
@click.pass_obj
def ban_command(broker: Console, who: str, minutes: int, reason: str, is_name: bool) -> None:
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
def unban_command(broker: Console, who: str) -> None:
    """Lift the bans of WHO, a user's name or an IP address."""
    who = plain(who) if looks_like_address(who) else who
    broker.order(admin_frames.Unban(who), f"{who} may come in again.")


@admin.command("announce")
@click.argument("text")
@click.option("--room", default="", help="To this room only.")
@click.pass_obj
def announce_command(broker: Console, text: str, room: str) -> None:
    """Announce TEXT in every room."""
    broker.order(admin_frames.Announce(text, room), "Announced; rooms told: {count}.")


@admin.command("persist")
@click.argument("room")
@click.option("--ask-password", is_flag=True, help="Ask for a password, which the room has from now on.")
@click.option("--no-password", is_flag=True, help="The room has none from now on.")
@click.option("--topic", default=None, help="What the room is about from now on.")
@click.pass_obj
def persist_command(broker: Console, room: str, ask_password: bool, no_password: bool, topic: str | None) -> None:
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
def unpersist_command(broker: Console, room: str) -> None:
    """Let ROOM close when its last member leaves; at once, if it has none."""
    broker.order(admin_frames.Unpersist(room), f"{room} is not persistent any more: it closes when nobody is in it.")


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
def page_command(broker: Console, listen: HostPort, hosts: tuple[str, ...], token_file: Path | None) -> None:
    """Serve a page for the operator's browser: what happens, and what these commands do.

    It prints an address with the token that opens the page (with --token-file: without it), and serves until Ctrl-C.
    From another machine: ssh -L 9088:127.0.0.1:9088 HOST, then open the same address.
    """
    # Only here: a broker that serves has no page.
    from .web.run import serve

    serve(broker.brokers.copy, listen, hosts, None if token_file is None else read_token(token_file))
