"""Requests for roles and activations as people see them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct, UnsetType

from quorumkey_relay.domain.jit import request as jit_request
from quorumkey_relay.domain.jit.activation import Activation
from quorumkey_relay.domain.lifecycle import status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.usecases.jit.rules import SECONDS_PER_MINUTE
from quorumkey_relay.usecases.jit.views import (
    AccessEntitlementView,
    AccessRequestView,
    ActivationView,
    PersonView,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.jit.links import Links
    from quorumkey_relay.usecases.jit.ports import Executors
    from quorumkey_relay.usecases.jit.views import AccessStatus


class Standing(Struct, frozen=True):
    """How a request stands: its votes, who approved so far, and what came of it."""

    status: Status
    approvers: tuple[str, ...]
    activation: Activation | None


async def standing_of(store: Store, request: AccessRequest, now: int) -> Standing:
    """Return how a request stands at ``now``, as new as ``load``."""
    activation = None
    if request.activation_id is not None:
        activation = await store.activation(request.activation_id)
    signed, approvers = None, request.approvers
    if request.request_id is not None:
        stored = await store.load(request.request_id)
        if stored is not None:
            signed = status_at(stored.terms, stored.state, now)
            approvers = tuple(
                stored.terms.seats[ballot.device].person
                for ballot in stored.state.ballots.values()
                if ballot.choice == "approve"
            )
    return Standing(jit_request.status_at(request, signed, now), approvers, activation)


_ENDED: Final[Mapping[Status, AccessStatus]] = MappingProxyType(
    {
        Status.PENDING: "ACTIVATION_PENDING",
        Status.REJECTED: "DENIED",
        Status.TIMEOUT: "EXPIRED",
        Status.CANCELLED: "WITHDRAWN",
    }
)


def request_status(request: AccessRequest, standing: Standing, now: int) -> AccessStatus:
    """Return the one word for how a request stands."""
    if standing.activation is not None:
        return activation_status(standing.activation, now)
    if standing.status is not Status.APPROVED:
        return _ENDED[standing.status]
    return "GRANTING" if request.not_granted is None else "NOT_GRANTED"


def activation_status(activation: Activation, now: int) -> AccessStatus:
    """Return the one word for how an activation stands."""
    match activation.state:
        case "granting":
            return "GRANTING"
        case "active":
            return "ACTIVE" if now < activation.end else "ENDED"
        case "revoking":
            return "REVOKING"
        case "failed":
            return "FAILED"
        case "ended":
            if activation.end_reason == "unconfirmed":
                return "FAILED"
            return "REVOKED" if activation.end_reason == "revoked" else "ENDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessViews:
    """Makes views of requests and activations."""

    store: Store
    links: Links
    executors: Executors

    async def request(self, request: AccessRequest, person: str, now: int) -> AccessRequestView:
        """Return a request as one of its parties sees it; what it says is durable."""
        standing = await standing_of(self.store, request, now)
        await self.store.settled()
        activation, named = standing.activation, request.entitlement
        start: int | UnsetType = UNSET
        end: int | UnsetType = UNSET
        if activation is not None:
            start, end = activation.start, activation.end
        elif request.window_from == "request":
            start, end = request.start, request.end
        return AccessRequestView(
            beneficiary=PersonView(request.beneficiary),
            reviewers=_people(request.reviewers),
            is_beneficiary=person == request.beneficiary,
            is_reviewer=person in request.reviewers,
            justification=request.justification,
            entitlements=[
                AccessEntitlementView(
                    activation_id=request.activation_id or request.id,
                    project_id=named.project,
                    id=str(named),
                    name=named.role,
                    resource_condition=named.condition or UNSET,
                    status=request_status(request, standing, now),
                    start_time=start,
                    end_time=end,
                )
            ],
            approval=request.approval,
            request_id=UNSET if request.request_id is None else request.request_id,
            required=request.required,
            approvals=_people(standing.approvers if activation is None else activation.approvers),
            duration_minutes=request.duration_seconds // SECONDS_PER_MINUTE,
            request_time=request.created_at,
            expiry_time=request.decide_by,
            activation=self.links.token(request),
        )

    def activated_alone(self, activations: Sequence[Activation], now: int) -> AccessRequestView:
        """Return what a person has activated alone, in one call."""
        first = activations[0]
        return AccessRequestView(
            beneficiary=PersonView(first.beneficiary),
            reviewers=[],
            is_beneficiary=True,
            is_reviewer=False,
            justification=first.justification,
            entitlements=[
                AccessEntitlementView(
                    activation_id=one.activation_id,
                    project_id=one.entitlement.project,
                    id=str(one.entitlement),
                    name=one.entitlement.role,
                    resource_condition=one.entitlement.condition or UNSET,
                    status=activation_status(one, now),
                    start_time=one.start,
                    end_time=one.end,
                )
                for one in activations
            ],
        )

    def activation(self, activation: Activation, now: int) -> ActivationView:
        """Return an activation as its parties see it."""
        executor = self.executors.named(activation.executor)
        named = activation.entitlement
        return ActivationView(
            activation_id=activation.activation_id,
            project_id=named.project,
            id=str(named),
            name=named.role,
            resource_condition=named.condition or UNSET,
            beneficiary=PersonView(activation.beneficiary),
            approvers=_people(activation.approvers),
            justification=activation.justification,
            status=activation_status(activation, now),
            start_time=activation.start,
            end_time=activation.end,
            executor=UNSET if executor is None else executor.description,
        )


def _people(addresses: Iterable[str]) -> list[PersonView]:
    return [PersonView(address) for address in addresses]
