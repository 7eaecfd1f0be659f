"""Activations, and Google Cloud with an executor in front of it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace
from tests.relay.simulator import START, ManualClock

from quorumkey_relay.delivery.google.access_token import ServiceAccount
from quorumkey_relay.delivery.google.api import GoogleApi, google_client
from quorumkey_relay.domain.jit.activation import Activation
from quorumkey_relay.domain.jit.entitlement import EntitlementId
from quorumkey_relay.executors.gcp_iam import GcpIamExecutor
from quorumkey_relay.standins.google_cloud import start_google_cloud

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from quorumkey_relay.standins.google_cloud import GoogleCloud

ALICE = "alice@example.com"
BOB = "bob@example.com"
PROJECT = "project-1"
ROLE = "roles/compute.admin"
END = START + 600

#: What C9 says of an activation from START (2027-01-15T08:00:00Z) for ten minutes.
WINDOW = (
    '(request.time >= timestamp("2027-01-15T08:00:00Z")'
    ' && request.time < timestamp("2027-01-15T08:10:00Z"))'
)
ACTIVATION = Activation(
    activation_id="0193d3c1-6b1e-7000-8000-000000000001",
    integrator_id="0193d3c1-6b1e-7000-8000-00000000000f",
    beneficiary=ALICE,
    entitlement=EntitlementId(PROJECT, ROLE),
    justification="BUG-12345",
    approvers=(BOB,),
    executor="cloud",
    start=START,
    end=END,
    created_at=START,
)
ELIGIBLE: dict[str, object] = {
    "role": ROLE,
    "members": [f"user:{ALICE}", f"user:{BOB}"],
    "condition": {
        "title": "Eligible",
        "description": "",
        "expression": "has({}.multiPartyApprovalConstraint)",
    },
}
PERMANENT: dict[str, object] = {"role": "roles/browser", "members": [f"user:{ALICE}"]}


def activation(
    *, role: str = ROLE, condition: str = "", project: str = PROJECT, **members: object
) -> Activation:
    """The activation, of another entitlement or with other members."""
    entitlement = EntitlementId(project, role, condition)
    return replace(ACTIVATION, entitlement=entitlement, **members)


class Pauses:
    """How long was waited, without waiting; ``during`` is done meanwhile."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.during: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, seconds: float) -> None:
        """Go on at once, or when that is done."""
        self.seconds.append(seconds)
        if self.during is not None:
            await self.during()


@dataclass
class CloudRig:
    """Google Cloud, the executor, and their clock."""

    cloud: GoogleCloud
    executor: GcpIamExecutor
    clock: ManualClock
    pauses: Pauses

    @property
    def temporary(self) -> list[dict[str, object]]:
        """The bindings of the project that activations have made."""
        return [
            binding
            for binding in self.cloud.bindings(PROJECT)
            if "request.time" in str(binding.get("condition"))
        ]

    @property
    def methods(self) -> list[tuple[str, int]]:
        """What was called, and the status of each answer."""
        return [(call.method, call.status) for call in self.cloud.calls]

    def has_role(self, email: str = ALICE, role: str = ROLE) -> bool:
        """Whether Google lets somebody use the role now."""
        return self.cloud.has_role(email, PROJECT, role)


@asynccontextmanager
async def google_cloud(
    folder: Path, *, timeout_seconds: float = 10
) -> AsyncGenerator[CloudRig, None]:
    """A project in which Alice and Bob are eligible, and Alice has one role for good."""
    clock, pauses = ManualClock(), Pauses()
    async with start_google_cloud(folder, now=clock.now) as cloud:
        cloud.put_policy(PROJECT, [ELIGIBLE, PERMANENT])
        account = ServiceAccount.read(cloud.files.service_account_file)
        client = google_client(cloud.files.ca_file.read_bytes())
        executor = GcpIamExecutor(
            name="cloud",
            url=cloud.url,
            api=GoogleApi(account, client, clock),
            pause=pauses,
            timeout_seconds=timeout_seconds,
        )
        try:
            yield CloudRig(cloud, executor, clock, pauses)
        finally:
            await executor.close()
