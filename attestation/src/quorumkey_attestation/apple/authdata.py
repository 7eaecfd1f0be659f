"""App Attest's authenticator data, and the extension map that iOS 27 appends to it.

The layout is WebAuthn's (Level 3, section 6.1), the flags are not: Apple sets AT in assertions that
carry no attested data, and appends the extension map whether ED is set or not. General parsers
refuse both. Here the lengths alone say what is there, and every byte must be accounted for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from quorumkey_attestation import cbor
from quorumkey_attestation.apple.policy import INVALID_CATEGORY, version_number
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.apple.policy import AppAttestPolicy
    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.cbor import CborKey, CborValue

__all__ = [
    "AssertionData",
    "AttestationData",
    "ExtensionSteps",
    "Extensions",
    "parse_assertion_data",
    "parse_attestation_data",
    "require_extensions",
]

CREDENTIAL_ID_BYTES: Final = 32  # bytes: a SHA-256
CATEGORY_BYTES: Final = 4  # bytes of apple_validation_category_01, the least significant first

_CATEGORY_KEY: Final = "apple_validation_category_01"
_VERSION_KEY: Final = "apple_bundle_version_01"

# Offsets in bytes: rpIdHash 32, flags 1, counter 4, then aaguid 16, credIdLen 2, credentialId 32.
_FLAGS: Final = 32
_COUNTER: Final = 33
_AAGUID: Final = 37
_LENGTH: Final = 53
_CREDENTIAL_ID: Final = 55
_COSE_KEY: Final = 87
_EXTENSIONS: Final = 164

# {1: 2, 3: -7, -1: 1, -2: x, -3: y}: EC2, ES256, P-256 (RFC 9053 section 7.1). The deterministic
# encoding of such a key has this one form, 77 bytes long.
_COSE_BEFORE_X: Final = bytes.fromhex("a5010203262001215820")
_COSE_BEFORE_Y: Final = bytes.fromhex("225820")
_X: Final = _COSE_KEY + len(_COSE_BEFORE_X)
_AFTER_X: Final = _X + 32
_Y: Final = _AFTER_X + len(_COSE_BEFORE_Y)

Extensions = dict["CborKey", "CborValue"]
"""The extension map; empty where there is none."""


class AttestationData(NamedTuple):
    """The authenticator data of an attestation.

    Attributes:
        rp_id_hash: SHA-256 of the App ID.
        counter: how often the key has signed.
        aaguid: the environment, 16 bytes.
        credential_id: the key's identifier, 32 bytes.
        point: the credential's public key as an uncompressed point of 65 bytes. That it is on the
            curve has not been looked at.
        extensions: the extension map.
    """

    rp_id_hash: bytes
    counter: int
    aaguid: bytes
    credential_id: bytes
    point: bytes
    extensions: Extensions


class AssertionData(NamedTuple):
    """The authenticator data of an assertion.

    Attributes:
        rp_id_hash: SHA-256 of the App ID.
        counter: how often the key has signed, this assertion included.
        extensions: the extension map.
    """

    rp_id_hash: bytes
    counter: int
    extensions: Extensions


class ExtensionSteps(NamedTuple):
    """What the checks of :func:`require_extensions` are called in a procedure."""

    present: str
    category_form: str
    category: str
    version_form: str
    version: str


def parse_attestation_data(data: bytes, audit: Audit) -> AttestationData:
    """Return the fields of an attestation's authenticator data.

    1. It is long enough for its fixed fields.
    2. The credential id is 32 bytes long.
    3. The COSE key is EC2, ES256 and P-256, in its one deterministic encoding.
    4. Nothing follows it, or one CBOR map, and nothing follows that.

    Args:
        data: ``authData``.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``.
    """
    if len(data) < _CREDENTIAL_ID:
        raise _malformed("The authenticator data is cut off.", "apple.authdata/1-length")
    audit.require(
        "apple.authdata/2-credential-length",
        int.from_bytes(data[_LENGTH:_CREDENTIAL_ID]) == CREDENTIAL_ID_BYTES,
        Reason.MALFORMED,
        "The credential id is not 32 bytes long.",
    )
    if len(data) < _EXTENSIONS:
        raise _malformed("The authenticator data is cut off.", "apple.authdata/1-length")
    audit.require(
        "apple.authdata/3-cose-key",
        data[_COSE_KEY:_X] == _COSE_BEFORE_X and data[_AFTER_X:_Y] == _COSE_BEFORE_Y,
        Reason.MALFORMED,
        "The credential's key is no COSE key of P-256 for ES256.",
    )
    return AttestationData(
        rp_id_hash=data[:_FLAGS],
        counter=int.from_bytes(data[_COUNTER:_AAGUID]),
        aaguid=data[_AAGUID:_LENGTH],
        credential_id=data[_CREDENTIAL_ID:_COSE_KEY],
        point=b"\x04" + data[_X:_AFTER_X] + data[_Y:_EXTENSIONS],
        extensions=_extensions(data, _EXTENSIONS, audit),
    )


def parse_assertion_data(data: bytes, audit: Audit) -> AssertionData:
    """Return the fields of an assertion's authenticator data.

    1. It is long enough for its fixed fields: 37 bytes.
    4. Nothing follows them, or one CBOR map, and nothing follows that.

    Args:
        data: ``authenticatorData``.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``.
    """
    if len(data) < _AAGUID:
        raise _malformed("The authenticator data is cut off.", "apple.authdata/1-length")
    return AssertionData(
        data[:_FLAGS],
        int.from_bytes(data[_COUNTER:_AAGUID]),
        _extensions(data, _AAGUID, audit),
    )


def require_extensions(
    extensions: Mapping[CborKey, CborValue],
    policy: AppAttestPolicy,
    audit: Audit,
    steps: ExtensionSteps,
) -> tuple[int | None, str | None]:
    """Hold the extension map against policy; return the category and the bundle version.

    Apple calls the category a UInt32 and sends it as four bytes, the least significant first.

    Args:
        extensions: the extension map.
        policy: what it has to say.
        audit: the trail of this verification.
        steps: what the checks are called.

    Raises:
        AttestationError: ``verdict`` or ``malformed``.
    """
    category_value = extensions.get(_CATEGORY_KEY)
    version_value = extensions.get(_VERSION_KEY)
    audit.require(
        steps.present,
        policy.missing_extensions == "allow"
        or (category_value is not None and version_value is not None),
        Reason.VERDICT,
        "The evidence does not say how the app was distributed, and in which version.",
    )
    category: int | None = None
    if category_value is not None:
        has_form = isinstance(category_value, bytes) and len(category_value) == CATEGORY_BYTES
        audit.require(
            steps.category_form,
            has_form,
            Reason.MALFORMED,
            "The validation category is not a string of four bytes.",
        )
        if has_form and isinstance(category_value, bytes):
            category = int.from_bytes(category_value, "little")
            audit.require(
                steps.category,
                category != INVALID_CATEGORY
                if policy.categories is None
                else category in policy.categories,
                Reason.VERDICT,
                "The app was not distributed in a way that policy accepts.",
            )
    version: str | None = None
    if version_value is not None:
        audit.require(
            steps.version_form,
            isinstance(version_value, str),
            Reason.MALFORMED,
            "The bundle version is not a text.",
        )
        if isinstance(version_value, str):
            version = version_value
            if policy.least_version is not None:
                number = version_number(version)
                audit.require(
                    steps.version,
                    number is not None and number >= policy.least_version,
                    Reason.VERDICT,
                    "The app's version is lower than policy accepts.",
                )
    return category, version


def _extensions(data: bytes, start: int, audit: Audit) -> Extensions:
    if len(data) == start:
        return {}
    extensions, end = cbor.decode_first(data, start, audit, what="authenticator data")
    audit.require(
        "apple.authdata/4-map",
        isinstance(extensions, dict),
        Reason.MALFORMED,
        "What follows the authenticator data is no extension map.",
    )
    audit.require(
        "apple.authdata/4-trailing",
        end == len(data),
        Reason.MALFORMED,
        "Something follows the extension map.",
    )
    return extensions if isinstance(extensions, dict) else {}


def _malformed(detail: str, check: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check=check)
