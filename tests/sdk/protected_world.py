"""A protected call and its approval, as a relay tells it that may lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.sdk.protocol import examples

from quorumkey.protected import VerifiedCall, verify_protected_call
from quorumkey.protocol import (
    Group,
    Kind,
    Party,
    Policy,
    PrivateKey,
    ProtectedCall,
    Receipt,
    RequestDocument,
    canonical_json,
    request_binding,
    request_digest,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import Decision, Envelope, JsonValue

PEOPLE: Final = ("alice", "bob", "carol")
APPROVED: Final = examples.CREATED + 60
EXPIRES: Final = examples.CREATED + 86_400
USE_BY: Final = EXPIRES + 86_400


def call_of(**members: Any) -> ProtectedCall:  # noqa: ANN401 - wrong ones on purpose
    """A call by alice, with other members where told."""
    request: JsonValue = {"tag": "staging", "process": "nginx"}
    every: dict[str, Any] = {
        "method": "KillProcess",
        "caller_kind": "person",
        "caller_id": "alice",
        "caller_name": "Alice",
        "request": request,
        "request_binding": request_binding(canonical_json(request)),
        **members,
    }
    return ProtectedCall(**every)


def _keys() -> dict[str, PrivateKey]:
    return {person: PrivateKey.generate() for person in (*PEOPLE, "mallory")}


def group_of(person: str, *keys: PrivateKey) -> Group:
    """An administrator's devices, as the group of that name."""
    return Group(person, tuple(examples.approver(key, person) for key in keys))


@dataclass
class World:
    """A call by alice that bob approved, as the relay tells it, and what the service knows.

    The tests change what the relay tells: it signs with its own key whatever it likes, and with
    the key of mallory, who is no administrator. The other devices sign what they are shown.
    """

    relay: PrivateKey = field(default_factory=PrivateKey.generate)
    devices: dict[str, PrivateKey] = field(default_factory=_keys)
    call: ProtectedCall = field(default_factory=call_of)
    document: RequestDocument = field(init=False)
    signers: tuple[str, ...] = ("bob",)
    extra: tuple[Envelope, ...] = ()
    told: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.document = self.written(self.call)

    def written(self, call: ProtectedCall, **members: Any) -> RequestDocument:  # noqa: ANN401 - any member
        """The document that an honest relay writes for a call."""
        every: dict[str, Any] = {
            "profile": "protected_method",
            "action": call.action('request.tag == "staging"'),
            "requester": Party("alice", "Alice"),
            "policy": Policy(
                required=1,
                groups=tuple(group_of(person, self.devices[person]) for person in PEOPLE),
            ),
            "expires_at": EXPIRES,
            "use_by": USE_BY,
            **members,
        }
        return examples.request(self.relay, **every)

    def rewrite(self, **members: Any) -> None:  # noqa: ANN401 - any member
        """Have the relay write other members into the document before anybody signs it."""
        self.document = self.written(self.call, **members)

    def decision(self, person: str, **members: Any) -> Decision:  # noqa: ANN401 - any member
        """An approval of the document by this person's device."""
        digest = request_digest(self.document.encode())
        return examples.decision(
            self.devices[person], **{"request_digest": digest, "decided_at": APPROVED, **members}
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

    def verify(
        self,
        receipt: bytes | str | Mapping[str, Any] | None = None,
        **other: Any,  # noqa: ANN401 - wrong arguments on purpose
    ) -> VerifiedCall:
        """Verify as the service does, with other expectations where told."""
        expectations: dict[str, Any] = {
            "call": self.call,
            "relay_public_keys": [self.relay.public_key],
            "integrator_id": "acme",
            "now": APPROVED + 2,
            "administrators": {
                person: [self.devices[person].public_key.base64] for person in PEOPLE
            },
            **other,
        }
        return verify_protected_call(
            self.receipt().encode() if receipt is None else receipt, **expectations
        )
