"""The cases of encoding and of single primitives, E1 to E12, on the entry points themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography import x509

from quorumkey_attestation.android.provisioning import PROVISIONING_INFO_OID
from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import (
    android,
    android_case,
    apple_case,
    encoding_webauthn_cases,
    play_cases,
    webauthn_case,
)
from quorumkey_attestation.testing.android_case import Refusal, attested
from quorumkey_attestation.testing.apple_case import (
    assertion_case,
    attestation_case,
    base_assertion,
    base_attestation,
)
from quorumkey_attestation.testing.cbor_encoding import (
    Encoded,
    array_head,
    encode,
    encode_float,
    encode_head,
    encode_indefinite,
    encode_pairs,
    encode_simple,
    encode_tagged,
)
from quorumkey_attestation.testing.encoding_key_cases import key_cases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.testing.case import Case
    from quorumkey_attestation.testing.cbor_encoding import Encodable

__all__ = ["cases", "judge"]

_BYTES, _TEXT, _ARRAY = 2, 3, 4  # CBOR's major types (RFC 8949 section 3.1)
_NULL: Final = 22
_SELF_DESCRIBED: Final = 55_799  # the tag that says: this is CBOR (RFC 8949 section 3.4.6)
_DEEP: Final = 1000
_FOUR_GIB: Final = 1 << 32
_MALFORMED: Final = Reason.MALFORMED

_DUPLICATE: Final = Refusal(_MALFORMED, "cbor/5-duplicate")
_LONGER: Final = Refusal(_MALFORMED, "cbor/3-shortest")
_TAGGED: Final = Refusal(_MALFORMED, "cbor/4-tag")
_LENGTH: Final = Refusal(_MALFORMED, "cbor/2-length", has_reading=False)
_KIND: Final = Refusal(_MALFORMED, "cbor/4-kind", has_reading=False)
_DEPTH: Final = Refusal(_MALFORMED, "cbor/1-depth", has_reading=False)


def cases() -> tuple[Case, ...]:
    """Return the controls, then every case in the order of its number."""
    return (
        attestation_case("E0a", "App Attest, as it is minted", base_attestation()),
        android_case.accepted("E0b", "Android, as it is minted", attested()),
        assertion_case("E0c", "App Attest's assertion, as it is minted", base_assertion()),
        *encoding_webauthn_cases.controls(),
        *_members(),
        *_numbers(),
        *_kinds(),
        *_sizes(),
        *key_cases(),
    )


def judge(case: Case, audit: Audit) -> object:
    """Judge a case by the entry point that its procedure names.

    Raises:
        AttestationError: it is refused.
    """
    if case.procedure == "apple-attestation":
        return apple_case.judge_attestation(case, audit)
    if case.procedure == "apple-assertion":
        return apple_case.judge_assertion(case, audit)
    if case.procedure == "apple-receipt":
        return apple_case.judge_receipt(case, audit)
    if case.procedure == "android":
        return android_case.judge(case, audit)
    if case.procedure == "play":
        return play_cases.judge(case, audit)
    return webauthn_case.judge(case, audit)


def _object_case(number: str, title: str, encoded: bytes, refusal: Refusal) -> Case:
    """Return a case of an attestation object that is encoded in another way."""
    return attestation_case(
        number,
        title,
        encoded,
        refusal.reason,
        refusal.check,
        control="E0a",
        has_reading=refusal.has_reading,
    )


def _map_case(number: str, title: str, extensions: bytes, refusal: Refusal) -> Case:
    """Return a case of an extension map that is encoded in another way, and covered by Apple."""
    return attestation_case(
        number,
        title,
        replace(base_attestation(), extensions=extensions),
        refusal.reason,
        refusal.check,
        control="E0a",
        has_reading=refusal.has_reading,
    )


def _provisioning_case(number: str, title: str, encoded: bytes, refusal: Refusal) -> Case:
    """Return a case of a ProvisioningInfo that is encoded in another way, validly signed."""
    lowest, *above = android.rkp_issuers()
    oid = x509.ObjectIdentifier(PROVISIONING_INFO_OID)
    extension = (x509.UnrecognizedExtension(oid, encoded), False)
    issuers = (replace(lowest, extensions=(extension,)), *above)
    return android_case.refused(number, title, attested(issuers=issuers), refusal, control="E0b")


def _object() -> Mapping[str, Encodable]:
    return base_attestation().members


def _members() -> tuple[Case, ...]:
    whole = _object()
    version = "apple_bundle_version_01"
    return (
        _object_case(
            "E1a", "a key twice", encode_pairs([*whole.items(), ("fmt", whole["fmt"])]), _DUPLICATE
        ),
        _map_case("E1b", "a key twice in the map", encode_pairs([(version, "1")] * 2), _DUPLICATE),
        _provisioning_case(
            "E1c",
            "a key twice in ProvisioningInfo",
            encode_pairs([(1, 2), (4, "TEE"), (1, 2)]),
            _DUPLICATE,
        ),
        _object_case("E2a", "a map of indefinite length", encode_indefinite(whole), _LENGTH),
        _object_case(
            "E2b",
            "a string of indefinite length",
            encode({**whole, "authData": Encoded(encode_indefinite(_octets(whole)))}),
            _LENGTH,
        ),
        _provisioning_case(
            "E2c",
            "a text of indefinite length in ProvisioningInfo",
            encode({1: 2, 4: Encoded(encode_indefinite("TEE"))}),
            _LENGTH,
        ),
    )


def _octets(whole: Mapping[str, Encodable]) -> bytes:
    data = whole["authData"]
    return data if isinstance(data, bytes) else b""


def _numbers() -> tuple[Case, ...]:
    whole = _object()
    fmt = Encoded(encode_head(_TEXT, 3, octets=1) + b"fmt")
    others = [(key, value) for key, value in whole.items() if key != "fmt"]
    return (
        _object_case(
            "E3a",
            "a length in two octets where one does",
            encode_pairs([(fmt, whole["fmt"]), *others]),
            _LONGER,
        ),
        _provisioning_case(
            "E3b",
            "a number in two octets where one does",
            encode({1: Encoded(encode_head(0, 2, octets=1)), 4: "TEE"}),
            _LONGER,
        ),
        _provisioning_case(
            "E3c",
            "a number in nine octets where one does",
            encode({1: Encoded(encode_head(0, 2, octets=8)), 4: "TEE"}),
            _LONGER,
        ),
    )


def _kinds() -> tuple[Case, ...]:
    whole = _object()
    tagged = Encoded(encode_tagged(_SELF_DESCRIBED, whole["fmt"]))
    return (
        _object_case("E4a", "a tag", encode_tagged(_SELF_DESCRIBED, whole), _TAGGED),
        _object_case("E4b", "a tag inside", encode({**whole, "fmt": tagged}), _TAGGED),
        _provisioning_case(
            "E4c", "a float", encode({1: Encoded(encode_float(2.0)), 4: "TEE"}), _KIND
        ),
        _map_case(
            "E4d",
            "null",
            encode({"apple_bundle_version_01": Encoded(encode_simple(_NULL))}),
            _KIND,
        ),
        _map_case(
            "E4e",
            "a text that is no UTF-8",
            encode({"apple_bundle_version_01": Encoded(encode_head(_TEXT, 1) + b"\xff")}),
            _KIND,
        ),
        _map_case(
            "E4f",
            "a key that is a list",
            encode_pairs([([1], 1)]),
            Refusal(_MALFORMED, "cbor/5-keys", has_reading=False),
        ),
    )


def _sizes() -> tuple[Case, ...]:
    whole = _object()
    deep = Encoded(array_head(1) * _DEEP + encode(0))
    return (
        _object_case("E5a", "1000 lists", encode({**whole, "more": deep}), _DEPTH),
        _provisioning_case(
            "E5b", "1000 lists in ProvisioningInfo", encode({1: 2, 4: "TEE", 9: deep}), _DEPTH
        ),
        _object_case(
            "E6a",
            "a string longer than the input",
            encode({**whole, "authData": Encoded(encode_head(_BYTES, _FOUR_GIB))}),
            _LENGTH,
        ),
        _object_case(
            "E6b",
            "a list longer than the input",
            encode({**whole, "more": Encoded(encode_head(_ARRAY, _FOUR_GIB))}),
            _LENGTH,
        ),
        _object_case(
            "E6c",
            "more octets than are read",
            encode({**whole, "more": bytes(65_536)}),
            Refusal(_MALFORMED, "cbor/1-size", has_reading=False),
        ),
        _object_case("E6d", "cut off by one octet", encode(whole)[:-1], _LENGTH),
    )
