"""The client protocol: every byte between a client and a gateway, as values; PROTOCOL.md.

TCP: header, handshake (requests, replies), reply_decoder. UDP: datagram (up), downlink_encoder and notices (down),
downlink_decoder. Differences between clients: dialect, dialects, recognise. The `…decoder` modules serve the SDK.
"""
