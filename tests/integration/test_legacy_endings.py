"""How a stay in a room ends, and in which words each dialect is told."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import Cluster, Enter, NewRoom
from tests.support.legacy.client import LegacyClient
from tests.support.legacy.company import Company
from tests.support.legacy.dialects import CHATTING, CLIENTS
from tests.support.services import ALL_LISTENERS, Gateway

HOST = "ホスト"
SEED_NOTICE = f"ホストの{HOST}がルームを退出しました．"


@pytest.fixture(scope="module")
def hasty_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Drops members after two silent seconds, and runs a broker of its own."""
    with Gateway("--idle-timeout", "2", data=tmp_path_factory.mktemp("hasty"), dialects=ALL_LISTENERS) as service:
        yield service


def closed_notices(guest: LegacyClient) -> list[bytes]:
    """What the guest must get, byte by byte, when the host has left."""
    seed = [SEED_NOTICE, "exit!"]
    match guest.dialect:
        case "classic" | "tcrp" | "tcrp-empty-ack":
            return [text.encode() for text in seed]
        case "tcrp-named" | "tcrp-202":
            return [guest.down("server", text) for text in seed]
        case "tcrp-json":
            return ["チャットルームが閉じられました".encode()]
        case "tcrp-200":
            return [f"exit:{SEED_NOTICE}".encode()]
        case "tcrp-ok":
            return [f"ROOM_CLOSED: {SEED_NOTICE}".encode()]
        case "tcrp-bare-ack" | "tcrp-no-token":
            head = bytes((len(guest.room.encode()), 0)) + guest.room.encode()
            return [head + text.encode() for text in seed]
        case "tcrp-raw":
            return [b"HOST_DISCONNECTED"]
        case "tcrp-typed":
            return [guest.down("server", SEED_NOTICE).replace(b'"chat","from":"server"', b'"disconnect"')]
        case "tcrp-success":
            return [b"__ROOM_CLOSED__"]
        case "tcrp-two-sockets":
            return ["ホストが退出したため、ルームが閉じられました".encode()]
        case "tcrp-single":
            return [f"ホストが退出したため、チャットルーム:{guest.room}を終了します。".encode()]
    raise AssertionError(guest.dialect)


def as_told(guest: LegacyClient, raw: bytes) -> object:
    """A notice in a form that may be compared: the bytes, or the content where they are JSON."""
    return guest.parse(raw) if guest.dialect == "tcrp-202" else raw


ENDS_BY_ITSELF = {"classic", "tcrp-json", "tcrp-200", "tcrp-ok", "tcrp-raw", "tcrp-success", "tcrp-single"}
ENDS_BY_ITSELF |= {"tcrp-two-sockets", "tcrp-typed"}
"""Programs that end when they are told that the room has closed; the others only show it."""


def timed_out_notice(guest: LegacyClient) -> bytes:
    """What the guest must get when it was silent for too long."""
    match guest.dialect:
        case "classic" | "tcrp" | "tcrp-empty-ack":
            return b"Timeout!"
        case "tcrp-json":
            return "しばらく発言しなかったので、チャットルームから退出させました".encode()
        case "tcrp-200":
            return b"exit:Timeout!"
        case "tcrp-ok":
            return b"DISCONNECTED: Timeout!"
        case "tcrp-bare-ack" | "tcrp-no-token":
            return bytes((len(guest.room.encode()), 0)) + guest.room.encode() + b"Timeout!"
        case "tcrp-raw":
            return b"HOST_DISCONNECTED"
        case "tcrp-typed":
            return b'{"type":"disconnect","text":"Timeout!"}'
        case "tcrp-success":
            # It knows of one end only.
            return b"__ROOM_CLOSED__"
        case "tcrp-two-sockets":
            return "「ホストが退出したため」ではなく、発言がなかったため、ルームから退出しました".encode()
        case "tcrp-single":
            return f"{guest.name}が{guest.room}から退出しました。".encode()
    return guest.down("server", "Timeout!")


class TestEnd:
    LEAVING = tuple(name for name in CHATTING if CLIENTS[name].leave_word is not None)

    def test_of_the_host_is_told_to_each_in_its_own_words(
        self, cluster: Cluster, client: Enter, new_room: NewRoom
    ) -> None:
        company = Company(new_room("部屋"))
        host = client("tcrp-json", HOST, cluster.a)
        company.create(host)
        for number, dialect in enumerate(CHATTING):
            company.join(client(dialect, f"{dialect}さん", (cluster.b, cluster.a)[number % 2]))
        for member in company.members:
            company.say(member, "やあ")
        company.check()
        host.leave()
        for guest in company.members[1:]:
            expected = [as_told(guest, raw) for raw in closed_notices(guest)]
            assert [as_told(guest, guest.hear().raw) for _ in expected] == expected, guest
            assert (guest.stopped is not None) == (guest.dialect in ENDS_BY_ITSELF), guest
        again = Company(company.room)
        again.create(client("classic", "alice", cluster.b))
        again.join(client("tcrp-json", "bob", cluster.a))
        for guest in company.members:
            guest.send("ghost")
        again.chat()

    @pytest.mark.parametrize("dialect", LEAVING)
    def test_of_a_guest_is_not_the_others(
        self, dialect: str, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        """Its leave word is shown to nobody, and it hears no more."""
        company = Company(new_room("den"))
        host, leaver = client("classic", HOST, gateway), client(dialect, "bob", gateway)
        company.create(host)
        company.join(leaver)
        company.join(client("tcrp-json", "carol", gateway))
        company.chat(host, leaver)
        leaver.leave()
        company.members.remove(leaver)
        company.say(host, "who is left?")
        company.say(company.members[-1], "I am")
        company.check()
        if leaver.stopped is None:
            assert leaver.pending() == []

    def test_of_patience_with_silent_guests(self, hasty_gateway: Gateway, client: Enter, new_room: NewRoom) -> None:
        company = Company(new_room("部屋"))
        host = client("classic", HOST, hasty_gateway)
        company.create(host)
        guests = [client(dialect, f"{dialect}さん", hasty_gateway) for dialect in CHATTING]
        for guest in guests:
            company.join(guest)
        for guest in guests:
            guest.say("やあ")
        told: dict[LegacyClient, bytes] = {}
        for number in range(100):
            # The host stays awake, which also keeps the room.
            host.say(f"tick {number}")
            host.hear_line(f"{HOST}: tick {number}")
            for guest in guests:
                while guest not in told and guest.stopped is None and (heard := guest.listen(0.02)):
                    if not any(chat in heard.shown for chat in ("tick", "やあ", "参加しました")):
                        told[guest] = heard.raw
            if len(told) == len(guests):
                break
        assert {guest: as_told(guest, raw) for guest, raw in told.items()} == {
            guest: as_told(guest, timed_out_notice(guest)) for guest in guests
        }
        assert {guest.dialect for guest in guests if guest.stopped} == ENDS_BY_ITSELF

    def test_of_a_silent_host_closes_the_room(self, hasty_gateway: Gateway, client: Enter, new_room: NewRoom) -> None:
        company = Company(new_room("部屋"))
        company.create(client("classic", HOST, hasty_gateway))
        guest = client("classic", "bob", hasty_gateway)
        company.join(guest)
        company.say(guest, "anybody here?")
        notices: list[bytes] = []
        for number in range(100):
            guest.say(f"tick {number}")
            while guest.stopped is None and (heard := guest.listen(0.1)):
                if not heard.shown.startswith("bob: "):
                    notices.append(heard.raw)
            if guest.stopped is not None:
                break
        assert notices == closed_notices(guest)
