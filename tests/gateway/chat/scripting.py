"""What tests of one gateway without a broker have in common: datagrams, and answers of the log."""

from gateway.listeners import sockaddr
from gateway.settings import Settings
from tests.support.fakes import ScriptedGateway, address_of, room_name, token_of
from tsudoi.protocol.backbone import Entry, Release, Replay, Replayed

ALICE, BOB, CAROL = (address_of(number) for number in (1, 2, 3))
ELSEWHERE = address_of(1, network="198.51.100.7")
LOOPBACK = sockaddr.pack("127.0.0.1", 4000)


def raw(number: int, text: str | bytes = b"", *, room: bytes | None = None, token: bytes | None = None) -> bytes:
    """A datagram with its sizes in bytes."""
    name = room_name(1).encode() if room is None else room
    key = token_of(number) if token is None else token
    return bytes((len(name), len(key))) + name + key + (text.encode() if isinstance(text, str) else text)


def send(gateway: ScriptedGateway, data: bytes, source: bytes = ALICE, listener: int = 0) -> None:
    gateway.core.handle_datagrams(listener, [(data, source)], gateway.now)


def texts(gateway: ScriptedGateway, address: bytes) -> list[str]:
    """What went to an address, without the sender's name."""
    return [payload.decode().partition(": ")[2] for payload in gateway.outbound.to(address)]


def replayed(*entries: Entry, last: int = 0, first: int = 0, epoch: int = 1, room: int = 1) -> Replayed:
    end = last or (entries[-1].offset if entries else 0)
    return Replayed(room, epoch, first or (entries[0].offset if entries else end + 1), end, list(entries))


def answer_replay(
    gateway: ScriptedGateway, *entries: Entry, after: int, last: int = 0, first: int = 0, epoch: int = 1
) -> None:
    """Answer the one replay that was asked for."""
    (request,) = gateway.asked(Replay)
    assert isinstance(request.body, Replay)
    assert request.body.after == after
    gateway.reply(request.id, replayed(*entries, last=last, first=first, epoch=epoch))


def answer_all(gateway: ScriptedGateway, log: list[Entry]) -> int:
    """Answer all replays that were asked for, from a log; return how many."""
    requests = gateway.asked(Replay)
    last = log[-1].offset if log else 1
    for request in requests:
        assert isinstance(request.body, Replay)
        after, limit = request.body.after, request.body.limit
        some = [entry for entry in log if entry.offset > after][:limit]
        gateway.reply(request.id, replayed(*some, last=last, first=some[0].offset if some else last + 1))
    return len(requests)


def slow_gateway(rate: float = 100.0) -> ScriptedGateway:
    return ScriptedGateway(Settings(replay_rate=rate))


def release(member: int, room: int = 1, handover: str = "h1", elsewhere: bool = False) -> Release:
    return Release(room, member, handover, elsewhere)
