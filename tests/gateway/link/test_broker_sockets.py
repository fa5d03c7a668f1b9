"""gateway/link/broker_sockets.py, in a process of its own, with the sockets of a broker."""

import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from tsudoi.protocol.backbone import own_topic, publish_endpoint

ANSWERS, NEWS = 3_000, 250_000
"""More than libzmq's own mark, and than any that was set here."""
BUSY_GATEWAY = f"""
import asyncio, sys, time, zmq
from gateway.link.broker_sockets import HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS, BrokerSockets

async def main():
    frames, has_all = 0, asyncio.Event()

    def count(received):
        nonlocal frames
        frames += len(received)
        if frames == {ANSWERS + NEWS}:
            has_all.set()

    sockets = BrokerSockets(sys.argv[1], "a/1", count, count, zmq.Context())
    sockets.start()
    sockets.send([b"hello"])
    time.sleep((2 * HEARTBEAT_MS + HEARTBEAT_TIMEOUT_MS) / 1000)
    await has_all.wait()
    sockets.close()

asyncio.run(main())
"""


@pytest.mark.timeout(60)
def test_a_busy_gateway_keeps_its_connections_and_loses_no_frame(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/broker"
    with (
        zmq.Context() as context,
        context.socket(zmq.ROUTER) as commands,
        context.socket(zmq.XPUB) as news,
    ):
        for socket, bound in ((commands, endpoint), (news, publish_endpoint(endpoint))):
            socket.setsockopt(zmq.SNDHWM, 0)
            socket.setsockopt(zmq.LINGER, 0)
            socket.bind(bound)
        with subprocess.Popen([sys.executable, "-c", BUSY_GATEWAY, endpoint]) as gateway:
            try:
                instance, _ = commands.recv_multipart()
                assert own_topic("a/1") in (news.recv()[1:], news.recv()[1:])
                for _ in range(ANSWERS):
                    commands.send_multipart((instance, b"answer"))
                for _ in range(NEWS):
                    news.send(own_topic("a/1") + b"news")
                assert gateway.wait(30) == 0
            finally:
                gateway.kill()
