"""Decide which key the gateway shows its broker."""

from collections.abc import Sequence
from pathlib import Path

from tsudoi.ops.keyfiles import Role, SecretKey, parse_secret
from tsudoi.protocol.backbone import is_loopback, is_tcp
from tsudoi.protocol.errors import SettingError


def choose_key(brokers: Sequence[str], path: Path | None, name: str, insecure: bool) -> SecretKey | None:
    """Return the key in the file `path` to show the `brokers`, None if the connections to them are not encrypted.

    Without `brokers` the gateway has one of its own. `insecure` allows connections that others can read.

    Raises:
        SettingError: the key can not be used, or is missing where it is needed, or given where it is not used.
    """
    if path is not None and insecure:
        raise SettingError(
            "--key and --insecure (TSUDOI_GATEWAY_KEY, TSUDOI_GATEWAY_INSECURE) contradict each other: give one"
        )
    local = [broker for broker in brokers if not is_tcp(broker)]
    if path is not None and (local or not brokers):
        whose = local[0] if local else "one of our own"
        raise SettingError(f"--key (TSUDOI_GATEWAY_KEY) is for a broker at tcp://HOST:PORT, and not for {whose}")
    if len(local) == len(brokers) or insecure:
        return None
    if path is None:
        distant = [broker for broker in brokers if not is_loopback(broker)]
        if not distant:
            return None
        raise SettingError(f"{distant[0]} is another machine: give --key FILE, or --insecure if the way there is safe")
    try:
        key = parse_secret(path.read_bytes().decode("ascii", "replace"), path.stat().st_mode, str(path))
    except OSError as exc:
        raise SettingError(f"can not read the key {path}: {exc.strerror}") from exc
    if key.owner.role is not Role.GATEWAY:
        raise SettingError(f"{path} is the key of {key.owner}, and no gateway's")
    if not key.owner.may_be_called(name):
        raise SettingError(f"{path} is the key of {key.owner}, so --name can not be {name}")
    return key
