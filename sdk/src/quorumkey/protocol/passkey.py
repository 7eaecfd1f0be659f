"""Passkey signatures: a WebAuthn assertion whose challenge is the hash of what is signed.

Protocol section 3, "Passkeys"; the rules are those of WebAuthn Level 3, section 7.2, steps 10
to 23, with nothing left to choice: https://www.w3.org/TR/webauthn-3/#sctn-verifying-assertion
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NoReturn, cast

from quorumkey.errors import ProtocolError
from quorumkey.protocol._members import list_of, members_of, text_of
from quorumkey.protocol.encoding import b64url_encode
from quorumkey.protocol.limits import AUTHENTICATOR_DATA_BYTES, MAX_JSON_DEPTH
from quorumkey.protocol.strict_json import check_depth

if TYPE_CHECKING:
    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.keys import PublicKey

__all__ = ["PasskeyPolicy", "WebAuthnAssertion", "verify_assertion"]

_MEMBERS: Final = frozenset({"rp_id", "origins"})

# WebAuthn Level 3, section 6.1: authenticator data is rpIdHash, flags, signCount.
_RP_ID_HASH: Final = slice(0, 32)
_FLAGS: Final = 32
_SIGN_COUNT: Final = slice(33, 37)
_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04
_BACKUP_ELIGIBLE: Final = 0x08
_BACKED_UP: Final = 0x10
_ATTESTED_CREDENTIAL: Final = 0x40
_EXTENSIONS: Final = 0x80


@dataclass(frozen=True, slots=True)
class WebAuthnAssertion:
    """What a WebAuthn authenticator signed around the challenge.

    Attributes:
        authenticator_data: the authenticator's bytes as the browser gave them.
        client_data_json: the browser's JSON as bytes; its SHA-256 is what was signed.
    """

    authenticator_data: bytes
    client_data_json: bytes


@dataclass(frozen=True, slots=True)
class PasskeyPolicy:
    """The relying party whose passkeys a verifier accepts; from its own configuration.

    Attributes:
        rp_id: the relying party id, a host name.
        origins: the exact origins pages of it may have. Empty means that none is accepted.
    """

    rp_id: str
    origins: frozenset[str]

    def to_json(self) -> dict[str, JsonValue]:
        """The relying party as ``{rp_id, origins}``."""
        return {"rp_id": self.rp_id, "origins": [*sorted(self.origins)]}

    @staticmethod
    def from_json(value: JsonValue, *, field: str = "webauthn") -> PasskeyPolicy:
        """Read a relying party from ``{rp_id, origins}``; there has to be an origin.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        members = members_of(value, field=field, required=_MEMBERS, allowed=_MEMBERS)
        rp_id = text_of(members["rp_id"], field=f"{field}.rp_id")
        origins = list_of(members["origins"], field=f"{field}.origins")
        if not rp_id or not origins:
            message = f"{field} must name a relying party and at least one origin."
            raise ProtocolError("invalid_request", message)
        return PasskeyPolicy(
            rp_id, frozenset(text_of(item, field=f"{field}.origins") for item in origins)
        )


def _refuse(message: str) -> ProtocolError:
    return ProtocolError("invalid_signature", message)


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        message = "clientDataJSON has the same member twice."
        raise _refuse(message)
    return members


def _not_json(_text: str) -> NoReturn:
    message = "clientDataJSON is not JSON."
    raise _refuse(message)


# A browser writes this JSON and may add members of any kind, so numbers are free here. Their
# text is kept: nothing reads them, and no digit count can make the reader slow.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=_not_json
)


def _client_data(data: bytes) -> dict[str, JsonValue]:
    try:
        text = data.decode()
        value = cast("JsonValue", _DECODER.decode(text))
    except (ValueError, RecursionError):
        message = "clientDataJSON is not JSON."
        raise _refuse(message) from None
    try:
        check_depth(value, text, max_depth=MAX_JSON_DEPTH)
    except ProtocolError as error:
        raise _refuse(error.message) from None
    if not isinstance(value, dict):
        message = "clientDataJSON is not a JSON object."
        raise _refuse(message)
    return value


def _check_client_data(data: bytes, *, signed: bytes, origins: frozenset[str]) -> None:
    members = _client_data(data)
    if members.get("type") != "webauthn.get":
        message = "clientDataJSON is not of type webauthn.get."
        raise _refuse(message)
    if members.get("challenge") != b64url_encode(sha256(signed).digest()):
        message = "The passkey signed another challenge."
        raise _refuse(message)
    origin = members.get("origin")
    if not isinstance(origin, str) or origin not in origins:
        message = "The passkey signed for an origin that is not accepted."
        raise _refuse(message)
    if members.get("crossOrigin", False) is not False or "topOrigin" in members:
        message = "The passkey signed inside another site's page."
        raise _refuse(message)


def _check_authenticator_data(data: bytes, *, rp_id: str) -> int:
    if len(data) < AUTHENTICATOR_DATA_BYTES:
        message = "The authenticator data is too short."
        raise _refuse(message)
    if not hmac.compare_digest(data[_RP_ID_HASH], sha256(rp_id.encode()).digest()):
        message = "The passkey belongs to another relying party."
        raise _refuse(message)
    flags = data[_FLAGS]
    if not flags & _USER_PRESENT or not flags & _USER_VERIFIED:
        message = "The passkey did not verify the person."
        raise _refuse(message)
    if flags & _ATTESTED_CREDENTIAL or (flags & _BACKED_UP and not flags & _BACKUP_ELIGIBLE):
        message = "The authenticator data has impossible flags."
        raise _refuse(message)
    if bool(flags & _EXTENSIONS) != (len(data) > AUTHENTICATOR_DATA_BYTES):
        message = "The authenticator data has the wrong length."
        raise _refuse(message)
    return int.from_bytes(data[_SIGN_COUNT], "big")


def verify_assertion(
    assertion: WebAuthnAssertion,
    signature: bytes,
    *,
    signed: bytes,
    key: PublicKey,
    policy: PasskeyPolicy | None,
) -> int:
    """Check a WebAuthn assertion over ``SHA-256(signed)``.

    Args:
        assertion: authenticator data and client data.
        signature: ECDSA signature in DER over ``authenticatorData || SHA-256(clientDataJSON)``.
        signed: the bytes whose SHA-256 has to be the challenge (an envelope's PAE).
        key: the credential's key.
        policy: the relying party; None refuses.

    Returns:
        The signature counter. Comparing it with a stored one is left to the caller.

    Raises:
        ProtocolError: ``invalid_signature``.
    """
    if policy is None:
        message = "Passkey signatures are not accepted without a configured relying party."
        raise _refuse(message)
    _check_client_data(assertion.client_data_json, signed=signed, origins=policy.origins)
    sign_count = _check_authenticator_data(assertion.authenticator_data, rp_id=policy.rp_id)
    client_data_hash = sha256(assertion.client_data_json).digest()
    key.verify(signature, assertion.authenticator_data + client_data_hash)
    return sign_count
