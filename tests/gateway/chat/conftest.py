"""A gateway whose broker is the test."""

import pytest

from tests.support.fakes import ScriptedGateway


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()
