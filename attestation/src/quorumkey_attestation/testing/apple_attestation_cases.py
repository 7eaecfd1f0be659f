"""The cases A0 to A12, A22, A23 and A26 to A29: wrong nonces, keys, environments and objects."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.name import (
    _ASN1Type,  # pyright: ignore[reportPrivateUsage]  # no public name for it
)

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing.apple import (
    AAGUID,
    Attestation,
    cose_key,
)
from quorumkey_attestation.testing.apple_case import (
    CHALLENGE,
    STRICT,
    attestation_case,
    base64_text,
    base_attestation,
)
from quorumkey_attestation.testing.apple_certificates import (
    NONCE_EXTENSION,
    app_attest_authority,
    macos_access_policy,
    nonce_extension,
)
from quorumkey_attestation.testing.cbor_encoding import Encodable, encode
from quorumkey_attestation.testing.der_encoding import element, octet_string, sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.testing.case import Case

__all__ = ["attestation_cases"]

_OTHER_CHALLENGE: Final = hashlib.sha256(b"another challenge").digest()
_CATEGORY: Final = "apple_validation_category_01"
_VERSION: Final = "apple_bundle_version_01"


def attestation_cases() -> list[Case]:
    """Return the attestations whose chain and extension map are right, controls first."""
    return [*_controls(), *_nonce_cases(), *_authenticator_cases(), *_object_cases()]


def _controls() -> list[Case]:
    base = base_attestation()
    raw = b"example_server_challenge"
    return [
        attestation_case("A0a", "in production, as iOS 27 sends it", base),
        attestation_case(
            "A0b",
            "in development",
            replace(base, environment="development"),
            settings={"environment": "development"},
        ),
        attestation_case("A0c", "from before iOS 27", replace(base, extensions=b"")),
        attestation_case("A0d", "with the flag ED set", replace(base, flags=0xC0)),
        attestation_case("A0e", "under a strict policy", base, settings=STRICT),
        attestation_case(
            "A0f",
            "one that signs the challenge itself, where that is allowed",
            replace(base, client_data_hash=raw),
            expect={"challenge": None, "client_data_hash": raw.hex()},
            settings={"allow_any_hash_length": True},
        ),
        attestation_case(
            "A0h",
            "on a Mac with System Integrity Protection and Full Security",
            replace(base, platform=macos_access_policy()),
            settings={"require_macos_acl": True},
        ),
        attestation_case(
            "A0g",
            "registered again by the same user",
            base,
            expect={"user": "alice", "bound_to": "alice"},
        ),
    ]


def _nonce_cases() -> list[Case]:
    base = base_attestation()
    other = replace(base, client_data_hash=hashlib.sha256(_OTHER_CHALLENGE).digest())
    nonce = _nonce(base)
    value = nonce_extension(nonce)
    oid = x509.ObjectIdentifier("1.2.840.113635.100.8.5")
    planted = sequence(bytes.fromhex("06092a864886f763640802"), octet_string(value))
    elsewhere = x509.UnrecognizedExtension(oid, planted)
    as_name = x509.SubjectAlternativeName([x509.OtherName(NONCE_EXTENSION, value)])
    wrong = nonce_extension(_nonce(other))
    reason, check = Reason.NONCE, "apple.attestation/4-nonce"
    form = Reason.MALFORMED, "apple.attestation/4-form"
    return [
        attestation_case("A1", "made for another challenge", other, reason, check),
        attestation_case(
            "A2",
            "made for the challenge itself instead of its SHA-256",
            replace(base, client_data_hash=CHALLENGE),
            reason,
            check,
        ),
        attestation_case(
            "A3a",
            "the right nonce planted in another extension, OID and all",
            replace(base, nonce_value=wrong, leaf_extensions=((elsewhere, False),)),
            reason,
            check,
        ),
        attestation_case(
            "A3b",
            "the right nonce planted in an alternative name of that OID",
            replace(base, nonce_value=wrong, leaf_extensions=((as_name, False),)),
            reason,
            check,
        ),
        attestation_case(
            "A3c",
            "the right nonce planted in another extension, and none in its own",
            replace(base, nonce_value=b"", leaf_extensions=((elsewhere, False),)),
            Reason.MALFORMED,
            "apple.attestation/4-extension",
        ),
        attestation_case(
            "A3d",
            "the right nonce planted in the leaf's subject, OID and all",
            replace(base, nonce_value=wrong, subject=_unique_identifier(planted)),
            reason,
            check,
        ),
        attestation_case(
            "A4a",
            "something after the nonce's SEQUENCE",
            replace(base, nonce_value=value + b"\x05\x00"),
            *form,
        ),
        attestation_case(
            "A4b",
            "the nonce under [0] instead of [1]",
            replace(base, nonce_value=sequence(element(0xA0, octet_string(nonce)))),
            *form,
        ),
        attestation_case(
            "A4c",
            "a nonce of 33 bytes",
            replace(base, nonce_value=nonce_extension(nonce + b"\0")),
            *form,
        ),
        attestation_case(
            "A4d",
            "a nonce as a BIT STRING",
            replace(base, nonce_value=sequence(element(0xA1, element(0x03, nonce)))),
            *form,
        ),
    ]


def _unique_identifier(content: bytes) -> x509.Name:
    """Return a name whose x500UniqueIdentifier, a BIT STRING, holds ``content``."""
    oid = x509.NameOID.X500_UNIQUE_IDENTIFIER
    return x509.Name([x509.NameAttribute(oid, b"\0" + content, _ASN1Type.BitString)])


def _nonce(attestation: Attestation) -> bytes:
    data = attestation.authenticator_data + attestation.client_data_hash
    return hashlib.sha256(data).digest()


def _authenticator_cases() -> list[Case]:
    base = base_attestation()
    other = replace(base, label="another key")
    development: dict[str, object] = {"environment": "development"}
    junk = AAGUID["production"][:9] + b"UNSAFE!"
    environment = Reason.ENVIRONMENT, "apple.attestation/8-environment"
    return [
        attestation_case(
            "A5a",
            "a development key in production",
            replace(base, environment="development"),
            *environment,
        ),
        attestation_case(
            "A5b",
            "a production key in development",
            base,
            *environment,
            control="A0b",
            settings=development,
        ),
        attestation_case(
            "A6", "an aaguid that begins like Apple's", replace(base, aaguid=junk), *environment
        ),
        attestation_case(
            "A7",
            "another key's credential id",
            replace(base, credential_id=other.key_id),
            Reason.KEY_MISMATCH,
            "apple.attestation/9-credential-id",
        ),
        *(
            attestation_case(
                number,
                f"a credential id said to be {length} bytes long",
                replace(base, credential_id_length=length),
                Reason.MALFORMED,
                "apple.authdata/2-credential-length",
            )
            for number, length in (("A8a", 31), ("A8b", 33), ("A8c", 65_535))
        ),
        attestation_case(
            "A9",
            "counter 1",
            replace(base, counter=1),
            Reason.COUNTER,
            "apple.attestation/7-counter",
        ),
        attestation_case(
            "A10",
            "made by another app",
            replace(base, app_id="QK12345678.com.example.other"),
            Reason.APP_ID,
            "apple.attestation/6-app-id",
        ),
        attestation_case(
            "A11",
            "presented with the key id of another key",
            replace(base, credential_id=other.key_id),
            Reason.KEY_MISMATCH,
            "apple.attestation/5-key-id",
            expect={"key_id": base64_text(other.key_id)},
        ),
        attestation_case(
            "A12",
            "another key's COSE key",
            replace(base, cose_point=other.point),
            Reason.KEY_MISMATCH,
            "apple.attestation/5-cose-key",
        ),
        attestation_case(
            "A22",
            "a key that another user has registered",
            base,
            Reason.KEY_MISMATCH,
            "counters/2-binding",
            control="A0g",
            expect={"user": "mallory", "bound_to": "alice"},
        ),
        attestation_case(
            "A23",
            "the format packed",
            replace(base, fmt="packed"),
            Reason.UNSUPPORTED,
            "apple.attestation/1-format",
        ),
    ]


def _object_cases() -> list[Case]:
    base = base_attestation()
    data = base.authenticator_data
    statement: dict[str, Encodable] = {
        "x5c": [base.leaf, app_attest_authority().der],
        "receipt": base.receipt,
    }
    key = cose_key(base.point)
    shape = Reason.MALFORMED, "apple.attestation/1-object"
    cut = Reason.MALFORMED, "apple.authdata/1-length"
    structural = (
        ("A26a", "a list instead of a map", encode([base.fmt, statement, data]), shape),
        ("A26b", "no authenticator data", encode({"fmt": base.fmt, "attStmt": statement}), shape),
        ("A26c", "no receipt", _with_statement({"x5c": statement["x5c"]}), shape),
        ("A26d", "no certificates", _with_statement({**statement, "x5c": []}), shape),
        ("A27a", "authenticator data of 54 bytes", replace(base, authenticator=data[:54]), cut),
        ("A27b", "a COSE key cut off", replace(base, authenticator=data[:163]), cut),
    )
    return [
        *(
            attestation_case(number, title, made, reason, check, has_reading=False)
            for number, title, made, (reason, check) in structural
        ),
        attestation_case(
            "A28",
            "a COSE key for another algorithm",
            replace(base, authenticator=data[:87] + encode({**key, 3: -8}) + base.extensions),
            Reason.MALFORMED,
            "apple.authdata/3-cose-key",
        ),
        attestation_case(
            "A29",
            "a number where the extension map belongs",
            replace(base, extensions=encode(4)),
            Reason.MALFORMED,
            "apple.authdata/4-map",
            control="A0c",
        ),
    ]


def _with_statement(statement: Mapping[str, Encodable]) -> bytes:
    return encode({**base_attestation().members, "attStmt": statement})
