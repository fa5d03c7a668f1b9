"""Every stand-in by its dialect's name."""

from tests.support.legacy import plain, structured
from tests.support.legacy.client import LegacyClient

_PLAIN = (plain.Classic, plain.Tcrp, plain.TcrpNamed, plain.Tcrp200, plain.TcrpOk, plain.TcrpBareAck)
_JSON = (structured.TcrpRoom, structured.TcrpJson, structured.TcrpSuccess, structured.TcrpSingle, structured.Tcrp202)
_RARE = (plain.TcrpEmptyAck, plain.TcrpNoToken, plain.TcrpRaw, structured.TcrpTwoSockets, structured.TcrpTyped)

CLIENTS: dict[str, type[LegacyClient]] = {client.dialect: client for client in (*_PLAIN, *_JSON, *_RARE)}

CHATTING = tuple(name for name in CLIENTS if name != "tcrp-room")
"""Those with a UDP half."""
