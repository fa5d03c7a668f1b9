"""client/tui/attention.py: bell and notification."""

from client.tui.attention import sequence


def test_a_user_who_looks_elsewhere_in_the_same_window_hears_the_bell_alone() -> None:
    assert sequence("bob", "hi", False, {}) == "\a"


def test_notifications_go_by_what_the_terminal_knows() -> None:
    assert sequence("bob; x", "hi; y", True, {}) == "\a\x1b]777;notify;bob, x;hi; y\x1b\\"
    assert sequence("bob", "hi", True, {"TERM_PROGRAM": "iTerm.app"}) == "\a\x1b]9;bob: hi\x1b\\"
    assert sequence("bob", "hi", True, {"TMUX": "/tmp/x"}) == "\a"


def test_a_text_can_not_end_the_sequence() -> None:
    assert sequence("b\x1b\\", "x\ay\x9cz" + "l" * 500, True, {}).count("\x1b") == 2
    assert "\a" not in sequence("b", "x\ay", True, {})[1:]
