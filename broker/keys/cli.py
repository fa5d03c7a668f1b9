"""`python -m broker keys`: the command line for the allow list of keys."""

from pathlib import Path

import click

from tsudoi.ops.keyfiles import Owner, Role
from tsudoi.protocol.errors import SettingError

from ..config import Config
from ..net.zap import make_pair
from . import key_folder


@click.group("keys")
def keys_command() -> None:
    """Make, list, add and remove the keys of gateways and operators.

    The running broker applies changes at once; no program has to be started again.
    """


@keys_command.command("add")
@click.argument("name")
@click.option("--operator", is_flag=True, help="The key of a person who operates the service, not of a gateway.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Where the secret key goes, for --key. [default: NAME.key]",
)
@click.option("--keep", is_flag=True, help="If that file is there already, leave everything as it is.")
@click.pass_obj
def add_command(config: Config, name: str, operator: bool, out: Path | None, keep: bool) -> None:
    """Make a key for the gateway NAME and let it in. The first time, the broker's own key is made too."""
    out = out or Path(f"{name}.key")
    owner = Owner(Role.OPERATOR if operator else Role.GATEWAY, name)
    try:
        if keep and key_folder.exists(out):
            click.echo(f"{out} is there already")
            return
        key_folder.add(config.keys_folder, owner, out, make_pair)
    except SettingError as exc:
        raise click.UsageError(str(exc)) from exc
    click.echo(f"{owner} may come, with --key {out}: take it there by a safe way, and leave no copy")


@keys_command.command("list")
@click.pass_obj
def list_command(config: Config) -> None:
    """List the keys that are let in: role, name, public key."""
    try:
        for owner, public in key_folder.listed(config.keys_folder):
            click.echo(f"{owner.role:<8}  {owner.name:<20}  {public}")
    except SettingError as exc:
        raise click.UsageError(str(exc)) from exc


@keys_command.command("remove")
@click.argument("name")
@click.option("--operator", is_flag=True, help="An operator's key, not a gateway's.")
@click.pass_obj
def remove_command(config: Config, name: str, operator: bool) -> None:
    """Remove the key of the gateway NAME. A running broker ends its connections within a second."""
    owner = Owner(Role.OPERATOR if operator else Role.GATEWAY, name)
    try:
        key_folder.remove(config.keys_folder, owner)
    except SettingError as exc:
        raise click.UsageError(str(exc)) from exc
    click.echo(f"{owner} may not come any more")
