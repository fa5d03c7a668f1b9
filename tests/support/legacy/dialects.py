"""Every stand-in by its dialect's name."""

from tests.support.legacy.client import LegacyClient
from tests.support.legacy.plain import (
    Classic,
    Tcrp,
    Tcrp200,
    TcrpBareAck,
    TcrpEmptyAck,
    TcrpNamed,
    TcrpNoToken,
    TcrpOk,
)
from tests.support.legacy.structured import (
    Tcrp202,
    TcrpJson,
    TcrpRoom,
    TcrpSingle,
    TcrpSuccess,
    TcrpTwoSockets,
)

CLIENTS: dict[str, type[LegacyClient]] = {
    client.dialect: client
    for client in (
        Classic,
        Tcrp,
        TcrpNamed,
        TcrpRoom,
        TcrpJson,
        Tcrp200,
        TcrpOk,
        TcrpBareAck,
        TcrpEmptyAck,
        TcrpNoToken,
        TcrpSuccess,
        TcrpSingle,
        TcrpTwoSockets,
        Tcrp202,
    )
}

CHATTING = tuple(name for name in CLIENTS if name != "tcrp-room")
"""Those with a UDP half."""
