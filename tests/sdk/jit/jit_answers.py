"""What a relay answers to the calls of just-in-time access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.sdk.clock import START

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue

TOKEN: Final = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"
ACTIVATION: Final = "JhbGciOiJFUzI1NiJ9~~J~c2ln"
LINK: Final = f"https://relay.example.com/jit/?activation={ACTIVATION}&projectId=project-1"
ENTITLEMENT: Final = "project-1:roles/compute.admin"
ALICE: Final = "alice@example.com"
BOB: Final = "bob@example.com"

POLICY: Final[dict[str, JsonValue]] = {
    "justificationHint": "Bug or case number",
    "signedInUser": {"email": ALICE},
    "applicationVersion": "1.0.0",
    "defaultActivationTimeout": 60,
    "maxActivationTimeout": 120,
}
ROLES: Final[dict[str, JsonValue]] = {
    "entitlements": [
        {
            "id": ENTITLEMENT,
            "name": "roles/compute.admin",
            "activationType": "MPA",
            "status": "INACTIVE",
        },
        {
            "id": "project-1:roles/viewer:YSA9PSBi",
            "name": "roles/viewer",
            "resourceCondition": "a == b",
            "activationType": "JIT",
            "status": "ACTIVE",
            "validUntil": START + 600,
        },
    ],
    "warnings": ["A group could not be read."],
}


def request_value(status: str = "ACTIVATION_PENDING", **members: JsonValue) -> dict[str, JsonValue]:
    """Alice's request as bob sees it, to be decided by a call."""
    return {
        "beneficiary": {"email": ALICE},
        "reviewers": [{"email": BOB}],
        "isBeneficiary": False,
        "isReviewer": True,
        "justification": "BUG-12345",
        "entitlements": [
            {
                "activationId": "mpa-AAAAAAAAAAAAAAAA",
                "projectId": "project-1",
                "id": ENTITLEMENT,
                "name": "roles/compute.admin",
                "status": status,
                "startTime": START,
                "endTime": START + 1_800,
            }
        ],
        "approval": "click",
        "required": 1,
        "approvals": [],
        "durationMinutes": 30,
        "requestTime": START,
        "expiryTime": START + 1_800,
        "activation": ACTIVATION,
        **members,
    }


def active_value(status: str = "ACTIVE", **members: JsonValue) -> dict[str, JsonValue]:
    """Access that alice has."""
    return {
        "activationId": "019a-activation",
        "projectId": "project-1",
        "id": ENTITLEMENT,
        "name": "roles/compute.admin",
        "beneficiary": {"email": ALICE},
        "approvers": [{"email": BOB}],
        "justification": "BUG-12345",
        "status": status,
        "startTime": START,
        "endTime": START + 1_800,
        **members,
    }
