"""Decide which key the gateway shows its broker."""

from pathlib import Path

from tsudoi.ops.keyfiles import Role, SecretKey, parse_secret
from tsudoi.protocol.backbone import is_loopback, is_tcp
from tsudoi.protocol.errors import SettingError


def choose_key(broker: str | None, path: Path | None, name: str, insecure: bool) -> SecretKey | None:
    """Return the key in the file `path` to show the `broker`, None if the connection to it is not encrypted.

    Without a `broker` the gateway has one of its own. `insecure` allows a connection that others can read.

    Raises:
        SettingError: the key can not be used, or is missing where it is needed, or given where it is not used.
    """
    if path is not None and insecure:
        raise SettingError(
            "--key and --insecure (TSUDOI_GATEWAY_KEY, TSUDOI_GATEWAY_INSECURE) contradict each other: give one"
        )
    if path is not None and (broker is None or not is_tcp(broker)):
        raise SettingError(
            f"--key (TSUDOI_GATEWAY_KEY) is for a broker at tcp://HOST:PORT, and not for {broker or 'one of our own'}"
        )
    if broker is None or not is_tcp(broker) or insecure:
        return None
    if path is None:
        if is_loopback(broker):
            return None
        raise SettingError(f"{broker} is another machine: give --key FILE, or --insecure if the way there is safe")
    try:
        key = parse_secret(path.read_text(encoding="ascii", errors="replace"), path.stat().st_mode, str(path))
    except OSError as exc:
        raise SettingError(f"can not read the key {path}: {exc.strerror}") from exc
    if key.owner.role is not Role.GATEWAY:
        raise SettingError(f"{path} is the key of {key.owner}, and no gateway's")
    if not key.owner.may_be_called(name):
        raise SettingError(f"{path} is the key of {key.owner}, so --name can not be {name}")
    return key
