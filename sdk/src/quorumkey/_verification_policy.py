"""Verification policies: what a receipt has to prove, as a file.

A policy file is one JSON object, read by the same strict reader as everything else::

    {
      "relay_public_keys": ["A1b2…", …],          the relay's keys, 33 bytes in base64 each
      "integrator_id": "acme",                    optional; who asked
      "nonce": "…",                               optional; the request's 32 bytes in base64
      "now": "2026-04-24T10:35:42Z",              optional; the moment that counts as now
      "action": {"type", "description", "params"?, "bindings"?},
      "required": 2,
      "groups": [{"name", "approvers": [{"fingerprint", "device_public_key", "approver_id"?}]}],
      "reject_policy": "any",                     optional, as are the rest
      "distinct": "person",
      "min_assurance": "none",
      "requester": {"id", "name"?},
      "match_code": "4711",
      "webauthn": {"rp_id": "approve.example.com", "origins": ["https://approve.example.com"]}
    }

Unknown members are refused. A file without ``integrator_id`` or ``nonce`` cannot tell one request
from another, so using it takes the caller's explicit word.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from quorumkey._expectation import UnsafeAny, expect
from quorumkey.protocol import (
    Action,
    Group,
    Party,
    PasskeyPolicy,
    Policy,
    PublicKey,
    format_time,
    parse_time,
    strict_json,
)
from quorumkey.protocol._members import list_of, members_of, text_of
from quorumkey.protocol.limits import MAX_POLICY_FILE_BYTES

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue

__all__ = ["VerificationPolicy", "load_policy"]

_REQUIRED: Final = frozenset({"relay_public_keys", "action", "required", "groups"})
_OPTIONAL: Final = frozenset(
    {
        "integrator_id",
        "nonce",
        "now",
        "reject_policy",
        "distinct",
        "min_assurance",
        "requester",
        "match_code",
        "webauthn",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationPolicy:
    """What a receipt has to prove: the arguments of `verify_receipt`.

    Attributes:
        relay_public_keys: the trusted relay keys; at least one.
        action: what was to be approved.
        policy: who had to approve it; its `match_code` is whether `match_code` is given.
        integrator_id: who asked, or None where the file does not say.
        nonce: the request's nonce in base64, or None where the file does not say.
        now: the moment that counts as now, in epoch seconds; None takes the verifier's clock.
        requester: the person who wanted the action, or None.
        match_code: the code the approvers had to type, or None.
        webauthn: the relying party for passkey signatures, or None to refuse them.
    """

    relay_public_keys: tuple[PublicKey, ...]
    action: Action
    policy: Policy
    integrator_id: str | None = None
    nonce: str | None = None
    now: int | None = None
    requester: Party | None = None
    match_code: str | None = field(default=None, repr=False)
    webauthn: PasskeyPolicy | None = None

    def __post_init__(self) -> None:
        """Check the members as `verify_receipt` would.

        Whether the policy asks for a code follows from the code itself.

        Raises:
            ProtocolError: one of them is none that a request could meet.
        """
        expected = expect(
            relay_public_keys=self.relay_public_keys,
            integrator_id=UnsafeAny() if self.integrator_id is None else self.integrator_id,
            nonce=UnsafeAny() if self.nonce is None else self.nonce,
            now=UnsafeAny() if self.now is None else self.now,
            action=self.action,
            required=self.policy.required,
            groups=self.policy.groups,
            reject_policy=self.policy.reject_policy,
            distinct=self.policy.distinct,
            min_assurance=self.policy.min_assurance,
            requester=self.requester,
            match_code=self.match_code,
            webauthn=self.webauthn,
        )
        object.__setattr__(self, "policy", expected.policy)

    def to_json(self) -> dict[str, JsonValue]:
        """The policy file's JSON object."""
        policy = self.policy.to_json()
        del policy["match_code"]  # the file has the code itself
        members: dict[str, JsonValue] = {
            "relay_public_keys": [key.base64 for key in self.relay_public_keys],
            "action": self.action.to_json(),
            **policy,
        }
        if self.integrator_id is not None:
            members["integrator_id"] = self.integrator_id
        if self.nonce is not None:
            members["nonce"] = self.nonce
        if self.now is not None:
            members["now"] = format_time(self.now)
        if self.requester is not None:
            members["requester"] = self.requester.to_json()
        if self.match_code is not None:
            members["match_code"] = self.match_code
        if self.webauthn is not None:
            members["webauthn"] = self.webauthn.to_json()
        return members


def load_policy(data: bytes) -> VerificationPolicy:
    """Read a policy file.

    Args:
        data: the file's bytes; see the module's text for the format.

    Raises:
        ProtocolError: ``payload_too_large``, ``invalid_json``, or the code of the member that is
            wrong.
    """
    members = members_of(
        strict_json.loads(data, max_bytes=MAX_POLICY_FILE_BYTES),
        field="The policy",
        required=_REQUIRED,
        allowed=_REQUIRED | _OPTIONAL,
    )

    def text(name: str) -> str | None:
        return text_of(members[name], field=name) if name in members else None

    match_code = text("match_code")
    return VerificationPolicy(
        relay_public_keys=tuple(
            PublicKey.from_base64(item, field="relay_public_keys")
            for item in list_of(members["relay_public_keys"], field="relay_public_keys")
        ),
        action=Action.from_json(members["action"]),
        policy=Policy.of(
            required=members["required"],
            groups=tuple(
                Group.from_json(item) for item in list_of(members["groups"], field="groups")
            ),
            reject_policy=members.get("reject_policy", "any"),
            distinct=members.get("distinct", "person"),
            min_assurance=members.get("min_assurance", "none"),
            match_code=match_code is not None,
        ),
        integrator_id=text("integrator_id"),
        nonce=text("nonce"),
        now=parse_time(members["now"], field="now") if "now" in members else None,
        requester=Party.from_json(members["requester"], field="requester")
        if "requester" in members
        else None,
        match_code=match_code,
        webauthn=PasskeyPolicy.from_json(members["webauthn"]) if "webauthn" in members else None,
    )
