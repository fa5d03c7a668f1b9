"""Version 2 before the first packet: the handshake, and how a session seals its packets.

Written from PROTOCOL.md alone. It imports nothing of the project: it stands for a program whose author has only the
document.
"""

import asyncio
import contextlib
import hmac
import json
import ssl
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

Address = tuple[str, int]
Line = dict[str, Any]

CREATE, JOIN = 1, 2
BODY, PART, RETRY, GONE = 1, 2, 3, 4
HEAD, TAG = 30, 16


def read(body: bytes) -> list[Line]:
    """Return the lines of a server's body; what stands in an array gets names."""
    lines: list[Line] = []
    for raw in body.split(b"\n") if body else []:
        match json.loads(raw):
            case [int(after), int(to), *_]:
                lines.append({"after": after, "to": to})
            case [int(n), str(sender), str(text), int(member), int(number), *_]:
                lines.append({"n": n, "from": sender, "text": text, "member": member, "number": number})
            case [int(n), str(sender), str(text), *_]:
                lines.append({"n": n, "from": sender, "text": text})
            case [str(text), *_]:
                before = lines[-1]
                numbered = {"number": before["number"] + 1} if "number" in before else {}
                lines.append(before | {"n": before["n"] + 1, "text": text} | numbered)
            case dict(line):
                lines.append(line)
    return lines


class Refused(Exception):
    """The server's words: it does not grant the request."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


@dataclass
class Session:
    """What a handshake grants: the session's name and keys."""

    id: bytes
    suite: str
    up: bytes
    down: bytes
    check: bytes
    granted: Line

    def pack(self, kind: int, run: bytes, count: int, inside: bytes) -> bytes:
        head = bytes((0, kind)) + self.id + run + count.to_bytes(6, "big")
        cipher = self._cipher(self.up)
        return head + (inside if cipher is None else cipher.encrypt(head[18:], inside, head))

    def unpack(self, packet: bytes) -> bytes | None:
        cipher = self._cipher(self.down)
        if cipher is None:
            return packet[HEAD:]
        try:
            return cipher.decrypt(packet[18:HEAD], packet[HEAD:], packet[:HEAD])
        except (InvalidTag, ValueError):
            return None

    def holds(self, packet: bytes) -> bool:
        """Whether the check of a retry or gone is right."""
        if self.suite == "plain":
            return packet[HEAD:] == bytes(16)
        return hmac.compare_digest(hmac.digest(self.check, packet[:HEAD], "sha256")[:16], packet[HEAD:])

    def _cipher(self, key: bytes) -> AESGCM | ChaCha20Poly1305 | None:
        if self.suite == "plain":
            return None
        return AESGCM(key) if self.suite == "aes-128-gcm" else ChaCha20Poly1305(key)


async def enter(
    server: Address,
    operation: int,
    room: str,
    name: str,
    *,
    suites: tuple[str, ...] = ("aes-128-gcm",),
    tls: bool = True,
    source: str = "",
    **more: Any,
) -> Session:
    """Create or join a room, from the host `source`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(
        *server, ssl=context if tls else None, local_addr=(source, 0) if source else None
    )
    try:
        payload = json.dumps({"tsudoi": 2, "name": name, "suites": suites, **more}).encode()
        named = room.encode()
        writer.write(bytes((len(named), operation, 0)) + len(payload).to_bytes(29, "big") + named + payload)
        answer: Line = {}
        while "session" not in answer:
            head = await reader.readexactly(32)
            answer = json.loads((await reader.readexactly(head[0] + int.from_bytes(head[3:], "big")))[head[0] :])
            if answer.get("status"):
                raise Refused(answer["message"], answer["status"])
        up, down, check = (bytes.fromhex(answer.get(key, "")) for key in ("up", "down", "check"))
        return Session(bytes.fromhex(answer["session"]), answer["suite"], up, down, check, answer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
