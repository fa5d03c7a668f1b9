"""tsudoi/protocol/sealed/tcp_framing.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed.packets import HEADER_SIZE, MAX_PACKET
from tsudoi.protocol.sealed.tcp_framing import PacketReader, begins_with_packet, framed

PACKETS = st.lists(st.binary(min_size=HEADER_SIZE, max_size=MAX_PACKET), max_size=6)


def read_all(reader: PacketReader) -> list[bytes]:
    found = []
    while (packet := reader.next_untrusted()) is not None:
        found.append(packet)
    return found


@given(PACKETS, st.integers(1, 700))
def test_packets_come_through_in_pieces_of_any_size(packets: list[bytes], size: int) -> None:
    stream, reader, found = b"".join(map(framed, packets)), PacketReader(), []
    for at in range(0, len(stream), size):
        reader.feed(stream[at : at + size])
        found += read_all(reader)
    assert found == packets


@given(st.binary(max_size=3_000))
def test_any_bytes_are_packets_or_malformed(data: bytes) -> None:
    reader = PacketReader()
    reader.feed(data)
    try:
        found = read_all(reader)
    except MalformedMessage:
        return
    assert data.startswith(b"".join(map(framed, found)))


@pytest.mark.parametrize("size", [0, HEADER_SIZE - 1, MAX_PACKET + 1, 65_535])
def test_a_size_out_of_bounds_is_malformed_before_its_packet_has_come(size: int) -> None:
    reader = PacketReader()
    reader.feed(size.to_bytes(2))
    with pytest.raises(MalformedMessage):
        reader.next_untrusted()


def test_no_request_begins_as_a_packet_does() -> None:
    for operation in (0, *Operation):
        assert not begins_with_packet(bytes((0, operation)))
    assert not begins_with_packet(b"\x16\x03")
    assert begins_with_packet(framed(bytes(HEADER_SIZE)))
