"""`tsudoi identify`: serve clients from memory, and show what they send and are answered, byte by byte.

It is the service itself, with listeners of its own and a broker in memory: `watch.py` looks on, `../explain/` explains,
`render.py` makes lines of it.
"""
