"""DSSE envelopes with exactly one signature (protocol section 3).

https://github.com/secure-systems-lab/dsse, version 1: the signature is over
``PAE(payloadType, payload)``, so the type and the exact payload bytes are what is signed and no
JSON is canonicalised. A WebAuthn device ("passkey") signs the same bytes through
`quorumkey.protocol.passkey`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from quorumkey.errors import ProtocolError
from quorumkey.protocol._members import fingerprint_in, list_of, members_of, refuse, text_of
from quorumkey.protocol.encoding import (
    JsonValue,
    b64decode,
    b64encode,
    b64url_decode,
    b64url_encode,
)
from quorumkey.protocol.limits import (
    MAX_AUTHENTICATOR_DATA_BYTES,
    MAX_CLIENT_DATA_JSON_BYTES,
    MAX_PAYLOAD_TYPE_CHARS,
    MAX_SIGNATURE_BYTES,
    MIN_SIGNATURE_BYTES,
)
from quorumkey.protocol.passkey import PasskeyPolicy, WebAuthnAssertion, verify_assertion
from quorumkey.protocol.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol.keys import PrivateKey, PublicKey

__all__ = [
    "Envelope",
    "Form",
    "Kind",
    "PasskeyPolicy",
    "WebAuthnAssertion",
    "media_type",
    "pae",
    "parse_envelope",
    "sign",
    "verify_signature",
]

#: How a key signs: natively, through WebAuthn, or either. An enrolment fixes it for its key.
Form: TypeAlias = Literal["native", "webauthn", "any"]


@unique
class Kind(StrEnum):
    """The payload types of section 3."""

    REQUEST = "request"
    CHALLENGE = "challenge"
    DECISION = "decision"
    ENROLLMENT = "enrollment"
    SESSION = "session"
    PUSH = "push"
    UNPAIR = "unpair"
    SUCCESSION = "succession"
    RECEIPT = "receipt"
    EXECUTION = "execution"


_MEDIA_TYPES: Final[Mapping[Kind, str]] = MappingProxyType(
    {kind: f"application/vnd.quorumkey.{kind.value}.v1+json" for kind in Kind}
)


def media_type(kind: Kind) -> str:
    """The envelope's ``payloadType`` for `kind`."""
    return _MEDIA_TYPES[kind]


@dataclass(frozen=True, slots=True)
class Envelope:
    """One DSSE envelope as it travelled. Holding one says nothing about its signature.

    Attributes:
        payload_type: the media type that was signed.
        payload: the exact payload bytes that were signed.
        keyid: fingerprint of the key that is said to have signed.
        signature: ECDSA signature in ASN.1 DER.
        webauthn: what a passkey signed around the PAE, or None for a native signature.
    """

    payload_type: str
    payload: bytes
    keyid: str
    signature: bytes
    webauthn: WebAuthnAssertion | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """The envelope's JSON object."""
        entry: dict[str, JsonValue] = {"keyid": self.keyid, "sig": b64encode(self.signature)}
        if self.webauthn is not None:
            entry["webauthn"] = {
                "authenticator_data": b64url_encode(self.webauthn.authenticator_data),
                "client_data_json": b64url_encode(self.webauthn.client_data_json),
            }
        return {
            "payloadType": self.payload_type,
            "payload": b64encode(self.payload),
            "signatures": [entry],
        }

    def encode(self) -> bytes:
        """The envelope as compact JSON."""
        return dumps(self.to_json())


_ENVELOPE_MEMBERS: Final = frozenset({"payloadType", "payload", "signatures"})
_NATIVE_MEMBERS: Final = frozenset({"keyid", "sig"})
_ENTRY_MEMBERS: Final = _NATIVE_MEMBERS | {"webauthn"}
_WEBAUTHN_MEMBERS: Final = frozenset({"authenticator_data", "client_data_json"})


def parse_envelope(value: JsonValue, *, field: str = "envelope") -> Envelope:
    """Read an envelope from its JSON value, checking shape and encodings only.

    Args:
        value: what the strict JSON reader made of it.
        field: the name it has in the body, for messages.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    outer = members_of(value, field=field, required=_ENVELOPE_MEMBERS, allowed=_ENVELOPE_MEMBERS)
    payload_type = text_of(outer["payloadType"], field="payloadType")
    if len(payload_type) > MAX_PAYLOAD_TYPE_CHARS:
        message = "payloadType is not one of the protocol's."
        raise refuse(message)
    entries = list_of(outer["signatures"], field="signatures")
    if len(entries) != 1:
        message = "signatures must have exactly one entry."
        raise refuse(message)
    entry = members_of(
        entries[0], field="signatures[0]", required=_NATIVE_MEMBERS, allowed=_ENTRY_MEMBERS
    )
    signature = b64decode(entry["sig"], field="sig")
    if not MIN_SIGNATURE_BYTES <= len(signature) <= MAX_SIGNATURE_BYTES:
        message = "sig must be an ECDSA P-256 signature in DER."
        raise refuse(message)
    return Envelope(
        payload_type,
        b64decode(outer["payload"], field="payload"),
        fingerprint_in(entry["keyid"], field="keyid"),
        signature,
        _assertion(entry["webauthn"]) if "webauthn" in entry else None,
    )


def _assertion(value: JsonValue) -> WebAuthnAssertion:
    members = members_of(
        value, field="webauthn", required=_WEBAUTHN_MEMBERS, allowed=_WEBAUTHN_MEMBERS
    )
    authenticator_data = b64url_decode(members["authenticator_data"], field="authenticator_data")
    client_data_json = b64url_decode(members["client_data_json"], field="client_data_json")
    if (
        len(authenticator_data) > MAX_AUTHENTICATOR_DATA_BYTES
        or len(client_data_json) > MAX_CLIENT_DATA_JSON_BYTES
    ):
        message = "webauthn is larger than any browser writes."
        raise refuse(message)
    return WebAuthnAssertion(authenticator_data, client_data_json)


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: ``DSSEv1 len type len payload``."""
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def sign(kind: Kind, payload: bytes, key: PrivateKey) -> Envelope:
    """Sign `payload` as `kind` with a native key."""
    signature = key.sign(pae(_MEDIA_TYPES[kind], payload))
    return Envelope(_MEDIA_TYPES[kind], payload, key.public_key.fingerprint, signature)


def verify_signature(
    envelope: Envelope,
    *,
    kind: Kind,
    key: PublicKey,
    form: Form = "native",
    passkeys: PasskeyPolicy | None = None,
) -> int | None:
    """Check that `key` signed this payload as `kind`.

    In this order: the type, that ``keyid`` is the key's fingerprint, the form, the signature.
    The payload itself is not looked at, and its meaning stays unchecked.

    Args:
        envelope: what to check.
        kind: the one payload type that is wanted.
        key: the key that has to have signed, from a source the caller trusts.
        form: how this key is known to sign.
        passkeys: the relying party a passkey signature must be for; None refuses them all.

    Returns:
        A passkey's signature counter (which a caller with a stored one has to compare), or None
        for a native signature.

    Raises:
        ProtocolError: ``invalid_request`` for another type, else ``invalid_signature``.
    """
    if envelope.payload_type != _MEDIA_TYPES[kind]:
        message = f"payloadType must be {_MEDIA_TYPES[kind]}."
        raise refuse(message)
    if envelope.keyid != key.fingerprint:
        message = "The envelope is not signed by the expected key."
        raise ProtocolError("invalid_signature", message)
    signed = pae(envelope.payload_type, envelope.payload)
    if envelope.webauthn is None:
        if form == "webauthn":
            message = "This key signs through WebAuthn only."
            raise ProtocolError("invalid_signature", message)
        key.verify(envelope.signature, signed)
        return None
    if form == "native":
        message = "This key does not sign through WebAuthn."
        raise ProtocolError("invalid_signature", message)
    return verify_assertion(
        envelope.webauthn, envelope.signature, signed=signed, key=key, policy=passkeys
    )
