"""The limits on each session, and the listener that all of them count as."""

from tsudoi.protocol.client.dialects import WEB

from ..listeners.options import Listener

MAX_ROOMS = 64
"""Rooms of one connection."""
FRAMES_S, FRAMES = 250.0, 500.0
"""Frames of a connection, pings and pongs too, and commands: each a second and at once. Each costs some 20 µs."""
QUESTIONS_S, QUESTIONS = 5.0, 100.0
"""Questions of a connection (subscribe, history, presence, rpc), a second and at once: a page that opens asks three for
each of its rooms."""
PING_S, PONG_S = 25, 10.0
"""How often the server pings, and how long a client may take to answer."""
LISTENER = Listener("", 0, WEB.name)
"""Members are served as at a TCP listener without options of its own."""
