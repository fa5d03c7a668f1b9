import pytest

from tests.gateway.link.here import HELLO, Here
from tsudoi.protocol.backbone import Welcome


@pytest.fixture
def here() -> Here:
    """A link that the broker has welcomed."""
    here = Here()
    assert here.tick() == [HELLO]
    here.handle(Welcome("broker", 0, True, 0))
    return here
