"""Parse and serialize key files, which admit processes to the backbone's tcp ports; ARCHITECTURE.md, "Keys".

A secret key file is TOML with role, name, public key, secret key and the broker's public key: a gateway needs no other
file. A public key file is one line, the key; its folder's name is the role, its own name the owner's name.
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
    """What a key allows its owner on the backbone."""

    BROKER = "broker"
    """Serves; as a client it may only check that a broker replies."""
    GATEWAY = "gateway"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a key."""

    role: Role
    name: str

    def may_be_called(self, name: str) -> bool:
        """Return whether this owner's socket may use a gateway's name. Another name would give it another's members."""
        return name in ("", self.name)

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key pair, and the broker's public key. Never printed, never logged."""

    owner: Owner
    public: str
    secret: str = field(repr=False)
    broker: str


def check_name(name: str) -> str:
    """Return `name` unchanged, or raise SettingError if it is not a valid name of a key."""
    if not NAME.fullmatch(name):
        raise SettingError(f"{name!r} is no name: letters, digits, '-', '_' and '.', 64 at most")
    return name


def parse_public(text: str, where: str) -> str:
    """Return the key in a public key file; raise SettingError, with the path `where` in its text, if there is none."""
    key = text.strip()
    if not KEY.fullmatch(key):
        raise SettingError(f"{where} holds no public key: 40 characters of Z85 in one line")
    return key


def parse_secret(text: str, mode: int, where: str) -> SecretKey:
    """Return the keys in a secret key file; `mode` is its st_mode, `where` its path for the error.

    Raises:
        SettingError: not a secret key file, or users other than its owner may read it. The error has no content of it.
    """
    if mode & 0o077:
        raise SettingError(f"{where} is open to others: chmod 600 {where}")
    try:
        fields = tomllib.loads(text)
        role, name = Role(fields["role"]), str(fields["name"])
        pair = [str(fields[each]) for each in ("public", "secret", "broker")]
        if not NAME.fullmatch(name) or not all(KEY.fullmatch(each) for each in pair):
            raise ValueError
    except (KeyError, ValueError, RecursionError):  # TOMLDecodeError is a ValueError
        raise SettingError(f"{where} is no key file (python -m broker keys add makes them)") from None
    return SecretKey(Owner(role, name), *pair)


def serialize_secret(key: SecretKey) -> str:
    """Return a secret key file's content. Z85 has no quotes and no backslashes, so TOML needs no escapes."""
    return (
        f"# The {key.owner}'s key for tsudoi's backbone. Its bearer is that {key.owner.role}: keep it secret.\n"
        f'role = "{key.owner.role}"\nname = "{key.owner.name}"\n'
        f'public = "{key.public}"\nsecret = "{key.secret}"\nbroker = "{key.broker}"\n'
    )
