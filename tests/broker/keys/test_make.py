"""broker/keys: keys that are made where they are used, so that only public halves travel."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.cli import main
from broker.keys.allow_list import AllowList
from broker.keys.key_folder import read_secret


class Places:
    """What three containers see: the broker's, the gateway's, and what both have of each other."""

    def __init__(self, top: Path) -> None:
        self.keys = top / "keys"
        self.broker = top / "shared" / "broker.pub"
        self.secret = top / "gateway1" / "gateway.key"
        self.public = self.keys / "gateways" / "gateway1.pub"
        for folder in (self.broker.parent, self.secret.parent):
            folder.mkdir()

    def own(self) -> Result:
        return run("--keys", str(self.keys), "keys", "own", "--public", str(self.broker))

    def make(self, *more: str) -> Result:
        files = ("--broker", str(self.broker), "--out", str(self.secret), "--public", str(self.public))
        return run("keys", "make", "gateway1", *files, *more)

    def is_admitted(self) -> bool:
        return read_secret(self.secret).public in AllowList(self.keys).owners


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    assert places.own().exit_code == 0
    return places


def test_a_key_that_is_made_elsewhere_is_admitted_and_knows_its_broker(places: Places) -> None:
    result = places.make()
    assert result.exit_code == 0, result.output
    assert places.is_admitted()
    assert read_secret(places.secret).broker == AllowList(places.keys).own.public
    assert places.secret.stat().st_mode & 0o777 == 0o600
    assert read_secret(places.secret).secret not in places.public.read_text() + result.output


def test_the_brokers_own_key_is_made_once_and_its_public_half_is_right(places: Places) -> None:
    before = read_secret(places.keys / "broker.key")
    places.broker.write_text("nonsense")
    assert places.own().exit_code == 0
    assert read_secret(places.keys / "broker.key") == before
    assert places.broker.read_text() == before.public + "\n"


def test_a_removed_key_stays_removed_until_it_is_given_again(places: Places) -> None:
    places.make()
    before = places.secret.read_text()
    assert run("--keys", str(places.keys), "keys", "remove", "gateway1").exit_code == 0
    kept = places.make("--keep")
    assert kept.exit_code == 0
    assert "it was removed" in kept.output
    assert not places.is_admitted()
    assert places.make("--again").exit_code == 0
    assert places.is_admitted()
    assert places.secret.read_text() == before


@pytest.mark.parametrize("was_removed", [False, True])
def test_a_replaced_key_is_another_and_the_old_one_is_out(places: Places, was_removed: bool) -> None:
    places.make()
    old = read_secret(places.secret).public
    if was_removed:
        run("--keys", str(places.keys), "keys", "remove", "gateway1")
    assert places.make("--replace").exit_code == 0
    assert places.is_admitted()
    assert old not in AllowList(places.keys).owners


@pytest.mark.parametrize("more", ["--keep", "--again", "--replace"])
def test_where_there_is_no_key_each_way_makes_one(places: Places, more: str) -> None:
    assert places.make(more).exit_code == 0
    assert places.is_admitted()


def test_a_mistake_is_one_line_and_changes_nothing(places: Places) -> None:
    places.make()
    again = places.make()
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert places.is_admitted()
    places.broker.unlink()
    refused = places.make("--replace")
    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[-1].endswith("broker.pub: No such file or directory")
    assert places.is_admitted()
    wrong = run("keys", "make", "../x", "--broker", "b", "--out", "o", "--public", "p")
    assert wrong.exit_code == 2
    assert "is no name" in wrong.stderr


def test_a_key_of_another_gateway_is_not_overwritten(places: Places) -> None:
    places.make()
    files = ("--broker", str(places.broker), "--out", str(places.secret), "--public", str(places.public))
    result = run("keys", "make", "gateway2", *files, "--replace")
    assert result.exit_code == 2
    assert "is the key of gateway gateway1" in result.stderr


def test_a_file_in_the_way_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.key", "file"):
        Path(name).touch()
    added = run("keys", "add", "a")
    assert "a.key is there already, and may be a key in use: name another --out, or move it away" in added.stderr
    assert not Path("data/keys").exists()
    assert run("keys", "add", "a", "--out", "other.key").exit_code == 0
    assert (
        "there is a gateway a already; python -m broker keys remove a takes it away" in run("keys", "add", "a").stderr
    )
    Path("data/keys/operators").touch()
    blocked = run("keys", "add", "--operator", "olga")
    assert "data/keys/operators is there already, and in the way: move it, or name another place" in blocked.stderr
