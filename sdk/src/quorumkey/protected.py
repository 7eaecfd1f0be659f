"""Verifying the approval of a protected method offline, and what is said of its execution.

The service that runs a call knows the call and its own administrators, by their devices' keys, and
needs nothing else: the relay can withhold an approval, it cannot make one. No network, no clock
and no file is used.

What no receipt shows is how often it was used. A relay that lies can hand out the claim on one
approval again, for the identical call, until the approval's ``use_by``; a service that must
exclude this remembers the `VerifiedCall.request_id` of every call it ran until then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from quorumkey._evidence import (
    approvals_of_persons,
    check_integrator,
    check_times,
    envelope_of,
    malformed_or_untrusted,
    open_receipt,
    open_request,
    persons_behind,
    trusted,
)
from quorumkey._expectation import UnsafeAny, relying_party, roster, trusted_relay_keys
from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.protocol import (
    Decision,
    Execution,
    Party,
    ProtectedCall,
    PublicKey,
    RequestDocument,
    check_time,
    json_equal,
    request_digest,
    verify_statement,
)
from quorumkey.protocol._members import digest_in, flag_of, id_in, integer_of, refuse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from quorumkey.protocol import PasskeyPolicy

__all__ = ["MIN_REQUIRED", "VerifiedCall", "verify_execution", "verify_protected_call"]

#: The least number of approvers of a protected method; the requester may be one of them.
MIN_REQUIRED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedCall:
    """What the receipt of a protected method that passed proves.

    Attributes:
        request_id: the approved request, the call's txid.
        request_digest: ``sha256:<hex>`` of the request document, as an execution names it.
        approvers: who approved, by approver id, in the receipt's order.
        completed_at: when the relay counted the last approval, in epoch seconds.
        use_by: the last moment at which the call may run, in epoch seconds.
        request: the request document that was approved.
        decisions: the approvals, in the receipt's order.
    """

    request_id: str
    request_digest: str
    approvers: tuple[str, ...]
    completed_at: int
    use_by: int
    request: RequestDocument
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """The arguments of `verify_protected_call`, checked and in one form each.

    ``persons`` are the administrators by their devices' fingerprints, ``others`` how many of them
    beside the caller have to have approved.
    """

    call: ProtectedCall
    relay_keys: Mapping[str, PublicKey]
    integrator_id: str | UnsafeAny
    now: int | UnsafeAny
    keys: Mapping[str, PublicKey]
    persons: Mapping[str, str]
    others: int
    passkeys: PasskeyPolicy | None


def verify_protected_call(  # noqa: PLR0913 - each is one expectation, as of verify_receipt
    receipt: bytes | str | Mapping[str, object],
    *,
    call: ProtectedCall,
    relay_public_keys: Iterable[PublicKey | str],
    integrator_id: str | UnsafeAny,
    now: int | UnsafeAny,
    administrators: Mapping[str, Collection[PublicKey | str]],
    required: int = MIN_REQUIRED,
    count_requestor: bool = True,
    webauthn: PasskeyPolicy | Mapping[str, object] | None = None,
) -> VerifiedCall:
    """Check that `receipt` proves the approval of exactly this call by enough administrators.

    Args:
        receipt: the receipt envelope, as JSON or as the object a JSON reader made of it.
        call: the call as the service has received it now, not as the relay tells it.
        relay_public_keys: the relay keys the service pinned (base64 or loaded). None means refuse.
        integrator_id: the service's own integrator at the relay.
        now: the service's clock, epoch seconds.
        administrators: the public keys of the administrators' devices, by approver id. They
            alone count, whatever the relay says.
        required: how many approvers there have to be at least, 2 or more.
        count_requestor: whether a caller who is an administrator is one of them.
        webauthn: the relying party whose passkeys count; None refuses passkey signatures.

    Returns:
        Who approved, and until when the call may run.

    Raises:
        ReceiptRefused: for every receipt that does not prove it, and (step 0) for expectations
            that no receipt could meet. Nothing else, whatever the receipt is.
    """
    try:
        expected = _expect(
            call=call,
            relay_public_keys=relay_public_keys,
            integrator_id=integrator_id,
            now=now,
            administrators=administrators,
            required=required,
            count_requestor=count_requestor,
            webauthn=webauthn,
        )
    except ProtocolError as error:
        raise ReceiptRefused(RefusalReason.INVALID_EXPECTATION, error.message, 0) from None
    return _verify(receipt, expected)


def verify_execution(
    execution: bytes | str | Mapping[str, object],
    *,
    relay_public_keys: Iterable[PublicKey | str],
    request_digest: str,
) -> Execution:
    """Check that a relay said this of the execution of an approved request.

    It is the relay's word, and its word about what the service told it: evidence for an audit,
    not proof of what the call did.

    Args:
        execution: the execution envelope, as JSON or as the object a JSON reader made of it.
        relay_public_keys: the relay keys the caller pinned (base64 or loaded). None means refuse.
        request_digest: the approved request's, from `VerifiedCall.request_digest`.

    Raises:
        ReceiptRefused: (1) it does not verify as type `execution` under a trusted key; (2) it is
            of another request; (step 0) for arguments that nothing could meet.
    """
    try:
        relay_keys = trusted_relay_keys(relay_public_keys)
        digest_in(request_digest, field="request_digest")
    except ProtocolError as error:
        raise ReceiptRefused(RefusalReason.INVALID_EXPECTATION, error.message, 0) from None
    # (1) it verifies as type `execution` under a trusted key.
    try:
        envelope = envelope_of(execution, field="execution")
        key = trusted(envelope, relay_keys, step=1)
        statement = verify_statement(envelope, Execution, key=key).statement
    except ProtocolError as error:
        raise malformed_or_untrusted(error, step=1) from None
    # (2) it is about this request.
    if statement.request_digest != request_digest:
        message = "It is the execution of another request."
        raise ReceiptRefused(RefusalReason.ACTION_MISMATCH, message, 2)
    return statement


def _expect(  # noqa: PLR0913 - as verify_protected_call
    *,
    call: ProtectedCall,
    relay_public_keys: Iterable[PublicKey | str],
    integrator_id: str | UnsafeAny,
    now: int | UnsafeAny,
    administrators: Mapping[str, Collection[PublicKey | str]],
    required: int,
    count_requestor: bool,
    webauthn: PasskeyPolicy | Mapping[str, object] | None,
) -> _Expected:
    """Check a service's expectations and put them into one form.

    Raises:
        ProtocolError: one of them is none that a request could meet.
    """
    call.action()
    if integer_of(required, field="required") < MIN_REQUIRED:
        message = f"required must be at least {MIN_REQUIRED}."
        raise refuse(message)
    counts = flag_of(count_requestor, field="count_requestor") and _is_among(call, administrators)
    keys, persons = roster(administrators, field="administrators")
    others = required - 1 if counts else required
    able = len({*persons.values()} - _caller(call))
    if able < others:
        message = (
            f"Approvals needed beside the caller's: {others}; administrators given here who could"
            f" give one: {able}."
        )
        raise refuse(message)
    return _Expected(
        call=call,
        relay_keys=trusted_relay_keys(relay_public_keys),
        integrator_id=integrator_id
        if isinstance(integrator_id, UnsafeAny)
        else id_in(integrator_id, field="integrator_id"),
        now=now if isinstance(now, UnsafeAny) else check_time(now, field="now"),
        keys=keys,
        persons=persons,
        others=others,
        passkeys=relying_party(webauthn),
    )


def _caller(call: ProtectedCall) -> set[str]:
    """The caller's approver id, if it is a person."""
    return {call.caller_id} if call.caller_kind == "person" else set()


def _is_among(call: ProtectedCall, administrators: Collection[str]) -> bool:
    return any(person in administrators for person in _caller(call))


def _verify(receipt: bytes | str | Mapping[str, object], expected: _Expected) -> VerifiedCall:
    """The steps of section 8, as they are for a protected method, in its numbers."""
    # (1) the receipt verifies as type `receipt` under a trusted key, `v` is 1, it is `approved`.
    evidence = open_receipt(receipt, expected.relay_keys)
    # (2) the request inside verifies as type `request` under a trusted key, which `relay` names.
    verified = open_request(evidence, expected.relay_keys)
    document = verified.statement
    # (3) the integrator is the service's own.
    check_integrator(document, expected.integrator_id)
    # (4) profile, action, requester and policy are those of this call, written anew here.
    _step_4(document, expected)
    # (5) the times of request and receipt fit, and the call may still run.
    check_times(document, evidence, expected.now)
    # (6) every envelope in `decisions` is a valid approval of this request by an administrator.
    decisions = approvals_of_persons(
        verified, evidence, keys=expected.keys, persons=expected.persons, passkeys=expected.passkeys
    )
    # (7) no key twice, no administrator twice, not the caller.
    approvers = _step_7(decisions, expected)
    # (8) enough others approved: as many as the document asks for, which step 4 compared.
    _step_8(approvers, document)
    return VerifiedCall(
        request_id=document.request_id,
        request_digest=request_digest(verified.envelope.payload),
        approvers=approvers,
        completed_at=evidence.completed_at,
        use_by=document.use_by,
        request=document,
        decisions=decisions,
    )


def _step_4(document: RequestDocument, expected: _Expected) -> None:
    if document.profile != "protected_method":
        message = f"The request is none for a protected method but of profile {document.profile}."
        raise ReceiptRefused(RefusalReason.ACTION_MISMATCH, message, 4)
    name = _told_name(document)
    try:
        action = replace(expected.call, caller_name=name).action(_told_condition(document))
    except ProtocolError:
        action = None
    # The relay's rendering is what the approvers read: a true digest under another text is a lie.
    if action is None or not json_equal(document.action.to_json(), action.to_json()):
        message = "Another call was approved."
        raise ReceiptRefused(RefusalReason.ACTION_MISMATCH, message, 4)
    person = expected.call.caller_kind == "person"
    if document.requester != (Party(expected.call.caller_id, name) if person else None):
        message = "The request was made for another caller."
        raise ReceiptRefused(RefusalReason.REQUESTER_MISMATCH, message, 4)
    policy = document.policy
    terms = (policy.reject_policy, policy.distinct, policy.match_code)
    if terms != ("any", "person", False) or policy.required < expected.others:
        message = "The request was decided under another policy."
        raise ReceiptRefused(RefusalReason.POLICY_MISMATCH, message, 4)


def _told_name(document: RequestDocument) -> str | None:
    """The caller's name as the approvers read it; who it is says the id."""
    caller = document.action.params.get("caller")
    name = caller.get("name") if isinstance(caller, dict) else None
    return name if isinstance(name, str) else None


def _told_condition(document: RequestDocument) -> str:
    """The condition as the approvers read it: why the call waited, not what it does."""
    condition = document.action.params.get("condition")
    return condition if isinstance(condition, str) else ""


def _step_7(decisions: tuple[Decision, ...], expected: _Expected) -> tuple[str, ...]:
    approvers = persons_behind(decisions, expected.persons)
    if _is_among(expected.call, approvers):
        message = "The caller's own device is among the approvals."
        raise ReceiptRefused(RefusalReason.REQUESTER_APPROVED, message, 7)
    return approvers


def _step_8(approvers: tuple[str, ...], document: RequestDocument) -> None:
    needed = document.policy.required
    if len(approvers) < needed:
        message = f"{len(approvers)} of {needed} required others approved."
        raise ReceiptRefused(RefusalReason.QUORUM_NOT_MET, message, 8)
