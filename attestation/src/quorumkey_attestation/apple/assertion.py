"""An assertion by an App Attest key (Apple, "Validating apps that connect to your server")."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation import cbor
from quorumkey_attestation.apple.authdata import (
    ExtensionSteps,
    parse_assertion_data,
    require_extensions,
)
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from quorumkey_attestation.apple.policy import AppAttestKey, AppAttestPolicy

__all__ = ["AppAssertion", "examine_app_assertion", "verify_app_assertion"]

_ECDSA: Final = ec.ECDSA(hashes.SHA256())

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

_EXTENSION_STEPS: Final = ExtensionSteps(
    present="apple.assertion/7-present",
    category_form="apple.assertion/7-form",
    category="apple.assertion/7-category",
    version_form="apple.assertion/8-form",
    version="apple.assertion/8-version",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAssertion:
    """An assertion that was accepted.

    Attributes:
        counter: the new value of the key's counter, to be stored by compare-and-set.
        category: ``apple_validation_category_01``, where the system sent one.
        bundle_version: ``apple_bundle_version_01``, where the system sent one.
        checks: the checks that it passed.
    """

    counter: int
    category: int | None
    bundle_version: str | None
    checks: tuple[str, ...]


def verify_app_assertion(  # noqa: PLR0913  # what the server knows, by name
    obj: bytes,
    *,
    client_data: bytes,
    key: AppAttestKey,
    last_counter: int,
    policy: AppAttestPolicy,
    challenge: bytes | None = None,
) -> AppAssertion:
    """Return what ``obj`` asserts.

    The numbers are Apple's, and stand in the names of the checks.

    1. The object is a map with ``signature`` and ``authenticatorData`` (``apple.authdata/1`` and
       ``/4``); the client data is hashed with SHA-256.
    2. The nonce is the SHA-256 of the authenticator data and that hash.
    3. ``signature`` is the stored key's, in DER, over the nonce as the *message*: ECDSA with
       SHA-256 hashes it once more.
    4. ``rpIdHash`` is the SHA-256 of the key's App ID. The key's App ID and environment are the
       policy's.
    5. ``counter`` is greater than ``last_counter``, and so greater than 0.
    6. ``challenge``, where given, stands in the client data.
    7. ``apple_validation_category_01`` is one that policy accepts.
    8. ``apple_bundle_version_01`` is not lower than policy accepts.

    Left to the caller: that the challenge was issued and not used before, and to store the new
    counter by compare-and-set (:func:`~quorumkey_attestation.counters.claim_counter`), without
    which two presentations of one assertion at one moment both pass.

    Secure Enclaves send signatures with a high S as well as with a low one, and both are accepted.
    Whoever sees a signature can make the other: its bytes are no replay key; the counter is.

    Args:
        obj: the assertion, CBOR.
        client_data: what the app had signed, as the server has it.
        key: the key as the server stored it (:meth:`AppAttestKey.stored`), never as it was sent.
        last_counter: the stored counter; 0 after the attestation.
        policy: what the evidence has to show.
        challenge: the challenge that was issued. It must occur in ``client_data`` as it is, or in
            base64 or base64url, padded or not; a JSON string's escaped slashes are understood.
            None leaves step 6 to the caller.

    Raises:
        AttestationError: the evidence is refused.
        ValueError: ``last_counter`` is negative, or ``challenge`` is empty.
    """
    return examine_app_assertion(
        obj,
        client_data=client_data,
        key=key,
        last_counter=last_counter,
        policy=policy,
        challenge=challenge,
        audit=Audit(),
    )


def examine_app_assertion(  # noqa: PLR0913  # as above, and the trail
    obj: bytes,
    *,
    client_data: bytes,
    key: AppAttestKey,
    last_counter: int,
    policy: AppAttestPolicy,
    challenge: bytes | None = None,
    audit: Audit,
) -> AppAssertion:
    """Do what :func:`verify_app_assertion` does, and leave the trail in ``audit``."""
    if last_counter < 0:
        raise ValueError("last_counter must not be negative")
    signature, authenticator_data = _read_object(obj, audit)
    data = parse_assertion_data(authenticator_data, audit)
    client_data_hash = hashlib.sha256(client_data).digest()
    audit.require(
        "apple.assertion/3-signature",
        _is_signed(
            signature,
            hashlib.sha256(authenticator_data + client_data_hash).digest(),
            key.public_key,
        ),
        Reason.SIGNATURE,
        "The signature is not the stored key's, or not over this data.",
    )
    _require_app(data.rp_id_hash, key, policy, audit)
    audit.require(
        "apple.assertion/5-counter",
        data.counter > last_counter,
        Reason.COUNTER,
        "The counter did not grow.",
    )
    if challenge is not None:
        audit.require(
            "apple.assertion/6-challenge",
            _holds_challenge(client_data, challenge),
            Reason.CHALLENGE,
            "The client data does not hold the challenge.",
        )
    category, version = require_extensions(data.extensions, policy, audit, _EXTENSION_STEPS)
    return AppAssertion(
        counter=data.counter, category=category, bundle_version=version, checks=audit.checks
    )


def _read_object(obj: bytes, audit: Audit) -> tuple[bytes, bytes]:
    members = cbor.decode(obj, audit, what="assertion")
    if isinstance(members, dict):
        signature = members.get("signature")
        authenticator_data = members.get("authenticatorData")
        if isinstance(signature, bytes) and isinstance(authenticator_data, bytes):
            return signature, authenticator_data
    raise AttestationError(
        Reason.MALFORMED,
        "The assertion is not a map with a signature and authenticator data.",
        check="apple.assertion/1-object",
    )


def _is_signed(signature: bytes, nonce: bytes, public_key: ec.EllipticCurvePublicKey) -> bool:
    try:
        public_key.verify(signature, nonce, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _require_app(
    rp_id_hash: bytes, key: AppAttestKey, policy: AppAttestPolicy, audit: Audit
) -> None:
    audit.require(
        "apple.assertion/4-app-id",
        rp_id_hash == hashlib.sha256(key.app_id.encode()).digest(),
        Reason.APP_ID,
        "The assertion comes from another app than the key.",
    )
    audit.require(
        "apple.assertion/4-key-app-id",
        key.app_id in policy.app_ids,
        Reason.APP_ID,
        "The key belongs to an app that policy does not name.",
    )
    audit.require(
        "apple.assertion/4-environment",
        key.environment == policy.environment,
        Reason.ENVIRONMENT,
        "The key belongs to another App Attest environment.",
    )


def _holds_challenge(client_data: bytes, challenge: bytes) -> bool:
    if not challenge:
        raise ValueError("challenge must not be empty")
    if challenge in client_data:
        return True
    text = base64.b64encode(challenge).rstrip(b"=")
    # JSON may write a slash with a backslash before it, and Swift's encoder does.
    unescaped = client_data.replace(b"\\/", b"/")
    return text in unescaped or text.translate(_URL_SAFE) in client_data
