"""Requests for roles, activations, policies and mail, made by hand."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from msgspec.structs import replace
from tests.contract.material import MINT
from tests.relay.simulator import ACME, START

from quorumkey_relay.domain.jit.activation import Activation, changed
from quorumkey_relay.domain.jit.entitlement import EntitlementId
from quorumkey_relay.domain.jit.mail import Mail
from quorumkey_relay.domain.jit.policy import StoredPolicy
from quorumkey_relay.domain.jit.request import AccessRequest, Vote

if TYPE_CHECKING:
    from quorumkey_relay.domain.jit.activation import ActivationState
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.store.records import Stored

ALICE, BOB, CAROL = (f"{name}@example.com" for name in ("alice", "bob", "carol"))
ROLE = EntitlementId("project-1", "roles/compute.admin", 'resource.name == "a"')


def asked(
    *reviewers: str,
    by: str = ALICE,
    integrator: Integrator = ACME,
    signed: Stored | None = None,
) -> AccessRequest:
    """A new request for a role, of people or of their devices."""
    return AccessRequest(
        id="mpa-" + base64.b64encode(MINT.random(12)).decode(),
        integrator_id=integrator.id,
        beneficiary=by,
        entitlement=ROLE,
        reviewers=reviewers or (BOB,),
        required=1,
        reject_policy="any",
        justification="BUG-12345",
        window_from="request",
        start=START,
        duration_seconds=1_800,
        created_at=START,
        expires_at=START + 3_600,
        approval="click" if signed is None else "device",
        request_id=None if signed is None else signed.terms.request_id,
    )


def voted(request: AccessRequest, reviewer: str = BOB) -> AccessRequest:
    """A request that somebody has approved."""
    vote = Vote(reviewer, "approve", START + 1)
    return replace(request, votes=(*request.votes, vote), version=request.version + 1)


def closed(request: AccessRequest) -> AccessRequest:
    """A request whose time is over."""
    return replace(request, closed_at=START + 9, version=request.version + 1)


def given(
    request: AccessRequest | None = None, *, to: str = ALICE, integrator: Integrator = ACME
) -> Activation:
    """A new activation, of a request or by somebody alone."""
    return Activation(
        activation_id=MINT.uuid7(),
        integrator_id=integrator.id,
        beneficiary=to,
        entitlement=ROLE,
        justification="BUG-12345",
        approvers=() if request is None else (BOB,),
        executor="cloud",
        start=START,
        end=START + 1_800,
        created_at=START,
        access_request=None if request is None else request.id,
        request_id=None if request is None else request.request_id,
    )


def moved(activation: Activation, *states: ActivationState) -> Activation:
    """An activation that goes through states."""
    for state in states:
        ended_at = START + 5 if state in {"ended", "failed"} else None
        activation = changed(activation, state, ended_at=ended_at)
    return activation


def policy(
    project: str = "project-1", *, revision: int = 1, integrator: Integrator = ACME
) -> StoredPolicy:
    """The policy of a project."""
    return StoredPolicy(
        integrator_id=integrator.id,
        project=project,
        revision=revision,
        document=b'{"bindings":[]}',
        changed_at=START + revision,
    )


def mail(*, next_at: int = START, not_after: int = START + 60) -> Mail:
    """A queued message."""
    return Mail(
        mail_id=MINT.uuid7(),
        integrator_id=ACME.id,
        subject_id="mpa-1",
        recipients=(ALICE, BOB),
        message=b"Subject: an unmistakable text\r\n\r\nHello",
        created_at=START,
        not_after=not_after,
        next_at=next_at,
    )
