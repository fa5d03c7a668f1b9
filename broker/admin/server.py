"""The operators' socket: pass frames to the admin service, and send its answers when the turn is stored.

It is not the gateways' socket, so no frame of a gateway can be taken for an order. Its access is limited by the socket
file's mode 0600, a loopback address, or operators' keys.
"""

import zmq

from tsudoi.ops.keyfiles import Role
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.errors import SettingError

from ..net import socket_files
from ..net.zap import ORDERS, ZapHandler
from ..turn import Moment
from .service import AdminService

NOBLOCK = int(zmq.NOBLOCK)
FRAMES_A_TURN = 16
HIGH_WATER = 100
"""Requests, or answers, that wait for one operator; beyond that they are dropped, and the client times out."""
MAX_FRAME_SIZE = 65_536


class AdminServer:
    """A ROUTER socket for operators."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, service: AdminService, zap: ZapHandler | None
    ) -> None:
        """Listen at an ipc:// or tcp:// endpoint, or raise SettingError. Without `zap`, every client is an operator."""
        self.service = service
        self._zap = zap
        self.answered = 0
        self.strangers = 0
        """Frames whose key is not an operator's."""
        self._answers: list[tuple[bytes, bytes]] = []
        self.undeliverable = 0
        """Answers to operators that have disconnected."""
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        for option, value in (
            (zmq.IPV6, 1),
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, MAX_FRAME_SIZE),
            (zmq.RCVHWM, HIGH_WATER),
            (zmq.SNDHWM, HIGH_WATER),
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.HANDSHAKE_IVL, 2000),
        ):
            self.socket.setsockopt(option, value)
        if zap is not None:
            zap.protect(self.socket, ORDERS)
        try:
            socket_files.bind(self.socket, endpoint)
        except SettingError:
            self.socket.close(0)
            raise
        except (zmq.ZMQError, UnicodeEncodeError) as exc:
            self.socket.close(0)
            why = zmq.strerror(exc.errno or 0) if isinstance(exc, zmq.ZMQError) else "this path is not UTF-8"
            raise SettingError(f"can not listen for operators on {endpoint}: {why}") from exc
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def read(self, moment: Moment) -> None:
        """Give the service the requests that have come."""
        try:
            for _ in range(FRAMES_A_TURN):
                frames = self.socket.recv_multipart(NOBLOCK, copy=False)
                owner = self._zap.owner(frames[-1]) if self._zap is not None else None
                if self._zap is not None and (owner is None or owner.role is not Role.OPERATOR):
                    self.strangers += 1
                elif len(frames) == 2 and (answer := self.service.handle_untrusted(frames[-1].bytes, moment)):
                    self._answers.append((frames[0].bytes, admin_frames.encode(answer)))
        except zmq.Again:
            pass

    def refuse_all(self, why: str) -> None:
        """Refuse what waits for its turn to be stored."""
        refused = admin_frames.encode(admin_frames.AdminRefused(why))
        self._answers = [(peer, refused) for peer, _ in self._answers]

    def answer(self) -> None:
        """Send the answers: the turn is stored."""
        answers, self._answers = self._answers, []
        for peer, body in answers:
            try:
                self.socket.send_multipart((peer, body), NOBLOCK)
                self.answered += 1
            except zmq.ZMQError:
                self.undeliverable += 1
