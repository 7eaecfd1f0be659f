"""Who the relay is to Apple: one signed token for a team and environment, shared by every push.

Rules: developer.apple.com, "Establishing a token-based connection to APNs". A token is good for an
hour, and Apple refuses one that comes sooner than 20 minutes after the last, with a 429 that makes
the connection unusable. So a restart must not make a new one either: signatures are deterministic
(RFC 6979) and the moment of issue, which is no secret, is kept in the data folder; the token that
a restart makes is byte for byte the one that Apple knows.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm
from jwt.api_jws import PyJWS
from jwt.utils import der_to_raw_signature

from quorumkey_relay.identity.files import UnsafeFileError, read_private
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.clock import Clock

REFRESH_AFTER_SECONDS: Final = 2_700  # 45 minutes
LEAST_SECONDS_BETWEEN: Final = 1_200  # 20 minutes
MAX_AHEAD_SECONDS: Final = 60  # beyond it the clock was set back, and the token is of the future
_DETERMINISTIC: Final = ec.ECDSA(SHA256(), deterministic_signing=True)


class _DeterministicES256(ECAlgorithm):
    def sign(self, msg: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride] - the base takes public keys too, and refuses them
        return der_to_raw_signature(key.sign(msg, _DETERMINISTIC), key.curve)


@dataclass(frozen=True, slots=True)
class ApnsKey:
    """The key that signs, with the ids that Apple knows it by."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    key_id: str
    team_id: str

    @classmethod
    def read(cls, path: Path, *, key_id: str, team_id: str) -> ApnsKey:
        """Read Apple's .p8 file; raises ConfigError."""
        try:
            key = load_pem_private_key(read_private(path), password=None)
        except UnsafeFileError as error:
            raise ConfigError((f"{error}.",)) from None
        except (ValueError, TypeError):  # TypeError: the key is encrypted
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            problem = f"{path} must hold the P-256 key that Apple gave out, a .p8 file in PEM."
            raise ConfigError((problem,))
        return cls(key, key_id, team_id)


class _Issue(msgspec.Struct, frozen=True):
    """When the token was issued that Apple knows, and of which key."""

    team_id: str
    key_id: str
    issued_at: int


class ProviderToken:
    """The ``authorization`` of pushes to one environment."""

    def __init__(self, key: ApnsKey, *, clock: Clock, kept: Path) -> None:
        """Sign nothing yet; ``kept`` is the file that outlives a restart."""
        self._key = key
        self._clock = clock
        self._kept = kept
        self._signer = PyJWS(algorithms=[])
        self._signer.register_algorithm("ES256", _DeterministicES256(SHA256))
        self._issued_at: int | None = None
        self._header = ""

    def current(self) -> str:
        """Return the header, newly signed where it is older than 45 minutes."""
        now = self._clock.now()
        if self._issued_at is None:
            known = self._recall()
            self._issue(known if known is not None and _is_fresh(known, now) else now)
        elif not _is_fresh(self._issued_at, now):
            self._issue(now)
        return self._header

    def refused(self, header: str) -> str | None:
        """Return another header for one that Apple called expired; None where it is too soon."""
        now = self._clock.now()
        if header != self._header:
            return self.current()
        if self._issued_at is not None and 0 <= now - self._issued_at < LEAST_SECONDS_BETWEEN:
            return None
        self._issue(now)
        return self._header

    def _issue(self, issued_at: int) -> None:
        claims = msgspec.json.encode({"iss": self._key.team_id, "iat": issued_at})
        token = self._signer.encode(
            claims, self._key.key, algorithm="ES256", headers={"kid": self._key.key_id}
        )
        self._issued_at, self._header = issued_at, f"bearer {token}"
        self._remember(issued_at)

    def _recall(self) -> int | None:
        try:
            issue = msgspec.json.decode(self._kept.read_bytes(), type=_Issue)
        except (OSError, msgspec.MsgspecError):
            return None  # a first start, or a file that is not ours: sign anew
        is_ours = (issue.team_id, issue.key_id) == (self._key.team_id, self._key.key_id)
        return issue.issued_at if is_ours else None

    def _remember(self, issued_at: int) -> None:
        # Before its first use, so that no kill can come between; what a power cut takes away costs
        # one refused connection. A full disk must not stop pushes.
        issue = _Issue(self._key.team_id, self._key.key_id, issued_at)
        draft = self._kept.with_name(f".{self._kept.name}.new")
        with suppress(OSError):
            draft.write_bytes(msgspec.json.encode(issue))
            draft.replace(self._kept)


def _is_fresh(issued_at: int, now: int) -> bool:
    return -MAX_AHEAD_SECONDS <= now - issued_at < REFRESH_AFTER_SECONDS
