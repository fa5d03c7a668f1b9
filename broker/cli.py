"""`python -m broker`: the command line."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import click
import uvloop
from click.core import ParameterSource

from tsudoi.ops import logs
from tsudoi.ops.command_line import OneLineGroup
from tsudoi.ops.net.descriptors import require_descriptors
from tsudoi.ops.net.unix_socket import is_served
from tsudoi.ops.options import GROUP, Number, Parsed, check_config_option, config_option, overridden, settings_options
from tsudoi.ops.settings import build
from tsudoi.ops.variables import mistyped_variables, warn_of_mistyped
from tsudoi.protocol.backbone import admin_frames, is_tcp, parse_to_bind
from tsudoi.protocol.backbone.endpoint import INPROC, IPC
from tsudoi.protocol.errors import SettingError, StoreError

from .admin.cli import admin as admin_group
from .admin.client import ask_broker
from .config import Config
from .embedded import is_embedded, unused
from .keys import key_folder
from .keys.cli import keys_command
from .net.ping import ping
from .run import run
from .store.backup import back_up
from .store.copy_store import copy_store
from .store.place import Database, StorePlace, parse_store


@click.group("broker", cls=OneLineGroup, invoke_without_command=True, context_settings=GROUP)
@settings_options(Config)
@config_option("broker")
@check_config_option()
@click.pass_context
def main(context: click.Context, /, check_config: bool, **_: object) -> None:
    """Keep the rooms: their members, the one order of their messages, and their logs.

    Gateways (python -m gateway --broker ENDPOINT) connect to it; clients never do. Every option can also be given as an
    environment variable, for example TSUDOI_BIND. Prints `ready ENDPOINT` when gateways may come; SIGTERM or Ctrl-C
    stops it.
    """
    context.obj = build(Config, context.params)
    if context.invoked_subcommand is not None:
        return
    try:
        config = configure(context)
        if config.bind.startswith(INPROC):
            raise SettingError(f"--bind {config.bind}: no gateway reaches it from another process: tcp://… or ipc://…")
        if check_config:
            for name, close in mistyped_variables(main.variables()).items():
                click.echo(f"broker: no program reads the variable {name}: is {close} meant?", err=True)
            click.echo("broker: all settings are fine")
            return
        require_descriptors()
        logs.set_up(config.log_level, config.log_format)
        if not is_embedded(config):
            warn_of_mistyped(logs.get("broker"), main.variables())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(run(config, configure_again)))
    except (SettingError, StoreError) as exc:
        raise click.UsageError(str(exc)) from exc


def configure(context: click.Context) -> Config:
    """Return the settings from flags, environment and file; raise SettingError if they do not go together."""
    config = build(Config, context.params)
    if config.require_synchronous and not isinstance(config.store, Database):
        raise SettingError("--require-synchronous is for a database: a store in a file or in memory has no standby")
    if config.require_synchronous and config.allow_asynchronous:
        raise SettingError("--require-synchronous and --allow-asynchronous contradict each other: give one")
    keys = None
    if is_tcp(config.bind) and not config.insecure:
        is_given = context.get_parameter_source("keys") is not ParameterSource.DEFAULT
        keys = key_folder.choose(config.bind, config.keys_folder, is_given)
    persistent = tuple(dict.fromkeys(config.persistent))
    return replace(
        config,
        keys=keys,
        persistent=persistent,
        overridden=overridden(context),
        unused=tuple(unused(context, config)) if is_embedded(config) else (),
    )


def configure_again() -> Config:
    """Return what the settings are now, with the flags of the start; raise SettingError or click.ClickException."""
    return configure(main.make_context("python -m broker", sys.argv[1:]))


main.add_command(keys_command)
main.add_command(admin_group)


@main.command("ping")
@click.option("--bind", type=Parsed(parse_to_bind, "ENDPOINT"), help="Where it listens for gateways.")
@click.option("--timeout", default=3.0, type=Number(0.1), metavar="SECONDS", help="How long to wait.")
@click.pass_context
def ping_command(context: click.Context, bind: str | None, timeout: float) -> None:
    """Ask a running broker whether it answers: exit status 0 or 1.

    Without --bind, it is the broker with this --store, as for `admin`; if none runs, the one at the default of --bind.
    """
    assert context.parent is not None
    config: Config = context.obj
    is_named = bind is not None or context.parent.get_parameter_source("bind") is not ParameterSource.DEFAULT
    beside = None if is_named or config.admin is None or is_tcp(config.admin) else config.admin
    if beside is not None and is_served(Path(beside.removeprefix(IPC))):
        # A service of one command has no endpoint for gateways.
        ask_broker(beside, admin_frames.Count(), answer_s=timeout)
        click.echo(f"{beside} answers")
        return
    endpoint, own = bind or config.bind, config.keys_folder / key_folder.OWN
    is_guarded = is_tcp(endpoint) and not config.insecure and key_folder.exists(own)
    key = key_folder.read_secret(own) if is_guarded else None
    if not ping(endpoint, timeout, key):
        nor = f", and no broker runs at {beside}" if beside else ""
        nor += "" if is_named else ": name the service's --store, or --bind ENDPOINT"
        click.echo(f"broker: no answer from {endpoint} within {timeout:g} s{nor}", err=True)
        sys.exit(1)
    click.echo(f"{endpoint} answers")


@main.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def backup_command(config: Config, file: Path) -> None:
    """Copy the store (--store sqlite:PATH) to FILE while its broker runs."""
    if config.store is None:
        raise click.UsageError("a store in memory can not be copied")
    if not isinstance(config.store, Path):
        raise click.UsageError("a database is copied with its own tools: pg_dump --schema=tsudoi, or pg_basebackup")
    back_up(config.store, file)
    click.echo(f"{file} has all that {config.store} had")


@main.command("copy")
@click.option("--from", "source", type=Parsed(parse_store, "STORE"), required=True, help="The store: sqlite:PATH.")
@click.option("--to", "target", type=Parsed(parse_store, "STORE"), required=True, help="An empty postgresql://…")
@click.pass_obj
def copy_command(config: Config, source: StorePlace, target: StorePlace) -> None:
    """Copy a store in a file, whose broker has ended, into a database.

    Rooms, members with their tokens, logs, passwords and bans stay as they are. If it fails, the database has no rooms,
    and it can be begun again.
    """
    if not isinstance(source, Path) or not isinstance(target, Database):
        raise click.UsageError("a store is copied from sqlite:PATH to postgresql://USER@HOST/DATABASE")
    logs.set_up(config.log_level, config.log_format)
    try:
        copied = copy_store(source, target)
    except StoreError as exc:
        raise StoreError(f"{exc}; {target} may be incomplete: call this again") from exc
    click.echo(
        f"{target} has all that {source} had: {copied.rooms} rooms, {copied.members} members,"
        f" {copied.entries} log entries"
    )
