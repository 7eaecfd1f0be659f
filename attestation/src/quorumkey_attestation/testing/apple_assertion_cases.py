"""The cases S0 to S15: App Attest assertions, good ones first."""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.apple import Assertion, extension_map
from quorumkey_attestation.testing.apple_case import (
    CHALLENGE,
    STRICT,
    assertion_case,
    base64_text,
    base_assertion,
    base_attestation,
)
from quorumkey_attestation.testing.apple_case import judge_assertion as judge
from quorumkey_attestation.testing.cbor_encoding import encode

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case
    from quorumkey_attestation.testing.cbor_encoding import Encodable

__all__ = ["cases", "judge"]

_OTHER_APP: Final = "QK12345678.com.example.other"
_CATEGORY: Final = "apple_validation_category_01"
_VERSION: Final = "apple_bundle_version_01"
_SIGNATURE: Final = Reason.SIGNATURE, "apple.assertion/3-signature"
_COUNTER: Final = Reason.COUNTER, "apple.assertion/5-counter"


@cache
def cases() -> tuple[Case, ...]:
    """Return every case of App Attest assertions, the controls first."""
    return (*_controls(), *_signature_cases(), *_data_cases(), *_extension_cases())


def _controls() -> list[Case]:
    base = base_assertion()
    extended = replace(base, extensions=extension_map())
    url_safe = base64.urlsafe_b64encode(CHALLENGE).rstrip(b"=")
    return [
        assertion_case("S0a", "the fifth, of 37 bytes", base),
        assertion_case(
            "S0b",
            "the first after the attestation",
            replace(base, counter=1),
            expect={"last_counter": 0},
        ),
        assertion_case("S0c", "with the extension map of iOS 27", extended),
        assertion_case("S0d", "with that map and the flag ED", replace(extended, flags=0xC0)),
        assertion_case("S0e", "under a strict policy", extended, settings=STRICT),
        assertion_case(
            "S0f",
            "over the challenge itself",
            replace(base, client_data=CHALLENGE + b"a device's public key"),
        ),
        assertion_case(
            "S0g", "over the challenge in base64url", replace(base, client_data=url_safe)
        ),
        assertion_case(
            "S0h",
            "in development",
            base,
            expect={"environment": "development"},
            settings={"environment": "development"},
        ),
        assertion_case(
            "S0i",
            "the fifth, of which the server saw none before",
            base,
            expect={"last_counter": 0},
        ),
    ]


def _signature_cases() -> list[Case]:
    base = base_assertion()
    nonce = base.nonce(base.authenticator_data)
    key = pki.private_key(base.label)
    once = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
    r, s = decode_dss_signature(pki.sign(key, nonce))
    stranger = replace(base, label="another key")
    with_key: dict[str, Encodable] = {
        "signature": pki.sign(pki.private_key("another key"), nonce),
        "authenticatorData": base.authenticator_data,
        "publicKey": replace(base_attestation(), label="another key").point,
    }
    new = replace(base_attestation(), label="key after a new installation")
    altered = base.client_data[:-1] + b"]"
    return [
        assertion_case(
            "S1",
            "the nonce signed without hashing it again",
            base.encode(signature=key.sign(nonce, once)),
            *_SIGNATURE,
        ),
        assertion_case(
            "S2",
            "a signature of 64 bytes, r and s one after the other",
            base.encode(signature=r.to_bytes(32) + s.to_bytes(32)),
            *_SIGNATURE,
        ),
        assertion_case(
            "S4",
            "of an earlier installation, whose counter was higher",
            base,
            *_SIGNATURE,
            control="S0i",
            expect={
                "key_id": base64_text(new.key_id),
                "public_key": new.point.hex(),
                "last_counter": 0,
            },
        ),
        assertion_case("S6a", "signed by another key", stranger, *_SIGNATURE),
        assertion_case(
            "S6b", "signed by another key, which is sent along", encode(with_key), *_SIGNATURE
        ),
        assertion_case(
            "S7a",
            "client data of which one byte was changed",
            base,
            *_SIGNATURE,
            expect={"client_data": altered.hex()},
        ),
    ]


def _data_cases() -> list[Case]:
    base = base_assertion()
    data = base.authenticator_data
    elsewhere = '{"challenge":"' + base64_text(bytes(32)) + '"}'
    absent = Reason.CHALLENGE, "apple.assertion/6-challenge"
    return [
        assertion_case("S3a", "the counter as before", replace(base, counter=4), *_COUNTER),
        assertion_case("S3b", "a lower counter", replace(base, counter=3), *_COUNTER),
        assertion_case(
            "S3c",
            "counter 0 after the attestation",
            replace(base, counter=0),
            *_COUNTER,
            control="S0b",
            expect={"last_counter": 0},
        ),
        assertion_case(
            "S5",
            "made by another app",
            replace(base, app_id=_OTHER_APP),
            Reason.APP_ID,
            "apple.assertion/4-app-id",
        ),
        assertion_case(
            "S7b", "client data without a challenge", replace(base, client_data=b"{}"), *absent
        ),
        assertion_case(
            "S7c",
            "client data with another challenge",
            replace(base, client_data=elsewhere.encode()),
            *absent,
        ),
        assertion_case(
            "S8a",
            "authenticator data of 36 bytes",
            base.encode(authenticator_data=data[:-1]),
            Reason.MALFORMED,
            "apple.authdata/1-length",
            has_reading=False,
        ),
        assertion_case(
            "S8b",
            "authenticator data of 38 bytes that end in no map",
            replace(base, extensions=b"\0"),
            Reason.MALFORMED,
            "apple.authdata/4-map",
        ),
        assertion_case(
            "S9",
            "by a development key, in production",
            base,
            Reason.ENVIRONMENT,
            "apple.assertion/4-environment",
            expect={"environment": "development"},
        ),
        assertion_case(
            "S10",
            "presented twice at the same moment",
            base,
            Reason.COUNTER,
            "counters/1-claim",
            expect={"presentations": 2},
        ),
        assertion_case(
            "S11",
            "by a key of an app that policy does not name",
            base,
            Reason.APP_ID,
            "apple.assertion/4-key-app-id",
            settings={"app_ids": [_OTHER_APP]},
        ),
        assertion_case(
            "S12a",
            "something after the extension map",
            replace(base, extensions=extension_map() + b"\0"),
            Reason.MALFORMED,
            "apple.authdata/4-trailing",
            control="S0c",
        ),
        assertion_case(
            "S12b",
            "something after the assertion",
            base.object + b"\0",
            Reason.MALFORMED,
            "cbor/6-trailing",
        ),
        assertion_case(
            "S13",
            "no authenticator data",
            encode({"signature": b""}),
            Reason.MALFORMED,
            "apple.assertion/1-object",
            has_reading=False,
        ),
    ]


def _extension_cases() -> list[Case]:
    base = base_assertion()

    def extended(category: bytes | int, version: str | bytes = "1") -> Assertion:
        return replace(base, extensions=encode({_VERSION: version, _CATEGORY: category}))

    return [
        assertion_case(
            "S14a",
            "category 0, invalid",
            replace(base, extensions=extension_map(0)),
            Reason.VERDICT,
            "apple.assertion/7-category",
            control="S0c",
        ),
        assertion_case(
            "S14b",
            "category 3 where 2 and 4 are accepted",
            replace(base, extensions=extension_map(3)),
            Reason.VERDICT,
            "apple.assertion/7-category",
            control="S0e",
            settings=STRICT,
        ),
        assertion_case(
            "S14c",
            "a category of 3 bytes",
            extended(b"\4\0\0"),
            Reason.MALFORMED,
            "apple.assertion/7-form",
            control="S0c",
        ),
        assertion_case(
            "S14d",
            "no extension map where one is required",
            base,
            Reason.VERDICT,
            "apple.assertion/7-present",
            control="S0e",
            settings=STRICT,
        ),
        assertion_case(
            "S15a",
            "version 0.9 where 1 is the lowest",
            replace(base, extensions=extension_map(version="0.9")),
            Reason.VERDICT,
            "apple.assertion/8-version",
            control="S0e",
            settings=STRICT,
        ),
        assertion_case(
            "S15b",
            "a version that is a string of bytes",
            extended(b"\4\0\0\0", b"1"),
            Reason.MALFORMED,
            "apple.assertion/8-form",
            control="S0c",
        ),
    ]
