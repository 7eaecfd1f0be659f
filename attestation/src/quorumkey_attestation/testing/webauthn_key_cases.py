"""Registrations whose structure, credential or key is not what it has to be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.cbor_encoding import encode
from quorumkey_attestation.testing.webauthn import Parts, cose_key, none, registration
from quorumkey_attestation.testing.webauthn_case import Refusal, registered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.testing.case import Case

__all__ = ["cases"]

_STEP: Final = "webauthn.registration"
_BASE: Final = Parts()
_LARGER: Final = pki.private_key("webauthn larger credential", ec.SECP384R1())


def _refused(  # noqa: PLR0913  # what a case consists of
    number: str,
    title: str,
    parts: Parts,
    reason: Reason,
    check: str,
    *,
    made: bytes | None = None,
    control: str = "W0a",
    has_reading: bool = True,
    settings: Mapping[str, object] | None = None,
) -> Case:
    refusal = Refusal(reason, f"{_STEP}/{check}", control, has_reading)
    return registered(number, title, parts, made or none(parts), refusal, settings=settings)


def _structure_cases() -> list[Case]:
    def whole(number: str, title: str, made: bytes, check: str) -> Case:
        return _refused(number, title, _BASE, Reason.MALFORMED, check, made=made, has_reading=False)

    data = _BASE.registration_data
    no_key = replace(_BASE, cose=encode([2, -7]))
    return [
        _refused(
            "W16f",
            "a credential id of no bytes",
            replace(_BASE, credential_id=b""),
            Reason.MALFORMED,
            "6-credential-id",
        ),
        _refused(
            "W16g",
            "a credential id of 1024 bytes",
            replace(_BASE, credential_id=bytes(1024)),
            Reason.MALFORMED,
            "6-credential-id",
        ),
        whole(
            "W16h",
            "authenticator data that ends in the aaguid",
            encode({"fmt": "none", "attStmt": {}, "authData": data[:50]}),
            "6-length",
        ),
        whole("W16i", "an array for the key", registration(no_key, none(no_key)), "6-key"),
        whole("W16j", "no authenticator data", encode({"fmt": "none", "attStmt": {}}), "6-object"),
        whole("W16k", "an attestation object that is an array", encode(["none"]), "6-object"),
    ]


def _key_cases() -> list[Case]:
    larger = replace(_BASE, key=_LARGER)
    misnamed = replace(larger, cose=cose_key(_LARGER.public_key(), algorithm=-7))
    key = _BASE.key.public_key()
    numbers = key.public_numbers()
    off_curve = encode({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: bytes(32)})
    infinity = encode({1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)})
    compressed = encode({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: True})
    padded = encode({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(33), -3: numbers.y.to_bytes(32)})
    bad = (("c", "off its curve", off_curve), ("d", "at infinity", infinity))
    worse = (("e", "compressed", compressed), ("f", "with a longer coordinate", padded))
    return [
        _refused("W17a", "a key on P-384", larger, Reason.ALGORITHM, "12-algorithm", control="W0d"),
        _refused(
            "W17b",
            "a key on P-384 that says it is for ES256",
            misnamed,
            Reason.ALGORITHM,
            "12-curve",
            control="W0d",
            settings={"algorithms": [-7, -35]},
        ),
        *(
            _refused(
                f"W17{letter}",
                f"a key {title}",
                replace(_BASE, cose=cose),
                Reason.MALFORMED,
                "12-key",
                has_reading=False,
            )
            for letter, title, cose in (*bad, *worse)
        ),
    ]


def cases() -> tuple[Case, ...]:
    """Return the cases."""
    return (*_structure_cases(), *_key_cases())
