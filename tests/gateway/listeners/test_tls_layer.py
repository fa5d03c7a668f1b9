"""gateway/listeners/tls_layer.py, with Python's own client; bytes come in pieces of any size."""

import contextlib
import ssl

import pytest

from gateway.explain.other_protocols import TLS_RECORD
from gateway.listeners.tls_layer import HANDSHAKE, IN_VAIN, TlsLayer
from tests.support.certificates import a_certificate


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
    peer, layer = Peer(), TlsLayer(a_certificate().context)
    peer.shake()
    first, said = True, b""
    for _ in range(4):
        raw = peer.outside.read()
        assert not first or raw.startswith(TLS_RECORD)
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
    layer = TlsLayer(a_certificate().context)
    with pytest.raises(ssl.SSLError):
        layer.receive(TLS_RECORD + bytes(100))


def test_records_that_say_nothing_are_bounded() -> None:
    """A greeting in many pieces stands for all of them: Python's client sends no key updates."""
    peer, layer = Peer(), TlsLayer(a_certificate().context)
    peer.shake()
    hello = peer.outside.read()[5:]
    pieces = [
        TLS_RECORD + b"\x01" + len(each).to_bytes(2) + each
        for each in (hello[:4], *(bytes((each,)) for each in hello[4:]))
    ]
    layer.receive(b"".join(pieces[:IN_VAIN]))
    with pytest.raises(ssl.SSLError, match="say nothing"):
        layer.receive(pieces[IN_VAIN])


def promising(size: int) -> bytes:
    """A record that begins a ClientHello."""
    return TLS_RECORD + b"\x01\x00\x05" + b"\x01" + size.to_bytes(3) + b"\x03"


@pytest.mark.parametrize(
    "began",
    [
        promising(HANDSHAKE + 1),
        TLS_RECORD + b"\x01\x00\x01\x01",
        promising(HANDSHAKE) + TLS_RECORD + b"\x01\x40\x00" + bytes(2**14),
    ],
    ids=["promised", "in pieces", "sent"],
)
def test_a_handshake_takes_little_memory(began: bytes) -> None:
    layer = TlsLayer(a_certificate().context)
    with pytest.raises(ssl.SSLError, match="handshake is too long"):
        layer.receive(began)


def test_a_client_that_is_asked_for_another_hello_is_served_and_can_not_promise_more_either() -> None:
    """P-521 alone is what Python's server has no share for."""
    certificate = a_certificate()
    certificate.context.set_ecdh_curve("secp521r1")
    for promises in (False, True):
        peer, layer = Peer(), TlsLayer(certificate.context)
        peer.shake()
        layer.receive(peer.outside.read())
        peer.inside.write(layer.take())
        if promises:
            with pytest.raises(ssl.SSLError, match="handshake is too long"):
                layer.receive(promising(HANDSHAKE + 1))
            return
        for _ in range(2):
            peer.shake()
            layer.receive(peer.outside.read())
            peer.inside.write(layer.take())
        assert layer.is_open


def test_a_record_that_is_too_long_is_not_waited_for() -> None:
    layer = TlsLayer(a_certificate().context)
    with pytest.raises(ssl.SSLError):
        layer.receive(TLS_RECORD + b"\x01\x41\x01")


def test_a_long_text_comes_whole() -> None:
    peer, layer = Peer(), TlsLayer(a_certificate().context)
    for _ in range(3):
        peer.shake()
        layer.receive(peer.outside.read())
        peer.inside.write(layer.take())
    text = b"x" * 1_000_000
    peer.tls.write(text)
    raw = peer.outside.read()
    assert layer.receive(raw[:70_000]) + layer.receive(raw[70_000:]) == text
    peer.tls.write(b"y")
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.tls.unwrap()
    assert layer.receive(peer.outside.read()) == b"y"
    assert layer.has_ended
    assert layer.receive(bytes(100_000)) == b""
    assert layer._rest == b"", "what comes behind the end is not kept"
