"""Decide which datagrams to accept, what to publish, and what to send to members; no I/O.

A datagram goes through `receive` to the broker; an entry of a room comes back through `deliver` to the room's members.
`dispatch` routes each input to a component; the components send only through `outbound`.
"""
