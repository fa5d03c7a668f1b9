"""Explain what a client sent: what each byte means, and what its author may have got wrong.

Bytes in, values out: no socket, no clock, no state. Nothing here decides whether a client gets in; the parsers of
`tsudoi/protocol/client/` and `join/conversation.py` do, and this package asks them.

`mistakes.py` has every hint's words. Which one is given is decided in `request_hints.py` (with `header_hints.py`,
`json_hints.py` and `other_protocols.py`) and `datagram_hints.py`; what is hidden, in `redaction.py`.
"""
