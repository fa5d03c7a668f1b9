"""Key files of the backbone: who may speak on its tcp ports; ARCHITECTURE.md, "Keys".

A secret key file is TOML: role, name, public, secret, and the broker's public key, so that a gateway needs one file and
no more. A public key file is the key alone, in one line; its role and name are its folder's and its own.
"""

import re
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum

from tsudoi.protocol.errors import SettingError

KEY = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
"""32 bytes in Z85 (rfc.zeromq.org/spec/32)."""
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.\-]{0,63}")
MAX_FILE_SIZE = 4_096


class Role(StrEnum):
    """What the owner of a key may do on the backbone."""

    BROKER = "broker"
    """It answers; as a client it may only ask whether it is answered."""
    GATEWAY = "gateway"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose key it is."""

    role: Role
    name: str

    def may_be_called(self, name: str) -> bool:
        """Say whether a socket of this owner may go by a gateway's name: another's members would come to it."""
        return name in ("", self.name)

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One side's pair and the broker's public key; never printed, never logged."""

    owner: Owner
    public: str
    secret: str = field(repr=False)
    broker: str


def check_name(name: str) -> str:
    """Return a key's name as it came; raises SettingError if it can be none."""
    if not NAME.fullmatch(name):
        raise SettingError(f"{name!r} is no name: letters, digits, '-', '_' and '.', 64 at most")
    return name


def parse_public(text: str, where: str) -> str:
    """Return the key in a public key file; raises SettingError, with `where` in its text, if there is none."""
    key = text.strip()
    if not KEY.fullmatch(key):
        raise SettingError(f"{where} holds no public key: 40 characters of Z85 in one line")
    return key


def parse_secret(text: str, mode: int, where: str) -> SecretKey:
    """Return the pair in a secret key file.

    Args:
        text: its content.
        mode: its permissions, as in st_mode.
        where: its path, for the error.

    Raises:
        SettingError: it is not one, or others than its owner may read it. The text says nothing of its content.
    """
    if mode & 0o077:
        raise SettingError(f"{where} is open to others: chmod 600 {where}")
    try:
        fields = tomllib.loads(text[:MAX_FILE_SIZE])
        role, name = Role(fields["role"]), str(fields["name"])
        pair = [str(fields[each]) for each in ("public", "secret", "broker")]
    except (tomllib.TOMLDecodeError, KeyError, ValueError):
        raise SettingError(f"{where} is no key file (python -m broker keys add makes them)") from None
    if not NAME.fullmatch(name) or not all(KEY.fullmatch(each) for each in pair):
        raise SettingError(f"{where} is no key file (python -m broker keys add makes them)")
    return SecretKey(Owner(role, name), *pair)


def serialize_secret(key: SecretKey) -> str:
    """Return a secret key file's content. Z85 has no quotes and no backslashes: TOML's strings hold it as it is."""
    return (
        f"# The {key.owner}'s key for tsudoi's backbone. Whoever has this file is that {key.owner.role}.\n"
        f'role = "{key.owner.role}"\nname = "{key.owner.name}"\n'
        f'public = "{key.public}"\nsecret = "{key.secret}"\nbroker = "{key.broker}"\n'
    )
