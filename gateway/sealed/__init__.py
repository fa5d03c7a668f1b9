"""Version 2 of the client protocol at a gateway, decided without I/O; PROTOCOL.md, "Version 2"."""
