"""Verifying receipts offline (protocol section 8).

A receipt proves an approval to whoever knows what was asked for: the approvals in it are checked
under the keys that the caller named, not under any the relay names. A lying relay can withhold a
receipt; it cannot make one that passes here. No network, no clock and no file is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey._evidence import (
    approvals,
    check_distinct_keys,
    check_integrator,
    check_times,
    meets,
    open_receipt,
    open_request,
)
from quorumkey._expectation import Expectation, UnsafeAny, expect
from quorumkey._verification_policy import VerificationPolicy, load_policy
from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.protocol import Decision, Group, RequestDocument, satisfied_groups
from quorumkey.protocol.encoding import json_equal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from quorumkey.protocol import (
        Action,
        Party,
        PasskeyPolicy,
        PublicKey,
        Receipt,
        Verified,
    )

__all__ = [
    "PolicyGroup",
    "UnsafeAny",
    "VerificationPolicy",
    "VerifiedReceipt",
    "load_policy",
    "verify_receipt",
    "verify_with_policy",
]

#: A group as the caller of `verify_receipt` names it.
PolicyGroup = Group


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReceipt:
    """What a receipt that passed proves.

    Attributes:
        request_id: the approved request.
        groups_satisfied: names of the satisfied groups, in the receipt's order of approvals.
        completed_at: when the relay counted the last approval, in epoch seconds.
        use_by: the last moment at which the approval may be acted on, in epoch seconds.
        request: the request document that was approved.
        decisions: the approvals, in the receipt's order.
    """

    request_id: str
    groups_satisfied: tuple[str, ...]
    completed_at: int
    use_by: int
    request: RequestDocument
    decisions: tuple[Decision, ...]


def verify_receipt(  # noqa: PLR0913 - section 8 names these arguments; each is one expectation
    receipt: bytes | str | Mapping[str, object],
    *,
    relay_public_keys: Iterable[PublicKey | str],
    integrator_id: str | UnsafeAny,
    nonce: str | bytes | UnsafeAny,
    now: int | UnsafeAny,
    action: Action | Mapping[str, object],
    required: int,
    groups: Sequence[PolicyGroup | Mapping[str, object]],
    reject_policy: str = "any",
    distinct: str = "person",
    min_assurance: str = "none",
    requester: Party | Mapping[str, object] | None = None,
    match_code: str | None = None,
    webauthn: PasskeyPolicy | Mapping[str, object] | None = None,
) -> VerifiedReceipt:
    """Check that `receipt` proves the approval of exactly this action by exactly this quorum.

    Args:
        receipt: the receipt envelope, as JSON or as the object a JSON reader made of it.
        relay_public_keys: the relay keys the caller pinned (base64 or loaded). None means refuse.
        integrator_id: the caller's own id at the relay.
        nonce: the 32 bytes (or their base64) the caller sent with its request.
        now: the caller's clock, epoch seconds.
        action: the action the caller asked for.
        required: how many groups had to be satisfied.
        groups: the groups the caller named, in its order; approvers with their keys.
        reject_policy: as in the caller's request.
        distinct: as in the caller's request.
        min_assurance: as in the caller's request. The relay enforces it: no receipt proves it.
        requester: the person the caller named, or None.
        match_code: the code of the caller's request, or None.
        webauthn: the relying party whose passkeys count; None refuses passkey signatures.

    Returns:
        What was approved, and by which groups.

    Raises:
        ReceiptRefused: for every receipt that does not prove it, and (step 0) for expectations
            that no receipt could meet. Nothing else, whatever the receipt is.
    """
    try:
        expected = expect(
            relay_public_keys=relay_public_keys,
            integrator_id=integrator_id,
            nonce=nonce,
            now=now,
            action=action,
            required=required,
            groups=groups,
            reject_policy=reject_policy,
            distinct=distinct,
            min_assurance=min_assurance,
            requester=requester,
            match_code=match_code,
            webauthn=webauthn,
        )
    except ProtocolError as error:
        raise ReceiptRefused(RefusalReason.INVALID_EXPECTATION, error.message, 0) from None
    return _verify(receipt, expected)


def verify_with_policy(
    receipt: bytes | str | Mapping[str, object],
    policy: VerificationPolicy,
    *,
    now: int | UnsafeAny,
    unsafe_any_request: bool = False,
) -> VerifiedReceipt:
    """Check `receipt` against a policy file's expectations.

    Args:
        receipt: as for `verify_receipt`.
        policy: what `load_policy` read.
        now: the caller's clock, epoch seconds; the policy's own ``now`` goes before it.
        unsafe_any_request: accept a policy that lacks ``integrator_id`` or ``nonce``, and so
            a receipt of any request for this action.

    Raises:
        ReceiptRefused: as for `verify_receipt`; and a missing member without the caller's word.
    """
    if not unsafe_any_request and (policy.integrator_id is None or policy.nonce is None):
        message = (
            "The policy has no integrator_id or no nonce, so any request for this action would "
            "pass; say so explicitly if that is meant."
        )
        raise ReceiptRefused(RefusalReason.INVALID_EXPECTATION, message, 0)
    return verify_receipt(
        receipt,
        relay_public_keys=policy.relay_public_keys,
        integrator_id=UnsafeAny() if policy.integrator_id is None else policy.integrator_id,
        nonce=UnsafeAny() if policy.nonce is None else policy.nonce,
        now=now if policy.now is None else policy.now,
        action=policy.action,
        required=policy.policy.required,
        groups=policy.policy.groups,
        reject_policy=policy.policy.reject_policy,
        distinct=policy.policy.distinct,
        min_assurance=policy.policy.min_assurance,
        requester=policy.requester,
        match_code=policy.match_code,
        webauthn=policy.webauthn,
    )


def _verify(receipt: bytes | str | Mapping[str, object], expected: Expectation) -> VerifiedReceipt:
    """The steps of section 8, in its numbers and its order."""
    # (1) the receipt verifies as type `receipt` under a trusted key, `v` is 1, it is `approved`.
    evidence = open_receipt(receipt, expected.relay_keys)
    # (2) the request inside verifies as type `request` under a trusted key, which `relay` names.
    verified = open_request(evidence, expected.relay_keys)
    document = verified.statement
    # (3) integrator and nonce are the caller's.
    _step_3(document, expected)
    # (4) action, requester and every member of the policy equal the caller's.
    _step_4(document, expected)
    # (5) the times of request and receipt fit, and the approval may still be used.
    check_times(document, evidence, expected.now)
    # (6) every envelope in `decisions` is a valid approval of this request by a named key.
    decisions = _step_6(verified, evidence, expected)
    # (7) no key twice, no person in two groups, not the requester.
    _step_7(decisions, expected)
    # (8) at least `required` distinct groups are satisfied.
    satisfied = _step_8(decisions, expected)
    return VerifiedReceipt(
        request_id=document.request_id,
        groups_satisfied=satisfied,
        completed_at=evidence.completed_at,
        use_by=document.use_by,
        request=document,
        decisions=decisions,
    )


def _step_3(document: RequestDocument, expected: Expectation) -> None:
    check_integrator(document, expected.integrator_id)
    if not meets(document.nonce, expected.nonce):
        message = "The request has another nonce: it is another request."
        raise ReceiptRefused(RefusalReason.NONCE_MISMATCH, message, 3)


def _step_4(document: RequestDocument, expected: Expectation) -> None:
    if not json_equal(document.action.to_json(), expected.action.to_json()):
        message = "Another action was approved."
        raise ReceiptRefused(RefusalReason.ACTION_MISMATCH, message, 4)
    if document.requester != expected.requester:
        message = "The request was made for another requester."
        raise ReceiptRefused(RefusalReason.REQUESTER_MISMATCH, message, 4)
    if not json_equal(document.policy.to_json(), expected.policy.to_json()):
        message = "The request was decided under another policy."
        raise ReceiptRefused(RefusalReason.POLICY_MISMATCH, message, 4)


def _step_6(
    request: Verified[RequestDocument], evidence: Receipt, expected: Expectation
) -> tuple[Decision, ...]:
    keys = {
        approver.fingerprint: approver.key
        for group in expected.policy.groups
        for approver in group.approvers
    }
    return approvals(
        request,
        evidence,
        keys=keys,
        match_code=expected.match_code,
        passkeys=expected.passkeys,
    )


def _step_7(decisions: tuple[Decision, ...], expected: Expectation) -> None:
    check_distinct_keys(decisions)
    # With `distinct: person` no approver_id is in two groups of the receipt: the caller's policy
    # (a Policy refuses such groups) is the document's since step 4.
    requester = None if expected.requester is None else expected.requester.id
    devices = {
        approver.fingerprint
        for group in expected.policy.groups
        for approver in group.approvers
        if requester is not None and approver.approver_id == requester
    }
    if any(decision.device in devices for decision in decisions):
        message = "The requester's own device is among the approvals."
        raise ReceiptRefused(RefusalReason.REQUESTER_APPROVED, message, 7)


def _step_8(decisions: tuple[Decision, ...], expected: Expectation) -> tuple[str, ...]:
    groups = expected.policy.groups
    satisfied = satisfied_groups(
        [{approver.fingerprint for approver in group.approvers} for group in groups],
        [decision.device for decision in decisions],
    )
    if len(satisfied) < expected.policy.required:
        message = f"{len(satisfied)} of {expected.policy.required} required groups approved."
        raise ReceiptRefused(RefusalReason.QUORUM_NOT_MET, message, 8)
    return tuple(groups[index].name for index in satisfied)
