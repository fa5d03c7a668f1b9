"""The client protocol: every byte between a client and a gateway, as values; PROTOCOL.md."""
