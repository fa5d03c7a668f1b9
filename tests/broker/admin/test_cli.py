"""broker/admin/cli.py"""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from broker.admin import spanning
from broker.cli import main
from tests.broker.operated import OperatedBroker
from tests.broker.scripted import A, a_create, addressed, said
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.errors import BackboneError


class Person:
    """Somebody at a command line, and the broker that he operates."""

    def __init__(self) -> None:
        self.admin = OperatedBroker()
        self.endpoints: list[str] = []

    def order(self, endpoint: str, question: admin_frames.Question, key: object = None, _: object = None) -> Any:
        self.endpoints.append(endpoint)
        answer = self.admin.ask(question)
        self.admin.tick()
        return admin_frames.parse_answer_untrusted(admin_frames.encode(answer))

    def types(self, *words: str, text: str | None = None) -> Result:
        return CliRunner().invoke(main, ["--store", "sqlite:some/where.sqlite", "admin", *words], input=text)

    def reads(self, *words: str, text: str | None = None) -> str:
        result = self.types(*words, text=text)
        assert result.exit_code == 0, result.output
        return result.stdout

    def parses(self, *words: str) -> Any:
        return json.loads(self.reads("--json", *words))


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    person = Person()
    monkeypatch.setattr(spanning, "ask_broker", person.order)
    return person


def cells(table: str) -> list[list[str]]:
    """What stands between a table's bars, without its headings."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if line.startswith("│")][1:]


def test_tables_are_for_people_and_json_for_scripts(person: Person) -> None:
    host = person.admin.broker.create("集会所", "アリス")
    person.admin.broker.join("集会所", "[bold]")
    person.admin.broker.publish(A, addressed(host, 2), said(host, "hello"))
    (row,) = cells(person.reads("rooms"))
    assert row[:4] == ["集会所", "2", "アリス", ""]
    assert [row[:3] for row in cells(person.reads("members"))] == [
        ["集会所", "アリス", "host"],
        ["集会所", "[bold]", ""],
    ]
    assert person.parses("rooms")["rooms"][0]["name"] == "集会所"
    assert [each["address"] for each in person.parses("members", "集会所")["members"]] == ["192.0.2.1:5000", ""]
    assert len(cells(person.reads("room", "集会所"))) == 1 + 1 + 2
    assert [each["name"] for each in person.parses("room", "集会所")["in_it"]] == ["アリス", "[bold]"]
    assert person.parses("counters")["members"] == 2
    assert "members" in person.reads("counters")
    assert [each["state"] for each in person.parses("gateways")["gateways"]] == ["serves", "serves"]
    assert {row[2] for row in cells(person.reads("gateways"))} == {"serves"}


def test_the_broker_is_found_by_its_store(person: Person) -> None:
    person.reads("rooms")
    assert set(person.endpoints) == {"ipc://some/where.sqlite.admin"}
    assert CliRunner().invoke(main, ["--admin", "tcp://127.0.0.1:9", "admin", "rooms"]).exit_code == 0
    assert person.endpoints[-1] == "tcp://127.0.0.1:9"
    for where in (["--store", "memory"], ["--admin", "none"]):
        result = CliRunner().invoke(main, [*where, "admin", "rooms"])
        assert result.exit_code == 2
        assert "--admin ENDPOINT" in result.stderr


def test_a_key_that_can_not_be_read_is_a_mistake_also_where_none_is_needed(person: Person) -> None:
    result = person.types("--key", "not/there", "rooms")
    assert (result.exit_code, person.endpoints) == (2, [])
    assert result.stderr == "broker: can not read the key not/there: No such file or directory\n"


def test_one_broker_alone_says_that_it_has_all_rooms(person: Person) -> None:
    person.admin.broker.create()
    assert person.reads("shards") == "This broker serves all rooms: it shares its store with no other.\n"
    assert [row["rooms"] for row in person.parses("shards")["shards"]] == [1]


def test_with_nothing_there_it_says_so(person: Person) -> None:
    for words, text in (
        (["rooms"], "There are no rooms."),
        (["members"], "There are no members."),
        (["bans"], "There are no bans."),
    ):
        assert person.reads(*words) == f"{text}\n"
        assert list(person.parses(*words).values()) == [[]]


def test_orders_are_carried_out_and_told(person: Person) -> None:
    admin = person.admin
    admin.broker.create()
    admin.broker.join()
    assert person.reads("remove", "den", "bob", "--reason", "spam") == "bob is no longer in den.\n"
    assert person.reads("announce", "we close at ten") == "Announced; rooms told: 1.\n"
    assert person.reads("ban", "bob", "--minutes", "5") == "bob is banned; members removed: 0.\n"
    assert person.parses("ban", "192.0.2.1") == {"done": 1}
    assert [row[0] for row in cells(person.reads("bans"))] == ["bob", "192.0.2.1"]
    assert person.reads("unban", "bob") == "bob may come in again.\n"
    assert admin.rooms() == {}
    admin.broker.ask(A, a_create("lab", token=7))
    assert person.types("close", "den").exit_code == 1
    assert person.reads("persist", "lobby", "--topic", "welcome") == "lobby is persistent.\n"
    assert person.reads("persist", "lobby", "--ask-password", text="moon\n") == "lobby is persistent.\n"
    assert admin.rooms()["lobby"].locked
    assert admin.rooms()["lobby"].topic == "welcome"
    person.reads("persist", "lobby", "--no-password")
    assert not admin.rooms()["lobby"].locked
    person.reads("unpersist", "lobby")
    assert "lobby" not in admin.rooms()


def test_a_refusal_is_one_line_and_status_1(person: Person) -> None:
    result = person.types("close", "den")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "broker: there is no room called den\n")


def test_a_broker_that_is_not_there_is_one_line_and_status_1(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(endpoint: str, *_: object) -> Any:
        raise BackboneError(f"no broker answers at {endpoint}")

    monkeypatch.setattr(spanning, "ask_broker", nobody)
    result = person.types("rooms")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "broker: no broker answers at ipc://some/where.sqlite.admin\n"


def test_a_mistake_is_status_2(person: Person) -> None:
    assert person.types("persist", "lobby", "--ask-password", "--no-password").exit_code == 2
    assert person.types("close").exit_code == 2
    assert person.types("ban", "bob", "--minutes", "-1").exit_code == 2


@pytest.mark.parametrize(
    "who",
    [
        *("192.0.2.0/24", "192.0.2.300", "192.0.2.1:9001", "192.0.2.*", "192.0.2.1-9", "192.0.2", "10/8", "1.2.3.4.5"),
        *("2001:db8::/32", "2001:db8::/65", "2001:db8:::1", "[2001:db8::1]:9001", "::ffff:192.0.2.300"),
    ],
)
def test_what_is_no_address_is_not_banned_as_a_name_in_silence(person: Person, who: str) -> None:
    result = person.types("ban", who)
    assert result.exit_code == 2
    assert f"{who} is no address that can be banned" in result.stderr
    assert "--name" in result.stderr
    assert not person.admin.ask(admin_frames.ListBans()).bans


@pytest.mark.parametrize("who", ["127.1", "0177.0.0.1", "0x7f000001", "2130706433", "127.0.1"])
def test_a_short_form_of_an_address_is_refused_and_the_full_one_named(person: Person, who: str) -> None:
    result = person.types("ban", who)
    assert result.exit_code == 2
    assert f"{who} is no address that can be banned (127.0.0.1?): " in result.stderr
    assert not person.admin.ask(admin_frames.ListBans()).bans


@pytest.mark.parametrize(
    ("who", "banned"),
    [
        ("2001:DB8::1", "2001:db8::/64"),
        ("2001:0db8:0:0:1::1", "2001:db8::/64"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:201", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1.", "192.0.2.1"),
    ],
)
def test_an_address_is_banned_in_whatever_form_it_is_written_and_unbanned_in_any(
    person: Person, who: str, banned: str
) -> None:
    assert person.reads("ban", who) == f"{banned} is banned; members removed: 0.\n"
    assert [(ban.name, ban.ip) for ban in person.admin.ask(admin_frames.ListBans()).bans] == [("", banned)]
    person.reads("unban", who)
    assert not person.admin.ask(admin_frames.ListBans()).bans


@pytest.mark.parametrize("who", ["192.0.2.300", "192.0.2.1", "127.1"])
def test_a_user_may_be_called_like_an_address(person: Person, who: str) -> None:
    person.reads("ban", "--name", who)
    assert [(ban.name, ban.ip) for ban in person.admin.ask(admin_frames.ListBans()).bans] == [(who, "")]


@pytest.mark.parametrize("who", ["192.0.2.1", "2001:db8::/64", "2001:db8::1", "アリス", "v1.2", "a:b", "a/b", "12:30"])
def test_other_names_and_addresses_are_banned(person: Person, who: str) -> None:
    person.reads("ban", who)
    assert len(person.admin.ask(admin_frames.ListBans()).bans) == 1
