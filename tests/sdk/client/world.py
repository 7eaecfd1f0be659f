"""A blocking client, its relay in memory, and the clock of both."""

from __future__ import annotations

from tests.sdk.clock import ManualClock
from tests.sdk.relay_double import (
    API_KEY,
    URL,
    Phone,
    RelayDouble,
    Stored,
)

from quorumkey.client import (
    Client,
    ClientPorts,
    CreatedRequest,
    RetryPolicy,
    group,
)
from quorumkey.protocol import Action

ACTION = Action("cold_boot", "Cold boot engine ENG-001", {"engine_id": "ENG-001"})
ALICE, BOB = Phone("alice"), Phone("bob")


class World:
    """A client, its relay, and the clock of both."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.relay = RelayDouble()
        self.client = self.connect()

    def connect(self, **options: object) -> Client:
        """Another client of the same relay."""
        return Client(
            URL,
            API_KEY,
            transport=self.relay.transport,
            sleep=self.clock.sleep,
            ports=ClientPorts(now=self.clock.now, monotonic=self.clock.now),
            retry=RetryPolicy(attempts=2, jitter=lambda: 0.5),
            **options,  # type: ignore[arg-type]  # any member
        )

    def create(self, *phones: Phone) -> CreatedRequest:
        """Ask for the approval of each of these phones."""
        groups = [group(phone.person.title(), phone.approver) for phone in phones]
        return self.client.requests.create(action=ACTION, groups=groups, required=len(groups))

    def stored(self, created: CreatedRequest) -> Stored:
        """The relay's side of a request."""
        return self.relay.requests[created.request_id]

    def approve(self, created: CreatedRequest, *phones: Phone) -> Stored:
        """Let these phones approve, and the relay say that this is enough."""
        stored = self.stored(created)
        stored.decisions = [phone.decide(stored.digest) for phone in phones]
        stored.status = "approved"
        return stored
