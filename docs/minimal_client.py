"""A whole client in plain sockets: python3 docs/minimal_client.py create|join ROOM NAME [HOST:TCP:UDP]"""

import json
import select
import socket
import sys
import time
from contextlib import suppress

if len(sys.argv) not in (4, 5) or sys.argv[1] not in ("create", "join"):
    sys.exit(__doc__)
command, room, name, server = [*sys.argv[1:], "127.0.0.1:9001:9002"][:4]
host, tcp_port, udp_port, size = *server.split(":"), len(room.encode())

with socket.create_connection((host, int(tcp_port)), timeout=10) as tcp, tcp.makefile("rb") as frames:
    payload = json.dumps({"tsudoi": 1, "name": name}).encode()
    header = bytes((size, 1 if command == "create" else 2, 0)) + len(payload).to_bytes(29, "big")
    tcp.sendall(header + room.encode() + payload)
    answer: dict[str, str] = {}
    while "token" not in answer:
        header = frames.read(32)  # room size (1 byte), operation (1), state (1), payload size (29)
        answer = json.loads(frames.read(header[0] + int.from_bytes(header[3:], "big"))[header[0] :])
        if answer.get("status"):
            sys.exit(f"Refused: {answer['message']}")
udp = socket.socket(tcp.family, socket.SOCK_DGRAM)
udp.connect((host, int(udp_port)))
print(f"You are in {room}, {answer['name']}.", flush=True)


def send(text: bytes) -> None:
    with suppress(ConnectionRefusedError):  # the server is down just now
        udp.send(bytes((size, 32)) + f"{room}{answer['token']}".encode() + text)


line, received, keepalive_at = b"...", answer, 0.0
with suppress(KeyboardInterrupt), open(0, "rb", buffering=0) as typed:
    while line not in (b"", b"/leave\n") and received.get("notice") not in ("closed", "timeout", "kicked"):
        if time.monotonic() > keepalive_at:
            send(b"")  # registers our address, and keeps the server from removing us
            keepalive_at = time.monotonic() + 20
        ready = select.select((udp.fileno(), 0), (), (), 1)[0]
        if udp.fileno() in ready:
            with suppress(ConnectionRefusedError):
                received = json.loads(udp.recv(4096))
                text = received["text"].replace("\n", "\n  | ")
                print(f"{received['from']}: {text}" if "from" in received else text, flush=True)
        if 0 in ready and (line := typed.readline()) != b"/leave\n":
            send(line.rstrip(b"\n"))
send(b"/leave")
