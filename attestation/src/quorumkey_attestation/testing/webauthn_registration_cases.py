"""Registrations whose client data, authenticator data or key is not what it has to be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import pki, webauthn
from quorumkey_attestation.testing.cbor_encoding import encode
from quorumkey_attestation.testing.webauthn import (
    BACKED_UP,
    BACKUP_ELIGIBLE,
    DEFAULT_FLAGS,
    ORIGIN,
    Parts,
    Statement,
    base64url,
    none,
    packed,
    packed_self,
)
from quorumkey_attestation.testing.webauthn_case import Refusal, registered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.testing.case import Case

__all__ = ["cases"]

_STEP: Final = "webauthn.registration"
_BASE: Final = Parts()
_SYNCED: Final = replace(_BASE, flags=DEFAULT_FLAGS | BACKUP_ELIGIBLE)
_EXTENSIONS: Final = encode({"credProtect": 2})
_LARGER: Final = pki.private_key("webauthn larger credential", ec.SECP384R1())
_ATTESTED: Final = 0x40
_EXTENDED: Final = 0x80
_PRESENT: Final = 0x01
_VERIFIED: Final = 0x04


def _refused(  # noqa: PLR0913  # what a case consists of
    number: str,
    title: str,
    parts: Parts,
    reason: Reason,
    check: str,
    *,
    made: Statement | None = None,
    control: str = "W0a",
    has_reading: bool = True,
    settings: Mapping[str, object] | None = None,
) -> Case:
    refusal = Refusal(reason, f"{_STEP}/{check}", control, has_reading)
    return registered(number, title, parts, made or none(parts), refusal, settings=settings)


def _controls() -> list[Case]:
    larger = replace(_BASE, key=_LARGER)
    extended = replace(_BASE, extensions=_EXTENSIONS)
    return [
        registered("W0a", "a passkey without a statement", _BASE, none(_BASE)),
        registered("W0b", "one that may be copied, and was", _copied(), none(_copied())),
        registered("W0c", "one with extensions", extended, none(extended)),
        registered(
            "W0d",
            "one on P-384, where policy allows it",
            larger,
            none(larger),
            settings={"algorithms": [-7, -35]},
        ),
        registered(
            "W0e",
            "one that verified nobody, where policy does not ask for it",
            replace(_BASE, flags=_PRESENT),
            none(replace(_BASE, flags=_PRESENT)),
            settings={"require_user_verification": False},
        ),
        registered(
            "W0f",
            "one of a maker who is trusted, where hardware is required",
            _BASE,
            packed(_BASE),
            settings={"hardware": "required"},
        ),
        *_token_bindings(),
        registered(
            "W0w",
            "one that may not be copied, where policy refuses those that may",
            _BASE,
            none(_BASE),
            settings={"allow_backup_eligible": False},
        ),
    ]


def _copied() -> Parts:
    return replace(_SYNCED, flags=_SYNCED.flags | BACKED_UP)


def _token_bindings() -> list[Case]:
    found: list[Case] = []
    bindings = (("g", "offered", {"status": "supported"}), ("h", "written as text", "unused"))
    for letter, title, binding in bindings:
        parts = replace(_BASE, members={"tokenBinding": binding})
        found.append(registered(f"W0{letter}", f"with Token Binding {title}", parts, none(parts)))
    return found


def _client_data_cases() -> list[Case]:
    other = pki.private_key("another challenge").private_numbers().private_value.to_bytes(32)
    twice = _BASE.client_data_json[:-1] + f',"origin":"{ORIGIN}"}}'.encode()
    long = replace(_BASE, members={"extraData": "x" * 16_384})
    return [
        _refused(
            "W11a",
            "another challenge",
            replace(_BASE, challenge=other),
            Reason.CHALLENGE,
            "3-challenge",
        ),
        _refused(
            "W11b",
            "the challenge with padding",
            replace(_BASE, members={"challenge": base64url(webauthn.CHALLENGE) + "="}),
            Reason.CHALLENGE,
            "3-challenge",
        ),
        _refused(
            "W11c",
            "no challenge",
            replace(_BASE, members={"challenge": None}),
            Reason.CHALLENGE,
            "3-challenge",
        ),
        _refused(
            "W12a",
            "client data of an assertion",
            replace(_BASE, kind="webauthn.get"),
            Reason.MALFORMED,
            "2-type",
        ),
        _refused(
            "W13a",
            "the origin twice",
            replace(_BASE, client_data=twice),
            Reason.MALFORMED,
            "1-duplicate",
        ),
        _refused(
            "W13b",
            "client data that is no JSON",
            replace(_BASE, client_data=b"{'type': 'webauthn.create'}"),
            Reason.MALFORMED,
            "1-json",
            has_reading=False,
        ),
        _refused(
            "W13c", "client data of 16 KiB", long, Reason.MALFORMED, "1-size", has_reading=False
        ),
        _refused(
            "W14a",
            "a Token Binding that the connection does not have",
            replace(_BASE, members={"tokenBinding": {"status": "present", "id": "AAAA"}}),
            Reason.ORIGIN,
            "5-token-binding",
            control="W0g",
        ),
        _refused(
            "W14b",
            "a Token Binding that was refused",
            replace(_BASE, members={"tokenBinding": {"status": "not-supported"}}),
            Reason.ORIGIN,
            "5-token-binding",
            control="W0g",
        ),
    ]


def _place_cases() -> list[Case]:
    origins = {
        "a": ("another origin", "https://approve.example.net"),
        "b": ("another port", f"{ORIGIN}:8443"),
        "c": ("an origin that only begins alike", f"{ORIGIN}.example.net"),
    }
    return [
        *(
            _refused(f"W5{letter}", title, replace(_BASE, origin=origin), Reason.ORIGIN, "4-origin")
            for letter, (title, origin) in origins.items()
        ),
        _refused(
            "W5d",
            "another relying party",
            replace(_BASE, rp_id="example.com"),
            Reason.ORIGIN,
            "7-rp-id",
        ),
        _refused(
            "W5e",
            "a page inside another one",
            replace(_BASE, members={"crossOrigin": True}),
            Reason.ORIGIN,
            "5-cross-origin",
        ),
        _refused(
            "W5f",
            "a page inside another one that is named",
            replace(_BASE, members={"topOrigin": "https://example.net"}),
            Reason.ORIGIN,
            "5-cross-origin",
        ),
        _refused(
            "W5g",
            "crossOrigin as a text",
            replace(_BASE, members={"crossOrigin": "false"}),
            Reason.ORIGIN,
            "5-cross-origin",
        ),
    ]


def _flag_cases() -> list[Case]:
    backed_up = replace(_BASE, flags=DEFAULT_FLAGS | BACKED_UP)
    extended = replace(_BASE, extensions=_EXTENSIONS)
    return [
        _refused(
            "W4a",
            "nobody was verified",
            replace(_BASE, flags=_PRESENT),
            Reason.USER_AUTH,
            "9-user-verified",
        ),
        _refused(
            "W15a",
            "nobody was present",
            replace(_BASE, flags=_VERIFIED),
            Reason.USER_AUTH,
            "8-user-present",
        ),
        _refused(
            "W9a", "BS without BE", backed_up, Reason.MALFORMED, "10-backup-state", control="W0b"
        ),
        _refused(
            "W19a",
            "a passkey that may be copied, where policy refuses these",
            _SYNCED,
            Reason.LEVEL,
            "11-backup-eligible",
            control="W0w",
            settings={"allow_backup_eligible": False},
        ),
        _refused(
            "W16a",
            "a credential without flag AT",
            replace(_BASE, flipped=_ATTESTED),
            Reason.MALFORMED,
            "6-attested",
        ),
        _refused(
            "W16b",
            "extensions without flag ED",
            replace(extended, flipped=_EXTENDED),
            Reason.MALFORMED,
            "6-extensions",
            control="W0c",
        ),
        _refused(
            "W16c",
            "flag ED without extensions",
            replace(_BASE, flipped=_EXTENDED),
            Reason.MALFORMED,
            "6-extensions",
        ),
        _refused(
            "W16d",
            "a byte after the extensions",
            replace(_BASE, extensions=_EXTENSIONS + b"\x00"),
            Reason.MALFORMED,
            "6-trailing",
            control="W0c",
        ),
        _refused(
            "W16e",
            "an array of extensions",
            replace(_BASE, extensions=encode(["credProtect", 2])),
            Reason.MALFORMED,
            "6-trailing",
            control="W0c",
        ),
    ]


def _hardware_cases() -> list[Case]:
    required: Mapping[str, object] = {"hardware": "required"}
    synced = replace(_BASE, flags=DEFAULT_FLAGS | BACKUP_ELIGIBLE)
    made: dict[str, tuple[str, Parts, Statement, Mapping[str, object]]] = {
        "a": ("no statement", _BASE, none(_BASE), required),
        "b": ("the credential's own statement", _BASE, packed_self(_BASE), required),
        "c": ("a passkey that may be copied", synced, packed(synced), required),
        "d": ("a maker that nobody trusts", _BASE, packed(_BASE), {**required, "roots": None}),
    }
    return [
        *(
            _refused(
                f"W8{letter}",
                f"{title}, where hardware is required",
                parts,
                Reason.LEVEL,
                "15-hardware",
                made=statement,
                control="W0f",
                settings=settings,
            )
            for letter, (title, parts, statement, settings) in made.items()
        ),
        _refused(
            "W18a",
            "a format that policy does not allow",
            _BASE,
            Reason.UNSUPPORTED,
            "13-format-allowed",
            settings={"formats": ["packed"]},
        ),
        _refused(
            "W18b",
            "a format that is not judged",
            _BASE,
            Reason.UNSUPPORTED,
            "13-format",
            made=Statement("android-safetynet", {}),
            has_reading=False,
        ),
    ]


def cases() -> tuple[Case, ...]:
    """Return the cases, controls first."""
    return (
        *_controls(),
        *_place_cases(),
        *_flag_cases(),
        *_client_data_cases(),
        *_hardware_cases(),
    )
