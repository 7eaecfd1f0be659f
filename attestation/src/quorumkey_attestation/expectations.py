"""What a server knows about evidence before it looks: the table ``expect`` of a policy file.

A policy says what every key has to be like; this says what one piece of evidence has to be about:
the challenge that was issued, the key that registers, the counter that was stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from quorumkey_attestation.settings import (
    PolicyFileError,
    base64_bytes,
    boolean,
    choice,
    hex_bytes,
    integer,
    read_table,
    seconds,
    set_of,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quorumkey_attestation.settings import Reader

__all__ = [
    "AndroidExpectation",
    "AppleAssertionExpectation",
    "AppleAttestationExpectation",
    "AppleReceiptExpectation",
    "PlayExpectation",
    "WebAuthnAssertionExpectation",
    "WebAuthnRegistrationExpectation",
    "expect_android",
    "expect_apple_assertion",
    "expect_apple_attestation",
    "expect_apple_receipt",
    "expect_play",
    "expect_webauthn_assertion",
    "expect_webauthn_registration",
]

_T = TypeVar("_T")
_ENVIRONMENT: Final = choice("production", "development")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppleAttestationExpectation:
    """Expected of an App Attest attestation.

    Attributes:
        key_id: the key id that the app sent, 32 bytes.
        client_data_hash: what the app handed to ``attestKey``: given as it is (``client_data_hash``
            in the file), or as the ``challenge`` whose SHA-256 it is.
        user: who registers the key; ``bound_to`` who had it before, None for nobody.
        bound_to: see ``user``.
    """

    key_id: bytes
    client_data_hash: bytes
    user: str | None = None
    bound_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppleAssertionExpectation:
    """Expected of an App Attest assertion: above all, what was stored about the key.

    Attributes:
        key_id: the stored key's id, 32 bytes.
        public_key: the stored key, an uncompressed P-256 point of 65 bytes.
        app_id: the app it was attested for.
        environment: the environment it was attested in.
        client_data: the bytes whose SHA-256 the app handed to ``generateAssertion``.
        challenge: what has to occur in them; None looks for nothing.
        last_counter: the stored counter.
        presentations: how often the assertion is presented to one counter store.
    """

    key_id: bytes
    public_key: bytes
    app_id: str
    environment: Literal["production", "development"] = "production"
    client_data: bytes
    challenge: bytes | None = None
    last_counter: int = 0
    presentations: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AppleReceiptExpectation:
    """Expected of an App Attest receipt: the stored key, the kind and the greatest age.

    Attributes:
        key_id: the stored key's id, 32 bytes.
        public_key: the stored key, an uncompressed P-256 point of 65 bytes.
        app_id: the app it was attested for.
        environment: the environment it was attested in.
        max_age: how old it may be (``max_age_seconds`` in the file).
        type: ``ATTEST`` for the one in an attestation, ``RECEIPT`` for one that Apple refreshed.
    """

    key_id: bytes
    public_key: bytes
    app_id: str
    environment: Literal["production", "development"] = "production"
    max_age: timedelta = timedelta(minutes=5)
    type: Literal["ATTEST", "RECEIPT"] = "ATTEST"


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidExpectation:
    """Expected of an Android key attestation: the challenge, and the key that registers.

    Attributes:
        challenge: what the server issued.
        public_key: the DER of its SubjectPublicKeyInfo, or a SEC 1 point; None looks at none.
    """

    challenge: bytes
    public_key: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthnRegistrationExpectation:
    """Expected of a passkey's registration: the challenge that was issued."""

    challenge: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthnAssertionExpectation:
    """Expected of a passkey's assertion.

    Attributes:
        challenge: what the server issued.
        public_key: the stored key.
        last_sign_count: the stored counter.
        backup_eligible: what the registration said of it; None compares nothing.
    """

    challenge: bytes
    public_key: bytes
    last_sign_count: int = 0
    backup_eligible: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayExpectation:
    """Expected of a Play Integrity verdict, and the keys that open a token.

    Attributes:
        nonce: of a classic request; None with ``request_hash``, of a standard one.
        request_hash: see ``nonce``.
        decryption_key: the AES key of the app's self-managed response encryption.
        verification_key: the DER of Google's P-256 key for the app.
        used_nonces: nonces that were spent before.
    """

    nonce: str | None = None
    request_hash: str | None = None
    decryption_key: bytes | None = None
    verification_key: bytes | None = None
    used_nonces: frozenset[str] = frozenset()


_STORED_KEY: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "key_id": base64_bytes,
        "public_key": hex_bytes,
        "app_id": text,
        "environment": _ENVIRONMENT,
    }
)


def expect_apple_attestation(table: object, where: str) -> AppleAttestationExpectation:
    """Return what ``table`` expects of an App Attest attestation.

    Raises:
        PolicyFileError: it cannot be read; each of these functions raises it.
    """
    known = {
        "key_id": base64_bytes,
        "client_data_hash": hex_bytes,
        "challenge": hex_bytes,
        "user": text,
        "bound_to": text,
    }
    values = read_table(table, known, where, required=("key_id",))
    challenge = values.pop("challenge", None)
    if (challenge is None) is ("client_data_hash" not in values):
        raise PolicyFileError(f"{where}: either challenge or client_data_hash is needed, not both")
    if isinstance(challenge, bytes):
        values["client_data_hash"] = hashlib.sha256(challenge).digest()
    return _made(AppleAttestationExpectation, values)


def expect_apple_assertion(table: object, where: str) -> AppleAssertionExpectation:
    """Return what ``table`` expects of an App Attest assertion."""
    known = {
        **_STORED_KEY,
        "client_data": hex_bytes,
        "challenge": hex_bytes,
        "last_counter": integer,
        "presentations": integer,
    }
    required = ("key_id", "public_key", "app_id", "client_data")
    return _read(AppleAssertionExpectation, table, known, where, required)


def expect_apple_receipt(table: object, where: str) -> AppleReceiptExpectation:
    """Return what ``table`` expects of an App Attest receipt."""
    known = {**_STORED_KEY, "max_age_seconds": seconds, "type": choice("ATTEST", "RECEIPT")}
    values = read_table(table, known, where, required=("key_id", "public_key", "app_id"))
    if "max_age_seconds" in values:
        values["max_age"] = values.pop("max_age_seconds")
    return _made(AppleReceiptExpectation, values)


def expect_android(table: object, where: str) -> AndroidExpectation:
    """Return what ``table`` expects of an Android key attestation."""
    known = {"challenge": hex_bytes, "public_key": hex_bytes}
    return _read(AndroidExpectation, table, known, where, ("challenge",))


def expect_webauthn_registration(table: object, where: str) -> WebAuthnRegistrationExpectation:
    """Return what ``table`` expects of a passkey's registration."""
    known = {"challenge": hex_bytes}
    return _read(WebAuthnRegistrationExpectation, table, known, where, ("challenge",))


def expect_webauthn_assertion(table: object, where: str) -> WebAuthnAssertionExpectation:
    """Return what ``table`` expects of a passkey's assertion."""
    known: Mapping[str, Reader] = {
        "challenge": hex_bytes,
        "public_key": hex_bytes,
        "last_sign_count": integer,
        "backup_eligible": boolean,
    }
    required = ("challenge", "public_key")
    return _read(WebAuthnAssertionExpectation, table, known, where, required)


def expect_play(table: object, where: str) -> PlayExpectation:
    """Return what ``table`` expects of a Play Integrity token or payload."""
    known = {
        "nonce": text,
        "request_hash": text,
        "decryption_key": hex_bytes,
        "verification_key": hex_bytes,
        "used_nonces": set_of(text),
    }
    return _read(PlayExpectation, table, known, where, ())


def _read(
    kind: Callable[..., _T],
    table: object,
    known: Mapping[str, Reader],
    where: str,
    required: Sequence[str],
) -> _T:
    return _made(kind, read_table(table, known, where, required=required))


def _made(kind: Callable[..., _T], values: Mapping[str, object]) -> _T:
    """Call ``kind``; its readers have given each value the type of its field."""
    return kind(**values)
