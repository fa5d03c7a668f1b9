"""Connections for version 2: TLS at the server's ordinary port, and whether its certificate is trusted.

A certificate that this machine's authorities accept is trusted. Any other is trusted when it is the first that an
address shows, and must stay the same from then on. Where the user names authorities, theirs alone are trusted.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from ipaddress import ip_address

from tsudoi.errors import OtherVersion, ServerNotTrusted, ServerUnreachable
from tsudoi.net.known_servers import BY_AUTHORITY, KnownServers
from tsudoi.net.sockets import HUNG_UP, ServerStream, closing, connected, open_connection, reason, tls_context
from tsudoi.server_address import Server
from tsudoi.settings import Settings


@asynccontextmanager
async def connected_sealed(server: Server, settings: Settings, *, remembers: bool) -> AsyncIterator[ServerStream]:
    """Connect by TLS, and close at the end.

    The certificate of a server at this machine itself is not remembered: each that is started here has its own. Without
    `remembers`, none is: then the user is not shown which one came first.

    Raises:
        ServerUnreachable: nothing answers.
        ServerNotTrusted: the certificate is not the one that was seen before, or not from an authority that is named;
            or a server that showed one before speaks no TLS now; or the file of those seen before can not be read.
        OtherVersion: the server speaks no TLS at this port, and is not known to: it does not speak version 2.
    """
    if server.tls:
        # The user asks for a certificate that an authority has signed.
        async with connected(server, settings) as stream:
            yield stream
        return
    async with closing(await _connect(server, settings, remembers), settings) as stream:
        yield stream


async def _connect(server: Server, settings: Settings, remembers: bool) -> ServerStream:
    is_named = server.tls_ca is not None
    if _is_loopback(server.host) and not is_named:
        return await _open(server, settings, verify=False)
    servers = KnownServers(settings.known_servers)
    try:
        known = servers.find(server.host, server.tcp)
    except OSError as exc:
        raise ServerNotTrusted(
            f"can not read {servers.path}, which has the certificates that were seen before: {exc.strerror}"
        ) from exc
    try:
        return await _connect_known(server, settings, servers, known, remembers)
    except OtherVersion as exc:
        if known is None:
            raise
        # An attacker in between would have the user go on without seals.
        raise ServerNotTrusted(_changed(server, servers, "is not shown any more: it speaks no TLS there")) from exc


async def _connect_known(
    server: Server, settings: Settings, servers: KnownServers, known: str | None, remembers: bool
) -> ServerStream:
    is_named = server.tls_ca is not None
    if known is None or known == BY_AUTHORITY or is_named:
        try:
            stream = await _open(server, settings, verify=True)
        except ssl.SSLCertVerificationError as exc:
            if is_named:
                raise ServerNotTrusted(f"the certificate of {server} is not accepted: {exc.verify_message}") from exc
            if known is not None:
                raise ServerNotTrusted(
                    _changed(server, servers, f"is not valid any more: {exc.verify_message}")
                ) from exc
        else:
            if known is None and remembers and not _is_loopback(server.host):
                servers.remember(server.host, server.tcp, BY_AUTHORITY)
            return stream
    stream = await _open(server, settings, verify=False)
    seen = _fingerprint(stream)
    if known is None and remembers and not _is_loopback(stream.writer.get_extra_info("peername")[0]):
        servers.remember(server.host, server.tcp, seen)
        return replace(stream, first_seen=seen)
    if known in (None, seen):
        return stream
    stream.writer.close()
    try:
        return await _open(server, settings, verify=True)
    except ssl.SSLCertVerificationError as exc:
        raise ServerNotTrusted(_changed(server, servers, f"has changed: it is {_short(seen)} now")) from exc


async def _open(server: Server, settings: Settings, *, verify: bool) -> ServerStream:
    context = tls_context(server.tls_ca) if verify else _unverified()
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            return ServerStream(*await open_connection(server, context))
    except TimeoutError as exc:
        raise ServerUnreachable(f"no server answers at {server} within {settings.connect_timeout_s:g} s") from exc
    except ssl.SSLCertVerificationError:
        raise
    except HUNG_UP as exc:
        # It stops, or a balancer before it reaches none. A server of version 1 would have answered with a refusal.
        raise ServerUnreachable(f"no server answers at {server}: it hung up") from exc
    except ssl.SSLError as exc:
        raise OtherVersion(
            f"the server at {server} does not speak TLS there, so it knows version 1 of the protocol only: "
            "without seals, the dialect tsudoi may work"
        ) from exc
    except (OSError, UnicodeError) as exc:
        raise ServerUnreachable(f"no server answers at {server}: {reason(exc)}") from exc


def _unverified() -> ssl.SSLContext:
    """Return a context that takes any certificate. It has no authorities: to read the system's takes 50 ms."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _fingerprint(stream: ServerStream) -> str:
    certificate = stream.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return sha256(certificate or b"").hexdigest()


def _changed(server: Server, servers: KnownServers, how: str) -> str:
    return (
        f"the certificate of {server} {how}. Somebody may be in between, or the server was set up anew: "
        f"ask its operator, and only then remove its line from {servers.path}"
    )


def _short(fingerprint: str) -> str:
    return f"SHA-256 {fingerprint[:16]}…"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
