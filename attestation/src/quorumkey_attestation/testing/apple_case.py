"""Makes the Apple cases out of attestations, assertions and receipts, and judges them."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from quorumkey_attestation.apple.assertion import examine_app_assertion
from quorumkey_attestation.apple.attestation import AppAttestKey, examine_app_attestation
from quorumkey_attestation.apple.receipt import examine_app_receipt
from quorumkey_attestation.counters import claim_counter, require_unbound
from quorumkey_attestation.expectations import (
    expect_apple_assertion,
    expect_apple_attestation,
    expect_apple_receipt,
)
from quorumkey_attestation.policy_file import app_attest_policy, files_of_case
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.apple import APP_ID, Assertion, Attestation
from quorumkey_attestation.testing.apple_certificates import app_attest_root
from quorumkey_attestation.testing.apple_receipt import receipt_root
from quorumkey_attestation.testing.case import Case

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.errors import Reason

__all__ = [
    "CHALLENGE",
    "STRICT",
    "assertion_case",
    "attestation_case",
    "base64_text",
    "base_assertion",
    "base_attestation",
    "judge_assertion",
    "judge_attestation",
    "judge_receipt",
    "receipt_case",
]

CHALLENGE: Final = hashlib.sha256(b"quorumkey test challenge").digest()
"""What the server issued, in every case."""

STRICT: Final[Mapping[str, object]] = {
    "categories": [2, 4],
    "missing_extensions": "reject",
    "min_bundle_version": "1",
}
"""A policy that asks for the extension map of iOS 27, and for something in it."""

_OBJECT: Final = "object.cbor"
_ASSERTION: Final = "assertion.cbor"
_RECEIPT: Final = "receipt.der"
_ROOTS: Final = "roots.pem"
_RECEIPT_ROOTS: Final = "receipt_roots.pem"


def base64_text(data: bytes) -> str:
    """Return ``data`` in base64, as App Attest writes key ids."""
    return base64.b64encode(data).decode()


def base_attestation() -> Attestation:
    """Return the attestation that the first control is."""
    return Attestation(client_data_hash=hashlib.sha256(CHALLENGE).digest())


def base_assertion() -> Assertion:
    """Return the assertion that the first control is: the key's fifth."""
    return Assertion(client_data=f'{{"challenge":"{base64_text(CHALLENGE)}"}}'.encode(), counter=5)


def attestation_case(  # noqa: PLR0913  # as Case
    number: str,
    title: str,
    made: Attestation | bytes,
    reason: Reason | None = None,
    check: str | None = None,
    *,
    control: str = "A0a",
    expect: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
    at: datetime = pki.NOW,
    has_reading: bool = True,
) -> Case:
    """Return the case of one attestation.

    Args:
        number: its id.
        title: what is different.
        made: the attestation, or the encoded object of the control's key.
        reason: why it is refused; None makes it a control.
        check: what refuses it.
        control: what it was made from.
        expect: what the server knows, where that differs from the control; None leaves one out.
        settings: policy settings that differ.
        at: the moment of judgement.
        has_reading: as :class:`Case`.
    """
    attestation = made if isinstance(made, Attestation) else base_attestation()
    encoded = made.object if isinstance(made, Attestation) else made
    known = {"key_id": base64_text(attestation.key_id), "challenge": CHALLENGE.hex()}
    return Case(
        id=number,
        title=title,
        procedure="apple-attestation",
        control=None if reason is None else control,
        reason=reason,
        check=check,
        has_reading=has_reading,
        evidence={_OBJECT: encoded, **_root_files()},
        settings=_settings({**known, **(expect or {})}, settings),
        at=at,
    )


def assertion_case(  # noqa: PLR0913  # as Case
    number: str,
    title: str,
    made: Assertion | bytes,
    reason: Reason | None = None,
    check: str | None = None,
    *,
    control: str = "S0a",
    expect: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
    has_reading: bool = True,
) -> Case:
    """Return the case of one assertion, judged against the stored key of the control.

    Args:
        number: its id.
        title: what is different.
        made: the assertion, or an encoded one over the control's client data.
        reason: why it is refused; None makes it a control.
        check: what refuses it.
        control: what it was made from.
        expect: what the server knows, where that differs from the control; None leaves one out.
        settings: policy settings that differ.
        has_reading: as :class:`Case`.
    """
    assertion = made if isinstance(made, Assertion) else base_assertion()
    known = {
        **_stored_key(),
        "client_data": assertion.client_data.hex(),
        "challenge": CHALLENGE.hex(),
        "last_counter": 4,
    }
    return Case(
        id=number,
        title=title,
        procedure="apple-assertion",
        control=None if reason is None else control,
        reason=reason,
        check=check,
        has_reading=has_reading,
        evidence={
            _ASSERTION: made.object if isinstance(made, Assertion) else made,
            **_root_files(),
        },
        settings=_settings({**known, **(expect or {})}, settings),
        at=pki.NOW,
    )


def receipt_case(  # noqa: PLR0913  # as Case
    number: str,
    title: str,
    encoded: bytes,
    reason: Reason | None = None,
    check: str | None = None,
    *,
    control: str = "R0a",
    expect: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
    at: datetime = pki.NOW,
    has_reading: bool = True,
) -> Case:
    """Return the case of one receipt, judged against the stored key of the control.

    Args:
        number: its id.
        title: what is different.
        encoded: the receipt.
        reason: why it is refused; None makes it a control.
        check: what refuses it.
        control: what it was made from.
        expect: what the server knows, where that differs from the control; None leaves one out.
        settings: policy settings that differ.
        at: the moment of judgement.
        has_reading: as :class:`Case`.
    """
    return Case(
        id=number,
        title=title,
        procedure="apple-receipt",
        control=None if reason is None else control,
        reason=reason,
        check=check,
        has_reading=has_reading,
        evidence={_RECEIPT: encoded, **_root_files()},
        settings=_settings({**_stored_key(), **(expect or {})}, settings),
        at=at,
    )


def judge_attestation(case: Case, audit: Audit) -> object:
    """Verify the attestation of a case under its own settings.

    Raises:
        AttestationError: it is refused.
    """
    expected = expect_apple_attestation(case.settings["expect"], case.id)
    key = examine_app_attestation(
        case.evidence[_OBJECT],
        key_id=expected.key_id,
        client_data_hash=expected.client_data_hash,
        policy=app_attest_policy(case.settings, files_of_case(case.evidence), where=case.id),
        now=case.at,
        audit=audit,
    )
    if expected.user is not None:
        require_unbound(key.key_id, bound_to=expected.bound_to, user=expected.user, audit=audit)
    return key


def judge_assertion(case: Case, audit: Audit) -> object:
    """Verify the assertion of a case, as often as its settings say, against one counter store.

    Each presentation is verified before the first one is stored, as two that arrive together are.

    Raises:
        AttestationError: it is refused.
    """
    expected = expect_apple_assertion(case.settings["expect"], case.id)
    key = AppAttestKey.stored(
        key_id=expected.key_id,
        public_key_point=expected.public_key,
        app_id=expected.app_id,
        environment=expected.environment,
    )
    policy = app_attest_policy(case.settings, files_of_case(case.evidence), where=case.id)
    accepted = [
        examine_app_assertion(
            case.evidence[_ASSERTION],
            client_data=expected.client_data,
            key=key,
            last_counter=expected.last_counter,
            policy=policy,
            challenge=expected.challenge,
            audit=audit,
        )
        for _ in range(expected.presentations)
    ]
    store = _Counter(expected.last_counter)
    for assertion in accepted:
        claim_counter(
            store, key.key_id, last=expected.last_counter, new=assertion.counter, audit=audit
        )
    return accepted[-1]


def judge_receipt(case: Case, audit: Audit) -> object:
    """Verify the receipt of a case under its own settings.

    Raises:
        AttestationError: it is refused.
    """
    expected = expect_apple_receipt(case.settings["expect"], case.id)
    return examine_app_receipt(
        case.evidence[_RECEIPT],
        key=AppAttestKey.stored(
            key_id=expected.key_id,
            public_key_point=expected.public_key,
            app_id=expected.app_id,
            environment=expected.environment,
        ),
        policy=app_attest_policy(case.settings, files_of_case(case.evidence), where=case.id),
        now=case.at,
        max_age=expected.max_age,
        expected_type=expected.type,
        audit=audit,
    )


class _Counter:
    """A counter store that knows one key."""

    def __init__(self, value: int) -> None:
        self._value = value

    def compare_and_set(self, key_id: bytes, *, expected: int, new: int) -> bool:  # noqa: ARG002  # one key
        if self._value != expected:
            return False
        self._value = new
        return True


def _stored_key() -> dict[str, object]:
    attestation = base_attestation()
    return {
        "key_id": base64_text(attestation.key_id),
        "public_key": attestation.point.hex(),
        "app_id": APP_ID,
        "environment": "production",
    }


def _root_files() -> dict[str, bytes]:
    authorities = {_ROOTS: app_attest_root(), _RECEIPT_ROOTS: receipt_root()}
    return {
        name: authority.certificate.public_bytes(Encoding.PEM)
        for name, authority in authorities.items()
    }


def _settings(
    expect: Mapping[str, object], changes: Mapping[str, object] | None
) -> dict[str, object]:
    return {
        "app_ids": [APP_ID],
        "roots": [_ROOTS],
        "receipt_roots": [_RECEIPT_ROOTS],
        "allow_test_roots": True,
        **(changes or {}),
        "expect": {key: value for key, value in expect.items() if value is not None},
    }
