"""A role activation and its approval, as a relay tells it that may lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.sdk.protocol import examples

from quorumkey.jit import VerifiedActivation, verify_activation
from quorumkey.protocol import (
    Group,
    Kind,
    Party,
    Policy,
    PrivateKey,
    Receipt,
    RequestDocument,
    RoleActivation,
    request_digest,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import Decision, Envelope

ALICE: Final = "alice@example.com"
BOB: Final = "bob@example.com"
CAROL: Final = "carol@example.com"
MALLORY: Final = "mallory@example.com"
REVIEWERS: Final = (BOB, CAROL)

START: Final = examples.CREATED
APPROVED: Final = START + 60
END: Final = START + 7_200
EXPIRES: Final = START + 3_600


def activation_of(**members: Any) -> RoleActivation:  # noqa: ANN401 - wrong ones on purpose
    """What alice asks for, with other members where told."""
    every: dict[str, Any] = {
        "beneficiary": ALICE,
        "project": "project-1",
        "role": "roles/compute.admin",
        "justification": "BUG-12345",
        "duration_seconds": END - START,
        "start": START,
        **members,
    }
    return RoleActivation(**every)


def _keys() -> dict[str, PrivateKey]:
    return {person: PrivateKey.generate() for person in (ALICE, *REVIEWERS, MALLORY)}


def group_of(person: str, *keys: PrivateKey) -> Group:
    """A reviewer's devices, as the group of that name."""
    return Group(person, tuple(examples.approver(key, person) for key in keys))


@dataclass
class World:
    """An activation by alice that bob approved, as the relay tells it, and what its target knows.

    The tests change what the relay tells: it signs with its own key whatever it likes, and with
    the key of mallory, who is no reviewer. The other devices sign what they are shown.
    """

    relay: PrivateKey = field(default_factory=PrivateKey.generate)
    devices: dict[str, PrivateKey] = field(default_factory=_keys)
    activation: RoleActivation = field(default_factory=activation_of)
    document: RequestDocument = field(init=False)
    made: int = APPROVED
    signers: tuple[str, ...] = (BOB,)
    extra: tuple[Envelope, ...] = ()
    told: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.document = self.written()

    def written(self, **members: Any) -> RequestDocument:  # noqa: ANN401 - any member
        """The document that an honest relay writes for the activation."""
        groups = tuple(group_of(person, self.devices[person]) for person in REVIEWERS)
        every: dict[str, Any] = {
            "profile": "jit_access",
            "action": self.activation.action(),
            "requester": Party(ALICE),
            "policy": Policy(required=1, groups=groups),
            "expires_at": EXPIRES,
            "use_by": EXPIRES + 3_600,
            **members,
        }
        return examples.request(self.relay, **every)

    def rewrite(self, **members: Any) -> None:  # noqa: ANN401 - any member
        """Have the relay write other members into the document before anybody signs it."""
        self.document = self.written(**members)

    def decision(self, person: str, **members: Any) -> Decision:  # noqa: ANN401 - any member
        """An approval of the document by this person's device."""
        digest = request_digest(self.document.encode())
        return examples.decision(
            self.devices[person], **{"request_digest": digest, "decided_at": self.made, **members}
        )

    def signed(self, person: str, **members: Any) -> Envelope:  # noqa: ANN401 - any member
        """The signed approval."""
        return sign(Kind.DECISION, self.decision(person, **members).encode(), self.devices[person])

    def receipt(self) -> Envelope:
        """The receipt, as the relay makes it."""
        every: dict[str, Any] = {
            "status": "approved",
            "completed_at": APPROVED + 1,
            "request": sign(Kind.REQUEST, self.document.encode(), self.relay),
            "decisions": (*(self.signed(person) for person in self.signers), *self.extra),
            **self.told,
        }
        return sign(Kind.RECEIPT, Receipt(**every).encode(), self.relay)

    def reviewers(self) -> dict[str, list[str]]:
        """The keys of those who may approve, as the target knows them."""
        return {person: [self.devices[person].public_key.base64] for person in REVIEWERS}

    def verify(
        self,
        receipt: bytes | str | Mapping[str, Any] | None = None,
        **other: Any,  # noqa: ANN401 - wrong arguments on purpose
    ) -> VerifiedActivation:
        """Verify as the target does, with other expectations where told."""
        expectations: dict[str, Any] = {
            "activation": self.activation,
            "relay_public_keys": [self.relay.public_key],
            "integrator_id": "acme",
            "now": APPROVED + 2,
            "reviewers": self.reviewers(),
            **other,
        }
        return verify_activation(
            self.receipt().encode() if receipt is None else receipt, **expectations
        )
