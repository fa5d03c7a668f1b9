"""The gateway: TCP handshakes and UDP datagrams; no durable state."""
