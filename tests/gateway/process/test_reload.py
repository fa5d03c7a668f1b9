"""gateway/process/reload.py: the report is complete, and what it calls changed has changed."""

import datetime
import hashlib
import shutil
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from gateway.config import Config
from gateway.listeners import tcp
from gateway.listeners.options import HttpListener, Listener
from gateway.process.reload import FOR_NEW_MEMBERS, prepare, prepare_parent
from gateway.process.service import Service
from gateway.process.session_files import open_sessions, warn
from gateway.settings import Settings
from tests.support.fakes import own_sessions
from tsudoi.ops import logs
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.reload import Report, flags
from tsudoi.ops.settings import Setting, each_setting
from tsudoi.protocol.backbone.endpoint import IPC
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import InvalidName, SettingError, WrongPassword

ANY = Listener("127.0.0.1", 0)
NOW = 1_800_000_000.0
FILES = {"auth_key", "auth_secret", "auth", "tls_certificate", "tls_key"}
"""Settings that need files, or others beside them: tests of their own."""


def a_config(**about: Any) -> Config:
    return Config(tcp=(ANY,), udp=(ANY,), **about)


def another(about: Setting, value: Any) -> Any:
    """Return a value of a setting that differs from this one."""
    if get_origin(about.kind) is Literal:
        return next(each for each in get_args(about.kind) if each != value)
    if about.is_many:
        return () if value else (HttpListener("127.0.0.1", 0, kind="webhook"),)
    by_kind: dict[type, Any] = {
        bool: not value,
        int: (value or 0) + 1 if about.kind is int else None,
        float: (value or 0.0) + 1.0 if about.kind is float else None,
        str: "other",
        Path: Path("/other"),
        HostPort: HostPort("127.0.0.1", 1),
    }
    return by_kind[about.kind]


def all_in(report: Report) -> list[str]:
    return [*report.changed, *report.for_new_members, *report.needs_restart]


SETTINGS = [each for each in each_setting(Config) if not each.is_hidden and each.name not in FILES]


@pytest.mark.parametrize("about", SETTINGS, ids=lambda about: about.name)
async def test_each_setting_that_differs_is_in_the_report_once_and_no_other(about: Setting, tmp_path: Path) -> None:
    is_live = about.name in {each.name for each in fields(Settings)}
    config = a_config(tls_listeners=(replace(ANY, tls=True),) if about.name == "tls_listeners" else ())
    logs.change_level(config.log_level)  # an earlier test of this process may have left another
    service = Service(config, [f"{IPC}{tmp_path}/b"], own_sessions())
    before = getattr(config.settings if is_live else config, about.name)
    value = another(about, before)
    new = a_config(tls_listeners=config.tls_listeners)
    new = replace(new, settings=replace(new.settings, **{about.name: value})) if is_live else new
    new = new if is_live else replace(new, **{about.name: value})
    report = prepare(service, lambda: new)()
    assert all_in(report) == [about.flag.removeprefix("--")]
    assert bool(report.for_new_members) is (about.name in FOR_NEW_MEMBERS)
    assert bool(report.needs_restart) is not (is_live or about.name == "log_level")
    if is_live:
        # All parts hold this one object.
        assert getattr(service.core.leaving.settings, about.name) == value
    again = prepare(service, lambda: new)()
    assert again.needs_restart == report.needs_restart
    assert again.changed == again.for_new_members == []
    prepare(service, lambda: config)()  # the log's level is the process's
    await service.stop()


async def test_parts_with_copies_of_a_setting_get_the_new_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "connections_allowed", lambda settings, has_web: settings.connections)
    service = Service(a_config(), [f"{IPC}{tmp_path}/b"], own_sessions())
    changed = Settings(unaccepted=7, connections=3)
    prepare(service, lambda: a_config(settings=changed))()
    assert service.routes.links[0].publisher.capacity == 7
    assert service.tcp.rules.quotas.most == 3
    await service.stop()


async def test_a_broker_elsewhere_makes_the_folder_of_data_a_setting_that_nothing_uses(tmp_path: Path) -> None:
    service = Service(a_config(broker=("ipc:///b",)), [f"{IPC}{tmp_path}/b"], own_sessions())
    report = prepare(service, lambda: a_config(broker=("ipc:///b",), data=Path("/other")))()
    assert all_in(report) == []
    await service.stop()


async def test_a_flag_that_wins_over_the_file_is_said(tmp_path: Path) -> None:
    service = Service(a_config(), [f"{IPC}{tmp_path}/b"], own_sessions())
    assert prepare(service, lambda: a_config(overridden=("rate",)))().overridden == ["rate"]
    await service.stop()


# --- keys for signed tokens -----------------------------------------------------------------------------------------


def knows(service: Service, secret: Path) -> bool:
    token = jwt.encode({"exp": NOW + 60}, secret.read_bytes())
    assert service.verifier is not None
    try:
        service.verifier.identify_untrusted(Operation.JOIN, "den", token, None, NOW)
    except InvalidName:  # the token says none, but its signature holds
        return True
    except WrongPassword:
        return False
    raise AssertionError


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("old", "new")}
    for name, path in found.items():
        path.write_text(f"the {name} secret of at least thirty-two bytes")
        path.chmod(0o600)
    return found


def trusting(secret: Path | None, auth: Literal["optional", "required"] = "optional") -> Config:
    return a_config(auth_secret=secret, auth=auth, settings=Settings(auth=auth if secret else "off"))


async def test_keys_are_read_again_also_from_another_file(tmp_path: Path, secrets: dict[str, Path]) -> None:
    service = Service(trusting(secrets["old"]), [f"{IPC}{tmp_path}/b"], own_sessions())
    report = prepare(service, lambda: trusting(secrets["new"]))()
    assert all_in(report) == report.changed == ["keys for signed tokens"]
    assert (knows(service, secrets["old"]), knows(service, secrets["new"])) == (False, True)
    assert all_in(prepare(service, lambda: trusting(secrets["new"]))()) == []
    shutil.copy(secrets["old"], secrets["new"])
    assert prepare(service, lambda: trusting(secrets["new"]))().changed == ["keys for signed tokens"]
    assert prepare(service, lambda: trusting(secrets["new"], "required"))().changed == ["auth"]
    assert service.verifier is not None
    with pytest.raises(WrongPassword, match="a token is needed"):
        service.verifier.identify_untrusted(Operation.JOIN, "den", "alice", None, NOW)
    await service.stop()


async def test_tokens_where_there_were_none_or_the_other_way_round_need_a_restart(
    tmp_path: Path, secrets: dict[str, Path]
) -> None:
    for before, after in ((None, secrets["new"]), (secrets["old"], None)):
        service = Service(trusting(before), [f"{IPC}{tmp_path}/b"], own_sessions())
        report = prepare(service, partial(trusting, after))()
        assert all_in(report) == report.needs_restart == ["auth-secret"]
        assert service.config.settings.auth == ("optional" if before else "off")
        await service.stop()


async def test_a_file_that_can_not_be_used_changes_nothing(tmp_path: Path, secrets: dict[str, Path]) -> None:
    config = trusting(secrets["old"])
    service = Service(config, [f"{IPC}{tmp_path}/b"], own_sessions())
    wrong = replace(config, auth_secret=tmp_path / "none", settings=replace(config.settings, rate=1.0))
    with pytest.raises(SettingError, match="none"):
        prepare(service, lambda: wrong)
    with pytest.raises(SettingError, match="none"):
        prepare_parent(config, lambda: wrong, lambda: pytest.fail("workers are told nothing"))
    assert service.config.settings.rate == Settings().rate
    assert knows(service, secrets["old"])
    await service.stop()


# --- the certificate ------------------------------------------------------------------------------------------------


def make_certificate(folder: Path, name: str, days: int = 1) -> tuple[Path, Path]:
    """Write a certificate that its own key has signed, and the key; return both files."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - datetime.timedelta(9))
    builder = builder.not_valid_after(now + datetime.timedelta(days))
    certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    return certificate, private


def test_the_fingerprint_of_an_operators_certificate_is_told_too(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "one")
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    config = a_config(data=tmp_path, tls_certificate=certificate, tls_key=key)
    assert open_sessions(config, ExitStack()).fingerprint == hashlib.sha256(der).hexdigest()


async def test_a_certificate_is_read_again_also_from_another_file(tmp_path: Path) -> None:
    def shown(name: str) -> Config:
        certificate, key = make_certificate(tmp_path, name)
        return a_config(tls_listeners=(replace(ANY, tls=True),), tls_certificate=certificate, tls_key=key)

    one = shown("one")
    service = Service(one, [f"{IPC}{tmp_path}/b"], open_sessions(one, ExitStack()))
    two = shown("two")
    report = prepare(service, lambda: two)()
    assert two.tls_certificate is not None
    der = ssl.PEM_cert_to_DER_cert(two.tls_certificate.read_text())
    assert all_in(report) == report.changed == [f"certificate (SHA-256 {hashlib.sha256(der).hexdigest()})"]
    report = prepare(service, lambda: a_config())()
    assert report.needs_restart == ["tls", "tls-cert", "tls-key"]
    await service.stop()


async def test_a_certificate_that_clients_refuse_is_named_at_the_start_and_at_a_reload(tmp_path: Path) -> None:
    expired, key = make_certificate(tmp_path, "one", days=-1)
    config = a_config(tls_listeners=(replace(ANY, tls=True),), tls_certificate=expired, tls_key=key)
    sessions = open_sessions(config, ExitStack())
    service = Service(config, [f"{IPC}{tmp_path}/b"], sessions)

    def named(act: Callable[[], object]) -> bool:
        with capture_logs() as lines:
            act()
        return any("refuse the certificate" in line["event"] and "it has expired" in line["why"] for line in lines)

    assert named(lambda: warn(config, sessions))
    assert named(prepare(service, lambda: config))
    make_certificate(tmp_path, "one")
    assert not named(prepare(service, lambda: config))
    await service.stop()


# --- workers --------------------------------------------------------------------------------------------------------


async def test_the_parent_of_workers_reports_what_they_do_not(tmp_path: Path) -> None:
    config, told = a_config(workers=2), list[bool]()
    new = replace(config, workers=3, udp=(), settings=Settings(rate=1.0), overridden=("name",))
    report = prepare_parent(config, lambda: new, lambda: told.append(True))()
    assert all_in(report) == report.needs_restart == flags(Config, ["udp", "workers"])
    assert report.overridden == ["name"]
    assert told == [True]
