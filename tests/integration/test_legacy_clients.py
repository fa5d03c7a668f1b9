"""Every dialect from the outside: stand-ins for the public programs chat through real processes, byte by byte."""

import itertools
import socket
import unicodedata
from dataclasses import dataclass

import pytest

from tests.integration.conftest import Cluster, Enter, NewRoom
from tests.support.legacy.client import Habits
from tests.support.legacy.company import Company
from tests.support.legacy.dialects import CHATTING
from tests.support.legacy.plain import TcrpOk
from tests.support.legacy.structured import TcrpJson
from tests.support.legacy.wire import PATIENCE_S, Counts
from tests.support.services import Gateway

RECOGNISED = ("classic", "tcrp-json", "tcrp-success", "tcrp-single", "tcrp-two-sockets", "tcrp-202")
"""What the `auto` listener must see by itself, host and guest alike; tcrp-ok is known by its address: tried apart."""


@dataclass(frozen=True, slots=True)
class Names:
    room: str
    host: str
    guest: str
    counts: Counts


NAMES = {
    "ascii": Names("den", "alice", "bob", Counts.BYTES),
    "japanese-bytes": Names("部屋", "アリス", "ボブ", Counts.BYTES),
    "japanese-characters": Names("部屋", "アリス", "ボブ", Counts.CHARACTERS),
    "japanese-room-in-characters": Names("部屋", "アリス", "ボブ", Counts.ROOM),
}


PORTS = {"no letters": range(0x8001, 0x8401), "a letter in UTF-8": range(0xC380, 0xC3C0)}
"""What two bytes of a port may look like after a name."""


class TestChat:
    @pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
    @pytest.mark.parametrize(
        ("dialect", "listener"), [*((each, each) for each in CHATTING), *((each, "auto") for each in RECOGNISED)]
    )
    def test_two_of_a_kind_chat(
        self, dialect: str, listener: str, names: Names, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        habits = Habits(counts=names.counts)
        company = Company(new_room(names.room))
        host = client(dialect, names.host, gateway, habits, listener=listener)
        guest = client(dialect, names.guest, gateway, habits, listener=listener)
        company.create(host)
        company.join(guest)
        company.chat(host, guest)

    @pytest.mark.parametrize("ports", PORTS.values(), ids=PORTS)
    @pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
    def test_auto_listener_knows_who_has_asked_for_the_list(
        self, names: Names, ports: range, cluster: Cluster, client: Enter, new_room: NewRoom
    ) -> None:
        # On the second gateway: from now on it takes this address for one of these clients, for a while.
        habits = Habits(counts=names.counts, udp_ports=ports)
        company = Company(new_room(names.room))
        host = client("tcrp-ok", names.host, cluster.b, habits, listener="auto")
        guest = client("tcrp-ok", names.guest, cluster.b, habits, listener="auto")
        company.create(host)
        company.join(guest)
        assert isinstance(guest, TcrpOk)
        assert company.room in guest.listed
        company.chat(host, guest)

    @pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
    def test_auto_listener_takes_a_join_that_names_its_room_for_classic(
        self, names: Names, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        """A client that reads a bare token can create and join there; one of tcrp can do neither."""
        habits = Habits(counts=names.counts, joins_by_room=True)
        company = Company(new_room(names.room))
        host = client("classic", names.host, gateway, habits, listener="auto")
        guest = client("classic", names.guest, gateway, habits, listener="auto")
        company.create(host)
        company.join(guest)
        company.chat(host, guest)

    @pytest.mark.parametrize("counts", Counts)
    @pytest.mark.parametrize("dialect", [dialect for dialect in RECOGNISED if dialect != "classic"])
    def test_json_may_hold_the_characters_themselves(
        self, dialect: str, counts: Counts, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        habits = Habits(counts=counts, ascii_json=False)
        company = Company(new_room("部屋"))
        company.create(client(dialect, "アリス", gateway, habits))
        company.join(client(dialect, "ボブ", gateway, habits, listener="auto"))
        company.chat()

    @pytest.mark.parametrize("dialect", ["classic", "tcrp-200", "tcrp-json"])
    def test_names_may_be_written_in_another_form(
        self, dialect: str, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        """A letter with its mark apart (NFD) is the same letter, on UDP too, and so is a name with space around it."""
        room = new_room("ガ")
        host, guest = client(dialect, "カ\u3099", gateway), client("classic", " ギ ", gateway)
        host.create(unicodedata.normalize("NFD", room))
        guest.join(f" {room} ")
        guest.start()
        host.say("こんにちは")
        assert guest.hear().shown == "ガ: こんにちは"
        guest.say("hello")
        assert host.hear_until(lambda heard: "hello" in heard.shown)[-1].shown == host.line("ギ", "hello")

    def test_tcrp_room_is_a_member_that_only_counts(self, gateway: Gateway, client: Enter, new_room: NewRoom) -> None:
        company = Company(new_room("部屋"))
        host, guest = client("tcrp-room", "アリス", gateway), client("tcrp-room", "ボブ", gateway, listener="auto")
        company.create(host)
        company.join(guest)
        alice, bob = client("classic", "alice", gateway), client("tcrp-json", "bob", gateway)
        company.join(alice)
        company.join(bob)
        company.chat(alice, bob)

    def test_everyone_hears_each_of_the_others_once_and_in_one_order(
        self, cluster: Cluster, client: Enter, new_room: NewRoom
    ) -> None:
        company = Company(new_room("広場"))
        for number, dialect in enumerate(CHATTING):
            member = client(dialect, f"{dialect}さん", (cluster.a, cluster.b)[number % 2])
            company.join(member) if company.members else company.create(member)
        for member in company.members:
            company.say(member, "おはよう")
        company.check()

        read = {member: len(company.screens[member]) for member in company.members}
        burst = [(member, f"line {number}") for number in range(3) for member in company.members]
        company.say_all(burst)
        # The seed's client hears itself, so its screen has the whole order.
        order = {line: place for place, line in enumerate(company.screens[company.members[0]])}
        for member in company.members:
            new = company.screens[member][read[member] :]
            assert sorted(new) == sorted(company.due(member)[read[member] :])
            assert member.pending() == []
            as_the_seed_shows_it = [
                company.members[0].line(speaker.name, text)
                for line in new
                for speaker, text in burst
                if member.line(speaker.name, text) == line
            ]
            assert as_the_seed_shows_it == sorted(as_the_seed_shows_it, key=lambda line: order[line]), member


class TestAddress:
    @pytest.mark.parametrize("dialect", CHATTING)
    def test_without_one_a_member_gets_what_it_missed_when_it_first_speaks(
        self, dialect: str, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        room = new_room("den")
        host, guest = client("classic", "alice", gateway), client(dialect, "bob", gateway)
        host.create(room)
        host.start()
        guest.join(room)
        for number in range(3):
            host.say(f"line {number}")
            host.hear_line(f"alice: line {number}")
        if guest.registration is not None:
            guest.start()
        else:
            guest.say("here")
        due = [guest.line("alice", f"line {number}") for number in range(3)]
        heard = guest.hear_line(due[-1])
        assert [each.shown for each in heard] == due

    @pytest.mark.parametrize(
        ("dialect", "host"),
        [
            ("tcrp-json", ""),
            ("tcrp-ok", ""),
            ("tcrp-two-sockets", ""),
            *itertools.product(("tcrp-single", "tcrp-202"), ("0.0.0.0", "203.0.113.7", "nonsense")),
        ],
    )
    def test_announced_by_its_port_is_enough_to_hear(
        self, dialect: str, host: str, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        """The address that a client gives is not believed: only the port counts."""
        room = new_room("den")
        alice = client("tcrp", "alice", gateway)
        bob = client(dialect, "bob", gateway, Habits(announced_host=host))
        alice.create(room)
        bob.join(room)
        alice.say("hello")
        assert bob.hear().shown == bob.line("alice", "hello")

    def test_that_was_promised_and_not_given_is_learned_as_any_other(
        self, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        company = Company(new_room("den"))
        company.create(client("classic", "alice", gateway))
        forgetful = client("tcrp-json", "bob", gateway)
        assert isinstance(forgetful, TcrpJson)
        forgetful.forgets_port = True
        company.join(forgetful)
        forgetful.say("here")
        assert company.members[0].hear_line("bob: here")
        company.members[0].say("so I hear")
        assert forgetful.hear().shown == "alice: so I hear"

    def test_of_a_client_that_creates_with_its_bare_name_and_joins_with_json(
        self, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        company = Company(new_room("部屋"))
        host = client("tcrp-json", "アリス", gateway)
        assert isinstance(host, TcrpJson)
        host.creates_bare = True
        company.create(host)
        company.join(client("tcrp-json", "ボブ", gateway))
        company.chat()

    @pytest.mark.parametrize("dialect", ["classic", "tcrp-json", "tcrp-200"])
    def test_of_the_gateway_may_be_any(self, dialect: str, cluster: Cluster, client: Enter, new_room: NewRoom) -> None:
        """A token is good at every gateway, and what was said before is not said again there."""
        company = Company(new_room("den"))
        host, guest = client(dialect, "alice", cluster.a), client(dialect, "bob", cluster.b)
        company.create(host)
        company.join(guest)
        company.chat()
        for wanderer, gateway in ((guest, cluster.a), (host, cluster.b), (guest, cluster.b), (host, cluster.a)):
            wanderer.listener = gateway.listener(dialect)
            wanderer.move().close()
            company.say(wanderer, "somewhere else")
            company.chat()

    @pytest.mark.parametrize("dialect", CHATTING)
    def test_of_the_answers_is_the_one_that_was_written_to(
        self, dialect: str, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        """A socket that is connected hears nobody else."""
        company = Company(new_room("den"))
        habits = Habits(connects_udp=True, binds_early=True)
        company.create(client(dialect, "alice", gateway, habits))
        company.join(client(dialect, "bob", gateway, habits))
        company.chat()

    def test_may_be_the_tcp_connections_port_of_a_guest_that_only_listens(
        self, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        room = new_room("den")
        host, guest = client("tcrp", "host", gateway), client("tcrp-bare-ack", "guest", gateway)
        host.create(room)
        host.send("")
        guest.join(room)
        host.say("hello")
        assert guest.hear().shown == "host: hello"
        host.send("/close")
        guest.hear_until(lambda heard: heard.text == "exit!")

    def test_may_be_another_when_the_first_datagram_comes_to_another_gateway(
        self, cluster: Cluster, client: Enter, new_room: NewRoom
    ) -> None:
        room = new_room("den")
        habits = Habits(udp_ports=(0, 0))
        host, guest = client("tcrp", "host", cluster.a), client("tcrp-bare-ack", "guest", cluster.a, habits)
        host.create(room)
        host.send("")
        guest.dial()
        assert guest.stream is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as guessed:
            guessed.bind(("127.0.0.1", guest.stream.port))
            guessed.settimeout(PATIENCE_S)
            guest.join(room)
            host.say("hello")
            assert b"hello" in guessed.recv(4096)
        guest.listener = cluster.b.listener("tcrp-bare-ack")
        guest.send("")
        assert guest.hear().shown == "host: hello"


class TestText:
    @pytest.mark.parametrize("dialect", CHATTING)
    def test_of_a_member_ends_nobodys_program(
        self, dialect: str, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        """The words at which programs stop are the server's to say."""
        room = new_room("den")
        guest = client(dialect, "bob", gateway)
        mallory = client("tcrp", "mallory", gateway)
        mallory.create(room)
        guest.join(room)
        guest.start()
        guest.say("here")
        for text in (
            "exit!",
            "Timeout!",
            "exit:",
            "please exit: now",
            "チャットルームが閉じられました",
            "__ROOM_CLOSED__",
            "ROOM_CLOSED",
            "DISCONNECTED",
            "SERVER_SHUTDOWN",
            f"ホストが退出したため、チャットルーム:{room}を終了します。",
        ):
            mallory.say(text)
        mallory.say("the end")
        guest.hear_line(guest.line("mallory", "the end"))
        assert guest.stopped is None
