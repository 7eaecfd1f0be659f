"""Each signed statement of a device with a fresh valid payload, for tests that spoil it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from tests.e2e.protocol_client import Device, ok
from tests.e2e.protocol_crypto import Json, Key

if TYPE_CHECKING:
    import httpx2
    from tests.e2e.protocol_client import Integrator


@dataclass
class Statement:
    """A device of one integrator and what it would say."""

    integrator: Integrator
    device: Device = field(init=False)

    kind: ClassVar[str]
    method: ClassVar[str] = "POST"

    def __post_init__(self) -> None:
        """Enrol the device that speaks."""
        self.device = self.integrator.device(f"speaks-{self.kind}")

    @property
    def key(self) -> Key:
        """The key that signs."""
        return self.device.key

    @property
    def path(self) -> str:
        """Where the statement is sent."""
        return f"/v1/device/{self.kind}"

    def payload(self) -> Json:
        """A payload that would be accepted, with a fresh nonce."""
        raise NotImplementedError

    def send(self, envelope: object) -> httpx2.Response:
        """Send an envelope as this statement."""
        http = self.device.relay.http
        return http.request(self.method, self.path, json={"envelope": envelope})

    def is_untouched(self) -> bool:
        """Whether nothing that was sent has counted."""
        raise NotImplementedError


class EnrollmentStatement(Statement):
    """A device that enrols with a code of its own."""

    kind = "enrollment"

    def __post_init__(self) -> None:
        """Make the device and its code."""
        self.device = Device(self.integrator.relay, Key())
        self.pairing = self.integrator.pairing("speaks")

    @property
    def path(self) -> str:
        """Where the statement is sent."""
        return "/v1/device/enroll"

    def payload(self) -> Json:
        """An enrollment with the code."""
        return self.device.enrollment(str(self.pairing["pairing_code"]))

    def is_untouched(self) -> bool:
        """Whether the code is still pending."""
        report = ok(self.integrator.get(f"/v1/pairings/{self.pairing['pairing_id']}"))
        return bool(report["status"] == "pending")


class SessionStatement(Statement):
    """A device that opens a session."""

    kind = "session"

    def payload(self) -> Json:
        """A session statement."""
        return self.device.said()

    def is_untouched(self) -> bool:
        """A session leaves no trace but its token."""
        return True


class PushStatement(Statement):
    """A device that sets its push address."""

    kind = "push"
    method = "PUT"

    def payload(self) -> Json:
        """A push statement."""
        return self.device.said(audience=False) | {"push": {"channel": "none"}}

    def is_untouched(self) -> bool:
        """A push address is shown to nobody."""
        return True


class UnpairStatement(Statement):
    """A device that unpairs."""

    kind = "unpair"

    def payload(self) -> Json:
        """An unpairing from every integrator."""
        return self.device.said(audience=False)

    def is_untouched(self) -> bool:
        """Whether the device can still be named."""
        return self.integrator.ask([self.device]).status_code == 201


class DecisionStatement(Statement):
    """A device that decides a request that it alone can decide."""

    kind = "decision"

    def __post_init__(self) -> None:
        """Make the request."""
        super().__post_init__()
        self.request = self.integrator.asked([self.device])

    @property
    def path(self) -> str:
        """Where the statement is sent."""
        return f"/v1/device/requests/{self.request['request_id']}/decision"

    def payload(self) -> Json:
        """An approval."""
        return self.device.decision(self.request, "approve")

    def is_untouched(self) -> bool:
        """Whether the request is pending and nothing of it is satisfied."""
        request = self.integrator.read(self.request)
        return (request["status"], request["groups_satisfied"]) == ("pending", [])


STATEMENTS: tuple[type[Statement], ...] = (
    EnrollmentStatement,
    SessionStatement,
    PushStatement,
    UnpairStatement,
    DecisionStatement,
)
#: Their names.
KINDS = tuple(statement.kind for statement in STATEMENTS)


def entry_of(envelope: Json) -> Json:
    """The one signature entry of an envelope."""
    found: Json = envelope["signatures"][0]
    return found


def sealed(statement: Statement) -> Json:
    """A fresh envelope that would be accepted."""
    return statement.key.seal(statement.kind, statement.payload())
