"""Version 2 of the client protocol as code, without I/O; PROTOCOL.md, "Version 2".

`packets` are the bytes of datagrams, `suites` seals them, `parts` divides bodies, `lines` is what bodies say, and
`replay_window` drops what has come before.
"""
