"""From an HTTP request to a member in its rooms, decided without I/O: HTTP, WebSocket, the JSON over it, the page."""
