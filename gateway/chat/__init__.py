"""From a datagram to everybody's screens: what the gateway decides about members and their messages, without I/O.

A datagram goes through `receive` to the broker; an entry of a room comes back through `deliver` to the room's members.
`dispatch` routes each input to the part that decides about it; `outbound` is all that these parts want done.
"""
