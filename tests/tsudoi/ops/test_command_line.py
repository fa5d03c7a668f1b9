"""tsudoi/ops/command_line.py"""

import signal
import subprocess
import sys

import pytest

from tests.test_documents import ROOT

PATIENCE_S = 60.0
PROGRAM = """
import asyncio, threading, click
from tsudoi.ops.command_line import OneLineCommand, run_until_signal

@click.command("program", cls=OneLineCommand)
def main():
    run_until_signal(go())

async def go():
    waiting = asyncio.create_task(asyncio.to_thread(threading.Event().wait))
    await asyncio.sleep(0)
    print("ready", flush=True)
    await waiting

main()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_signal_ends_it_though_a_thread_waits_for_a_name_server(number: signal.Signals, status: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(number)
        try:
            _, err = program.communicate(timeout=PATIENCE_S)
        finally:
            program.kill()
    assert (program.returncode, err.strip()) == (status, "")


CLOSING = """
import asyncio, os, signal
from asyncio.selector_events import BaseSelectorEventLoop
from tsudoi.ops.command_line import run_until_signal

close = BaseSelectorEventLoop._close_self_pipe

def close_and_get_a_signal(loop):
    close(loop)
    os.kill(os.getpid(), signal.SIGHUP)

BaseSelectorEventLoop._close_self_pipe = close_and_get_a_signal
run_until_signal(asyncio.sleep(0))
"""


def test_a_signal_that_comes_while_the_event_loop_closes_ends_it_without_a_word() -> None:
    ended = subprocess.run([sys.executable, "-c", CLOSING], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGHUP, "")


BETWEEN = """
import click, signal, sys
from tsudoi.ops.command_line import OneLineCommand

@click.command("program", cls=OneLineCommand)
def main():
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    main()
finally:
    print(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)
"""


def test_ctrl_c_raises_only_while_a_command_runs() -> None:
    done = subprocess.run([sys.executable, "-c", BETWEEN], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\nTrue\n", "")
