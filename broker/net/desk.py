"""The operators' socket: hands what comes to the office, and its answers back when the turn is kept.

A socket of its own, apart from the gateways': who may use it is decided where it is opened (a socket file of mode 0600,
an address of this machine, or operators' keys), and what a gateway's socket takes can not be an operator's order.
"""

import os

import zmq

from tsudoi.ops.keyfiles import Role
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.errors import SettingError

from ..office import Office
from ..turn import Moment
from .allow_list import ORDERS, AllowList

NOBLOCK = int(zmq.NOBLOCK)
FRAMES_A_TURN = 16
HIGH_WATER = 100
"""Orders, or answers, that wait for one operator; beyond that they are dropped, and its tool says that none came."""
MAX_FRAME_SIZE = 65_536


class Desk:
    """A ROUTER socket for operators."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, office: Office, guard: AllowList | None
    ) -> None:
        """Listen at an endpoint.

        Args:
            context: the server's.
            endpoint: ipc:// or tcp://.
            office: what answers.
            guard: who knows whose key a frame came with; None: whoever can connect may give orders.

        Raises:
            SettingError: that can not be.
        """
        self.office = office
        self._guard = guard
        self.answered = 0
        self.strangers = 0
        """Frames whose key is not an operator's."""
        self._answers: list[tuple[bytes, bytes]] = []
        self.undeliverable = 0
        """Answers to operators that are not there any more."""
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
        if guard is not None:
            guard.protect(self.socket, ORDERS)
        # The socket file is made in this call and with these rights: there is no moment at which others could connect.
        mask = os.umask(0o177)
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as exc:
            self.socket.close(0)
            raise SettingError(f"can not listen for operators on {endpoint}: {zmq.strerror(exc.errno or 0)}") from exc
        finally:
            os.umask(mask)
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def read(self, moment: Moment) -> None:
        """Let the office decide on what has come."""
        try:
            for _ in range(FRAMES_A_TURN):
                self._hear(self.socket.recv_multipart(NOBLOCK, copy=False), moment)
        except zmq.Again:
            pass

    def _hear(self, frames: list[zmq.Frame], moment: Moment) -> None:
        if self._guard is not None:
            owner = self._guard.owner(frames[-1])
            if owner is None or owner.role is not Role.OPERATOR:
                self.strangers += 1
                return
        answer = self.office.handle_untrusted(frames[-1].bytes, moment) if len(frames) == 2 else None
        if answer is not None:
            self._answers.append((frames[0].bytes, admin_frames.encode(answer)))

    def answer(self) -> None:
        """What was decided is kept: say so."""
        answers, self._answers = self._answers, []
        for peer, body in answers:
            try:
                self.socket.send_multipart((peer, body), NOBLOCK)
                self.answered += 1
            except zmq.ZMQError:
                self.undeliverable += 1
