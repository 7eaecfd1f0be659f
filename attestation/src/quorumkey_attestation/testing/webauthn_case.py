"""What all WebAuthn cases share: how one is put together, and how it is judged."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.expectations import (
    expect_webauthn_assertion,
    expect_webauthn_registration,
)
from quorumkey_attestation.policy_file import files_of_case, revocation_list, webauthn_policy
from quorumkey_attestation.testing import android, pki, webauthn
from quorumkey_attestation.testing.case import Case
from quorumkey_attestation.testing.webauthn import Parts, Statement
from quorumkey_attestation.testing.webauthn_certificates import webauthn_root
from quorumkey_attestation.webauthn.assertion import examine_webauthn_assertion
from quorumkey_attestation.webauthn.registration import examine_webauthn_registration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.errors import Reason

__all__ = [
    "GET",
    "STORED_COUNT",
    "Refusal",
    "asserted",
    "judge",
    "registered",
]

#: The parts of the assertion that the first control is.
GET: Final = Parts(kind="webauthn.get", sign_count=5)

#: The counter that the server stored before it.
STORED_COUNT: Final = 4

_OBJECT: Final = "attestation_object.cbor"
_CLIENT_DATA: Final = "client_data.json"
_DATA: Final = "authenticator_data.bin"
_SIGNATURE: Final = "signature.der"
_ROOTS: Final = "roots.pem"
_ANDROID_ROOTS: Final = "android_roots.pem"
_STATUS: Final = "status.json"

_SETTINGS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "rp_id": webauthn.RP_ID,
        "origins": [webauthn.ORIGIN],
        "roots": [_ROOTS],
        "apple_roots": [_ROOTS],
        "android_roots": [_ANDROID_ROOTS],
        "allow_test_roots": True,
    }
)


class Refusal(NamedTuple):
    """What has to come out of a case that is no control.

    Attributes:
        reason: why it is refused.
        check: the check that refuses it.
        control: the id of the accepted case that it differs from in one property.
        has_reading: whether it can be read at all without that check.
    """

    reason: Reason
    check: str
    control: str
    has_reading: bool = True


def registered(  # noqa: PLR0913  # what a case consists of
    number: str,
    title: str,
    parts: Parts,
    made: Statement | bytes,
    refusal: Refusal | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    status: bytes | None = None,
    at: datetime = pki.NOW,
) -> Case:
    """Return the case of one registration.

    Args:
        number: its id.
        title: what it is, or what is different, in a few words.
        parts: the ceremony.
        made: the statement over it, or the whole attestation object.
        refusal: how it is refused; None where it has to be accepted.
        settings: policy settings that differ; None removes one.
        status: Google's revocation list; by default one that lists nothing.
        at: the moment of judgement.
    """
    encoded = made if isinstance(made, bytes) else webauthn.registration(parts, made)
    policy: dict[str, object] = {
        **_SETTINGS,
        "expect": {"challenge": webauthn.CHALLENGE.hex()},
        "revocation": {"file": _STATUS, "fetched_at": pki.NOW.isoformat()},
        **(settings or {}),
    }
    case = Case(
        id=number,
        title=title,
        procedure="webauthn-registration",
        evidence={
            _OBJECT: encoded,
            _CLIENT_DATA: parts.client_data_json,
            _ROOTS: webauthn_root().certificate.public_bytes(Encoding.PEM),
            _ANDROID_ROOTS: android.google_root().certificate.public_bytes(Encoding.PEM),
            _STATUS: android.status_list() if status is None else status,
        },
        settings={name: value for name, value in policy.items() if value is not None},
        at=at,
    )
    return _refused(case, refusal)


def asserted(  # noqa: PLR0913  # what a case consists of
    number: str,
    title: str,
    parts: Parts,
    refusal: Refusal | None = None,
    *,
    data: bytes | None = None,
    signature: bytes | None = None,
    expect: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Case:
    """Return the case of one assertion, judged against the stored key of ``parts``.

    Args:
        number: its id.
        title: what it is, or what is different, in a few words.
        parts: the ceremony.
        refusal: how it is refused; None where it has to be accepted.
        data: the authenticator data, where it is not that of ``parts``.
        signature: the signature, where it is not the key's over ``parts``.
        expect: what the server knows, where that differs.
        settings: policy settings that differ.
    """
    stored = parts.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    known: dict[str, object] = {
        "challenge": webauthn.CHALLENGE.hex(),
        "public_key": stored.hex(),
        "last_sign_count": STORED_COUNT,
        **(expect or {}),
    }
    case = Case(
        id=number,
        title=title,
        procedure="webauthn-assertion",
        evidence={
            _DATA: parts.assertion_data if data is None else data,
            _CLIENT_DATA: parts.client_data_json,
            _SIGNATURE: webauthn.assertion_signature(parts) if signature is None else signature,
        },
        settings={
            "rp_id": webauthn.RP_ID,
            "origins": [webauthn.ORIGIN],
            **(settings or {}),
            "expect": known,
        },
        at=pki.NOW,
    )
    return _refused(case, refusal)


def _refused(case: Case, refusal: Refusal | None) -> Case:
    if refusal is None:
        return case
    return replace(
        case,
        control=refusal.control,
        reason=refusal.reason,
        check=refusal.check,
        has_reading=refusal.has_reading,
    )


def judge(case: Case, audit: Audit) -> object:
    """Return what the verifier says about a WebAuthn case.

    Raises:
        AttestationError: the evidence is refused.
    """
    files = files_of_case(case.evidence)
    policy = webauthn_policy(case.settings, files, where=case.id)
    if case.procedure == "webauthn-assertion":
        stored = expect_webauthn_assertion(case.settings["expect"], case.id)
        return examine_webauthn_assertion(
            authenticator_data=case.evidence[_DATA],
            client_data_json=case.evidence[_CLIENT_DATA],
            signature=case.evidence[_SIGNATURE],
            challenge=stored.challenge,
            public_key=stored.public_key,
            last_sign_count=stored.last_sign_count,
            policy=policy,
            backup_eligible=stored.backup_eligible,
            audit=audit,
        )
    expected = expect_webauthn_registration(case.settings["expect"], case.id)
    return examine_webauthn_registration(
        case.evidence[_OBJECT],
        client_data_json=case.evidence[_CLIENT_DATA],
        challenge=expected.challenge,
        policy=policy,
        revocation=revocation_list(case.settings, files, where=case.id),
        now=case.at,
        audit=audit,
    )
