"""A gateway's rules for webhooks without sockets, and tokens that it accepts."""

import jwt
import pytest

from gateway.counters import Counters
from gateway.join.key_forms import parse_shared_secret
from gateway.join.password_attempts import PasswordAttempts
from gateway.join.rate_keys import RateKeys
from gateway.join.signed_tokens import WEBHOOK_AUDIENCE, TokenVerifier
from gateway.join.token_keys import TokenKeys
from gateway.settings import Settings
from gateway.webhook.rules import Rules

SECRET = b"a secret of at least thirty-two bytes"
WALL = 1_800_000_000.0


def a_token(**claims: object) -> str:
    """Return a token for posting; a claim that is None is left out."""
    said = {"name": "ci", "aud": WEBHOOK_AUDIENCE, "exp": WALL + 60} | claims
    return jwt.encode({name: value for name, value in said.items() if value is not None}, SECRET, algorithm="HS256")


def new_rules(**settings: object) -> Rules:
    changed = Settings(**settings)  # type: ignore[arg-type]
    counters = Counters()
    verifier = TokenVerifier(TokenKeys((parse_shared_secret(SECRET),)), False)
    rate_keys = RateKeys(changed)
    return Rules(changed, counters, verifier, PasswordAttempts(changed, counters, rate_keys), rate_keys)


@pytest.fixture
def rules() -> Rules:
    return new_rules()
