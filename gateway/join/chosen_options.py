"""Choose how a new member is served: by its listener, the settings, its dialect, its own wish and its address."""

from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import OF_STREAMS
from tsudoi.protocol.client.member_options import MemberOptions

from ..listeners.options import Listener
from ..settings import Settings


def choose_options(
    settings: Settings, listener: Listener, dialect: Dialect, language: str, *, creates: bool, is_shared: bool
) -> int:
    """Return the options of a member that joins.

    `language` is its client's wish, empty if it has none; `is_shared`: its address has no limits of its own, as of a
    proxy.
    """
    commands = settings.commands if listener.commands is None else listener.commands
    notices = {"on": True, "off": False, "auto": dialect.notices}[settings.notices]
    options = 0
    if commands:
        options |= MemberOptions.COMMANDS
    if notices if listener.notices is None else listener.notices:
        options |= MemberOptions.NOTICES
    if (language or listener.language or settings.language) == "ja":
        options |= MemberOptions.JAPANESE
    if is_shared:
        options |= MemberOptions.SHARED_ADDRESS
    if settings.history and not creates and dialect not in OF_STREAMS:
        options |= MemberOptions.HISTORY
    return options
