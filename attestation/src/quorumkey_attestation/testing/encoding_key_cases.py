"""The cases of signatures, points and algorithms, E7 to E11, and of random octets, E12."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import (
    android,
    android_case,
    encoding_webauthn_cases,
    pki,
    play,
)
from quorumkey_attestation.testing.android_case import DEVICE_KEY, Refusal, attested
from quorumkey_attestation.testing.android_description import CHALLENGE
from quorumkey_attestation.testing.apple import cose_key
from quorumkey_attestation.testing.apple_case import (
    assertion_case,
    attestation_case,
    base_assertion,
    base_attestation,
    receipt_case,
)
from quorumkey_attestation.testing.apple_certificates import app_attest_authority
from quorumkey_attestation.testing.cbor_encoding import encode
from quorumkey_attestation.testing.der_encoding import element, integer, sequence, with_long_length
from quorumkey_attestation.testing.play_case import token_case
from quorumkey_attestation.testing.resigning import ecdsa_with_null, resign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric import ec

    from quorumkey_attestation.testing.case import Case

__all__ = ["key_cases"]

_INTEGER: Final = 0x02
_SEQUENCE: Final = 0x30
_BIT_STRING: Final = 0x03
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
_COORDINATE: Final = 32  # octets of one coordinate on P-256

#: 2.999.1, an algorithm that nobody has (ITU-T X.660: for examples).
_UNKNOWN_ALGORITHM: Final = bytes.fromhex("0603883701")


def key_cases() -> tuple[Case, ...]:
    """Return the cases in the order of their numbers."""
    return (
        *_signatures(),
        *encoding_webauthn_cases.signature_cases(),
        *_either_s(),
        encoding_webauthn_cases.high_s_case(),
        *_points(),
        *encoding_webauthn_cases.point_cases(),
        *_algorithms(),
        *_random(),
    )


def _signatures() -> tuple[Case, ...]:
    assertion = base_assertion()
    key = pki.private_key(assertion.label)
    nonce = assertion.nonce(assertion.authenticator_data)
    r, s = decode_dss_signature(pki.sign(key, nonce))
    positive_r = b"\0" + r.to_bytes(_COORDINATE)
    spellings: Mapping[str, bytes] = {
        "a length in two octets": with_long_length(_SEQUENCE, integer(r) + integer(s), 1),
        "octets after s": sequence(integer(r), integer(s), integer(0)),
        "octets after the signature": sequence(integer(r), integer(s)) + b"\0",
        "r with a zero in front": sequence(element(_INTEGER, b"\0" + positive_r), integer(s)),
        "r and the order of the curve": sequence(integer(r + _ORDER), integer(s)),
        "s negated": sequence(integer(r), integer(-s)),
        "r and s are 0": sequence(integer(0), integer(0)),
        "nothing": b"",
    }
    return tuple(
        assertion_case(
            f"E7{letter}",
            f"signature: {title}",
            assertion.encode(signature=signature),
            Reason.SIGNATURE,
            "apple.assertion/3-signature",
            control="E0c",
        )
        for letter, (title, signature) in zip("abcdefgh", spellings.items(), strict=True)
    )


def _either_s() -> tuple[Case, ...]:
    """Return E8: a device sends either s, and both are accepted.

    That somebody else can turn one into the other gains nothing: what makes an assertion count
    once is its counter, never its octets.
    """
    assertion = base_assertion()
    key = pki.private_key(assertion.label)
    r, s = decode_dss_signature(pki.sign(key, assertion.nonce(assertion.authenticator_data)))
    return tuple(
        replace(
            assertion_case(
                number, title, assertion.encode(signature=encode_dss_signature(r, either))
            ),
            control="E0c",
        )
        for number, title, either in (
            ("E8a", "the high s is accepted", max(s, _ORDER - s)),
            ("E8b", "the low s is accepted", min(s, _ORDER - s)),
        )
    )


def _public_key_info(point: bytes) -> bytes:
    """Return a SubjectPublicKeyInfo of P-256 with any octets for its point."""
    known = android_case.spki(pki.private_key(DEVICE_KEY).public_key())
    algorithm = known[2 : -2 - 1 - 65]  # between the outer header and the BIT STRING
    return sequence(algorithm, element(_BIT_STRING, b"\0" + point))


def _compressed(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _points() -> tuple[Case, ...]:
    attestation = base_attestation()
    point = attestation.point
    beside = point[:-1] + bytes([point[-1] ^ 1])
    mismatch = (Reason.KEY_MISMATCH, "apple.attestation/5-cose-key")
    compressed = {**cose_key(point), -3: True}  # RFC 9053 section 7.1.1: the sign of y
    authenticator = attestation.authenticator_data.replace(
        encode(cose_key(point)), encode(compressed)
    )
    leaf = resign(
        attestation.leaf, app_attest_authority(), public_key_info=_public_key_info(beside)
    )
    off_curve = encode(
        {
            **attestation.members,
            "attStmt": {"x5c": [leaf, app_attest_authority().der], "receipt": b""},
        }
    )
    return (
        attestation_case(
            "E9a",
            "COSE key beside the curve",
            replace(attestation, cose_point=beside),
            *mismatch,
            control="E0a",
        ),
        attestation_case(
            "E9b",
            "COSE key of zeros",
            replace(attestation, cose_point=b"\x04" + bytes(2 * _COORDINATE)),
            *mismatch,
            control="E0a",
        ),
        attestation_case(
            "E9c",
            "COSE key compressed",
            replace(attestation, authenticator=authenticator),
            Reason.MALFORMED,
            "apple.authdata/3-cose-key",
            control="E0a",
            has_reading=False,
        ),
        attestation_case(
            "E9d",
            "certificate's key beside the curve",
            off_curve,
            Reason.ALGORITHM,
            "apple.attestation/5-algorithm",
            control="E0a",
            has_reading=False,
        ),
        _leaf_case(
            "E9e",
            "certificate's key beside the curve",
            _public_key_info(beside),
            Refusal(Reason.MALFORMED, "android.chain/10-key", has_reading=False),
        ),
        _leaf_case(
            "E9f",
            "certificate's key at infinity",
            _public_key_info(b"\0"),
            Refusal(Reason.MALFORMED, "android.chain/10-key", has_reading=False),
        ),
        _leaf_case(
            "E9g",
            "certificate's key compressed, the registered one not",
            _public_key_info(_compressed(pki.private_key(DEVICE_KEY).public_key())),
            Refusal(Reason.KEY_MISMATCH, "android.key/2-public-key"),
            is_registered=True,
        ),
    )


def _leaf_case(
    number: str,
    title: str,
    public_key_info: bytes,
    refusal: Refusal,
    *,
    is_registered: bool = False,
) -> Case:
    """Return an Android case whose leaf has another public key.

    Args:
        number: its id.
        title: what is different.
        public_key_info: the leaf's SubjectPublicKeyInfo.
        refusal: how it is refused.
        is_registered: whether the device's usual key is the one being registered; otherwise the
            server does not compare.
    """
    leaf, *issuers = attested()
    authority = android.issue(android.rkp_issuers())[0]
    changed = resign(leaf, authority, public_key_info=public_key_info)
    expect = {} if is_registered else {"expect": {"challenge": CHALLENGE.hex()}}
    return android_case.refused(
        number, title, (changed, *issuers), refusal, control="E0b", settings=expect
    )


def _algorithms() -> tuple[Case, ...]:
    post_quantum = mldsa.MLDSA65PrivateKey.from_seed_bytes(hashlib.sha256(b"E10").digest())
    info = post_quantum.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    unknown = sequence(sequence(_UNKNOWN_ALGORITHM), element(_BIT_STRING, b"\0key"))
    leaf, *issuers = attested()
    authority = android.issue(android.rkp_issuers())[0]
    with_null = resign(leaf, authority, algorithm=ecdsa_with_null(leaf))
    attestation = base_attestation()
    apple_leaf = resign(
        attestation.leaf, app_attest_authority(), algorithm=ecdsa_with_null(attestation.leaf)
    )
    apple_object = encode(
        {
            **attestation.members,
            "attStmt": {"x5c": [apple_leaf, app_attest_authority().der], "receipt": b""},
        }
    )
    parse = (Reason.MALFORMED, "chain/2-parse")
    return (
        _leaf_case("E10a", "ML-DSA key", info, Refusal(Reason.ALGORITHM, "android.key/3-curve")),
        _leaf_case(
            "E10b",
            "key of an unknown algorithm",
            unknown,
            Refusal(Reason.UNSUPPORTED, "android.chain/10-key", has_reading=False),
        ),
        android_case.refused(
            "E11a",
            "ECDSA with NULL parameters, Android",
            (with_null, *issuers),
            Refusal(*parse, has_reading=False),
            control="E0b",
        ),
        attestation_case(
            "E11b",
            "ECDSA with NULL parameters, Apple",
            apple_object,
            *parse,
            control="E0a",
            has_reading=False,
        ),
    )


def _random() -> tuple[Case, ...]:
    noise = b"".join(hashlib.sha512(b"E12 %d" % part).digest() for part in range(16))
    malformed = Reason.MALFORMED
    return (
        attestation_case(
            "E12a",
            "random octets for an attestation",
            noise,
            malformed,
            "cbor/2-length",
            control="E0a",
            has_reading=False,
        ),
        assertion_case(
            "E12b",
            "random octets for an assertion",
            noise,
            malformed,
            "cbor/2-length",
            control="E0c",
            has_reading=False,
        ),
        receipt_case(
            "E12c",
            "random octets for a receipt",
            noise,
            malformed,
            "apple.receipt/1-object",
            control="R0a",
            has_reading=False,
        ),
        android_case.refused(
            "E12d",
            "random octets for a chain",
            (noise, noise, noise),
            Refusal(malformed, "chain/2-parse", has_reading=False),
            control="E0b",
        ),
        android_case.refused(
            "E12e",
            "random octets for a KeyDescription",
            attested(noise),
            Refusal(malformed, "der/4-tag", has_reading=False),
            control="E0b",
        ),
        token_case(
            "E12f",
            "random octets for a token",
            play.base64url(noise) + "....",
            malformed,
            "play.decode/2-json",
            has_reading=False,
        ),
        *encoding_webauthn_cases.random_cases(noise),
    )
