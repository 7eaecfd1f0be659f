"""Voluntary identification to push services: VAPID (RFC 8292), one signed token for each origin."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from quorumkey.protocol import b64url_encode
from quorumkey_relay.identity.files import UnsafeFileError, read_private, write_private
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.clock import Clock

VAPID_KEY_NAME: Final = "vapid.key"
#: RFC 8292, section 2: at most 24 hours; half of it leaves room for clocks that differ.
LIFETIME_SECONDS: Final = 43_200
RENEW_AFTER_SECONDS: Final = LIFETIME_SECONDS // 2
#: Origins are named by browsers; beyond this many the one that waited longest is signed anew.
MAX_ORIGINS: Final = 1_024


@dataclass(slots=True)
class VapidToken:
    """The ``Authorization`` of one origin; ``is_proven`` once its service has taken a message."""

    header: str = field(repr=False)
    signed_at: int
    is_proven: bool = False


def vapid_key(data_dir: Path, key_file: Path | None) -> ec.EllipticCurvePrivateKey:
    """Read the VAPID key, making one (mode 0600) in a data directory that has none.

    Browsers bind their subscriptions to it: with another key every subscription is dead. Raises
    ``ConfigError``.
    """
    path = data_dir / VAPID_KEY_NAME if key_file is None else key_file
    if key_file is None and not path.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(path, pem)
    try:
        key = load_pem_private_key(read_private(path), password=None)
    except UnsafeFileError as error:
        raise ConfigError((f"{error}.",)) from None
    except (ValueError, TypeError):  # TypeError: the key is encrypted
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError((f"{path} must hold a P-256 private key in PEM, unencrypted.",))
    return key


class Vapid:
    """Signs who the relay is; the token of an origin is signed once in six hours."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, *, subject: str, clock: Clock) -> None:
        """Use a key and the contact that push services may write to."""
        self._key = key
        self._subject = subject
        self._clock = clock
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        #: What browsers subscribe with as ``applicationServerKey``: 65 bytes, base64url.
        self.public_key = b64url_encode(point)
        self._tokens: OrderedDict[str, VapidToken] = OrderedDict()

    def token(self, origin: str) -> VapidToken:
        """Return the token for a push service's origin, such as ``https://push.example``."""
        now = self._clock.now()
        token = self._tokens.get(origin)
        # A clock that was set back makes a token of the future, which services refuse.
        if token is None or not 0 <= now - token.signed_at < RENEW_AFTER_SECONDS:
            token = VapidToken(self._sign(origin, now), now)
            self._tokens[origin] = token
            self._tokens.move_to_end(origin)
            if len(self._tokens) > MAX_ORIGINS:
                self._tokens.popitem(last=False)
        return token

    def _sign(self, origin: str, now: int) -> str:
        claims = {"aud": origin, "exp": now + LIFETIME_SECONDS, "sub": self._subject}
        signed = jwt.encode(claims, self._key, algorithm="ES256")
        return f"vapid t={signed}, k={self.public_key}"
