"""From an HTTP request to a message in a room's order, decided without I/O; PROTOCOL.md, "Webhook"."""
