"""From a datagram to the members' screens: decisions about members and their messages, without I/O.

A datagram goes through `receive` to the broker; an entry of a room comes back through `deliver` to the room's members.
`dispatch` routes each input to the component that decides about it; `outbound` is the components' one way out.
"""
