"""Requests as the caller keeps them, and how they end.

The relay is not trusted with the answer (PROTOCOL §1): `Approved` exists only where a receipt
passed `quorumkey.receipts.verify_receipt` under the caller's own policy. The three other ends are
the relay's word, which cannot do more harm than withholding an approval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypedDict

from quorumkey.client._fields import Fields
from quorumkey.client.models import Device, RequestState
from quorumkey.errors import ConfigurationError, QuorumkeyError
from quorumkey.protocol.limits import MAX_POLICY_FILE_BYTES
from quorumkey.protocol.statements import Approver, Group
from quorumkey.protocol.strict_json import dumps, loads
from quorumkey.receipts import VerificationPolicy, load_policy

if TYPE_CHECKING:
    from quorumkey.client.models import Status
    from quorumkey.client.pairing import ConfirmedDevice
    from quorumkey.protocol import Assurance, Distinct, JsonValue, RejectPolicy
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.statements import Party
    from quorumkey.receipts import VerifiedReceipt

__all__ = [
    "Approved",
    "CreatedRequest",
    "NotApproved",
    "Outcome",
    "RequestOptions",
    "group",
]

_MAX_STORED_BYTES: Final = 2 * MAX_POLICY_FILE_BYTES


class RequestOptions(TypedDict, total=False):
    """What may be said of a request beside action, groups and required (PROTOCOL §5).

    Attributes:
        expires_in_seconds: how long it stays open; 60 to 900, default 300.
        reject_policy: ``any`` (default): the first denial rejects; ``quorum_impossible``.
        distinct: ``person`` (default) or ``device``: who may stand in one group only.
        min_assurance: the floor that every named device has to reach; default ``none``.
        requester: the person who wants the action; may deny, but not approve.
        use_within_seconds: how long after its end an approval may be used; default 900.
        match_code: 2 to 6 digits that the caller shows and approvers type.
        nonce: 32 bytes; only to repeat a creation under an `idempotency_key` of your own, which
            takes the same body. Without it a new one is made.
        idempotency_key: 1 to 255 printable ASCII characters; without it a new one is made.
    """

    expires_in_seconds: int
    reject_policy: RejectPolicy
    distinct: Distinct
    min_assurance: Assurance
    requester: Party
    use_within_seconds: int
    match_code: str
    nonce: bytes
    idempotency_key: str


def group(name: str, *members: Approver | ConfirmedDevice | Device) -> Group:
    """Make a group: any one of its members satisfies it.

    Args:
        name: what people see, 1 to 80 characters.
        members: devices, best as `pairings.confirm` or `pairings.wait` answered them.

    Raises:
        ProtocolError: the name or the number of members is not allowed.
    """
    return Group(
        name,
        tuple(member if isinstance(member, Approver) else member.as_approver for member in members),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedRequest:
    """A request that this caller made, with everything needed to check its receipt.

    Attributes:
        state: what the relay answered at creation.
        policy: what a receipt has to prove; it holds the nonce that only this caller chose.
    """

    state: RequestState
    policy: VerificationPolicy

    @property
    def request_id(self) -> str:
        """The request's id."""
        return self.state.request_id

    def encode(self) -> bytes:
        """Write it as JSON, to store it until the answer comes; it holds the match code."""
        return dumps({"request": self.state.to_json(), "policy": self.policy.to_json()})

    @staticmethod
    def decode(data: bytes) -> CreatedRequest:
        """Read what `encode` wrote.

        Raises:
            ConfigurationError: it is something else.
        """
        try:
            fields = Fields(loads(data, max_bytes=_MAX_STORED_BYTES), "the stored request")
            return CreatedRequest(
                state=RequestState.parse(fields.child("request")),
                policy=load_policy(dumps(fields.raw("policy"))),
            )
        except QuorumkeyError as error:
            raise ConfigurationError(f"The stored request is not usable: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The request was approved, and the receipt proves it.

    Attributes:
        state: the relay's request object.
        receipt: the evidence, to be kept; ``receipt.encode()`` is what `quorumkey verify` reads.
        policy: what the receipt was held against; ``policy.to_json()`` is the policy file that
            `quorumkey verify` reads.
        verified: what the receipt proves.
        approvers: whose devices approved, in the receipt's order.
    """

    state: RequestState
    receipt: Envelope
    policy: VerificationPolicy
    verified: VerifiedReceipt
    approvers: tuple[Approver, ...]
    approved: Literal[True] = True

    @property
    def groups_satisfied(self) -> tuple[str, ...]:
        """The groups that the receipt proves to be satisfied."""
        return self.verified.groups_satisfied

    @property
    def status(self) -> Status:
        """``approved``."""
        return self.state.status


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApproved:
    """The request ended without approval, by the relay's word: do not act."""

    state: RequestState
    approved: Literal[False] = False

    @property
    def status(self) -> Status:
        """``rejected``, ``timeout`` or ``cancelled``."""
        return self.state.status


#: How a request ended; ``outcome.approved`` tells which.
Outcome: TypeAlias = Approved | NotApproved


def request_body(
    *,
    action: JsonValue,
    groups: tuple[Group, ...],
    required: int,
    nonce: str,
    options: RequestOptions,
) -> dict[str, JsonValue]:
    """The body of ``POST /v1/requests``: what the caller gave and nothing else."""
    body: dict[str, JsonValue] = {
        "required": required,
        "groups": [item.to_json() for item in groups],
        "action": action,
        "nonce": nonce,
    }
    if "requester" in options:
        body["requester"] = options["requester"].to_json()
    names = ("expires_in_seconds", "reject_policy", "distinct", "min_assurance")
    for name in (*names, "use_within_seconds", "match_code"):
        if name in options:
            body[name] = options[name]  # type: ignore[literal-required]  # checked to be one
    return body
