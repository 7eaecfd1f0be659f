"""Verifying the approval of a role activation offline.

Whoever grants the role knows the activation and its own people, by their devices' keys, and needs
nothing else: the relay can withhold an approval, it cannot make one. No network, no clock and no
file is used.

What no receipt shows is whether somebody revoked the activation since, and how often it was used:
within its time, a relay that lies can have the same role granted to the same person again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey._evidence import (
    approvals_of_persons,
    check_integrator,
    check_times,
    open_receipt,
    open_request,
    persons_behind,
)
from quorumkey._expectation import UnsafeAny, relying_party, roster, trusted_relay_keys
from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.protocol import (
    Decision,
    Party,
    PublicKey,
    RequestDocument,
    RoleActivation,
    check_time,
    json_equal,
    request_digest,
)
from quorumkey.protocol._members import id_in, integer_of, refuse
from quorumkey.protocol.limits import CLOCK_SKEW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from quorumkey.protocol import PasskeyPolicy, Receipt

__all__ = ["VerifiedActivation", "verify_activation"]

#: The least number of peers who approve an activation.
_MIN_REQUIRED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedActivation:
    """What the receipt of a role activation that passed proves.

    Attributes:
        request_id: the approved request.
        request_digest: ``sha256:<hex>`` of the request document, as an execution names it.
        approvers: who approved, by approver id, in the receipt's order.
        start: from when the role is approved, in epoch seconds.
        end: the first second for which it no longer is.
        completed_at: when the relay counted the last approval, in epoch seconds.
        request: the request document that was approved.
        decisions: the approvals, in the receipt's order.
    """

    request_id: str
    request_digest: str
    approvers: tuple[str, ...]
    start: int
    end: int
    completed_at: int
    request: RequestDocument
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """The arguments of `verify_activation`, checked and in one form each.

    ``persons`` are the reviewers by their devices' fingerprints.
    """

    activation: RoleActivation
    relay_keys: Mapping[str, PublicKey]
    integrator_id: str | UnsafeAny
    now: int | UnsafeAny
    keys: Mapping[str, PublicKey]
    persons: Mapping[str, str]
    required: int
    passkeys: PasskeyPolicy | None


def verify_activation(  # noqa: PLR0913 - each is one expectation, as of verify_receipt
    receipt: bytes | str | Mapping[str, object],
    *,
    activation: RoleActivation,
    relay_public_keys: Iterable[PublicKey | str],
    integrator_id: str | UnsafeAny,
    now: int | UnsafeAny,
    reviewers: Mapping[str, Collection[PublicKey | str]],
    required: int = 1,
    webauthn: PasskeyPolicy | Mapping[str, object] | None = None,
) -> VerifiedActivation:
    """Check that `receipt` proves the approval of exactly this activation, and that it lasts.

    Args:
        receipt: the receipt envelope, as JSON or as the object a JSON reader made of it.
        activation: the role that is to be granted.
        relay_public_keys: the relay keys the caller pinned (base64 or loaded). None means refuse.
        integrator_id: the id of the integrator whose paired devices approve.
        now: the caller's clock, epoch seconds; before the end of the activation. An auditor
            who looks back gives `UnsafeAny()`.
        reviewers: the public keys of the devices of those who may approve this role, by approver
            id, in lower case. They alone count, whatever the relay says; the beneficiary never
            does.
        required: how many of them have to have approved at least.
        webauthn: the relying party whose passkeys count; None refuses passkey signatures.

    Returns:
        Who approved, and from when to when the role may be had.

    Raises:
        ReceiptRefused: for every receipt that does not prove it, and (step 0) for expectations
            that no receipt could meet. Nothing else, whatever the receipt is.
    """
    try:
        expected = _expect(
            activation=activation,
            relay_public_keys=relay_public_keys,
            integrator_id=integrator_id,
            now=now,
            reviewers=reviewers,
            required=required,
            webauthn=webauthn,
        )
    except ProtocolError as error:
        raise ReceiptRefused(RefusalReason.INVALID_EXPECTATION, error.message, 0) from None
    return _verify(receipt, expected)


def _expect(  # noqa: PLR0913 - as verify_activation
    *,
    activation: RoleActivation,
    relay_public_keys: Iterable[PublicKey | str],
    integrator_id: str | UnsafeAny,
    now: int | UnsafeAny,
    reviewers: Mapping[str, Collection[PublicKey | str]],
    required: int,
    webauthn: PasskeyPolicy | Mapping[str, object] | None,
) -> _Expected:
    """Check a caller's expectations and put them into one form.

    Raises:
        ProtocolError: one of them is none that a request could meet.
    """
    if integer_of(required, field="required") < _MIN_REQUIRED:
        message = f"required must be at least {_MIN_REQUIRED}."
        raise refuse(message)
    keys, persons = roster(reviewers, field="reviewers")
    if any(person != person.lower() for person in reviewers):
        # In another case the beneficiary would be one of them.
        message = "reviewers must be named by their e-mail addresses in lower case."
        raise refuse(message)
    able = len({*persons.values()} - {activation.beneficiary})
    if able < required:
        message = f"Approvals needed: {required}; reviewers given here who could give one: {able}."
        raise refuse(message)
    return _Expected(
        activation=activation,
        relay_keys=trusted_relay_keys(relay_public_keys),
        integrator_id=integrator_id
        if isinstance(integrator_id, UnsafeAny)
        else id_in(integrator_id, field="integrator_id"),
        now=now if isinstance(now, UnsafeAny) else check_time(now, field="now"),
        keys=keys,
        persons=persons,
        required=required,
        passkeys=relying_party(webauthn),
    )


def _verify(receipt: bytes | str | Mapping[str, object], expected: _Expected) -> VerifiedActivation:
    """The steps of section 8, as they are for a role activation, in its numbers."""
    # (1) the receipt verifies as type `receipt` under a trusted key, `v` is 1, it is `approved`.
    evidence = open_receipt(receipt, expected.relay_keys)
    # (2) the request inside verifies as type `request` under a trusted key, which `relay` names.
    verified = open_request(evidence, expected.relay_keys)
    document = verified.statement
    # (3) the integrator is the one whose paired devices approve.
    check_integrator(document, expected.integrator_id)
    # (4) profile, action, requester and policy are those of this activation, written anew here.
    _step_4(document, expected)
    # (5) the times of request and receipt fit, and the activation has not ended.
    start, end = _step_5(document, evidence, expected)
    # (6) every envelope in `decisions` is a valid approval of this request by a reviewer.
    decisions = approvals_of_persons(
        verified, evidence, keys=expected.keys, persons=expected.persons, passkeys=expected.passkeys
    )
    _check_beginning(decisions, evidence, expected)
    # (7) no key twice, no reviewer twice, not the beneficiary.
    approvers = persons_behind(decisions, expected.persons)
    if expected.activation.beneficiary in approvers:
        message = "The beneficiary's own device is among the approvals."
        raise ReceiptRefused(RefusalReason.REQUESTER_APPROVED, message, 7)
    # (8) enough approved: as many as the document asks for, which step 4 compared.
    needed = document.policy.required
    if len(approvers) < needed:
        message = f"{len(approvers)} of {needed} required reviewers approved."
        raise ReceiptRefused(RefusalReason.QUORUM_NOT_MET, message, 8)
    return VerifiedActivation(
        request_id=document.request_id,
        request_digest=request_digest(verified.envelope.payload),
        approvers=approvers,
        start=start,
        end=end,
        completed_at=evidence.completed_at,
        request=document,
        decisions=decisions,
    )


def _step_4(document: RequestDocument, expected: _Expected) -> None:
    if document.profile != "jit_access":
        message = f"The request is none for a role activation but of profile {document.profile}."
        raise ReceiptRefused(RefusalReason.ACTION_MISMATCH, message, 4)
    # The relay's rendering is what the reviewers read: a true digest under another text is a lie.
    if not json_equal(document.action.to_json(), expected.activation.action().to_json()):
        message = "Another activation was approved."
        raise ReceiptRefused(RefusalReason.ACTION_MISMATCH, message, 4)
    if document.requester != Party(expected.activation.beneficiary):
        message = "The request was made for another person."
        raise ReceiptRefused(RefusalReason.REQUESTER_MISMATCH, message, 4)
    policy = document.policy
    terms = (policy.distinct, policy.match_code)
    if terms != ("person", False) or policy.required < expected.required:
        message = "The request was decided under another policy."
        raise ReceiptRefused(RefusalReason.POLICY_MISMATCH, message, 4)


def _step_5(document: RequestDocument, evidence: Receipt, expected: _Expected) -> tuple[int, int]:
    """(5) the window of the activation, which has not ended; before it begins is early enough."""
    # When it may be used says the activation's own end, which may be after the request's use_by.
    check_times(document, evidence, UnsafeAny())
    start = expected.activation.start
    start = evidence.completed_at if start is None else start
    end = start + expected.activation.duration_seconds
    if not isinstance(expected.now, UnsafeAny) and expected.now >= end:
        message = "The time for which the role was approved is over."
        raise ReceiptRefused(RefusalReason.EXPIRED, message, 5)
    return start, end


def _check_beginning(
    decisions: tuple[Decision, ...], evidence: Receipt, expected: _Expected
) -> None:
    """(6) where the last approval begins the time, its device says when that was.

    Otherwise a relay could have the role begin as late as its request may expire, and anew with
    each receipt that it writes for the same approvals.
    """
    if expected.activation.start is not None or not decisions:
        return
    last = max(decision.decided_at for decision in decisions)
    if abs(evidence.completed_at - last) > CLOCK_SKEW_SECONDS:
        message = "The last approval was made at another time than the receipt says."
        raise ReceiptRefused(RefusalReason.INVALID_TIMES, message, 6)
