"""client/usage_words.py: click's sentences about a wrong command line, in Japanese."""

import re

import pytest
from click.testing import CliRunner

from client.cli import main
from client.usage_words import in_japanese

JAPANESE = re.compile("[ぁ-んァ-ヶ一-龠]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create"], "引数 ROOM がありません"),
        (["create", "den", "more"], "余分な引数があります: more"),
        (["fly"], "コマンド fly はありません"),
        (["creat"], "コマンド creat はありません。create のことですか"),
        (["rooms", "--nonsense"], "オプション --nonsense はありません"),
        (["rooms", "--serve", "x"], "オプション --serve はありません。--server のことですか"),
        (["--server", "x", "rooms"], "オプション --server はありません。コマンドの後に書きます"),
        (["create", "den", "--linger"], "オプション --linger には値が必要です"),
        (["create", "den", "--tls=1"], "オプション --tls に値は付けられません"),
        (["create", "den", "--linger", "x"], "--linger の値が正しくありません: x は数ではありません"),
        (["create", "den", "--linger", "-1"], "--linger の値が正しくありません: -1.0 は範囲 x>=0 にありません"),
        (["rooms", "--tls", "--tls-ca", "/none"], "--tls-ca の値が正しくありません: /none は読めません"),
        (["rooms", "--tls", "--tls-ca", __file__], f"--tls-ca の値が正しくありません: {__file__} に証明書 (PEM) が"),
        (["rooms", "--tls-ca", "/"], "--tls-ca の値が正しくありません: / はフォルダーです"),
        (["rooms", "--server", "a:b"], "--server の値が正しくありません: a:b は HOST[:TCP[:UDP]] の形ではありません"),
        (["rooms", "--security", "x"], "--security の値が正しくありません: x は次のどれでもありません"),
    ],
)
@pytest.mark.parametrize("how", ["option", "variable"])
def test_what_was_typed_wrong_is_told_in_japanese(arguments: list[str], said: str, how: str) -> None:
    more, environment = ([], {"TSUDOI_CLIENT_LANGUAGE": "ja"}) if how == "variable" else (["--language=ja"], {})
    if arguments[0] in ("create", "rooms"):
        arguments = [arguments[0], *more, *arguments[1:]]
    else:
        environment = {"TSUDOI_CLIENT_LANGUAGE": "ja"}
    result = CliRunner(env=environment).invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"client: {said}")
    assert result.stderr.count("\n") == 1


def test_in_english_it_is_clicks_own() -> None:
    result = CliRunner(env={"LANG": "ja_JP.UTF-8"}).invoke(main, ["create", "--language", "en"])
    assert "Missing argument 'ROOM'" in result.stderr


@pytest.mark.parametrize("said", ["something new", "Missing argument 'ROOM'. And more of it.", "Invalid"])
def test_a_sentence_that_is_not_known_stays(said: str) -> None:
    assert in_japanese(said) == said


def test_a_reason_that_is_not_known_stays_in_its_sentence() -> None:
    assert in_japanese("Invalid value for '--x': a {strange} value") == "--x の値が正しくありません: a {strange} value"
