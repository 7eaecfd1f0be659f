"""API keys: made here, known to the relay by their SHA-256 only (PROTOCOL §11)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from quorumkey_relay.identity.principals import ApiKey

if TYPE_CHECKING:
    from quorumkey_relay.identity.principals import Scope
    from quorumkey_relay.mint import Mint

_RANDOM_BYTES: Final = 32
_LIVE_PREFIX: Final = "qk_live_"
_TEST_PREFIX: Final = "qk_test_"


def make_api_key(  # noqa: PLR0913 - the members of a key
    mint: Mint, *, integrator_id: str, name: str, scope: Scope, now: int, test: bool
) -> tuple[str, ApiKey]:
    """Return the text of a new key, to be shown once, and what is stored of it."""
    prefix = _TEST_PREFIX if test else _LIVE_PREFIX
    text = prefix + mint.random(_RANDOM_BYTES).hex()
    key = ApiKey(
        key_id=mint.uuid7(),
        integrator_id=integrator_id,
        scope=scope,
        name=name,
        digest=hashlib.sha256(text.encode()).digest(),
        created_at=now,
    )
    return text, key
