"""What a device checks before it shows Approve (PROTOCOL §6), without I/O.

The steps are numbered as on the protocol page. A request that fails one is still shown with what
is wrong; where at least the relay's signature on it holds, it can be denied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey.client.models import Status, envelope_of
from quorumkey.device.decisions import Choice
from quorumkey.errors import ProtocolError
from quorumkey.protocol.dsse import Kind, verify_signature
from quorumkey.protocol.statements import (
    Challenge,
    RequestDocument,
    request_digest,
    verify_statement,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from quorumkey.client._fields import Fields
    from quorumkey.client.pins import RelayPins
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.keys import PublicKey

__all__ = ["DeviceRequest", "ReceivedRequest", "Reviewer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One item of ``GET /v1/device/requests``, unchecked."""

    request_id: str
    request: Envelope
    challenge: Envelope
    status: Status
    groups_satisfied_count: int
    my_decision: Choice | None

    @staticmethod
    def parse(fields: Fields) -> ReceivedRequest:
        """Read an item."""
        return ReceivedRequest(
            request_id=fields.text("request_id"),
            request=envelope_of(fields.raw("request")),
            challenge=envelope_of(fields.raw("challenge")),
            status=fields.choice("status", Status),
            groups_satisfied_count=fields.integer("groups_satisfied_count"),
            my_decision=(
                fields.choice("my_decision", Choice) if fields.has("my_decision") else None
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """A request as this device may show it.

    Attributes:
        request_id: the id that was asked for.
        status: where it stands, by the relay's word.
        groups_satisfied_count: how far it is, by the relay's word.
        my_decision: what the relay has recorded from this device, or None.
        seconds_left: until it can no longer be answered, by the relay's clock; never negative.
        problem: the first check that failed, as a sentence; None: it may be approved.
        digest: what a decision names; None where not even the relay's signature holds, so that
            there is nothing to decide.
        document: what is to be shown; None where it could not be read.
        group: the group this device stands in; None where a check before that failed.
    """

    request_id: str
    status: Status
    groups_satisfied_count: int
    my_decision: Choice | None
    seconds_left: int
    problem: str | None
    digest: str | None
    document: RequestDocument | None
    group: str | None

    @property
    def can_approve(self) -> bool:
        """Whether Approve may be offered."""
        return self.problem is None and self._open

    @property
    def can_deny(self) -> bool:
        """Whether Deny may be offered."""
        return self.digest is not None and (self._open or self.is_withdrawable)

    @property
    def is_withdrawable(self) -> bool:
        """Whether a denial may still end what others have approved.

        So it is with a call of a protected method until it runs; the relay knows whether it has.
        """
        return (
            self.status is Status.APPROVED
            and self.my_decision is None
            and self.document is not None
            and self.document.profile == "protected_method"
        )

    @property
    def _open(self) -> bool:
        return self.status is Status.PENDING and self.my_decision is None


class _Problem(Exception):  # noqa: N818 - carries the sentence out of a step, never leaves here
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """Checks received requests for one device at one relay.

    Attributes:
        device: the device's own key.
        pins: the relay's trusted keys.
        integrators: ids of those the device is paired with.
    """

    device: PublicKey
    pins: RelayPins
    integrators: Collection[str]

    def review(
        self,
        received: ReceivedRequest,
        *,
        request_id: str,
        now: int,
        led_by: Envelope | None = None,
    ) -> DeviceRequest:
        """Check a request that was asked for as `request_id`.

        Args:
            received: what the relay answered.
            request_id: what it was asked for.
            now: seconds since the epoch, corrected by the relay's clock.
            led_by: the challenge that led here; None checks the one in the answer.
        """
        digest: str | None = None
        document: RequestDocument | None = None
        group: str | None = None
        problem: str | None = None
        seconds_left = 0
        try:
            key = self._step_1(received.request)
            digest = request_digest(received.request.payload)
            document = self._step_2(received.request, key, request_id)
            seconds_left = max(document.expires_at - now, 0)
            self._step_3(led_by or received.challenge, document, digest)
            group = self._step_4(document)
            _step_5(document, now)
        except _Problem as failed:
            problem = str(failed)
        return DeviceRequest(
            request_id=request_id,
            status=received.status,
            groups_satisfied_count=received.groups_satisfied_count,
            my_decision=received.my_decision,
            seconds_left=seconds_left,
            problem=problem,
            digest=digest,
            document=document,
            group=group,
        )

    def check_challenge(self, challenge: Envelope) -> Challenge:
        """Check the challenge of a push or a frame before anything is fetched for it.

        Raises:
            ProtocolError: it is no challenge of the pinned relay for this device.
        """
        key = self.pins.key(challenge.keyid)
        if key is None:
            raise ProtocolError("invalid_signature", "The challenge is not from the pinned relay.")
        statement = verify_statement(challenge, Challenge, key=key).statement
        if statement.relay != key.fingerprint or statement.device != self.device.fingerprint:
            raise ProtocolError("invalid_request", "The challenge is not for this device.")
        return statement

    def _step_1(self, request: Envelope) -> PublicKey:
        """(1) The request envelope verifies as type ``request`` under the pinned relay key."""
        key = self.pins.key(request.keyid)
        if key is None:
            raise _Problem("The request is not signed by the pinned relay.")
        try:
            verify_signature(request, kind=Kind.REQUEST, key=key)
        except ProtocolError as error:
            raise _Problem(f"The request is not signed by the pinned relay: {error}") from None
        return key

    def _step_2(self, request: Envelope, key: PublicKey, request_id: str) -> RequestDocument:
        """(2) ``v``, ``relay``, ``request_id``, no unknown member, a paired integrator."""
        try:
            document = RequestDocument.decode(request.payload)
        except ProtocolError as error:
            raise _Problem(f"This request cannot be shown in full: {error}") from None
        if document.relay != key.fingerprint:
            raise _Problem("The request names another relay than the one that signed it.")
        if key not in self.pins.keys_for(document.created_at):
            raise _Problem("The request is signed by a relay key that had been replaced.")
        if document.request_id != request_id:
            raise _Problem("The relay answered with another request.")
        if document.integrator.id not in self.integrators:
            raise _Problem("The request is from an integrator this device is not paired with.")
        return document

    def _step_3(self, challenge: Envelope, document: RequestDocument, digest: str) -> None:
        """(3) The challenge is the relay's, for this device, this request and this deadline."""
        try:
            statement = self.check_challenge(challenge)
        except ProtocolError as error:
            raise _Problem(f"The challenge does not hold: {error}") from None
        if (
            statement.request_id != document.request_id
            or statement.request_digest != digest
            or statement.expires_at != document.expires_at
        ):
            raise _Problem("The challenge is for another request.")

    def _step_4(self, document: RequestDocument) -> str:
        """(4) The device's own fingerprint and key stand in exactly one group."""
        groups = [
            group.name
            for group in document.policy.groups
            for approver in group.approvers
            if approver.fingerprint == self.device.fingerprint
            and approver.device_public_key == self.device.base64
        ]
        if len(groups) != 1:
            raise _Problem("This device is not named in exactly one group of the request.")
        return groups[0]


def _step_5(document: RequestDocument, now: int) -> None:
    """(5) Now, corrected by the relay's ``time``, is before ``expires_at``."""
    if now >= document.expires_at:
        raise _Problem("The time to answer this request is over.")
