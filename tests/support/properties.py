"""How many examples a property test tries."""

from hypothesis import settings

QUICK_EXAMPLES = 20
"""Of a property test in `make test`, unless it says otherwise; `make properties` tries thirty times as many."""


def examples(count: int) -> settings:
    """Decorate a property test whose examples cost more: `count` of them in `make test`, in proportion elsewhere."""
    assert settings.default is not None
    return settings(max_examples=max(1, count * settings.default.max_examples // QUICK_EXAMPLES))
