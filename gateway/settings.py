"""What the gateway's decisions depend on: the settings that a reload changes in place.

`config.py` has those that need a restart.
"""

import ipaddress
from dataclasses import dataclass
from typing import Literal

from tsudoi.ops.settings import setting
from tsudoi.protocol.backbone import MAX_IDLE_MS
from tsudoi.protocol.errors import SettingError
from tsudoi.server_address import Server

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_server(text: str) -> str:
    """Return the address of a gateway, as clients find it, in full; raise SettingError if it is none."""
    try:
        return str(Server.parse(text))
    except ValueError as exc:
        raise SettingError(str(exc)) from None


def parse_network(text: str) -> Network:
    """Return an IP network or address; raise SettingError if the text is neither."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SettingError(f"{text!r} is no network: 192.0.2.0/24, or an address") from None


@dataclass
class Settings:
    """What the gateway's decisions depend on. All parts hold the same object, so that a reload changes it in place."""

    idle_timeout_s: float = setting(
        100.0,
        "Seconds without a datagram (of version 2 at least 40) after which a member is removed; if it is the host, its"
        " room closes.",
        at_least=0.5,
        at_most=MAX_IDLE_MS / 1000,
        metavar="SECONDS",
    )
    check_ip: Literal["strict", "off"] = setting(
        "strict",
        "`strict`: datagrams must come from the host of the member's handshake (all loopback addresses are one host);"
        " `off`: the token is enough.",
    )
    move_after_s: float = setting(
        30.0,
        "With `strict`: seconds of silence after which another host that has the token takes the member over.",
        at_least=0,
        metavar="SECONDS",
    )
    history: int = setting(
        0,
        "The room's last messages that a new member gets first.",
        at_least=0,
        at_most=200,
        metavar="MESSAGES",
    )
    replay_rate: float = setting(
        2_000.0,
        "Late messages a second that are sent to one member, after a gap or a pause; 100 at once, or what 20 ms allow.",
        metavar="PER_SECOND",
    )
    rate: float = setting(
        1_000.0,
        "Messages a second from one member, in the long run; more are dropped.",
        at_least=0.1,
        metavar="PER_SECOND",
    )
    burst: float = setting(2_000.0, "Messages from one member at once.", metavar="MESSAGES")
    room_rate: float = setting(
        5_000.0,
        "Messages a second in one room from all members here, in the long run; twice as many at once.",
        metavar="PER_SECOND",
    )
    unaccepted: int = setting(
        20_000, "Messages that wait while the broker is away; more are dropped.", metavar="MESSAGES"
    )
    request_timeout_s: float = 3.0
    """How long a client waits for the broker before it is answered busy."""
    first_byte_s: float = 300.0
    """How long a TCP connection may stay silent before its request: people type their names meanwhile."""
    request_s: float = 10.0
    """How long a request may take from its first byte to its last."""
    connections: int = setting(
        4_096, "TCP connections at once. One more closes the one that has been silent for longest, or itself."
    )
    address_connections: int = setting(
        256,
        "TCP connections at once from one address (of IPv6, from one network of 64 bits). One more closes the one of"
        " them that has been silent for longest, or is refused if all serve members. Where UDP does not pass, each"
        " member of version 2 needs one, of which 15 in 16 may serve members: raise it for a network with more of them"
        " behind one address.",
    )
    web_connections: int = setting(
        4_096,
        "Connections at once at the web listeners. One more closes one that has not connected to the chat, or itself."
        " `--address-connections` and `--address-rate` hold there too; one more of an address closes one that is in no"
        ' room or can be spared (PROTOCOL.md, "Limits"), or is refused.',
    )
    address_rate: float = setting(
        50.0,
        "TCP connections a second from one address, in the long run; ten times as many at once. Each further request on"
        " a connection counts like a connection.",
        at_least=0.1,
        metavar="PER_SECOND",
    )
    address_members: int = setting(
        1_000,
        "Members here from one address. One more removes one that never sent a datagram or is in a quiet room of that"
        " address alone, or is refused.",
        metavar="MEMBERS",
    )
    address_messages: float = 5_000.0
    """Messages a second from all members of one address, in the long run; twice as many at once."""
    create_rate: float = 5.0
    """Rooms a second that one address creates, in the long run; ten times as many at once."""
    password_tries: int = 5
    """Wrong passwords of one name, from one address in one room, before that name has to wait."""
    unlimited: tuple[Network, ...] = setting(
        ("127.0.0.0/8", "::1/128"),
        "A network whose addresses have no limits of their own, of a proxy for example; may be given several times.",
        parse=parse_network,
        metavar="NETWORK",
    )
    commands: bool = setting(
        True,
        "A text that begins with `/` is sent like any other; without this flag it is a command (`/help` lists them).",
    )
    notices: Literal["auto", "on", "off"] = setting(
        "auto",
        "Whether members are told of joins, leaves, new names and so on, `on` or `off`; `auto`: all but those who speak"
        " `classic`.",
    )
    language: Literal["en", "ja"] = setting("en", "The language of the server's own texts in rooms: `en` or `ja`.")
    plain: bool = setting(
        False,
        "Clients of version 2 may do without seals (the suite `plain`) from everywhere, not only from this machine.",
    )
    drain_s: float = setting(
        0.0,
        "After SIGTERM: seconds in which clients of version 2 go on at another gateway, spread over the time, before"
        " this one stops, earlier when all have gone. 0: it stops at once, and they notice that after 1.5 s.",
        flag="--drain",
        at_least=0,
        at_most=300,
        metavar="SECONDS",
    )
    drain_to: tuple[str, ...] = setting(
        (),
        "Where these clients go on with `--drain`, `HOST:TCP:UDP`; may be given several times. By default at another of"
        " the addresses that the name has at which they came.",
        parse=parse_server,
        metavar="HOST:TCP:UDP",
    )
    auth: Literal["off", "optional", "required"] = "off"
    """Whether a signed token may, or must, stand for a name; off without a key to verify it."""
