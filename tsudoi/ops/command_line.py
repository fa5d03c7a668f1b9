"""Let every program's command line report errors in one line, and end cleanly."""

import asyncio
import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import click

from ..errors import ClientError
from ..protocol.errors import BackboneError, SettingError, StoreError
from ..server_address import Server
from . import standard_streams
from .missing_extra import advice

_T = TypeVar("_T")

_DISK = (errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT)


class _ReaderGone(Exception):
    """Standard output is a pipe without a reader. Not an OSError, which click would handle in its own way."""


class OneLineCommand(click.Command):
    """Reports an error in one line.

    Exit status: 2 if the command line is wrong; 1 if a server, the network or this machine failed; 130 after Ctrl-C,
    143 after SIGTERM or SIGHUP, 141 if the output is a pipe whose reader is gone.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        standard_streams.prepare()
        status: Any = 2
        text = ""
        try:
            with _raising_interrupts():
                status = self._run(*args, **kwargs)
        except KeyboardInterrupt:
            status = 128 + signal.SIGINT
        except click.exceptions.NoArgsIsHelpError as exc:
            text = exc.format_message()
        except Exception:
            standard_streams.flush()  # log lines, before the traceback of this bug
            raise
        sys.exit(standard_streams.finish(self.name or "", status if isinstance(status, int) else 0, text))

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """See click; `--help` prints here."""
        with _naming_broken_pipes():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _naming_broken_pipes():
            return super().invoke(ctx)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        try:
            _check_encoding(args[0] if args else kwargs.get("args"), self.variables())
            return super().main(*args, **{**kwargs, "standalone_mode": False})
        except SystemExit as exc:
            if isinstance(exc.__context__, BrokenPipeError):  # rich ends the program then
                return standard_streams.BROKEN_PIPE
            if isinstance(exc.code, str):
                self._complain(exc.code)
                return 1
            return exc.code
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.ClickException as exc:
            self._complain(self._in_words(exc))
            return exc.exit_code
        except (ClientError, BackboneError, SettingError, StoreError) as exc:
            self._complain(str(exc))
            return 2 if isinstance(exc, SettingError) else 1
        except ModuleNotFoundError as exc:
            # A command imports what it needs when it is used.
            if not (text := advice(exc)):
                raise
            self._complain(text)
            return 1
        except click.Abort as exc:
            if isinstance(exc.__context__, EOFError):
                self._complain("standard input ended before the answer")
                return 1
            return 128 + signal.SIGINT
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        except asyncio.CancelledError:
            return 128 + signal.SIGTERM
        except (_ReaderGone, BrokenPipeError):
            return standard_streams.BROKEN_PIPE
        except OSError as exc:
            # An error of standard output has no file name.
            what = exc.filename
            if what is None and exc.errno in _DISK:
                what = "can not write the output"
                standard_streams.discard(sys.stdout)
            self._complain(f"{what}: {exc.strerror}" if what else exc.strerror or str(exc))
            return 1

    def variables(self) -> set[str]:
        """Return the names of the environment variables that this program reads."""
        commands = [self, *(self.commands.values() if isinstance(self, click.Group) else ())]
        return {str(each.envvar) for command in commands for each in command.params if each.envvar}

    def _in_words(self, exc: click.ClickException) -> str:
        """Return what an error of click's says; it proposes no hidden option."""
        if not isinstance(exc, click.NoSuchOption) or exc.ctx is None:
            return exc.format_message()
        shown, place = _option_names(exc.ctx.command), _place_of(exc.option_name, exc.ctx)
        close = [] if place else [each for each in exc.possibilities or () if each in shown]
        return click.NoSuchOption(exc.option_name, possibilities=close, ctx=exc.ctx).format_message() + place

    def _complain(self, why: str) -> None:
        standard_streams.complain(f"{self.name}: {why}")


class OneLineGroup(OneLineCommand, click.Group):
    """The same for a command with subcommands."""


def _option_names(command: click.Command) -> set[str]:
    return {name for each in command.params if not getattr(each, "hidden", False) for name in each.opts}


def _place_of(option: str, ctx: click.Context) -> str:
    """Return where on the command line an option is known that this command does not have; nothing if nowhere."""
    behind = ctx.command.commands.values() if isinstance(ctx.command, click.Group) else ()
    if any(option in _option_names(each) for each in behind):
        return " It stands behind the command."
    outer = ctx.parent
    while outer is not None and option not in _option_names(outer.command):
        outer = outer.parent
    return " It stands before the command." if outer is not None else ""


@contextlib.contextmanager
def _raising_interrupts() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in the block, in programs that it ends before and after (`__main__.py`).

    A service that has ended goes on to ignore it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def _naming_broken_pipes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as exc:
        raise _ReaderGone from exc


def _check_encoding(arguments: Sequence[str] | None, variables: Collection[str]) -> None:
    """Raise click.UsageError if an argument, or one of these environment variables, has bytes of another encoding.

    Names and texts go into datagrams, and paths into the addresses of sockets, JSON and configuration files: all UTF-8.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    values = {f"the value of {name}": value for name, value in os.environ.items() if name in variables}
    for before, argument in zip(["", *given], given, strict=False):
        option, is_joined, value = argument.partition("=")
        if argument.startswith("--") and is_joined:
            values[f"the value of {_shown(option)}"] = value
        elif before.startswith("--"):
            # Perhaps a password, so it is not shown.
            values[f"the value of {before}"] = argument
        else:
            values[_shown(argument)] = argument
    for what, value in values.items():
        if _shown(value) != value:
            encoding = sys.getfilesystemencoding().upper()
            raise click.UsageError(
                f"{what} is not {encoding}: write it in {encoding}; as a path, rename it, or start in that folder"
            )


def ask(what: str, is_secret: bool = False) -> str:
    """Return what the user types; on standard error, so that the output has none of it.

    Raises:
        click.ClickException: it has bytes of another encoding.
        click.Abort: Ctrl-C, or the end of standard input.
    """
    try:
        typed: str = click.prompt(what, type=str, err=True, hide_input=is_secret)
    except UnicodeDecodeError:
        typed = "\udc80"
    if _shown(typed) != typed:
        raise click.ClickException(f"what was typed is not {(sys.stdin.encoding or 'utf-8').upper()}")
    return typed


def _shown(text: str) -> str:
    """Return a text in which bytes of another encoding are escapes."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def to_server(context: click.Context, parameter: click.Parameter, value: str) -> Server:
    """Convert the value of an option; a callback for click."""
    try:
        return Server.parse(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


class _DaemonThreads(ThreadPoolExecutor):
    """Runs each call in a thread that ends with the program: Ctrl-C does not wait for a name server."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def call() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as exc:
                future.set_exception(exc)

        if future.set_running_or_notify_cancel():
            threading.Thread(target=call, daemon=True).start()
        return future


class _Loop(asyncio.SelectorEventLoop):
    """The usual event loop, which handles no more signals when it closes.

    asyncio's closes first what a signal is written to, and one that comes then is told on stderr.
    """

    def close(self) -> None:
        if not self.is_closed():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self.remove_signal_handler(number)
        super().close()


def run_until_signal(coroutine: Coroutine[Any, Any, _T], waits_for_threads: bool = False) -> _T:
    """Run a coroutine. SIGTERM and SIGHUP cancel it as Ctrl-C does, so that it can leave its rooms.

    `waits_for_threads`: calls in threads, such as the start of a process, come to their end too.
    """

    async def run() -> _T:
        if not waits_for_threads:
            asyncio.get_running_loop().set_default_executor(_DaemonThreads())
        task = asyncio.current_task()
        assert task is not None

        def end() -> None:
            # Once: a window that is closed may give two signals, and the second one would cut short what ends in order.
            if not task.cancelling():
                task.cancel()

        if sys.platform != "win32":
            # SIGHUP: the terminal's window was closed.
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, end)
            # Ctrl-C, too, between two callbacks: asyncio's own handler would cancel in the midst of one.
            if callable(interrupt := signal.getsignal(signal.SIGINT)):
                asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt, signal.SIGINT, None)
        return await coroutine

    outer = run()
    try:
        with asyncio.Runner(loop_factory=None if sys.platform == "win32" else _Loop) as runner:
            return runner.run(outer)
    finally:
        # If no event loop could be made, they were never awaited.
        outer.close()
        coroutine.close()
