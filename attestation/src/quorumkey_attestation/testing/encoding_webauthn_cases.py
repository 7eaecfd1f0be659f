"""The cases of signatures, points and random octets that are WebAuthn's: of E7, E9 and E12."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import webauthn
from quorumkey_attestation.testing.apple import point_of
from quorumkey_attestation.testing.cbor_encoding import encode
from quorumkey_attestation.testing.der_encoding import integer, sequence, with_long_length
from quorumkey_attestation.testing.webauthn import Parts
from quorumkey_attestation.testing.webauthn_case import GET, Refusal, asserted, registered

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case
    from quorumkey_attestation.testing.cbor_encoding import Encodable

__all__ = ["controls", "high_s_case", "point_cases", "random_cases", "signature_cases"]

_SEQUENCE: Final = 0x30
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
_COORDINATE: Final = 32  # octets of one coordinate on P-256


def controls() -> tuple[Case, ...]:
    """Return a registration and an assertion, as they are minted."""
    parts = Parts()
    return (
        registered("E0d", "a registration, as it is minted", parts, webauthn.none(parts)),
        asserted("E0e", "a passkey's assertion, as it is minted", GET),
    )


def signature_cases() -> tuple[Case, ...]:
    """Return E7 for passkeys."""
    r, s = decode_dss_signature(webauthn.assertion_signature(GET))
    refusal = Refusal(Reason.SIGNATURE, "webauthn.assertion/12-signature", "E0e")
    return tuple(
        asserted(number, f"passkey's signature: {title}", GET, refusal, signature=signature)
        for number, title, signature in (
            (
                "E7i",
                "a length in two octets",
                with_long_length(_SEQUENCE, integer(r) + integer(s), 1),
            ),
            ("E7j", "octets after it", sequence(integer(r), integer(s)) + b"\0"),
            (
                "E7k",
                "r and s one after the other",
                r.to_bytes(_COORDINATE) + s.to_bytes(_COORDINATE),
            ),
            ("E7l", "r and s are 0", sequence(integer(0), integer(0))),
        )
    )


def high_s_case() -> Case:
    """Return E8 for passkeys: of the two values of s, the one that was not sent passes too."""
    r, s = decode_dss_signature(webauthn.assertion_signature(GET))
    other = asserted(
        "E8c",
        "passkey's signature: the other s is accepted",
        GET,
        signature=encode_dss_signature(r, _ORDER - s),
    )
    return replace(other, control="E0e")


def point_cases() -> tuple[Case, ...]:
    """Return E9 for passkeys."""
    point = point_of(Parts().key.public_key())
    x, y = point[1 : 1 + _COORDINATE], point[1 + _COORDINATE :]
    beside = y[:-1] + bytes([y[-1] ^ 1])
    refusal = Refusal(Reason.MALFORMED, "webauthn.registration/12-key", "E0d", has_reading=False)
    zeros = bytes(_COORDINATE)
    points: tuple[tuple[str, str, bytes, Encodable], ...] = (
        ("E9h", "passkey beside the curve", x, beside),
        ("E9i", "passkey of zeros", zeros, zeros),
        ("E9j", "passkey compressed", x, True),
    )
    found: list[Case] = []
    for number, title, first, second in points:
        parts = Parts(cose=encode({1: 2, 3: -7, -1: 1, -2: first, -3: second}))
        found.append(registered(number, title, parts, webauthn.none(parts), refusal))
    return tuple(found)


def random_cases(noise: bytes) -> tuple[Case, ...]:
    """Return E12 for passkeys.

    Args:
        noise: random octets.
    """
    malformed = Reason.MALFORMED
    return (
        registered(
            "E12g",
            "random octets for an attestation object",
            Parts(),
            noise,
            Refusal(malformed, "cbor/2-length", "E0d", has_reading=False),
        ),
        asserted(
            "E12h",
            "random octets for authenticator data",
            GET,
            Refusal(malformed, "webauthn.assertion/6-attested", "E0e", has_reading=False),
            data=noise,
        ),
    )
