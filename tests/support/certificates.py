"""A server's certificate for tests."""

import tempfile
from pathlib import Path

from gateway.listeners.tls import Certificate
from gateway.process.session_files import _own_certificate


def a_certificate() -> Certificate:
    """Return a self-signed certificate; its file is gone."""
    with tempfile.TemporaryDirectory() as folder:
        return _own_certificate(Path(folder, "pem"))
