"""One way to change a request: events become a state, a commit, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey.protocol import format_time
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import Resolved
from quorumkey_relay.store.records import EventRecord
from quorumkey_relay.store.writes import AdvanceRequest, AppendEvent, PutDelivery
from quorumkey_relay.usecases.protection import audit
from quorumkey_relay.usecases.render import encode

if TYPE_CHECKING:
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.domain.model import Event, State, Status, Terms
    from quorumkey_relay.identity.principals import Device, Pairing
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.records import Evidence, Stored
    from quorumkey_relay.store.writes import Commit


def advance(  # noqa: PLR0913 - what a step of a request takes with it
    stored: Stored,
    events: tuple[Event, ...],
    *,
    now: int,
    mint: Mint,
    evidence: tuple[Evidence, ...] = (),
    plan: DeliveryPlan | None = None,
) -> tuple[State, Commit]:
    """Return the state after ``events`` and the writes that record them.

    A terminal event enters the integrator's event stream in the same commit, so exactly once, and
    with it what ``plan`` has to withdraw from devices that a push may have told of the request.
    What is audited of a protected method's votes and end does so too, as of ``now``.
    """
    before = stored.state
    after = before
    for event in events:
        after = lifecycle.apply(stored.terms, after, event)
    change = AdvanceRequest(stored.terms, before, after, events, evidence)
    announced = tuple(
        AppendEvent(resolution_event(stored.terms, after, event.status, event.at, mint))
        for event in events
        if isinstance(event, Resolved)
    )
    if stored.terms.profile == audit.PROFILE:
        announced += audit.follow(stored, events, now=now, mint=mint)
    if plan is None or after.completed_at is None:
        return after, (change, *announced)
    withdrawn = plan.closing(stored, events, after.completed_at)
    return after, (change, *announced, *(PutDelivery(delivery) for delivery in withdrawn))


def resolution_event(
    terms: Terms, state: State, status: Status, at: int, mint: Mint
) -> EventRecord:
    """Return the ``mpa.*`` event of a request that has just ended (PROTOCOL §10)."""
    body = {
        "type": f"mpa.{status}",
        "request_id": terms.request_id,
        "status": str(status),
        "groups_satisfied": [terms.groups[index] for index in state.satisfied],
        "timestamp": format_time(at),
    }
    return EventRecord(
        id=mint.uuid7(),
        integrator_id=terms.integrator_id,
        type=f"mpa.{status}",
        subject=terms.request_id,
        body=encode(body),
        created_at=at,
    )


def device_event(  # noqa: PLR0913 - the members of the event
    kind: str, device: Device, tie: Pairing, *, now: int, mint: Mint, reason: str | None = None
) -> EventRecord:
    """Return a ``device.*`` event for the integrator of ``tie`` (PROTOCOL §10)."""
    approver = {"id": tie.approver_id}
    if tie.approver_name is not None:
        approver["name"] = tie.approver_name
    body: dict[str, object] = {
        "type": kind,
        "fingerprint": device.fingerprint,
        "approver": approver,
        "assurance": device.assurance,
    }
    if reason is not None:
        body["reason"] = reason
    body["timestamp"] = format_time(now)
    return EventRecord(
        id=mint.uuid7(),
        integrator_id=tie.integrator_id,
        type=kind,
        subject=device.fingerprint,
        body=encode(body),
        created_at=now,
    )
