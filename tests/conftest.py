"""What all tests share: how they start programs and look for counter-examples, and how the workers of a run begin.

The few examples of `make test` are the same ones at every run, so a property test that fails shows what the change has
done. `make properties` tries many, which chance chooses.
"""

import asyncio
import gc
import importlib
import inspect
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_timeout
import uvloop
from hypothesis import HealthCheck, settings

from scenarios.process import Process
from tests.support import forked, postgres
from tests.support.properties import QUICK_EXAMPLES
from tests.support.watchdog import Watchdog
from tsudoi.ops.structlog_alone import structlog

Process.starter = forked.Popen

# The services that tests start have the settings of the tests, not those of the person who runs them.
for _variable in [name for name in os.environ if name.startswith("TSUDOI_")]:
    del os.environ[_variable]

# A Unix socket's name has 107 bytes at most, and a test's folder below this one up to 70.
if len(tempfile.gettempdir()) > 30 and os.path.isdir("/tmp"):
    os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"

# They judge results, not speed: a busy machine fails none of them.
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.register_profile("quick", _patient, max_examples=QUICK_EXAMPLES, derandomize=True, database=None)
settings.register_profile("thorough", _patient, max_examples=30 * QUICK_EXAMPLES, derandomize=False)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Take back what a program's `logs.set_up` has done in this process: its stream is closed when the test ends."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    if root.handlers is not handlers:
        root.handlers = handlers
        root.setLevel(level)
        structlog.reset_defaults()


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """Take back that a service which ran in this process ignores signals: programs started later would, too."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Instance]:
    """A server for all tests of this process that take its settings back; they are skipped where there is none."""
    with postgres.one() as instance:
        yield instance


@pytest.fixture(scope="session")
def postgresql_pair() -> Iterator[postgres.Pair]:
    """A primary and its standby, likewise."""
    with postgres.pair() as pair:
        yield pair


_watchdog = Watchdog()


def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool | None:
    """Watch over a test in the place of pytest-timeout."""
    if settings.method != "thread":
        return None
    _watchdog.watch(settings.timeout, lambda: pytest_timeout.timeout_timer(item, settings))
    return True


def pytest_timeout_cancel_timer() -> None:
    _watchdog.rest()


gc.disable()


def pytest_collection_finish() -> None:
    """Keep the garbage collector off what stays until the end, all modules and tests: it took a tenth of all time."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    run = uvloop.run if pyfuncitem.get_closest_marker("uvloop") else asyncio.run
    run(_in_time(pyfuncitem))
    return True


async def _in_time(test: pytest.Function) -> None:
    """End it a little before pytest-timeout would end the process: so the traceback tells what it waited for."""
    limit = test.get_closest_marker("timeout")
    names = inspect.signature(test.obj).parameters
    async with asyncio.timeout(0.9 * (limit.args[0] if limit else float(test.config.getini("timeout")))):
        await test.obj(**{name: test.funcargs[name] for name in names})


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let each worker compile its share of the tests first; else all workers compile all of them, in a fresh tree.

    What can not be imported is imported again, and told, when the tests are collected.
    """
    worker, count = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    here = Path(__file__).parent
    if not worker or [Path(argument).absolute() for argument in session.config.args] != [here]:
        return
    for file in sorted(here.rglob("test_*.py"))[int(worker.removeprefix("gw")) :: count]:
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join((here.name, *file.relative_to(here).with_suffix("").parts)))
