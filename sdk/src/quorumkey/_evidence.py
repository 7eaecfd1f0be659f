"""The steps that every verification of a receipt has in common (protocol section 8).

`quorumkey.receipts` and `quorumkey.protected` differ in what the caller expects; how a receipt is
opened and what makes a decision an approval is here, once. Each function is one step, raises
`ReceiptRefused` with that step's number, and nothing else, whatever the receipt is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from quorumkey._expectation import UnsafeAny
from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.protocol import (
    Decision,
    Receipt,
    RequestDocument,
    parse_envelope,
    request_digest,
    strict_json,
    verify_statement,
)
from quorumkey.protocol.limits import CLOCK_SKEW_SECONDS, MAX_RECEIPT_BYTES

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope, JsonValue, PasskeyPolicy, PublicKey, Verified

__all__ = [
    "approvals",
    "approvals_of_persons",
    "check_distinct_keys",
    "check_integrator",
    "check_times",
    "envelope_of",
    "malformed_or_untrusted",
    "meets",
    "open_receipt",
    "open_request",
    "persons_behind",
    "trusted",
]


def envelope_of(document: bytes | str | Mapping[str, object], *, field: str) -> Envelope:
    """Read an envelope given as JSON or as the object a JSON reader made of it.

    Raises:
        ProtocolError: it is none.
    """
    if isinstance(document, Mapping):
        # parse_envelope looks at the type of everything it touches.
        return parse_envelope(cast("JsonValue", dict(document)), field=field)
    try:
        data = document.encode() if isinstance(document, str) else document
    except UnicodeEncodeError:
        message = f"The {field} is not UTF-8."
        raise ProtocolError("invalid_json", message) from None
    return parse_envelope(strict_json.loads(data, max_bytes=MAX_RECEIPT_BYTES), field=field)


def trusted(envelope: Envelope, relay_keys: Mapping[str, PublicKey], *, step: int) -> PublicKey:
    """The trusted relay key that is said to have signed `envelope`."""
    key = relay_keys.get(envelope.keyid)
    if key is None:
        message = "It is not signed by one of the trusted relay keys."
        raise ReceiptRefused(RefusalReason.UNTRUSTED_RELAY, message, step)
    return key


def malformed_or_untrusted(error: ProtocolError, *, step: int) -> ReceiptRefused:
    """A relay's document that does not verify: a bad signature, or a malformed one."""
    if error.code == "invalid_signature":
        return ReceiptRefused(RefusalReason.UNTRUSTED_RELAY, error.message, step)
    return ReceiptRefused(RefusalReason.MALFORMED, error.message, step)


def open_receipt(
    receipt: bytes | str | Mapping[str, object], relay_keys: Mapping[str, PublicKey]
) -> Receipt:
    """(1) it verifies as type `receipt` under a trusted key, `v` is 1, it is `approved`."""
    try:
        envelope = envelope_of(receipt, field="receipt")
        key = trusted(envelope, relay_keys, step=1)
        evidence = verify_statement(envelope, Receipt, key=key).statement
    except ProtocolError as error:
        raise malformed_or_untrusted(error, step=1) from None
    if evidence.status != "approved":
        message = f"The relay says that the request is {evidence.status}."
        raise ReceiptRefused(RefusalReason.NOT_APPROVED, message, 1)
    return evidence


def open_request(
    evidence: Receipt, relay_keys: Mapping[str, PublicKey]
) -> Verified[RequestDocument]:
    """(2) the request verifies as type `request` under a trusted key, which `relay` names."""
    key = trusted(evidence.request, relay_keys, step=2)
    try:
        verified = verify_statement(evidence.request, RequestDocument, key=key)
    except ProtocolError as error:
        raise malformed_or_untrusted(error, step=2) from None
    if verified.statement.relay != key.fingerprint:
        message = "The request names another relay than the one that signed it."
        raise ReceiptRefused(RefusalReason.RELAY_MISMATCH, message, 2)
    return verified


def meets(value: str, expected: str | UnsafeAny) -> bool:
    """Whether a value is the expected one, or any is."""
    return isinstance(expected, UnsafeAny) or value == expected


def check_integrator(document: RequestDocument, integrator_id: str | UnsafeAny) -> None:
    """(3) the integrator is the caller."""
    if not meets(document.integrator.id, integrator_id):
        message = "The request is another integrator's."
        raise ReceiptRefused(RefusalReason.INTEGRATOR_MISMATCH, message, 3)


def check_times(document: RequestDocument, evidence: Receipt, now: int | UnsafeAny) -> None:
    """(5) the times of request and receipt fit, and the approval may still be used."""
    if not document.created_at <= evidence.completed_at < document.expires_at:
        message = "The request was not completed between its creation and its expiry."
        raise ReceiptRefused(RefusalReason.INVALID_TIMES, message, 5)
    if not isinstance(now, UnsafeAny) and now > document.use_by:
        message = "The time in which this approval could be used is over."
        raise ReceiptRefused(RefusalReason.EXPIRED, message, 5)


def approvals(
    request: Verified[RequestDocument],
    evidence: Receipt,
    *,
    keys: Mapping[str, PublicKey],
    match_code: str | None,
    passkeys: PasskeyPolicy | None,
) -> tuple[Decision, ...]:
    """(6) every envelope in `decisions` is a valid approval of this request by a named key.

    Args:
        request: the opened request.
        evidence: the opened receipt.
        keys: the keys the caller names, by fingerprint.
        match_code: the code an approval has to carry, or None.
        passkeys: the relying party for passkey signatures, or None to refuse them.
    """
    digest = request_digest(request.envelope.payload)
    decisions: list[Decision] = []
    for envelope in evidence.decisions:
        key = keys.get(envelope.keyid)
        if key is None:
            message = "A decision is signed by a key that the policy does not name."
            raise ReceiptRefused(RefusalReason.INVALID_DECISION, message, 6)
        try:
            decision = verify_statement(
                envelope, Decision, key=key, form="any", passkeys=passkeys
            ).statement
        except ProtocolError as error:
            raise ReceiptRefused(RefusalReason.INVALID_DECISION, error.message, 6) from None
        if decision.device != envelope.keyid:
            message = "A decision names another device than the one that signed it."
            raise ReceiptRefused(RefusalReason.INVALID_DECISION, message, 6)
        fault = _fault(decision, digest, request.statement, match_code)
        if fault is not None:
            raise ReceiptRefused(RefusalReason.INVALID_DECISION, fault, 6)
        decisions.append(decision)
    return tuple(decisions)


def _fault(
    decision: Decision, digest: str, document: RequestDocument, match_code: str | None
) -> str | None:
    """What keeps a device's own statement from being an approval of this request, or None."""
    if decision.decision != "approve":
        return "A decision is a denial."
    if decision.request_digest != digest:
        return "A decision is about another request."
    earliest = document.created_at - CLOCK_SKEW_SECONDS
    if not earliest <= decision.decided_at <= document.expires_at + CLOCK_SKEW_SECONDS:
        return "A decision was made outside the request's time."
    if decision.code != match_code:
        return "A decision does not carry the expected match code."
    return None


def approvals_of_persons(
    request: Verified[RequestDocument],
    evidence: Receipt,
    *,
    keys: Mapping[str, PublicKey],
    persons: Mapping[str, str],
    passkeys: PasskeyPolicy | None,
) -> tuple[Decision, ...]:
    """(6) as `approvals`, by devices that the request names as those of the caller's people.

    Args:
        request: the opened request, which has no match code.
        evidence: the opened receipt.
        keys: the keys of the caller's people, by fingerprint.
        persons: whose each of them is, by fingerprint.
        passkeys: the relying party for passkey signatures, or None to refuse them.
    """
    decisions = approvals(request, evidence, keys=keys, match_code=None, passkeys=passkeys)
    named = {
        approver.fingerprint: approver.approver_id
        for group in request.statement.policy.groups
        for approver in group.approvers
    }
    for decision in decisions:
        if named.get(decision.device) != persons[decision.device]:
            message = "A decision is by a device that the request does not name as this person's."
            raise ReceiptRefused(RefusalReason.INVALID_DECISION, message, 6)
    return decisions


def persons_behind(decisions: tuple[Decision, ...], persons: Mapping[str, str]) -> tuple[str, ...]:
    """(7) who decided, in order; no key twice and no person twice."""
    # A key is one person's here, so one that stands twice is a person who does.
    behind = tuple(persons[decision.device] for decision in decisions)
    if len({*behind}) != len(behind):
        message = "One person stands behind two decisions."
        raise ReceiptRefused(RefusalReason.DUPLICATE_DECISION, message, 7)
    return behind


def check_distinct_keys(decisions: tuple[Decision, ...]) -> None:
    """(7) no key twice."""
    if len({decision.device for decision in decisions}) != len(decisions):
        message = "One key stands behind two decisions."
        raise ReceiptRefused(RefusalReason.DUPLICATE_DECISION, message, 7)
