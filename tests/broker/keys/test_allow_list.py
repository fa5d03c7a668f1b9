"""broker/keys/allow_list.py"""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from broker.keys import key_folder
from broker.keys.allow_list import AllowList, Changes
from tsudoi.ops.keyfiles import Owner, Role
from tsudoi.protocol.errors import SettingError

EAST, WEST = Owner(Role.GATEWAY, "east"), Owner(Role.GATEWAY, "west")
PERSON = Owner(Role.OPERATOR, "east")
NOTHING = Changes({}, {}, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    key_folder.add(tmp_path / "keys", EAST, tmp_path / "east.key")
    return tmp_path / "keys"


def test_the_first_key_makes_the_brokers_too(folder: Path) -> None:
    east = key_folder.read_secret(folder.parent / "east.key")
    own = AllowList(folder).own
    assert own.owner == Owner(Role.BROKER, "broker")
    assert (east.owner, east.broker) == (EAST, own.public)
    assert AllowList(folder).owners == {own.public: own.owner, east.public: EAST}


def test_secrets_are_for_their_owner_alone(folder: Path) -> None:
    for path in (folder / "broker.key", folder.parent / "east.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    deep = folder.parent / "data" / "keys"
    key_folder.add(deep, EAST, folder.parent / "another.key")
    assert {path.stat().st_mode & 0o777 for path in (deep, deep.parent)} == {0o700}
    public = [path.read_text() for path in folder.rglob("*.pub")]
    secrets = [key_folder.read_secret(path).secret for path in (folder / "broker.key", folder.parent / "east.key")]
    assert len(public) == 1
    assert not any(secret in text for secret in secrets for text in public)


def test_who_is_added_later_is_seen(folder: Path) -> None:
    allow_list = AllowList(folder)
    key_folder.add(folder, PERSON, folder.parent / "person.key")
    assert set(allow_list.refresh().added.values()) == {PERSON}
    person = key_folder.read_secret(folder.parent / "person.key")
    assert allow_list.owners[person.public] == PERSON


def test_who_is_removed_is_told_once(folder: Path) -> None:
    key_folder.add(folder, WEST, folder.parent / "west.key")
    allow_list = AllowList(folder)
    west = key_folder.read_secret(folder.parent / "west.key").public
    key_folder.remove(folder, WEST)
    assert allow_list.refresh().removed == {west: WEST}
    assert allow_list.refresh() == NOTHING
    assert set(allow_list.owners.values()) == {EAST, allow_list.own.owner}


def test_a_key_that_was_exchanged_is_removed_and_added(folder: Path) -> None:
    allow_list = AllowList(folder)
    old = key_folder.read_secret(folder.parent / "east.key").public
    key_folder.remove(folder, EAST)
    key_folder.add(folder, EAST, folder.parent / "new.key")
    assert allow_list.refresh().removed == {old: EAST}
    assert allow_list.owners[key_folder.read_secret(folder.parent / "new.key").public] == EAST


def test_a_file_without_a_key_lets_nobody_in(folder: Path) -> None:
    (folder / "gateways" / "odd.pub").write_text("nonsense\n")
    allow_list = AllowList(folder)
    assert list(allow_list.unreadable) == [str(folder / "gateways" / "odd.pub")]
    assert len(allow_list.owners) == 2


def test_no_key_is_ever_overwritten(folder: Path) -> None:
    before = (folder.parent / "east.key").read_text()
    with pytest.raises(SettingError, match="there is a gateway east already"):
        key_folder.add(folder, EAST, folder.parent / "other.key")
    with pytest.raises(SettingError, match=r"/east\.key is there already, and may be a key in use"):
        key_folder.add(folder, WEST, folder.parent / "east.key")
    assert (folder.parent / "east.key").read_text() == before
    assert [owner for owner, _ in key_folder.listed(folder)] == [EAST]
    assert not list(folder.parent.rglob("*.part"))


def test_a_lost_key_of_the_broker_is_not_replaced_in_silence(folder: Path) -> None:
    (folder / "broker.key").unlink()
    with pytest.raises(SettingError, match=r"has others' keys and not the broker's own: put broker.key back"):
        key_folder.add(folder, WEST, folder.parent / "west.key")
    assert not (folder / "broker.key").exists()


def test_a_gateway_and_an_operator_of_one_name_are_two(folder: Path) -> None:
    key_folder.add(folder, PERSON, folder.parent / "person.key")
    key_folder.remove(folder, EAST)
    assert [owner for owner, _ in key_folder.listed(folder)] == [PERSON]
    with pytest.raises(SettingError, match="there is no gateway east"):
        key_folder.remove(folder, EAST)


@pytest.mark.parametrize("name", ["", "../east", "a/b", ".", "ea st", "x" * 65])
def test_names_stay_in_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(SettingError, match="is no name"):
        key_folder.add(folder, Owner(Role.GATEWAY, name), folder.parent / "x.key")
    with pytest.raises(SettingError, match="is no name"):
        key_folder.remove(folder, Owner(Role.GATEWAY, name))


def test_a_folder_without_a_key_is_no_allow_list(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="can not read the key"):
        AllowList(tmp_path)


def test_a_file_that_goes_just_now_is_none(folder: Path) -> None:
    (folder / "gateways" / "gone.pub").symlink_to(folder / "nowhere")
    allow_list = AllowList(folder)
    assert list(allow_list.unreadable) == [str(folder / "gateways" / "gone.pub")]
    assert allow_list.refresh() == NOTHING
    assert EAST in allow_list.owners.values()


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Files and folders that can not be read, whoever runs the tests."""
    paths: set[Path] = set()
    open_file, listdir = Path.open, os.listdir

    def open_unless_locked(path: Path, *args: Any, **options: Any) -> Any:
        if path in paths:
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *args, **options)

    def names(path: Path) -> list[str]:
        if path in paths:
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(Path, "open", open_unless_locked)
    monkeypatch.setattr(os, "listdir", names)
    return paths


def test_who_can_not_be_read_for_a_while_stays_in_and_is_told_once(folder: Path, locked: set[Path]) -> None:
    allow_list = AllowList(folder)
    path = folder / "gateways" / "east.pub"
    path.touch()
    locked.add(path)
    key_folder.add(folder, WEST, folder.parent / "west.key")
    changes = allow_list.refresh()
    assert (list(changes.added.values()), changes.removed) == ([WEST], {})
    assert changes.unreadable == {str(path): "it can not be read: Permission denied"}
    assert allow_list.refresh() == NOTHING
    locked.clear()
    assert allow_list.refresh() == NOTHING
    assert set(allow_list.owners.values()) == {EAST, WEST, allow_list.own.owner}
    assert not allow_list.unreadable


def test_who_could_not_be_read_at_first_comes_in_when_it_can(folder: Path, locked: set[Path]) -> None:
    locked.add(folder / "gateways" / "east.pub")
    allow_list = AllowList(folder)
    assert allow_list.unreadable
    assert EAST not in allow_list.owners.values()
    locked.clear()  # as chmod does: neither size nor time of the file change
    assert list(allow_list.refresh().added.values()) == [EAST]


def test_a_folder_that_can_not_be_looked_into_shuts_nobody_out(folder: Path, locked: set[Path]) -> None:
    allow_list = AllowList(folder)
    locked.add(folder / "gateways")
    changes = allow_list.refresh()
    assert (changes.removed, list(changes.unreadable)) == ({}, [str(folder / "gateways")])
    locked.clear()
    key_folder.remove(folder, EAST)
    assert list(allow_list.refresh().removed.values()) == [EAST]


def test_a_look_for_one_key_does_not_hide_that_another_was_removed(folder: Path) -> None:
    allow_list = AllowList(folder)
    east = key_folder.read_secret(folder.parent / "east.key").public
    key_folder.remove(folder, EAST)
    assert allow_list.find("a stranger's") is None
    assert allow_list.refresh().removed == {east: EAST}


def test_a_key_whose_role_changes_is_removed_and_added(folder: Path) -> None:
    allow_list = AllowList(folder)
    (folder / "operators").mkdir()
    (folder / "gateways" / "east.pub").rename(folder / "operators" / "east.pub")
    east = key_folder.read_secret(folder.parent / "east.key").public
    assert allow_list.refresh() == Changes({east: PERSON}, {east: EAST}, {})


def test_who_was_let_in_for_a_moment_is_told_as_removed(folder: Path) -> None:
    allow_list = AllowList(folder)
    key_folder.add(folder, WEST, folder.parent / "west.key")
    west = key_folder.read_secret(folder.parent / "west.key").public
    assert allow_list.find(west) == WEST
    key_folder.remove(folder, WEST)
    assert allow_list.refresh() == Changes({}, {west: WEST}, {})


def no_descriptor(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


def test_without_descriptors_who_is_removed_is_seen_and_who_is_there_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_folder.add(folder, WEST, folder.parent / "west.key")
    allow_list = AllowList(folder)
    west = key_folder.read_secret(folder.parent / "west.key").public
    key_folder.add(folder, PERSON, folder.parent / "person.key")
    key_folder.remove(folder, WEST)
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", no_descriptor)
        assert allow_list.refresh().removed == {west: WEST}
        assert "Too many open files" in allow_list.unreadable[str(folder / "gateways")]
        assert set(allow_list.owners.values()) == {EAST, allow_list.own.owner}
        assert not allow_list.refresh().removed
    assert not allow_list.refresh().removed
    assert allow_list.unreadable == {}
    assert set(allow_list.owners.values()) == {EAST, PERSON, allow_list.own.owner}
