"""Choose the suite of a new session; PROTOCOL.md, "Handshake of version 2"."""

from collections.abc import Container, Sequence

from tsudoi.protocol.sealed.suites import KEY_SIZES, PLAIN, SEALED


def choose_suite(offered: Sequence[str], ours: Container[str], is_secure: bool, may_be_plain: bool) -> tuple[str, str]:
    """Return the first suite of the client's that may be used, or an empty one and why there is none.

    Args:
        offered: the client's suites, best first.
        ours: those that this gateway can use.
        is_secure: the client has come over TLS.
        may_be_plain: `plain` is allowed to it.
    """
    for suite in offered:
        if suite in ours and (may_be_plain if suite == PLAIN else is_secure):
            return suite, ""
    known = [suite for suite in offered if suite in KEY_SIZES]
    if not known:
        return "", f'"suites" has none of {", ".join(KEY_SIZES)}'
    sealed = [suite for suite in known if suite in SEALED]
    if not sealed:
        return "", "the suite plain is not allowed from your address: connect with TLS, or see --plain"
    if not is_secure:
        return "", f"the keys of {' and '.join(sealed)} are sent over TLS only: connect with TLS"
    return "", "this server lacks the library for sealed suites"
