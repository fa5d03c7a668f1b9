"""Ids of rooms and members: they begin with the time at which the broker gave them."""

TIME_SHIFT = 16


def created_ms(given: int) -> int:
    """Return when an id was given, in milliseconds of Unix time, as far as the broker's clock was right."""
    return given >> TIME_SHIFT
