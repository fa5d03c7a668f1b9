"""gateway/join/chosen_options.py: a listener's options win over the settings, a client's wish over both."""

from gateway.join.chosen_options import choose_options
from gateway.listeners.options import Listener
from gateway.settings import Settings
from tsudoi.protocol.client.dialects import CLASSIC, TSUDOI, WEB
from tsudoi.protocol.client.member_options import MemberOptions

HERE = Listener("127.0.0.1", 9001)


def test_notices_are_for_all_dialects_but_classic() -> None:
    for dialect, has_notices in ((TSUDOI, True), (CLASSIC, False)):
        options = choose_options(Settings(), HERE, dialect, "", creates=False, is_shared=False)
        assert bool(options & MemberOptions.NOTICES) == has_notices
        assert options & MemberOptions.COMMANDS


def test_the_listener_wins_over_the_settings_and_the_client_over_both() -> None:
    listener = Listener("127.0.0.1", 9001, commands=False, notices=False, language="ja")
    assert choose_options(Settings(), listener, TSUDOI, "", creates=False, is_shared=False) == MemberOptions.JAPANESE
    assert choose_options(Settings(), listener, TSUDOI, "en", creates=False, is_shared=False) == 0


def test_history_is_for_who_joins_by_datagrams() -> None:
    settings = Settings(history=10)
    for dialect, creates, has_history in ((TSUDOI, False, True), (TSUDOI, True, False), (WEB, False, False)):
        options = choose_options(settings, HERE, dialect, "", creates=creates, is_shared=True)
        assert bool(options & MemberOptions.HISTORY) == has_history
        assert options & MemberOptions.SHARED_ADDRESS
