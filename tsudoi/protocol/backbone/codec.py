"""Encode and parse frames: MessagePack arrays (msgpack.org) whose first item is the frame's tag."""

import msgspec

from tsudoi.protocol.errors import MalformedMessage

from ..untrusted import PARSE_ERRORS, decode_untrusted
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
    # Not `decode_untrusted`: a call more for each frame shows in a lone message.
    try:
        return _upward.decode(frame)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not a gateway's frame: {exc}") from exc


def parse_downward_untrusted(frame: bytes) -> Downward:
    """Return a frame from the broker, or raise MalformedMessage."""
    return decode_untrusted(_downward, frame, "a broker's frame")


def encode_bundle(broker: str, accepted: int, canaries: list[int], news: list[tuple[int, bytes]]) -> bytes:
    """Return an encoded Bundle; `news` are (room, encoded News)."""
    return encode((broker, accepted, canaries, [(room, msgspec.Raw(body)) for room, body in news]))


def parse_bundle_untrusted(body: bytes) -> Bundle:
    """Return the Bundle that follows a gateway's own topic, or raise MalformedMessage."""
    try:
        return _bundle.decode(body)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not a bundle: {exc}") from exc


def parse_news_untrusted(body: bytes) -> News:
    """Return the News that follow a room's topic, or raise MalformedMessage."""
    return decode_untrusted(_news, body, "news")
