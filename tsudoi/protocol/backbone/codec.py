"""Frames as bytes: MessagePack arrays whose first item is the message's tag (msgpack.org)."""

import msgspec

from ..errors import MalformedMessage
from .from_broker import Downward
from .from_gateway import Upward
from .log import Bundle, News

_encoder = msgspec.msgpack.Encoder()
_upward = msgspec.msgpack.Decoder(Upward)
_downward = msgspec.msgpack.Decoder(Downward)
_news = msgspec.msgpack.Decoder(News)
_bundle = msgspec.msgpack.Decoder(Bundle)
encode = _encoder.encode

PARSE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises for bytes of strangers."""


def parse_upward_untrusted(frame: bytes) -> Upward:
    """Return what a gateway says, or raise MalformedMessage."""
    try:
        message: Upward = _upward.decode(frame)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not a gateway's frame: {exc}") from exc
    return message


def parse_downward_untrusted(frame: bytes) -> Downward:
    """Return what the broker says, or raise MalformedMessage."""
    try:
        message: Downward = _downward.decode(frame)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not a broker's frame: {exc}") from exc
    return message


def encode_bundle(broker: str, accepted: int, canaries: list[int], news: list[tuple[int, bytes]]) -> bytes:
    """Return a Bundle of news that are encoded already, (room, News) each."""
    return encode((broker, accepted, canaries, [(room, msgspec.Raw(body)) for room, body in news]))


def parse_bundle_untrusted(body: bytes) -> Bundle:
    """Return what comes after a gateway's own topic, or raise MalformedMessage."""
    try:
        bundle: Bundle = _bundle.decode(body)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not a bundle: {exc}") from exc
    return bundle


def parse_news_untrusted(body: bytes) -> News:
    """Return what comes after a room's topic, or raise MalformedMessage."""
    try:
        news: News = _news.decode(body)
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not news: {exc}") from exc
    return news
