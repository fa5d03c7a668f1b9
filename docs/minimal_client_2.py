"""A whole client of version 2, without seals: python3 docs/minimal_client_2.py create|join ROOM NAME [HOST:TCP:UDP]

PROTOCOL.md, "Version 2", explains it: each message comes once and in order, although datagrams get lost or doubled."""

import json
import select
import socket
import sys
from time import monotonic
from typing import Any

if len(sys.argv) not in (4, 5) or sys.argv[1] not in ("create", "join"):
    sys.exit(__doc__)
command, room, name, server = [*sys.argv[1:], "127.0.0.1:9001:9002"][:4]
host, tcp_port, udp_port = server.split(":")

with socket.create_connection((host, int(tcp_port)), timeout=10) as tcp, tcp.makefile("rb") as frames:
    payload = json.dumps({"tsudoi": 2, "name": name, "suites": ["plain"]}).encode()
    header = bytes((len(room.encode()), 1 if command == "create" else 2, 0)) + len(payload).to_bytes(29, "big")
    tcp.sendall(header + room.encode() + payload)
    grant: dict[str, Any] = {}
    while "session" not in grant:
        header = frames.read(32)  # room size (1 byte), operation (1), state (1), payload size (29)
        grant = json.loads(frames.read(header[0] + int.from_bytes(header[3:], "big"))[header[0] :])
        if grant.get("status"):
            sys.exit(f"Refused: {grant['message']}")
    udp, address = socket.socket(tcp.family, socket.SOCK_DGRAM), (tcp.getpeername()[0], int(udp_port))


class Client:
    def __init__(self) -> None:
        self.session, self.run, self.count, self.cookie = bytes.fromhex(grant["session"]), bytes(6), 0, ""
        self.seen: set[int] = set()  # counts of packets of this run
        self.parts: dict[Any, dict[int, bytes]] = {}  # of bodies: (run, count of the first) -> index -> bytes
        self.epoch, self.offset, self.last, self.want_at = grant["epoch"], grant["offset"], 0, 0.0
        self.held: dict[int, Any] = {}  # bodies from beyond a hole: after -> (to, entries)
        self.lines: list[tuple[int, str]] = []  # what is not kept yet
        self.number, self.kept, self.say_at, self.say_s = 0, 0, 0.0, 0.1
        self.resumed, self.resumes, self.resume_at, self.resume_s, self.calm_at = False, {0}, 0.0, 0.25, 0.0
        self.heard_at, self.ping_at, self.away, self.ended = monotonic(), monotonic() + 20, False, False

    def show(self, text: str) -> None:
        print(text.replace("\n", "\n  | "), flush=True)

    def send(self, **line: object) -> None:
        self.count += 1
        header = b"\0\1" + self.session + self.run + self.count.to_bytes(6, "big")
        udp.sendto(header + json.dumps(line, ensure_ascii=False).encode(), address)
        self.ping_at = monotonic() + (0.5 if "ping" in line else 20)

    def receive(self, packet: bytes) -> None:
        kind, run, count, body = packet[1], packet[18:24], int.from_bytes(packet[24:30], "big"), packet[30:]
        if kind == 3 and self.resumed and monotonic() < self.calm_at:  # perhaps late: a ping will show it
            self.ping_at = min(self.ping_at, self.calm_at)
        elif kind == 3:  # retry: it wants to see this cookie
            self.cookie, self.resumed, self.resume_at = packet[18:30].hex(), False, 0.0
        elif kind == 4 and packet[18:30].hex() == self.cookie:
            self.show("You are not in the room any more.")
            self.ended, self.last = True, 0
        if kind not in (1, 2) or (run == self.run and count in self.seen):
            return
        if kind == 2:
            (pieces := self.parts.setdefault((run, count - body[0]), {}))[body[0]] = body[2:]
            body = b"\n" if len(pieces) < body[1] else b"".join(pieces[index] for index in range(body[1]))
        lines = [json.loads(line) for line in body.split(b"\n") if line]
        answer = next((line["resumed"] for line in lines if isinstance(line, dict) and "resumed" in line), None)
        if answer and answer["to"] in self.resumes:
            self.take_resumed(answer, run)
        if run == self.run:
            self.seen.add(count)
            self.take(lines)

    def take_resumed(self, answer: dict[str, Any], run: bytes) -> None:
        if answer["state"] == "reset" or answer["offset"] > self.offset:
            self.show("Some messages are lost.")
            self.epoch, self.offset, self.last, self.held = answer["epoch"], answer["offset"], 0, {}
        if answer["to"]:
            self.run, self.seen, self.parts, self.calm_at = run, set(), {}, monotonic() + 0.5
            self.resumes = {0, *(count for count in self.resumes if count > answer["to"])}
            self.resumed, self.resume_s, self.say_at, self.say_s = True, 0.25, 0.0, 0.1
            self.take([{"kept": answer["said"]}])

    def take(self, lines: list[Any]) -> None:
        self.heard_at, entries = monotonic(), list[tuple[int, str | None, str]]()
        for line in lines:
            match line:
                case [int(after), int(to)]:  # all entries of this body
                    self.held[after], self.last = (to, entries), max(self.last, to)
                case [int(n), str(sender), str(text), *numbers]:  # an own one is on the screen already
                    entries.append((n, None if numbers[:1] == [grant["member"]] else f"{sender}: ", text))
                case [str(text), *_]:  # the next one of the same sender
                    entries.append((entries[-1][0] + 1, entries[-1][1], text))
                case {"n": n, "text": text}:
                    entries.append((n, "", text))
                case {"kept": kept} if self.resumed:
                    self.kept, self.say_s, self.lines = kept, 0.1, [each for each in self.lines if each[0] > kept]
                case {"refused": _, "again": True}:
                    self.say_at = monotonic() + 1
                case {"refused": number, "text": why} if number in dict(self.lines):
                    self.show(f"Not said: {why}")
                    self.lines = [each for each in self.lines if each[0] != number]
                case {"pong": _, "last": last}:
                    self.last, self.ping_at = max(self.last, last), monotonic() + 20
                case {"text": text}:
                    self.show(text)
                    self.ended, self.last = self.ended or "ended" in line, max(self.last, line.get("last", 0))
        while self.held and min(self.held) <= self.offset:  # this body goes on from here, or has come before
            to, entries = self.held.pop(min(self.held))
            for whose, text in [(whose, text) for n, whose, text in entries if n > self.offset and whose is not None]:
                self.show(whose + text)
            self.offset, self.want_at = max(self.offset, to), monotonic() + 0.04

    def tick(self, now: float) -> None:
        silent_s = now - self.heard_at
        if (silent_s > 10) != self.away and (self.away or self.lines or not self.resumed):
            self.away = not self.away
            self.show("The server does not answer; what you say waits." if self.away else "The server is back.")
        self.resumed = self.resumed and silent_s < (2 if self.lines else 30)
        if not self.resumed and now >= self.resume_at:
            self.resumes.add(self.count + 1)
            self.send(resume={"cookie": self.cookie, "epoch": self.epoch, "offset": self.offset, "next": self.kept + 1})
            self.resume_at, self.resume_s = now + self.resume_s, min(2 * self.resume_s, 2)
        if self.resumed and self.lines and now >= self.say_at:
            for before, (number, text) in zip([(self.kept, ""), *self.lines], self.lines[:32], strict=False):
                self.send(say=text, number=number, after=before[0])
            self.say_at, self.say_s = now + self.say_s, min(1.5 * self.say_s, 2)
        if self.resumed and self.last > self.offset and now >= self.want_at:
            self.send(want=[self.offset, min(self.held, default=self.last)])
            self.want_at = now + 0.2
        if self.resumed and now >= self.ping_at:
            self.send(ping=1)


client, typing, leaves = Client(), True, 0
client.show(f"You are in {room}, {grant['name']}.")
with open(0, "rb", buffering=0) as keyboard:
    while not (client.ended and client.offset >= client.last) and leaves < 20:
        client.tick(monotonic())
        ready = select.select([udp.fileno(), *([0] if typing else [])], [], [], 0.02)[0]
        if udp.fileno() in ready and len(packet := udp.recv(2048)) >= 30 and packet[2:18] == client.session:
            client.receive(packet)
        if 0 in ready:
            typing = bool(typed := keyboard.readline())
            if text := typed.decode(errors="replace").strip()[:300]:  # more may need packets of the kind 2
                client.number, client.say_at = client.number + 1, min(client.say_at, monotonic() + 0.01)
                client.lines.append((client.number, text))
        elif not typing and not client.lines and client.resumed:
            leaves += 1
            client.send(leave=True)
