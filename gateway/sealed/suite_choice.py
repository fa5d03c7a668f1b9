"""Choose the suite of a new session; PROTOCOL.md, "Handshake of version 2"."""

from collections.abc import Sequence

from tsudoi.protocol.sealed.suites import KEY_SIZES, PLAIN, SEALED


def choose_suite(offered: Sequence[str], is_secure: bool, may_be_plain: bool) -> tuple[str, str]:
    """Return the first suite of the client's that may be used, or an empty one and why there is none.

    Args:
        offered: the client's suites, best first.
        is_secure: the client has come over TLS.
        may_be_plain: `plain` is allowed to it.
    """
    known = [suite for suite in offered if suite in KEY_SIZES]
    for suite in known:
        if may_be_plain if suite == PLAIN else is_secure:
            return suite, ""
    if not known:
        return "", f'"suites" has none of {", ".join(KEY_SIZES)}'
    if sealed := [suite for suite in known if suite in SEALED]:
        return "", f"the keys of {' and '.join(sealed)} are sent over TLS only: connect with TLS"
    return "", "the suite plain is not allowed from your address: connect with TLS, or see --plain"
