"""Every byte on every wire, as values: no I/O and no clock in here.

The client protocol is described in PROTOCOL.md, the gateway-broker frames in ARCHITECTURE.md, "Backbone".
"""
