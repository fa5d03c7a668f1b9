"""Ask a running gateway for its health; `python -m gateway.process.ask_health` is the containers' check.

The check runs every other second, so it imports almost nothing: `python -m gateway ping` costs four times as much.
"""

import http.client
import os
import sys

ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def ask(place: str, timeout_s: float) -> tuple[bool, str]:
    """Ask /healthz at HOST:PORT; return whether it is green, and its text."""
    host, _, port = place.rpartition(":")
    try:
        connection = http.client.HTTPConnection(f"{ANYWHERE.get(host, host)}:{port}", timeout=timeout_s)
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status == 200, answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException, UnicodeError) as exc:
        return False, f"no answer from {place!r}: {getattr(exc, 'strerror', None) or exc}"


if __name__ == "__main__":
    healthy, text = ask(os.environ.get("TSUDOI_HTTP", "127.0.0.1:9080"), 3.0)
    print(text, file=sys.stdout if healthy else sys.stderr)
    sys.exit(not healthy)
