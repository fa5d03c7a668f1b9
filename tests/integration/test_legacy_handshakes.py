"""Requests and their answers on TCP, in every dialect."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.conftest import Enter, NewRoom
from tests.support.legacy.client import Habits, LegacyClient
from tests.support.legacy.company import Company
from tests.support.legacy.dialects import CLIENTS
from tests.support.legacy.plain import Classic, Tcrp200
from tests.support.legacy.wire import Counts
from tests.support.services import Gateway

"""Those who are not kept waiting for their second reply."""

PATIENT = ("tcrp-200", "tcrp-no-token")
"""Those who try again on the same connection when they have been refused."""


def enter_at_once(rooms: dict[LegacyClient, str], guests: list[LegacyClient]) -> None:
    """All hosts create their rooms at the same time, then each guest joins one of them."""
    with ThreadPoolExecutor(len(rooms)) as pool:
        created = pool.map(LegacyClient.create, rooms.keys(), rooms.values())
        assert {host: len(answer.token or b"") for host, answer in zip(rooms, created, strict=True)} == dict.fromkeys(
            rooms, 32
        )
        joined = pool.map(LegacyClient.join, guests, rooms.values())
        assert {guest: len(answer.token or b"") for guest, answer in zip(guests, joined, strict=True)} == dict.fromkeys(
            guests, 32
        )


class TestRequest:
    def test_may_have_names_of_255_bytes(self, gateway: Gateway, client: Enter, new_room: NewRoom) -> None:
        rooms = {client(dialect, "ア" * 85, gateway): new_room("部" * 80).ljust(255 - 160, "-") for dialect in CLIENTS}
        assert {len(room.encode()) for room in rooms.values()} == {255}
        enter_at_once(rooms, [client(dialect, "イ" * 85, gateway) for dialect in CLIENTS])

    @pytest.mark.parametrize("listener", ["auto", "classic", "tcrp-json"])
    def test_may_come_long_after_the_connection(
        self, listener: str, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        dialect = "classic" if listener == "auto" else listener
        waiting = client(dialect, "alice", gateway, listener=listener)
        waiting.dial()
        other = Company(new_room("other"))
        other.create(client("classic", "carol", gateway))
        other.join(client("classic", "dave", gateway))
        other.chat()
        company = Company(new_room("den"))
        company.create(waiting)
        company.join(client(dialect, "bob", gateway))
        company.chat()

    def test_to_create_may_have_state_1(self, gateway: Gateway, client: Enter, new_room: NewRoom) -> None:
        company = Company(new_room("den"))
        company.create(client("classic", "alice", gateway, Habits(create_state=1), listener="auto"))
        company.join(client("classic", "bob", gateway))
        company.chat()

    def test_of_the_seed_is_answered_with_a_list_that_it_can_read(
        self, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        rooms = [new_room("den"), new_room("部屋")]
        for room in rooms:
            client("tcrp", "alice", gateway).create(room)
        guest = client("classic", "bob", gateway)
        guest.join(rooms[1])
        assert isinstance(guest, Classic)
        assert set(rooms) <= set(guest.listed)


def test_replies_to_tcrp_200_are_apart(gateway: Gateway, client: Enter, new_room: NewRoom) -> None:
    """It reads once for each, and asks no questions about what it got."""
    host = client("tcrp-200", "alice", gateway)
    host.create(new_room("den"))
    assert isinstance(host, Tcrp200)
    assert host.pause_s > 0.25


class TestRefusal:
    @pytest.mark.parametrize("dialect", ["tcrp-json", "tcrp-room", "tcrp-202"])
    def test_is_not_for_the_right_password(
        self, dialect: str, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        room = new_room("金庫")
        known = Habits(password="開けゴマ")
        assert len(client(dialect, "アリス", gateway, known).create(room).token or b"") == 32
        assert client(dialect, "ボブ", gateway).join(room).token is None
        for other in ("tcrp-json", "tcrp-room", "tcrp-202"):
            assert len(client(other, "ボブ", gateway, known, listener="auto").join(room).token or b"") == 32

    def test_of_a_name_that_only_fits_in_characters(self, gateway: Gateway, client: Enter) -> None:
        host = client("tcrp", "alice", gateway, Habits(counts=Counts.CHARACTERS))
        assert host.create("部" * 86).token is None

    @pytest.mark.parametrize("dialect", PATIENT)
    def test_lets_some_try_again_on_the_same_connection(
        self, dialect: str, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        room, guest = new_room("部屋"), client(dialect, "ボブ", gateway)
        assert guest.join(room).token is None
        connection = guest.stream
        company = Company(room)
        company.create(client("tcrp", "アリス", gateway))
        assert guest.stream is connection
        company.join(guest)
        company.chat()

    def test_ends_the_seeds_client_at_its_first_datagram(
        self, gateway: Gateway, client: Enter, new_room: NewRoom
    ) -> None:
        """It took the error text for its token; once a second is enough to end it, more would serve an attacker."""
        company = Company(new_room("den"))
        company.create(client("classic", "alice", gateway))
        company.join(client("classic", "bob", gateway))
        lost = client("classic", "carol", gateway)
        assert lost.create(company.room).token == b"ERROR: Room already exists"
        lost.start()
        for number in range(20):
            lost.say(str(number))
        # The datagrams of a socket are read in order, so when this has come back, those above have been read.
        company.chat()
        assert lost.hear().raw == b"ERROR: Room already exists"
        assert lost.hear().raw == b"exit!"
        assert lost.stopped == "exit!"
        lost.stopped = None
        assert len(lost.pending()) <= 2

        stranger = client("classic", "dave", gateway)
        assert stranger.join(new_room("nowhere")).token == b"ERROR: Room does not exist"
        stranger.start()
        # Another port of the same address: still at once, or within a second.
        for _ in range(20):
            if stranger.listen(0.5):
                break
            stranger.start()
        assert stranger.hear_until(lambda heard: stranger.stopped is not None)
        assert stranger.stopped == "exit!"
