"""tsudoi/protocol/backbone/codec.py, from_gateway.py and from_broker.py"""

import contextlib
import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from tests.support.properties import examples
from tests.support.strategies import messages, texts
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    MAX_ITEMS,
    MAX_MEMBERS,
    MAX_ROOMS,
    ROOMS_ASKED,
    TOPIC_SIZE,
    Banned,
    Bundle,
    Create,
    Delivered,
    Downward,
    Entry,
    Item,
    News,
    Positions,
    Publish,
    Reconcile,
    Reply,
    Request,
    Resume,
    ServerTime,
    Upward,
    Wire,
    encode,
    encode_bundle,
    own_topic,
    parse_bundle_untrusted,
    parse_downward_untrusted,
    parse_news_untrusted,
    parse_upward_untrusted,
    room_topic,
    topic_room,
)
from tsudoi.protocol.errors import MalformedMessage

UPWARD: tuple[type[Wire], ...] = typing.get_args(Upward)
DOWNWARD: tuple[type[Wire], ...] = typing.get_args(Downward)


def frames() -> st.SearchStrategy[bytes]:
    """Garbage: plain, MessagePack of something else, and real frames with bytes changed, cut off or added."""
    anything = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), texts(5), st.binary()),
        lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(texts(3), inner, max_size=3)),
        max_leaves=12,
    )
    tagged = st.builds(lambda tag, rest: [tag, *rest], st.integers(0, 25), st.lists(anything, max_size=10))
    kinds: tuple[type[Wire], ...] = (*UPWARD, *DOWNWARD, News)
    real = st.one_of(*map(messages, kinds)).map(encode)

    def spoil(raw: bytes, at: int, byte: int, size: int) -> bytes:
        spoilt = bytearray(raw)
        spoilt[at % len(raw)] = byte
        return bytes(spoilt[: size or None])

    spoilt = st.builds(spoil, real, st.integers(0, 200), st.integers(0, 255), st.integers(0, 60))
    return st.one_of(
        st.binary(max_size=60), anything.map(encode), tagged.map(encode), spoilt, real.map(lambda r: r * 2)
    )


@given(frames())
@example(b"\x93\x01\x01\xdd\xff\xff\xff\xff")
@example(b"\x93\x01\x01\xdd\x10\x00\x00\x00")
@example(b"\x93\x02\x01\xdc\xff\xff")
@example(b"\x91" * 50_000)
@example(b"\x81" * 50_000)
@example(b"\x93\x01\xdb\xff\xff\xff\xff")
@example(b"\xc7\x0c\xff" + b"\xff" * 12)
@example(b"\x93\x01\xa3\xed\xa0\x80\x01")
def test_any_bytes_are_a_message_or_malformed(frame: bytes) -> None:
    for parse in (parse_upward_untrusted, parse_downward_untrusted, parse_news_untrusted, parse_bundle_untrusted):
        with contextlib.suppress(MalformedMessage):
            message = parse(frame)
            assert parse(encode(message)) == message


@pytest.mark.parametrize("kind", UPWARD, ids=lambda kind: kind.__name__)
@examples(8)
@given(st.data())
def test_what_goes_up_comes_back_as_it_was(kind: type[Wire], data: st.DataObject) -> None:
    message = data.draw(messages(kind))
    assert parse_upward_untrusted(encode(message)) == message


@pytest.mark.parametrize("kind", DOWNWARD, ids=lambda kind: kind.__name__)
@examples(8)
@given(st.data())
def test_what_comes_down_comes_back_as_it_was(kind: type[Wire], data: st.DataObject) -> None:
    message = data.draw(messages(kind))
    assert parse_downward_untrusted(encode(message)) == message


@given(messages(News))
def test_news_come_back_as_they_were(news: News) -> None:
    assert parse_news_untrusted(encode(news)) == news


@given(messages(Bundle))
def test_a_bundle_of_encoded_news_is_read_as_one(bundle: Bundle) -> None:
    encoded = encode_bundle(
        bundle.broker, bundle.accepted, bundle.canaries, [(room, encode(news)) for room, news in bundle.news]
    )
    assert parse_bundle_untrusted(encoded) == bundle


def test_each_direction_has_its_tags_once() -> None:
    for kinds in (UPWARD, DOWNWARD):
        tags = [kind.__struct_config__.tag for kind in kinds]
        assert len(set(tags)) == len(tags)


PARSERS: list[tuple[Callable[[bytes], object], type[Wire]]] = [
    *((parse_upward_untrusted, kind) for kind in UPWARD),
    *((parse_downward_untrusted, kind) for kind in DOWNWARD),
    (parse_news_untrusted, News),
    (parse_bundle_untrusted, Bundle),
]


@pytest.mark.parametrize(("parse", "kind"), PARSERS, ids=lambda value: getattr(value, "__name__", ""))
@examples(6)
@given(st.data())
def test_a_message_with_a_field_more_or_less_is_malformed(
    parse: Callable[[bytes], object], kind: type[Wire], data: st.DataObject
) -> None:
    items = msgspec.msgpack.decode(encode(data.draw(messages(kind))))
    # A field with a default may be left out.
    for wrong in ([*items, 0], items[: -1 - len(kind.__struct_defaults__)]):
        with pytest.raises(MalformedMessage):
            parse(encode(wrong))


def places(value: Any, path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Where in a decoded frame the numbers are."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from places(item, (*path, at))
    elif type(value) is int:
        yield path


@pytest.mark.parametrize(("parse", "kind"), PARSERS, ids=lambda value: getattr(value, "__name__", ""))
@examples(6)
@given(st.data(), st.sampled_from((-1, -(2**63), 2**63, 2**64 - 1)))
def test_a_number_below_0_or_past_63_bits_is_malformed_wherever_it_is(
    parse: Callable[[bytes], object], kind: type[Wire], data: st.DataObject, number: int
) -> None:
    # Such a number fits neither a topic nor a column of the store.
    frame = encode(data.draw(messages(kind)))
    for path in places(msgspec.msgpack.decode(frame)):
        spoilt = inner = msgspec.msgpack.decode(frame)
        for at in path[:-1]:
            inner = inner[at]
        inner[path[-1]] = number
        with pytest.raises(MalformedMessage):
            parse(encode(spoilt))


# --- topics and endpoints -----------------------------------------------------------------------------------------


@given(st.integers(0, 2**64 - 1))
def test_a_room_topic_names_its_room(room: int) -> None:
    topic = room_topic(room)
    assert len(topic) == TOPIC_SIZE
    assert topic_room(topic) == room


@given(st.binary(max_size=12))
def test_what_is_not_a_rooms_topic_names_none(topic: bytes) -> None:
    room = topic_room(topic)
    assert room is None or room_topic(room) == topic


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_a_gateways_own_topic_has_the_same_size_and_is_no_rooms(instance: str) -> None:
    assert len(own_topic(instance)) == TOPIC_SIZE
    assert topic_room(own_topic(instance)) is None


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_no_topic_is_anothers_prefix_or_a_subscription(one: int, other: int) -> None:
    topics = {room_topic(one), room_topic(other), own_topic(f"{one:x}")}
    for topic in topics:
        assert topic[0] > 1
        assert [found for found in topics if found.startswith(topic)] == [topic]


# --- what a gateway may say at once ---------------------------------------------------------------------------------


A_CREATE = Create("den", "alice", None, bytes(16), "tcrp", "127.0.0.1", 1)
AN_ITEM = Item(1, 1, 1, "", 0)


@pytest.mark.parametrize(
    ("most", "too_much"),
    [
        (Publish(1, [AN_ITEM] * MAX_ITEMS), Publish(1, [AN_ITEM] * (MAX_ITEMS + 1))),
        (Publish(1, [Item(1, 1, 1, "あ" * 4096, 0)]), Publish(1, [Item(1, 1, 1, "a" * 4097, 0)])),
        (Request(1, Resume(bytes(16))), Request(1, Resume(bytes(17)))),
        (Request(1, Resume(bytes(16))), Request(1, Resume(bytes(15)))),
        (Request(1, A_CREATE), Request(1, structs.replace(A_CREATE, room="r" * 1025))),
        (Request(1, A_CREATE), Request(1, structs.replace(A_CREATE, user="u" * 1025))),
        (Request(1, A_CREATE), Request(1, structs.replace(A_CREATE, ip="1" * 1025))),
        (Request(1, Reconcile([1] * MAX_MEMBERS)), Request(1, Reconcile([1] * (MAX_MEMBERS + 1)))),
        (Delivered([(1, 1, 1)] * MAX_ROOMS), Delivered([(1, 1, 1)] * (MAX_ROOMS + 1))),
        (
            Request(1, Positions([(1, 1, 1, 1)] * ROOMS_ASKED)),
            Request(1, Positions([(1, 1, 1, 1)] * (ROOMS_ASKED + 1))),
        ),
    ],
)
def test_frames_of_gateways_have_bounds(most: Upward, too_much: Upward) -> None:
    assert parse_upward_untrusted(encode(most)) == most
    with pytest.raises(MalformedMessage):
        parse_upward_untrusted(encode(too_much))


@given(st.lists(st.binary(min_size=1, max_size=40).filter(lambda frame: not frame.startswith(b"\xc1")), max_size=30))
def test_packed_frames_are_unpacked_unchanged(frames: list[bytes]) -> None:
    carriers = backbone.pack_frames(frames)
    assert len(carriers) <= 1
    assert [frame for carrier in carriers for frame in backbone.unpack_frames_untrusted(carrier)] == frames


def test_a_packed_frame_has_a_size_limit() -> None:
    large, small = bytes(backbone.PACKED_SIZE), b"small"
    frames = [small, large, small, small, *[small] * backbone.MAX_ITEMS, large]
    carriers = backbone.pack_frames(frames)
    assert max(map(len, carriers)) < backbone.PACKED_SIZE + 100
    assert [frame for carrier in carriers for frame in backbone.unpack_frames_untrusted(carrier)] == frames


@given(st.binary(max_size=60))
def test_any_bytes_are_packed_frames_one_frame_or_malformed(raw: bytes) -> None:
    for frame in (raw, backbone.PACKED + raw):
        with contextlib.suppress(MalformedMessage):
            assert all(isinstance(each, bytes) for each in backbone.unpack_frames_untrusted(frame))


def test_a_packed_frame_inside_another_is_malformed() -> None:
    inner = backbone.pack_frames([encode(backbone.Bye()), encode(backbone.Bye())])
    (outer,) = backbone.pack_frames([*inner, *inner])
    for each in backbone.unpack_frames_untrusted(outer):
        with pytest.raises(MalformedMessage):
            backbone.parse_upward_untrusted(each)


def test_a_time_that_no_calendar_has_is_malformed() -> None:
    for message in (ServerTime(2**47 + 1), Banned(1, [("bob", "", False, 2**47 + 1)])):
        with pytest.raises(MalformedMessage):
            parse_downward_untrusted(encode(Reply(1, message)))
    with pytest.raises(MalformedMessage):
        parse_news_untrusted(encode(News(1, 1, [Entry(1, 1, 1, "bob", "hello", 0, 2**47 + 1)])))
