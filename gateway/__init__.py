"""The gateway: TCP handshake, UDP in and out, nothing that must survive."""
