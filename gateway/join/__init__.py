"""From a request to a token: the handshake conversation, and the checks before a client enters a room. No I/O."""
