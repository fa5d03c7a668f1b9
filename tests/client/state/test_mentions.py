"""client/state/mentions.py: who is meant."""

import pytest

from client.state.mentions import mentions


@pytest.mark.parametrize(
    ("text", "name", "is_meant"),
    [
        ("alice: hi", "alice", True),
        ("hi ALICE!", "alice", True),
        ("aliceさん", "alice", True),
        ("malice", "alice", False),
        ("alice2", "alice", False),
        ("alice#2: hi", "alice#2", True),
        ("ハナコさん、いる？", "ハナコ", True),
        ("これはアリスの本", "アリス", True),
        ("マリアリスト", "アリス", False),
        ("アンケート", "アン", False),
        ("アンー、いる？", "アン", True),
        ("ケンッ！", "ケン", True),
        ("アンッケート", "アン", False),
        ("ｱﾝｹｰﾄ", "ｱﾝ", False),
        ("アンド・アン", "アン", True),
        ("Иванов", "Иван", False),
        ("Привет, Иван!", "иван", True),
        ("éalice", "alice", False),
        ("花が咲く", "花", False),
        ("@花 さん", "花", True),
        ("is bob b here", "bob b", True),
        ("a.b", "a.b", True),
        ("axb", "a.b", False),
        ("anything", "", False),
    ],
)
def test_who_is_meant(text: str, name: str, is_meant: bool) -> None:
    assert mentions(text, name) is is_meant
