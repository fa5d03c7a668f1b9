"""Run coroutines as tests; property tests here judge decisions, not speed: a busy machine fails none of them."""

import asyncio
import inspect

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("broker", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("broker")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
