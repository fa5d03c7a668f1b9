"""What click says about a wrong command line, in Japanese; in English it stays click's own.

Only whole sentences are known here: any other stays as it is, so that a newer click says nothing wrong.
"""

import re

_SENTENCES = tuple(
    (re.compile(english), japanese)
    for english, japanese in (
        (r"Missing argument '(.+?)'\.", "引数 {0} がありません"),
        (r"Missing option '(.+?)'\.", "オプション {0} がありません"),
        (r"Missing command\.", "コマンドがありません"),
        (r"No such option:? '?([^' ]*[^' .])'?\.?", "オプション {0} はありません"),
        (r"No such command '(.+?)'\.", "コマンド {0} はありません"),
        (r"Got unexpected extra arguments? \((.+)\)", "余分な引数があります: {0}"),
        (r"Option '(.+?)' requires an argument\.", "オプション {0} には値が必要です"),
        (r"Option '(.+?)' does not take a value\.", "オプション {0} に値は付けられません"),
        (r"Invalid value: (.+)", "値が正しくありません: {0}"),
        (r"Invalid value for '(.+?)': (.+)", "{0} の値が正しくありません: {1}"),
    )
)
_HINTS = tuple(
    (re.compile(english), japanese)
    for english, japanese in (
        (r" It stands behind the command\.", "。コマンドの後に書きます"),
        (r" It stands before the command\.", "。コマンドの前に書きます"),
        (r" Did you mean '(.+?)'\?", "。{0} のことですか"),
        (r" \(Did you mean one of: (.+)\?\)", "。次のどれかのことですか: {0}"),
        (r" Did you mean one of: (.+)\?", "。次のどれかのことですか: {0}"),
        (r" \(Possible options: (.+)\)", "。次のどれかのことですか: {0}"),
    )
)
"""What may stand behind a sentence."""
_VALUES = tuple(
    (re.compile(english), japanese)
    for english, japanese in (
        (r"'(.+?)' is not one of (.+?)\.?", "{0} は次のどれでもありません: {1}"),
        (r"'(.+?)' is not a valid (?:float|integer|number|whole number)(?: range)?\.", "{0} は数ではありません"),
        (r"(.+) is not in the range (.+)\.", "{0} は範囲 {1} にありません"),
        (r"(?:File|Directory|Path) '(.+?)' is a directory\.", "{0} はフォルダーです"),
        (r"(?:File|Directory|Path) '(.+?)' is a file\.", "{0} はファイルです"),
        (r"(?:File|Directory|Path) '(.+?)' does not exist\.", "{0} はありません"),
        (r"(?:File|Directory|Path) '(.+?)' is not readable\.", "{0} は読めません"),
        (r"can not read (.+): .+", "{0} は読めません"),
        (r"there are no certificates \(PEM\) in (.+)", "{0} に証明書 (PEM) がありません"),
        (r"'(.+?)' is not HOST\[:TCP\[:UDP\]\]", "{0} は HOST[:TCP[:UDP]] の形ではありません"),
        (r"(.+) in '(.+?)' is no port: 1 to 65535", "{1} の {0} は 1 から 65535 までのポート番号ではありません"),
    )
)
"""Why a value is wrong."""


def in_japanese(said: str) -> str:
    """Return what click says about a command line in Japanese, or as it is if it is not known."""
    for form, japanese in _SENTENCES:
        if found := form.match(said):
            rest = said[found.end() :]
            hint = _translated(rest, _HINTS)
            if not rest or hint != rest:
                return japanese.format(*(_translated(each, _VALUES) for each in found.groups())) + hint
    return said


def _translated(text: str, forms: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for form, japanese in forms:
        if found := form.fullmatch(text):
            return japanese.format(*found.groups())
    return text
