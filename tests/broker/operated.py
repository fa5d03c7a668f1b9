"""A broker without sockets, and an operator who asks it."""

from dataclasses import dataclass, field
from typing import Any

from broker.admin.service import AdminService
from broker.config import Limits
from broker.shards.cores import Cores
from tests.broker.scripted import A, B, Broker
from tsudoi.protocol.backbone import Entry, admin_frames
from tsudoi.protocol.backbone.admin_frames import VERSION, Ask


@dataclass
class OperatedBroker:
    """A broker, two gateways, and an operator who asks one thing at a time."""

    limits: Limits | None = None
    broker: Broker = field(init=False)

    def __post_init__(self) -> None:
        self.broker = Broker(self.limits, A, B)
        self.service = AdminService(Cores([self.broker.core]))

    def ask(self, question: admin_frames.Question) -> Any:
        answer = self.service.handle_untrusted(admin_frames.encode(Ask(VERSION, question)), self.broker.moment)
        self.broker.turn()
        return answer

    def tick(self) -> None:
        self.service.tick(self.broker.moment)
        self.broker.turn()

    def start_again(self) -> None:
        self.broker.start_again("broker-2")
        self.service = AdminService(Cores([self.broker.core]))

    def rooms(self) -> dict[str, admin_frames.Room]:
        return {room.name: room for room in self.ask(admin_frames.ListRooms()).rooms}

    def names(self, room: str = "") -> list[str]:
        return [member.name for member in self.ask(admin_frames.ListMembers(room=room)).members]

    def kinds(self, room: int) -> list[int]:
        return [entry.kind for entry in self.broker.log(room)]

    def last(self, room: int) -> Entry:
        return self.broker.log(room)[-1]
