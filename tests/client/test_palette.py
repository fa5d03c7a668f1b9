"""client/palette.py: what can be read on black and on white."""

from rich.color import Color

from client import palette


def luminance(number: int) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4
        for part in Color.from_ansi(number).get_truecolor().normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_all_colours_can_be_read_on_black_and_on_white() -> None:
    for number in (*palette.NAMES, palette.QUIET, palette.LOUD, palette.MORE):
        of_it = luminance(number) + 0.05
        assert number >= 16, "a theme sets the first ones"
        assert min(of_it / 0.05, 1.05 / of_it) > 4, number


def test_members_have_different_colours() -> None:
    assert len(set(palette.NAMES)) == len(palette.NAMES)
