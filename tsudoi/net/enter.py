"""Enter rooms, and list them."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tsudoi import errors
from tsudoi.net.cancelled_entry import leave_if_cancelled
from tsudoi.net.chat import ChatClient, check_type
from tsudoi.net.datagram_chat import DatagramChat
from tsudoi.net.rejoining import HandshakeResult, Prove
from tsudoi.net.sealed_chat import SealedChat
from tsudoi.net.sockets import Address, ServerStream, UdpChannel, addresses_of, connected, reason
from tsudoi.net.trust import connected_sealed
from tsudoi.protocol import names
from tsudoi.protocol.client import datagram
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import DIALECTS, TSUDOI_2
from tsudoi.protocol.client.reply_decoder import HandshakeRefused
from tsudoi.protocol.client.sanitize import clean_line
from tsudoi.protocol.client.signed_token import NOT_SIGNED, is_signed_token
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.errors import InvalidName
from tsudoi.protocol.sealed.suites import PLAIN, SEALED
from tsudoi.sealed_entry import EnterSealed
from tsudoi.server_address import Server
from tsudoi.session import Enter, JoinList, ListRooms, lists_first
from tsudoi.settings import Settings

VERSION_2 = replace(TSUDOI_2, echo=False)
"""Version 2 as its user sees it: an own line does not come back as an event, although the server sends it."""
ALL_DIALECTS = {VERSION_2.name: VERSION_2, **DIALECTS}
DEFAULT_DIALECT = VERSION_2.name
DEFAULT_SERVER = Server()
DEFAULT_SETTINGS = Settings()


async def create(
    room: str,
    *,
    name: str = "",
    server: Server = DEFAULT_SERVER,
    dialect: str = DEFAULT_DIALECT,
    password: str | None = None,
    signed_token: str | None = None,
    settings: Settings = DEFAULT_SETTINGS,
) -> ChatClient:
    """Create a room and join it as its host: the room closes when the host leaves.

    Args:
        room: its name, 1 to 255 bytes of UTF-8 (PROTOCOL.md, "Names").
        name: yours, by the same rules; may be left out if a signed token has it.
        server: its host, TCP and UDP port; by default this machine, 9001 and 9002.
        dialect: the dialect to speak. The default is version 2 of the protocol: messages are encrypted, and come in
            order, exactly once. All others are for servers, and for tests of servers, that do not speak it.
        password: the room's.
        signed_token: a token with your name, signed by a website that the server trusts; replaces the name.
        settings: time-outs and limits.

    Raises:
        ClientError: RoomExists, ServerUnreachable, or another of `tsudoi.errors`.
        CancelledError: the caller was cancelled, and left the room if it was in already: that takes 2 s at most.
    """
    return await _enter(_Wanted(Operation.CREATE, room, name, server, dialect, password, signed_token, settings))


async def join(
    room: str,
    *,
    name: str = "",
    server: Server = DEFAULT_SERVER,
    dialect: str = DEFAULT_DIALECT,
    password: str | None = None,
    signed_token: str | None = None,
    settings: Settings = DEFAULT_SETTINGS,
) -> ChatClient:
    """Join a room; see `create`.

    Raises:
        ClientError: RoomNotFound, WrongPassword, ServerUnreachable, or another of `tsudoi.errors`.
    """
    return await _enter(_Wanted(Operation.JOIN, room, name, server, dialect, password, signed_token, settings))


async def rooms(
    *, server: Server = DEFAULT_SERVER, dialect: str = DEFAULT_DIALECT, settings: Settings = DEFAULT_SETTINGS
) -> list[str]:
    """Return the names of the server's rooms.

    Raises:
        NotInDialect: the dialect has no way to ask.
        ClientError: ServerUnreachable, or another of `tsudoi.errors`.
    """
    profile = _dialect(dialect)
    _check_way(server, settings)
    if not profile.lists_rooms and not profile.join_lists_rooms:
        raise errors.NotInDialect(f"{profile.name} has no way to ask for the rooms")
    listing = ListRooms() if profile.lists_rooms else JoinList(profile)
    async with _way(profile, settings, remembers=False)(server, settings) as stream:
        await stream.converse(listing, settings)
    if isinstance(listing, JoinList) and isinstance(listing.result, HandshakeRefused):
        raise errors.refusal(listing.result.status, listing.result.reason, "")
    return [clean_line(name) for name in listing.rooms or ()]


def _dialect(name: str) -> Dialect:
    try:
        return ALL_DIALECTS[name]
    except KeyError:
        raise errors.NotInDialect(f"there is no dialect {name!r}; there are {', '.join(ALL_DIALECTS)}") from None


def _check_way(server: object, settings: object) -> None:
    """Raise TypeError."""
    if isinstance(server, str):
        raise TypeError(f"server is to be a tsudoi.Server, and is {server!r}: tsudoi.Server.parse reads HOST:TCP:UDP")
    check_type("server", server, Server)
    check_type("settings", settings, Settings)


@dataclass(slots=True)
class _Wanted:
    """The arguments of `create` and `join`."""

    operation: Operation
    room: str
    name: str
    server: Server
    dialect: str
    password: str | None
    signed_token: str | None
    settings: Settings

    @property
    def user(self) -> str:
        """What stands in the place of the name in a request."""
        return self.signed_token or self.name


@dataclass(slots=True)
class _Name:
    """The name that the user asks for, beside the one that the server gives: `alice#2` while there is an `alice`."""

    asked: str
    given: str

    def asked_for(self, name: str) -> str:
        """Return the name to ask for by a member who has this one now: another one than `given` is from `/nick`."""
        if name != self.given:
            self.asked = self.given = name
        return self.asked or name


async def _enter(wanted: _Wanted) -> ChatClient:
    dialect, name, token, password = _dialect(wanted.dialect), wanted.name, wanted.signed_token, wanted.password
    _check_way(wanted.server, wanted.settings)
    texts = {"room": wanted.room, "name": name, "password": password or "", "signed_token": token or ""}
    for what, text in texts.items():
        check_type(what, text, str)
    if token and not is_signed_token(token.strip()):
        raise errors.InvalidName(NOT_SIGNED)
    try:
        wanted.room, wanted.name = names.room_name(wanted.room), names.user_name(name) if name or not token else ""
        (password or "").encode()
    except InvalidName as exc:
        raise errors.InvalidName(str(exc)) from exc
    except UnicodeEncodeError as exc:
        raise errors.InvalidText("the password has half a character (a lone surrogate)") from exc
    if password is not None and dialect.password_key is None:
        raise errors.NotInDialect(f"{dialect.name} has no passwords")
    asked = asyncio.Event()
    is_version_2 = dialect is VERSION_2
    entering = _enter_sealed(asked, wanted) if is_version_2 else _enter_by_datagrams(asked, wanted, dialect)
    return await leave_if_cancelled(asked, entering, lambda chat: chat.leave())


async def _enter_by_datagrams(asked: asyncio.Event, wanted: _Wanted, dialect: Dialect) -> ChatClient:
    room, server, settings = wanted.room, wanted.server, wanted.settings
    if lists_first(dialect):
        await rooms(server=server, dialect=dialect.name, settings=settings)
    async with connected(server, settings) as stream:
        try:
            udp = stream.udp_beside(server.udp)
        except OSError as exc:
            raise errors.ServerUnreachable(f"no way to send to {server}: {reason(exc)}") from exc
        try:
            enter = Enter(dialect, wanted.operation, room, wanted.user, wanted.password, udp.getsockname()[1])
            asked.set()
            await stream.converse(enter, settings)
            if isinstance(enter.result, HandshakeRefused):
                raise errors.refusal(enter.result.status, enter.result.reason, room)
            assert enter.result is not None
        except BaseException:
            udp.close()
            raise
    granted = enter.result
    chat = DatagramChat(dialect, room, granted.user or wanted.name, granted.token, server, settings)
    await chat.open(await UdpChannel.open(udp, chat.received, chat.failed))
    return chat


async def _enter_sealed(asked: asyncio.Event, wanted: _Wanted) -> ChatClient:
    room, settings = wanted.room, wanted.settings
    is_sealed = settings.security == "sealed"

    async def shake_hands(
        asked: asyncio.Event, operation: Operation, name: str, server: Server, prove: Prove | None = None
    ) -> HandshakeResult:
        suites = SEALED if is_sealed else (PLAIN,)
        enter = EnterSealed(operation, room, name, wanted.password, suites, settings.language)
        async with _way(VERSION_2, settings)(server, settings) as stream:
            if prove is not None:
                await prove()
            # Asked before the server closes the connection: uvloop forgets it then.
            peer = stream.writer.get_extra_info("peername")
            asked.set()
            await stream.converse(enter, settings)
            addresses = await _udp_addresses(peer, server)
        if isinstance(enter.result, HandshakeRefused):
            if enter.unwanted_token:
                _leave_version_1(room, enter.unwanted_token, addresses[0])
            raise _refused(enter.result, server, room, is_sealed)
        assert enter.result is not None
        return HandshakeResult(enter.result, addresses, stream.first_seen)

    async def leave(entered: HandshakeResult) -> None:
        unwanted = SealedChat(VERSION_2, room, entered, chat.server, settings, join_again)
        await unwanted.open()
        await unwanted.leave()

    async def join_again(prove: Prove) -> HandshakeResult:
        asked = asyncio.Event()
        user = wanted.signed_token or name.asked_for(chat.name)
        joining = shake_hands(asked, Operation.JOIN, user, chat.server, prove)
        result = await leave_if_cancelled(asked, joining, leave)
        name.given = clean_line(result.grant.name)
        return result

    entered = await shake_hands(asked, wanted.operation, wanted.user, wanted.server)
    name = _Name(wanted.name, clean_line(entered.grant.name))
    chat = SealedChat(VERSION_2, room, entered, wanted.server, settings, join_again)
    await chat.open()
    return chat


def _way(
    dialect: Dialect, settings: Settings, *, remembers: bool = True
) -> Callable[[Server, Settings], AbstractAsyncContextManager[ServerStream]]:
    """Return how to connect: in version 2 by TLS, unless the user wants no seals."""
    if dialect is VERSION_2 and settings.security == "sealed":
        return partial(connected_sealed, remembers=remembers)
    return connected


async def _udp_addresses(peer: tuple[Any, ...], server: Server) -> list[Address]:
    """Return the addresses for datagrams: first that which has answered, then the server's others."""
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    first = (family, (peer[0], server.udp, *peer[2:]))
    return list(dict.fromkeys((first, *await addresses_of(server))))


def _leave_version_1(room: str, token: str, server: Address) -> None:
    """Leave, as far as one datagram can: else the room stays until a time-out, and can not be created in version 1."""
    family, address = server
    with suppress(OSError, ValueError), socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.sendto(datagram.serialize(room, token, "/leave"), address)


def _refused(refused: HandshakeRefused, server: Server, room: str, is_sealed: bool) -> errors.ClientError:
    if refused.status is not Status.BAD_REQUEST:
        return errors.refusal(refused.status, refused.reason, room)
    _, _, why = refused.reason.partition(": ")
    if why:
        return errors.refusal(refused.status, refused.reason, room)
    # A server of version 1 says no more than that.
    return errors.OtherVersion(
        f"the server at {server} does not take version 2 of the protocol{'' if is_sealed else ' without seals'}: "
        "the dialect tsudoi may work"
    )
