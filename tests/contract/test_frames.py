"""What gateways say at once is what the broker takes: the bounds of both sides."""

from broker.net import zeromq
from broker.rooms.queries import LISTED_ROOMS
from gateway.chat import deliver
from gateway.join import room_list
from gateway.link import publisher
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Delivered, Item, Publish, Reconcile, Request

ID = 2**56
"""As ids are: led by the time."""


def test_gateways_put_no_more_into_a_frame_than_is_taken() -> None:
    assert publisher.LINES_A_FRAME <= backbone.MAX_ITEMS
    assert deliver.POSITIONS_AT_ONCE <= backbone.ROOMS_ASKED
    assert room_list.LISTED_ROOMS <= LISTED_ROOMS


def test_the_largest_frames_are_taken_by_the_sockets() -> None:
    text = "\u3042" * 1_365  # as many bytes as a datagram has
    for message in (
        Request(1, Reconcile([ID] * backbone.MAX_MEMBERS)),
        Delivered([(ID, 2**31, 2**31)] * backbone.MAX_ROOMS),
        Publish(1, [Item(1, ID, ID, text, 0)] * publisher.LINES_A_FRAME),
    ):
        assert len(backbone.encode(message)) < zeromq.MAX_FRAME_SIZE
    assert backbone.PACKED_SIZE + 2**16 < zeromq.MAX_FRAME_SIZE
