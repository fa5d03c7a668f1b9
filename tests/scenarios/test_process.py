"""The launcher, on programs of a few lines."""

import sys
from collections.abc import Sequence

import pytest

from scenarios.process import Process, ProcessError
from tests.support.waiting import has_ended, wait_until

PATIENCE_S = 60.0
READY = """
import os, signal, sys
# Blocked and waited for: a handler would run between two instructions, and one that came just before `pause` would
# be seen only after it.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("a line before", flush=True)
print(f"ready {os.getpid()}", flush=True)
print("running", file=sys.stderr, flush=True)
"""


class Program(Process):
    def __init__(self, more: str = "", status: int = 0) -> None:
        super().__init__("the program")
        self._code = f"STATUS = {status}\n{READY}\n{more}\nsignal.sigwait([signal.SIGTERM])\nsys.exit(STATUS)"

    def command(self) -> Sequence[str]:
        return (sys.executable, "-c", self._code)


class Failing(Program):
    def command(self) -> Sequence[str]:
        return (sys.executable, "-c", "import sys; sys.exit('so it is\\nno port is free')")


def test_it_is_up_when_it_has_printed_its_ready_line() -> None:
    with Program() as program:
        assert program.ready == f"ready {program.pid}"
        assert program.running
        assert program.stderr.wait_for(lambda line: line == "running", PATIENCE_S)
        with pytest.raises(ProcessError, match="the program runs already"):
            program.start()
    assert program.ready == ""
    assert program.stderr.text == "running\n"


def test_a_start_that_fails_has_the_last_line_as_its_reason() -> None:
    with pytest.raises(ProcessError, match="the program did not start: no port is free"):
        Failing().start()


def test_it_is_started_again_after_a_kill_and_the_log_goes_on() -> None:
    with Program() as program:
        first = program.pid
        assert program.stderr.wait_for(lambda line: line == "running", PATIENCE_S)
        program.kill()
        assert (program.running, program.ready) == (False, "")
        program.start()
        assert program.ready == f"ready {program.pid}" != f"ready {first}"
        assert program.stderr.wait_for(lambda line: False, 0) is None
    assert program.stderr.text == "running\n" * 2


def test_an_end_kills_no_other_program_that_has_its_number_by_now() -> None:
    with Program() as other:
        program = Program()
        program.start()
        program.stop()
        program.popen.pid = other.pid  # as when the numbers have come round
        program.close()
        assert other.running


def test_what_a_program_has_started_ends_with_it() -> None:
    program = Program("import subprocess; print(subprocess.Popen(['sleep', '1000']).pid, file=sys.stderr, flush=True)")
    program.start()
    child = program.stderr.wait_for(str.isdecimal, PATIENCE_S)
    assert child is not None
    program.stop()
    program.close()
    wait_until(lambda: has_ended(int(child)))


def test_a_frozen_program_stops_well() -> None:
    with Program() as program:
        program.freeze()


@pytest.mark.parametrize(
    ("more", "status", "problem"),
    [
        ("", 3, "stopped with status 3"),
        ("print('Traceback (most recent call last):', file=sys.stderr)", 0, "printed 'Traceback'"),
        ("print('coroutine was never awaited')", 0, "printed 'never awaited'"),
    ],
)
def test_a_bad_end_is_an_error(more: str, status: int, problem: str) -> None:
    with pytest.raises(ProcessError, match=f"the program {problem}"), Program(more, status):
        pass


def test_nothing_can_be_done_to_a_program_that_does_not_run() -> None:
    program = Program()
    with pytest.raises(ProcessError, match="does not run"):
        program.freeze()
    program.stop()
    program.close()
