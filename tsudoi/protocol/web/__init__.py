"""The JSON form of Centrifuge's client protocol, as far as a gateway speaks it; PROTOCOL.md, "WebSocket"."""
