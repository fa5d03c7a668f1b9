"""Explain what a client sent: what each byte means, and what its author may have got wrong.

Bytes in, values out: no socket, no clock, no state. Nothing here decides whether a client gets in; the parsers of
`tsudoi/protocol/client/` and `join/conversation.py` do, and this package asks them. `mistakes.py` has the words.
"""
