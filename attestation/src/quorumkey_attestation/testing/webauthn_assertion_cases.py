"""Assertions that are not what they have to be."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.cbor_encoding import encode
from quorumkey_attestation.testing.webauthn import (
    BACKED_UP,
    BACKUP_ELIGIBLE,
    DEFAULT_FLAGS,
    ORIGIN,
    Parts,
    assertion_signature,
)
from quorumkey_attestation.testing.webauthn_case import GET, STORED_COUNT, Refusal, asserted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.testing.case import Case

__all__ = ["cases"]

_STEP: Final = "webauthn.assertion"
_ATTESTED: Final = 0x40
_EXTENDED: Final = 0x80
_PRESENT: Final = 0x01
_VERIFIED: Final = 0x04
_EXTENSIONS: Final = encode({"uvm": 2})
_LARGER: Final = pki.private_key("webauthn larger credential", ec.SECP384R1())


def _refused(  # noqa: PLR0913  # what a case consists of
    number: str,
    title: str,
    parts: Parts,
    reason: Reason,
    check: str,
    *,
    control: str = "W0r",
    has_reading: bool = True,
    data: bytes | None = None,
    signature: bytes | None = None,
    expect: Mapping[str, object] | None = None,
) -> Case:
    return asserted(
        number,
        title,
        parts,
        Refusal(reason, f"{_STEP}/{check}", control, has_reading),
        data=data,
        signature=signature,
        expect=expect,
    )


def _controls() -> list[Case]:
    synced = replace(GET, flags=DEFAULT_FLAGS | BACKUP_ELIGIBLE | BACKED_UP)
    return [
        asserted("W0r", "an assertion", GET),
        asserted(
            "W0s",
            "one of an authenticator that does not count",
            replace(GET, sign_count=0),
            expect={"last_sign_count": 0},
        ),
        asserted("W0t", "one with extensions", replace(GET, extensions=_EXTENSIONS)),
        asserted(
            "W0u",
            "one of a passkey that was copied since",
            synced,
            expect={"backup_eligible": True},
        ),
        asserted(
            "W0v",
            "one with a key on P-384, where policy allows it",
            replace(GET, key=_LARGER),
            settings={"algorithms": [-35]},
        ),
        asserted(
            "W0x",
            "one of a passkey that may not be copied, as before",
            GET,
            expect={"backup_eligible": False},
        ),
    ]


def _client_data_cases() -> list[Case]:
    other = hashlib.sha256(b"another challenge").digest()
    twice = GET.client_data_json[:-1] + f',"origin":"{ORIGIN}"}}'.encode()
    return [
        _refused(
            "W5h",
            "another origin",
            replace(GET, origin="https://approve.example.net"),
            Reason.ORIGIN,
            "4-origin",
        ),
        _refused(
            "W5i",
            "another relying party",
            replace(GET, rp_id="example.com"),
            Reason.ORIGIN,
            "7-rp-id",
        ),
        _refused(
            "W5j",
            "a page inside another one",
            replace(GET, members={"crossOrigin": True}),
            Reason.ORIGIN,
            "5-cross-origin",
        ),
        _refused(
            "W11d",
            "another challenge",
            replace(GET, challenge=other),
            Reason.CHALLENGE,
            "3-challenge",
        ),
        _refused(
            "W12b",
            "client data of a registration",
            replace(GET, kind="webauthn.create"),
            Reason.MALFORMED,
            "2-type",
        ),
        _refused(
            "W13d",
            "the origin twice",
            replace(GET, client_data=twice),
            Reason.MALFORMED,
            "1-duplicate",
        ),
        _refused(
            "W13e",
            "client data that is an array",
            replace(GET, client_data=b"[]"),
            Reason.MALFORMED,
            "1-json",
            has_reading=False,
        ),
        _refused(
            "W13f",
            "client data of 16 KiB",
            replace(GET, members={"extraData": "x" * 16_384}),
            Reason.MALFORMED,
            "1-size",
            has_reading=False,
        ),
        _refused(
            "W14c",
            "a Token Binding that the connection does not have",
            replace(GET, members={"tokenBinding": {"status": "present", "id": "AAAA"}}),
            Reason.ORIGIN,
            "5-token-binding",
        ),
    ]


def _data_cases() -> list[Case]:
    extended = replace(GET, extensions=_EXTENSIONS)
    return [
        _refused(
            "W4b",
            "nobody was verified",
            replace(GET, flags=_PRESENT),
            Reason.USER_AUTH,
            "9-user-verified",
        ),
        _refused(
            "W15b",
            "nobody was present",
            replace(GET, flags=_VERIFIED),
            Reason.USER_AUTH,
            "8-user-present",
        ),
        _refused(
            "W9b",
            "BS without BE",
            replace(GET, flags=DEFAULT_FLAGS | BACKED_UP),
            Reason.MALFORMED,
            "10-backup-state",
        ),
        _refused(
            "W16l",
            "flag AT without a credential",
            replace(GET, flipped=_ATTESTED),
            Reason.MALFORMED,
            "6-attested",
        ),
        _refused(
            "W16m",
            "extensions without flag ED",
            replace(extended, flipped=_EXTENDED),
            Reason.MALFORMED,
            "6-extensions",
            control="W0t",
        ),
        _refused(
            "W16n",
            "flag ED without extensions",
            replace(GET, flipped=_EXTENDED),
            Reason.MALFORMED,
            "6-extensions",
        ),
        _refused(
            "W16o",
            "a byte after the extensions",
            replace(GET, extensions=_EXTENSIONS + b"\x00"),
            Reason.MALFORMED,
            "6-trailing",
            control="W0t",
        ),
        _refused(
            "W16p",
            "authenticator data of 36 bytes",
            GET,
            Reason.MALFORMED,
            "6-length",
            data=GET.assertion_data[:36],
            has_reading=False,
        ),
        _refused(
            "W27a",
            "a passkey that may be copied and could not be before",
            replace(GET, flags=DEFAULT_FLAGS | BACKUP_ELIGIBLE),
            Reason.MALFORMED,
            "11-backup-eligible",
            control="W0x",
            expect={"backup_eligible": False},
        ),
        _refused(
            "W27b",
            "a passkey that could be copied before and may not be",
            GET,
            Reason.MALFORMED,
            "11-backup-eligible",
            control="W0x",
            expect={"backup_eligible": True},
        ),
    ]


def _signature_cases() -> list[Case]:
    raw = b"".join(part.to_bytes(32) for part in decode_dss_signature(assertion_signature(GET)))
    counts = {"a": ("the counter did not move", 5), "b": ("the counter went back", 6)}
    return [
        *(
            _refused(
                f"W6{letter}",
                title,
                GET,
                Reason.COUNTER,
                "13-counter",
                expect={"last_sign_count": stored},
            )
            for letter, (title, stored) in counts.items()
        ),
        _refused(
            "W6c",
            "the counter became 0",
            replace(GET, sign_count=0),
            Reason.COUNTER,
            "13-counter",
            expect={"last_sign_count": STORED_COUNT},
        ),
        _refused(
            "W17g",
            "a stored key on P-384",
            replace(GET, key=_LARGER),
            Reason.ALGORITHM,
            "12-algorithm",
            control="W0v",
        ),
        _refused(
            "W26a",
            "another counter than was signed",
            GET,
            Reason.SIGNATURE,
            "12-signature",
            data=replace(GET, sign_count=6).assertion_data,
        ),
        _refused(
            "W26b",
            "a signature of 64 bytes, without DER",
            GET,
            Reason.SIGNATURE,
            "12-signature",
            signature=raw,
        ),
        _refused(
            "W26c",
            "a signature of another credential",
            GET,
            Reason.SIGNATURE,
            "12-signature",
            signature=assertion_signature(
                replace(GET, key=pki.private_key("webauthn other credential"))
            ),
        ),
    ]


def cases() -> tuple[Case, ...]:
    """Return the cases, controls first."""
    return (*_controls(), *_client_data_cases(), *_data_cases(), *_signature_cases())
