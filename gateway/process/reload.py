"""Apply changed settings to a running gateway, at SIGHUP; docs/operations.md, "Change settings without a restart".

Reading and checking comes first, so that a mistake changes nothing; applying can not fail.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ssl import SSLContext
from typing import TYPE_CHECKING

from tsudoi.ops import logs
from tsudoi.ops.reload import Apply, Report, differing, flags, take_over

from ..config import Config
from ..join.signed_tokens import load_keys
from ..listeners.options import Listener
from ..listeners.tls import load
from ..settings import Settings
from .session_files import warn_of_certificate

if TYPE_CHECKING:
    from ..join.token_keys import TokenKeys
    from .service import Service

FOR_NEW_MEMBERS = frozenset({"commands", "notices", "language"})
"""Settings that a member keeps from its handshake: the directory has them, for the gateway that serves it later."""
ISSUER = ("auth_key", "auth_secret", "auth")
CERTIFICATE = ("tls_certificate", "tls_key")
APPLIED = frozenset({"settings", "log_level", *ISSUER, *CERTIFICATE})
DERIVED = frozenset({"file", "key", "overridden", "inherited"})
"""Fields of `Config` that are no settings."""


def prepare(service: "Service", configure_again: Callable[[], Config]) -> Apply:
    """Read the settings and the files that they name; return the function that applies them.

    Raises:
        SettingError, click.ClickException: there is a mistake in them.
    """
    new = configure_again()
    certificate = load(new.tls) if service.certificate is not None and new.tls is not None else None
    keys = load_keys(new.auth_key, new.auth_secret) if service.verifier is not None and new.verifies else None
    return partial(_apply, service, new, certificate, keys)


def prepare_parent(old: Config, configure_again: Callable[[], Config], send: Callable[[], None]) -> Apply:
    """The same for the process that starts workers: it has only its log, and lets `send` tell them to reload."""
    new = configure_again()
    if new.verifies and old.verifies:
        load_keys(new.auth_key, new.auth_secret)
    if new.tls is not None and old.tls is not None:
        load(new.tls)

    def apply() -> Report:
        send()
        changed, needs_restart = _apply_log_level(new.log_level), _needs_restart(old, new)
        return Report(changed, needs_restart=needs_restart, overridden=list(new.overridden))

    return apply


def _apply(
    service: "Service", new: Config, certificate: tuple[SSLContext, bytes] | None, keys: "TokenKeys | None"
) -> Report:
    old, report = service.config, Report()
    if new.inherited is None:  # a worker's parent reports these
        report.needs_restart, report.overridden = _needs_restart(old, new), list(new.overridden)
    report.changed = _apply_log_level(new.log_level)
    if service.certificate is not None and certificate is not None:
        service.config = replace(service.config, tls_certificate=new.tls_certificate, tls_key=new.tls_key)
        if service.certificate.replace(certificate):
            report.changed.append(f"certificate (SHA-256 {service.certificate.sha256})")
        warn_of_certificate(service.certificate)
    settings = replace(new.settings, auth=old.settings.auth)
    if service.verifier is not None and keys is not None:
        issuer = {name: getattr(new, name) for name in ISSUER}
        service.config, settings = replace(service.config, **issuer), replace(settings, auth=new.settings.auth)
        if service.verifier.change(keys, new.auth == "required"):
            report.changed.append("keys for signed tokens")
    names, _ = take_over(old.settings, settings)
    if "auth" in names:
        names.remove("auth")  # it is a field of `Config` too, where its flag is
        report.changed.append("auth")
    report.changed += flags(Settings, [name for name in names if name not in FOR_NEW_MEMBERS])
    report.for_new_members = flags(Settings, [name for name in names if name in FOR_NEW_MEMBERS])
    # These hold copies; all others read the shared object.
    service.routes.change_capacity(old.settings.unaccepted)
    service.tcp.reload()
    if "unlimited" in names:
        service.core.count_addresses_again()
    return report


def _apply_log_level(level: logs.Level) -> list[str]:
    return ["log-level"] if logs.change_level(level) else []


def _needs_restart(old: Config, new: Config) -> list[str]:
    """Return the flags of the settings that differ, and that a gateway does not apply while it runs."""
    # The folder is for a broker of its own. `tcp` has the TLS listeners too.
    unused = {"data"} if old.broker else set()
    differ = differing(old, new, {*APPLIED, *DERIVED, *unused, "tcp"})
    if _without_tls(old) != _without_tls(new):
        differ.append("tcp")
    if old.key != new.key and old.key_file == new.key_file:
        differ.append("key_file")
    if old.verifies != new.verifies:
        differ += [name for name in differing(old, new) if name in ISSUER]
    if (old.tls is None) != (new.tls is None):
        differ += [name for name in differing(old, new) if name in CERTIFICATE]
    return flags(Config, differ)


def _without_tls(config: Config) -> list[Listener]:
    return [listener for listener in config.tcp if not listener.tls]
