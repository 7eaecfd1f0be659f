"""The calls that a relay's webhook executor makes, as the endpoint reads them.

An endpoint that grants roles checks the signature and answers ``200 {"status": "done"}``; ``202``
means that it is not done yet and is to be asked again. It keeps one entry for a person, project,
role and condition, which a grant sets and a revocation takes away, whatever the activation. A call
may come again; a grant that comes after the revocation of the same activation changes nothing.

The signature says that the relay calls. What peers have approved on their devices says the receipt,
which `TargetCall.verify` checks without asking the relay: an endpoint that grants only what passes
it cannot be made to grant anything by a relay that was broken into.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.jit.evidence import verify_activation
from quorumkey.protocol import RoleActivation, check_time, webhook
from quorumkey.protocol._members import (
    choice_of,
    list_of,
    object_of,
    refuse,
    text_of,
)
from quorumkey.protocol.limits import MAX_BODY_BYTES, MAX_RECEIPT_BYTES
from quorumkey.protocol.strict_json import loads

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from quorumkey._expectation import UnsafeAny
    from quorumkey.jit.evidence import VerifiedActivation
    from quorumkey.protocol import JsonValue, PasskeyPolicy, PublicKey

__all__ = ["CallKind", "TargetActivation", "TargetCall", "read_call"]


@unique
class CallKind(StrEnum):
    """What the relay asks for."""

    GRANT = "jit.grant"
    REVOKE = "jit.revoke"


_KINDS: Final[Mapping[str, CallKind]] = MappingProxyType({kind.value: kind for kind in CallKind})


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetActivation:
    """A role for a person, as the relay says it.

    Attributes:
        id: the activation's; the same in every call about it.
        beneficiary: the person's e-mail address, in lower case.
        project: where the role counts.
        role: its name.
        condition: what limits the role to some resources, in CEL; empty where nothing does.
        justification: the person's reason.
        approvers: the peers who approved; empty where the person activated it alone.
        start: from when, in epoch seconds.
        end: the first second for which the person does not have it.
        request_id: the signed request that was approved, or None.
        revoked_by: who ended it early, or None.
    """

    id: str
    beneficiary: str
    project: str
    role: str
    condition: str
    justification: str
    approvers: tuple[str, ...]
    start: int
    end: int
    request_id: str | None
    revoked_by: str | None

    @staticmethod
    def from_json(value: JsonValue) -> TargetActivation:
        """Read the member ``activation``; members that are not known are left aside.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        members = object_of(value, field="activation")
        approvers = list_of(members.get("approvers"), field="activation.approvers")
        activation = TargetActivation(
            approvers=tuple(text_of(each, field="activation.approvers") for each in approvers),
            start=check_time(members.get("start"), field="activation.start"),
            end=check_time(members.get("end"), field="activation.end"),
            request_id=_optional(members, "request_id"),
            revoked_by=_optional(members, "revoked_by"),
            **{name: text_of(members.get(name), field=f"activation.{name}") for name in _TEXTS},
        )
        if activation.start >= activation.end:
            message = "activation.start must be before activation.end."
            raise refuse(message)
        return activation


_TEXTS: Final = ("id", "beneficiary", "project", "role", "condition", "justification")


def _optional(members: dict[str, JsonValue], name: str) -> str | None:
    value = members.get(name)
    return None if value is None else text_of(value, field=f"activation.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCall:
    """One call of a relay's webhook executor, whose signature has been checked.

    Attributes:
        webhook_id: the same for every repetition of the call. The same grant may also come again
            after a later activation was taken back.
        kind: grant the role, or take it back.
        activation: which role, to whom, from when to when.
        receipt: the receipt of the approval, unchecked; None where no device approved.
    """

    webhook_id: str
    kind: CallKind
    activation: TargetActivation
    receipt: Mapping[str, JsonValue] | None = field(default=None, repr=False)

    def verify(  # noqa: PLR0913 - each is one expectation, as of verify_activation
        self,
        *,
        relay_public_keys: Iterable[PublicKey | str],
        integrator_id: str | UnsafeAny,
        now: int | UnsafeAny,
        reviewers: Mapping[str, Collection[PublicKey | str]],
        required: int = 1,
        webauthn: PasskeyPolicy | Mapping[str, object] | None = None,
    ) -> VerifiedActivation:
        """Check that peers approved exactly this, for this time; see `verify_activation`.

        Raises:
            ReceiptRefused: they did not, or the call carries no proof of it.
        """
        receipt = self.receipt
        if receipt is None:
            message = "The call carries no receipt: nobody approved it on a device."
            raise ReceiptRefused(RefusalReason.NOT_APPROVED, message, 1)
        relay_keys = tuple(relay_public_keys)

        def verified(start: int | None) -> VerifiedActivation:
            return verify_activation(
                receipt,
                activation=self._asked_for(start),
                relay_public_keys=relay_keys,
                integrator_id=integrator_id,
                now=now,
                reviewers=reviewers,
                required=required,
                webauthn=webauthn,
            )

        try:
            proof = verified(self.activation.start)
        except ReceiptRefused as refused:
            if refused.reason is not RefusalReason.ACTION_MISMATCH:
                raise
            # The reviewers may have approved a time that begins with the last approval.
            proof = verified(None)
        told = (self.activation.start, self.activation.end, self.activation.request_id)
        if told != (proof.start, proof.end, proof.request_id):
            message = "Another time, or another request, was approved."
            raise ReceiptRefused(RefusalReason.ACTION_MISMATCH, message, 4)
        return proof

    def _asked_for(self, start: int | None) -> RoleActivation:
        """What reviewers of this activation were shown.

        Raises:
            ReceiptRefused: nobody can have been shown it.
        """
        activation = self.activation
        try:
            return RoleActivation(
                beneficiary=activation.beneficiary,
                project=activation.project,
                role=activation.role,
                justification=activation.justification,
                duration_seconds=activation.end - activation.start,
                condition=activation.condition,
                start=start,
            )
        except ProtocolError as error:
            raise ReceiptRefused(RefusalReason.ACTION_MISMATCH, error.message, 4) from None


def read_call(
    headers: Mapping[str, str], body: bytes, secrets: str | Sequence[str], now: int
) -> TargetCall:
    """Check the signature of a webhook executor's call and read it.

    Args:
        headers: the HTTP headers, names in any case.
        body: the body's exact bytes.
        secrets: the executor's ``whsec_…`` secret, or during a change the old and the new one.
        now: the receiver's clock in epoch seconds.

    Raises:
        ProtocolError: ``invalid_signature`` (also a missing header and a call more than five
            minutes old), ``invalid_json`` or ``invalid_request``: answer 4xx.
    """
    webhook_id = webhook.verify(secrets, headers, body, now=now)
    members = object_of(loads(body, max_bytes=MAX_RECEIPT_BYTES + MAX_BODY_BYTES), field="The call")
    receipt = members.get("receipt")
    return TargetCall(
        webhook_id=webhook_id,
        kind=choice_of(members.get("type"), _KINDS, field="type"),
        activation=TargetActivation.from_json(members.get("activation")),
        receipt=None if receipt is None else object_of(receipt, field="receipt"),
    )
