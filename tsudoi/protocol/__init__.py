"""Every byte on every wire, as values: no I/O and no clock.

`client/` is the client protocol (PROTOCOL.md); `backbone/` the frames between gateways and broker (ARCHITECTURE.md,
"Backbone"). The modules here serve both.
"""
