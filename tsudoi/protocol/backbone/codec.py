"""Encode and parse frames: MessagePack arrays (msgpack.org) whose first item is the frame's tag."""

import msgspec

from ..untrusted import decode_untrusted
from .from_broker import Downward
from .from_gateway import Upward
from .log import Bundle, News

_upward: msgspec.msgpack.Decoder[Upward] = msgspec.msgpack.Decoder(Upward)
_downward: msgspec.msgpack.Decoder[Downward] = msgspec.msgpack.Decoder(Downward)
_news = msgspec.msgpack.Decoder(News)
_bundle = msgspec.msgpack.Decoder(Bundle)
encode = msgspec.msgpack.Encoder().encode


def parse_upward_untrusted(frame: bytes) -> Upward:
    """Return a frame from a gateway, or raise MalformedMessage."""
    return decode_untrusted(_upward, frame, "a gateway's frame")


def parse_downward_untrusted(frame: bytes) -> Downward:
    """Return a frame from the broker, or raise MalformedMessage."""
    return decode_untrusted(_downward, frame, "a broker's frame")


def encode_bundle(broker: str, accepted: int, canaries: list[int], news: list[tuple[int, bytes]]) -> bytes:
    """Return an encoded Bundle; `news` are (room, encoded News)."""
    return encode((broker, accepted, canaries, [(room, msgspec.Raw(body)) for room, body in news]))


def parse_bundle_untrusted(body: bytes) -> Bundle:
    """Return the Bundle that follows a gateway's own topic, or raise MalformedMessage."""
    return decode_untrusted(_bundle, body, "a bundle")


def parse_news_untrusted(body: bytes) -> News:
    """Return the News that follow a room's topic, or raise MalformedMessage."""
    return decode_untrusted(_news, body, "news")
