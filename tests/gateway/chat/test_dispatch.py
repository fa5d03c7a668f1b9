"""gateway/chat/dispatch.py, in a whole gateway without I/O."""

from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.chat.scripting import ALICE
from tests.support.fakes import BROKER, ScriptedGateway
from tsudoi.protocol import backbone


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_no_frame_raises(frames: list[bytes]) -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, address=ALICE)
    for frame in frames:
        gateway.core.handle_news(BROKER, frame, gateway.now)
        gateway.core.handle_news(BROKER, backbone.room_topic(1) + frame, gateway.now)
        gateway.core.handle_answer(BROKER, frame, gateway.now)
    gateway.tick()
