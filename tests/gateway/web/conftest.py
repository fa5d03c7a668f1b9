"""A World with one gateway."""

import pytest

from tests.support.fakes import Node, World


@pytest.fixture
def world() -> World:
    return World(1)


@pytest.fixture
def node(world: World) -> Node:
    return world.start_gateway()
