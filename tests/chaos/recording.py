"""Writes into the history which datagrams reached gateways and which came back."""

from tests.chaos.clients import key_of, text_of
from tests.chaos.history import History, Key, Received, Sent, Uplink
from tests.support.legacy.wire import Address


class Recording:
    """Notes datagrams; the callbacks of clients and relays end here."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.gateway_at: dict[Address, int] = {}
        """UDP address → gateway."""
        self.client_at: dict[Address, int] = {}
        """UDP address → client."""
        self.markers: dict[Key, set[int]] = {}
        """Line → clients that received it, for lines that must reach everyone."""
        self._sent: dict[Key, Sent] = {}

    def note_sent(self, at: float, client: int, gateway: int, raw: bytes) -> None:
        self.history.uplinks.append(Uplink(at, client, gateway))
        key = key_of(raw)
        if key is None:
            return
        if key in self._sent:
            self._sent[key].copies += 1
            return
        sent = self._sent[key] = Sent(at, client, text_of(*key), gateway)
        self.history.sent.append(sent)

    def note_received(self, at: float, client: int, raw: bytes, source: Address, port: int) -> None:
        """Note a datagram at a client's socket; with relays, `note_relayed` has noted it already."""
        # Ports are used again: other datagrams may be for a program that had the port before.
        if not self.history.relayed and source in self.gateway_at:
            self._note(Received(at, client, self.gateway_at[source], raw, port))

    def note_relayed(self, at: float, raw: bytes, client: Address, source: Address, address: Address) -> None:
        """Note a datagram that a gateway sent to a relay, before the relay does anything to it."""
        self._note(Received(at, self.client_at[client], self.gateway_at.get(source, -1), raw, address[1]))

    def _note(self, received: Received) -> None:
        self.history.received.append(received)
        key = key_of(received.raw)
        if key in self.markers:
            self.markers[key].add(received.client)
