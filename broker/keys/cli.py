"""`python -m broker keys`: the command line for the allow list of keys."""

from pathlib import Path

import click

from tsudoi.ops.keyfiles import Owner, Role, check_name

from ..config import Config
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
    """Make a key for the gateway NAME and allow it. The first time, the broker's own key is made too."""
    out = out or Path(f"{name}.key")
    owner = Owner(Role.OPERATOR if operator else Role.GATEWAY, name)
    if keep and key_folder.exists(out):
        click.echo(f"{out} is there already")
        return
    key_folder.add(config.keys_folder, owner, out)
    click.echo(f"{owner} is allowed, with --key {out}: bring that file there over a safe channel, and keep no copy")


@keys_command.command("own")
@click.option("--public", type=click.Path(dir_okay=False, path_type=Path), help="Where its public half goes.")
@click.pass_obj
def own_command(config: Config, public: Path | None) -> None:
    """Make the broker's own key, if there is none. Its public half is for `keys make`."""
    key_folder.make_own(config.keys_folder, public)
    click.echo(f"the broker's own key is in {config.keys_folder}")


@keys_command.command("make")
@click.argument("name")
@click.option(
    "--broker",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file with the broker's public key (`keys own --public FILE`).",
)
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Where the secret key goes."
)
@click.option(
    "--public",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the public key goes: gateways/NAME.pub in the broker's folder of keys.",
)
@click.option("--keep", "existing", flag_value="keep", help="If there is a key already, leave everything as it is.")
@click.option("--again", "existing", flag_value="again", help="If there is a key already, give its public half again.")
@click.option("--replace", "existing", flag_value="replace", help="Make another key, in the place of this one.")
def make_command(name: str, broker: Path, out: Path, public: Path, existing: str | None) -> None:
    """Make a key for the gateway NAME where the gateway runs: no secret leaves that place."""
    owner, what = Owner(Role.GATEWAY, name), key_folder.Existing(existing or "refuse")
    check_name(name)
    key_folder.make(owner, broker, out, public, what)
    is_public = key_folder.exists(public)
    where = f"its public half in {public}" if is_public else f"and its public half not in {public}: it was removed"
    click.echo(f"{owner} has a key in {out}, {where}")


@keys_command.command("list")
@click.pass_obj
def list_command(config: Config) -> None:
    """List the allowed keys: role, name, public key."""
    for owner, public in key_folder.listed(config.keys_folder):
        click.echo(f"{owner.role:<8}  {owner.name:<20}  {public}")


@keys_command.command("remove")
@click.argument("name")
@click.option("--operator", is_flag=True, help="An operator's key, not a gateway's.")
@click.pass_obj
def remove_command(config: Config, name: str, operator: bool) -> None:
    """Remove the key of the gateway NAME. A running broker ends its connections within a second."""
    owner = Owner(Role.OPERATOR if operator else Role.GATEWAY, name)
    key_folder.remove(config.keys_folder, owner)
    click.echo(f"{owner} is not allowed any more")
