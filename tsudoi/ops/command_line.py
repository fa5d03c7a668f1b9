"""Let the client's and the scenarios' command lines report errors in one line, and end cleanly."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

from ..errors import ClientError
from ..server_address import Server

_T = TypeVar("_T")


class OneLineCommand(click.Command):
    """Reports an error in one line: exit status 2 if the command line is wrong, 1 if a server or the network failed."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and exit."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # A character that the terminal can not show is escaped.
                stream.reconfigure(errors="backslashreplace")
        try:
            status = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as exc:
            click.echo(exc.format_message())
            status = 2
        except click.ClickException as exc:
            click.echo(f"{self.name}: {exc.format_message()}", err=True)
            status = exc.exit_code
        except ClientError as exc:
            click.echo(f"{self.name}: {exc}", err=True)
            status = 1
        except (click.Abort, KeyboardInterrupt):
            status = 128 + signal.SIGINT
        except asyncio.CancelledError:
            status = 128 + signal.SIGTERM
        except BrokenPipeError:
            # The reader of our output is gone. The interpreter's flush at its end must not fail as well.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 128 + signal.SIGPIPE
        sys.exit(status if isinstance(status, int) else 0)


class OneLineGroup(OneLineCommand, click.Group):
    """The same for a command with subcommands."""


def to_server(context: click.Context, parameter: click.Parameter, value: str) -> Server:
    """Convert the value of an option; a callback for click."""
    try:
        return Server.parse(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def run_until_signal(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine. SIGTERM and SIGHUP cancel it as Ctrl-C does, so that it can leave its rooms."""

    async def run() -> _T:
        task = asyncio.current_task()
        assert task is not None
        if sys.platform != "win32":
            # SIGHUP: the terminal's window was closed.
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await coroutine

    return asyncio.run(run())
