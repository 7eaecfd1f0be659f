"""Valid statements that the tests start from."""

from __future__ import annotations

from typing import Any, Final

from quorumkey.protocol import (
    Action,
    Approver,
    Decision,
    Group,
    Party,
    Policy,
    PrivateKey,
    RequestDocument,
    b64encode,
)

#: 2026-04-24T10:00:00Z.
CREATED: Final = 1_777_024_800
NONCE: Final = b64encode(bytes(range(32)))
REQUEST_ID: Final = "0196675d-3b00-7abc-8def-0123456789ab"
ACTION: Final = Action("cold_boot", "Cold boot engine ENG-001", {"engine_id": "ENG-001"})


def decision(key: PrivateKey, **members: Any) -> Decision:  # noqa: ANN401 - wrong ones on purpose
    """An approval by `key`, with other members where told."""
    every: dict[str, Any] = {
        "request_digest": "sha256:" + "a" * 64,
        "decision": "approve",
        "device": key.public_key.fingerprint,
        "decided_at": CREATED,
        **members,
    }
    return Decision(**every)


def approver(key: PrivateKey, person: str | None = None) -> Approver:
    """An approver with this key."""
    return Approver(key.public_key.fingerprint, key.public_key.base64, person)


def policy(*members: PrivateKey, required: int = 1) -> Policy:
    """A policy of one group for each key; of one new key where none is given."""
    return Policy(
        required=required,
        groups=tuple(
            Group(f"Group {number}", (approver(key),))
            for number, key in enumerate(members or (PrivateKey.generate(),), start=1)
        ),
    )


def request(relay: PrivateKey, **members: Any) -> RequestDocument:  # noqa: ANN401 - as above
    """A request document of this relay, with other members where told."""
    every: dict[str, Any] = {
        "profile": "approval",
        "relay": relay.public_key.fingerprint,
        "integrator": Party("acme", "Acme Corp"),
        "request_id": REQUEST_ID,
        "nonce": NONCE,
        "action": ACTION,
        "policy": policy(),
        "created_at": CREATED,
        "expires_at": CREATED + 300,
        "use_by": CREATED + 1_200,
        **members,
    }
    return RequestDocument(**every)
