"""Define the command line `python -m gateway`."""

import asyncio
import sys
from dataclasses import replace
from typing import Any

import click
import uvloop
from click.core import ParameterSource

from tsudoi.ops import logs
from tsudoi.ops.command_line import OneLineGroup
from tsudoi.ops.host_port import HostPort, parse_host_port, with_both_families
from tsudoi.ops.net.descriptors import require_descriptors
from tsudoi.ops.options import (
    GROUP,
    Number,
    Parsed,
    check_config_option,
    config_option,
    overridden,
    settings_options,
)
from tsudoi.ops.program import import_program
from tsudoi.ops.settings import build, each_setting
from tsudoi.ops.variables import mistyped_variables, warn_of_mistyped
from tsudoi.protocol.errors import SettingError

from .broker_key import choose_key
from .config import WEB_PORT, Config
from .identify.cli import identify
from .join.signed_tokens import load_keys
from .listeners import tls
from .process.run import run
from .process.single import check_settings


class GatewayGroup(OneLineGroup):
    """Tells how a broker inside gets a setting whose flag was given here."""

    def _in_words(self, exc: click.ClickException) -> str:
        if isinstance(exc, click.NoSuchOption):
            config = import_program("broker.config").Config
            for each in each_setting(config):
                if each.flag == exc.option_name and each.variable:
                    how = f"a broker inside has it by {each.variable}, or in --config the table [broker]"
                    if each.name in import_program("broker.embedded").SET_BY_GATEWAY:
                        how = "without --broker rooms are in --data; else start `python -m broker`"
                    return f"{each.flag} is the broker's: {how}"
        return super()._in_words(exc)


@click.group("gateway", cls=GatewayGroup, invoke_without_command=True, context_settings=GROUP)
@settings_options(Config)
@config_option("gateway")
@check_config_option()
@click.pass_context
def main(context: click.Context, /, check_config: bool, **_: object) -> None:
    """Let clients in: rooms are created and joined over TCP, chat goes by UDP.

    Without --broker this is a whole chat service: it has a broker of its own, which keeps everything in --data. Every
    option can also be given as an environment variable, for example TSUDOI_TCP; several values are separated by spaces
    there. Prints `ready tcp HOST:PORT udp HOST:PORT` when a probe has gone to the broker and back; SIGTERM or Ctrl-C
    stops it.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        config = configure(context)
        if config.tls is not None:
            tls.load(config.tls)
        if check_config:
            if config.verifies:
                load_keys(config.auth_key, config.auth_secret)
            if not config.broker:
                check_settings(config.data, config.file, config.log_format)
            for name, close in mistyped_variables(main.variables()).items():
                click.echo(f"gateway: no program reads the variable {name}: is {close} meant?", err=True)
            click.echo("gateway: all settings are fine")
            return
        require_descriptors()
        about: dict[str, Any] = {"worker": config.inherited.number} if config.inherited else {}
        logs.set_up(config.log_level, config.log_format, **about)
        if config.inherited is None:
            warn_of_mistyped(logs.get("gateway"), main.variables())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(run(config, configure_again)))
    except SettingError as exc:
        raise click.UsageError(str(exc)) from exc


def configure(context: click.Context) -> Config:
    """Return the settings from flags, environment and file.

    Raises:
        SettingError, click.UsageError: they do not go together.
    """
    config = build(Config, context.params)
    if config.auth == "required" and not config.verifies:
        raise click.UsageError(
            "--auth required needs --auth-key or --auth-secret, the file with what tokens are signed with"
        )
    certificate, key, listeners = config.tls_certificate, config.tls_key, config.tls_listeners
    web = tuple(listener for listener in config.web if listener is not None)
    tls_webhooks = any(webhook.tls for webhook in config.webhook)
    tls_web = any(listener.tls for listener in web)
    uses_tls = bool(listeners or tls_webhooks or tls_web)
    if (uses_tls and not (certificate and key)) or bool(certificate) != bool(key):
        other = "--webhook with tls=on" if tls_webhooks else "--web with tls=on" if tls_web else ""
        what = "--tls" if listeners else other
        needs = "--tls-cert and --tls-key need each other"
        raise click.UsageError(f"{what}, {needs}" if what else needs)
    if config.webhook and not config.verifies:
        raise click.UsageError(
            "--webhook needs --auth-key or --auth-secret, the file with what its tokens are signed with"
        )
    brokers = tuple(dict.fromkeys(filter(None, config.broker)))
    tcp = config.tcp
    if listeners and context.get_parameter_source("tcp") is ParameterSource.DEFAULT:
        tcp = ()
    web_is_default = not config.web and not config.broker
    if web_is_default:
        web = (WEB_PORT,)
    return replace(
        config,
        web=with_both_families(web, (*tcp, *listeners, *config.webhook)),
        web_is_default=web_is_default,
        tcp=with_both_families((*tcp, *listeners), (*config.webhook, *web)),
        webhook=with_both_families(config.webhook, (*tcp, *listeners, *web)),
        udp=with_both_families(config.udp),
        # A constant name for workers: a broker of our own keeps the members of their earlier runs under it.
        name=config.name if brokers else config.name or "embedded",
        broker=brokers,
        settings=replace(config.settings, auth=config.auth if config.verifies else "off"),
        file=context.params["config"],
        key=choose_key(brokers, config.key_file, config.name, config.insecure),
        overridden=overridden(context),
    )


def configure_again() -> Config:
    """Read the configuration file and variables again, with the flags of the start, and return the settings.

    Raises:
        SettingError, click.ClickException: a setting can not work.
    """
    return configure(main.make_context("python -m gateway", sys.argv[1:]))


main.add_command(identify)


@main.command("ping")
@click.option("--http", type=Parsed(parse_host_port, "HOST:PORT"), help="Where it serves `/healthz`.")
@click.option("--timeout", default=3.0, type=Number(0.1), metavar="SECONDS", help="How long to wait.")
@click.pass_context
def ping_command(context: click.Context, http: HostPort | None, timeout: float) -> None:
    """Ask a running gateway (at --http) whether it is healthy: exit status 0 or 1."""
    assert context.parent is not None
    place = http or context.parent.params["http"]
    if place is None:
        raise click.UsageError("name the gateway's --http HOST:PORT (or TSUDOI_HTTP)")
    from .process.ask_health import ask  # only here: a gateway that serves needs no client of HTTP

    healthy, text = ask(str(place), timeout)
    click.echo(text if healthy else f"gateway: {text}", err=not healthy)
    sys.exit(0 if healthy else 1)
