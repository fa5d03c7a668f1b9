"""gateway/listeners/tls_layer.py, with Python's own client; bytes come in pieces of any size."""

import contextlib
import ssl

import pytest

from gateway.listeners.tls_layer import MAX_UNREAD, RECORD, TlsLayer
from gateway.process.session_files import _own_certificate


class Peer:
    """A client without a socket."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.inside, self.outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inside, self.outside)

    def shake(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_a_client_is_served_whatever_the_pieces(size: int) -> None:
    peer, layer = Peer(), TlsLayer(_own_certificate(None).context)
    peer.shake()
    first, said = True, b""
    for _ in range(4):
        raw = peer.outside.read()
        assert not first or raw.startswith(RECORD)
        first = False
        for start in range(0, len(raw), size):
            said += layer.receive(raw[start : start + size])
        peer.inside.write(layer.take())
        peer.shake()
    assert layer.is_open
    peer.tls.write(b"hello")
    assert layer.receive(peer.outside.read()) == b"hello"
    peer.inside.write(layer.send(b"world"))
    assert peer.tls.read(100) == b"world"
    peer.inside.write(layer.close())
    assert peer.tls.read(100) == b""
    assert not layer.has_ended
    assert said == b""


def test_what_is_no_tls_is_an_error() -> None:
    layer = TlsLayer(_own_certificate(None).context)
    with pytest.raises(ssl.SSLError):
        layer.receive(RECORD + bytes(100))


def test_a_handshake_that_never_ends_is_an_error() -> None:
    layer = TlsLayer(_own_certificate(None).context)

    def flood() -> None:
        for _ in range(2 * MAX_UNREAD):
            layer.receive(b"\x16\x03\x01\x40\x00" + bytes(1_000))

    with pytest.raises(ssl.SSLError):
        flood()
