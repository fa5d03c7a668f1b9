"""`python -m client scenario`, also `python -m scenarios`: the command line."""

import sys
from pathlib import Path
from typing import TextIO, cast

import click
from rich.console import Console

from tsudoi import Server
from tsudoi.ops.command_line import OneLineCommand, run_until_signal, to_server
from tsudoi.ops.threaded_stream import ThreadedStream
from tsudoi.protocol.client.dialects import DIALECTS

from .cluster import Site
from .report import Report
from .runner import act_out
from .sentences import LANGUAGE
from .story import Story, StoryResult
from .story_file import read


def _to_servers(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[Server]:
    return [to_server(context, parameter, value) for value in values]


def _to_ports(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    ports: dict[str, int] = {}
    for value in values:
        dialect, _, port = value.partition("=")
        if dialect not in DIALECTS or not port.isdecimal() or not 0 < int(port) < 65536:
            raise click.BadParameter(f"{value!r} is not DIALECT=PORT, such as tcrp=9101")
        ports[dialect] = int(port)
    return ports


@click.command("scenario", cls=OneLineCommand, context_settings={"show_default": True, "max_content_width": 100})
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="FILE|DIRECTORY...")
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="HOST[:TCP[:UDP]]",
    envvar="TSUDOI_SERVER",
    show_envvar=True,
    callback=_to_servers,
    help="Act at this running server instead of starting processes. Given again: the story's second server, and so on.",
)
@click.option(
    "--dialect-port",
    "dialect_ports",
    multiple=True,
    metavar="DIALECT=PORT",
    callback=_to_ports,
    help="A TCP port of the running servers at which only this dialect is spoken.",
)
@click.option("--language", is_flag=True, help="Describe how scenarios are written, and exit.")
def main(files: tuple[Path, ...], servers: list[Server], dialect_ports: dict[str, int], language: bool) -> None:
    """Act out scenarios, and report what was expected and what came instead.

    Without --server each scenario starts the broker and the gateways that it asks for, and clears them away. Exit
    status 1 when one fails.
    """
    if language:
        click.echo(LANGUAGE, nl=False)
        return
    stories = _read(files)
    sites = [Site(server, dialect_ports) for server in servers]
    # The story goes on while its reader, a pager for example, stands still.
    output = ThreadedStream(sys.stdout)
    report = Report(Console(file=cast(TextIO, output), highlight=False, emoji=False))

    async def act_all() -> list[StoryResult]:
        results = []
        for story in stories:
            report.begin(story)
            results.append(await act_out(story, sites, report.step))
            report.end(results[-1])
            output.check()
        return results

    results = run_until_signal(act_all(), waits_for_threads=True)
    report.summary(results)
    output.wait()
    if any(result.failed for result in results):
        sys.exit(1)


def _read(paths: tuple[Path, ...]) -> list[Story]:
    if not paths:
        raise click.UsageError("name a scenario's file, or a directory of them (--language tells how to write one)")
    found: list[Path] = []
    for path in paths:
        inside = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        if not inside:
            raise click.UsageError(f"there is no scenario (*.yaml) in {path}")
        found += inside
    try:
        return [read(path.read_bytes().decode(), str(path)) for path in found]
    except OSError as exc:
        raise click.UsageError(f"can not read {exc.filename}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise click.UsageError(f"can not be read: {exc}") from exc
