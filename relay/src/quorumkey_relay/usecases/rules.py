"""Rules of a request that need to know the devices (PROTOCOL §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey.errors import MESSAGE_REQUIRED_EXCEEDS_GROUPS
from quorumkey.protocol import admits
from quorumkey_relay.domain.lifecycle import status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from quorumkey.protocol import RequestDocument
    from quorumkey_relay.store.protocol import Directory, Store


def check_devices(document: RequestDocument, directory: Directory) -> dict[str, str] | Refusal:
    """Return the person of each named device, or the rule that the devices break."""
    integrator, policy = document.integrator.id, document.policy
    persons: dict[str, str] = {}
    homes: dict[str, str] = {}
    low: list[str] = []
    for group in policy.groups:
        for approver in group.approvers:
            device = directory.device(approver.fingerprint)
            if device is None or not device.paired_with(integrator):
                return Refusal(
                    "unknown_device",
                    "A named device is not paired with this integrator.",
                    {"fingerprint": approver.fingerprint},
                )
            person = device.pairings[integrator].approver_id
            if approver.approver_id is not None and approver.approver_id != person:
                return Refusal(
                    "invalid_request",
                    "approver_id is not the approver that the device was paired for.",
                    {"fingerprint": approver.fingerprint},
                )
            home = homes.setdefault(person, group.name)
            if policy.distinct == "person" and home != group.name:
                return Refusal(
                    "duplicate_approver",
                    "A person can stand in one group only.",
                    {"fingerprint": approver.fingerprint},
                )
            if not admits(device.assurance, policy.min_assurance):
                low.append(approver.fingerprint)
            persons[approver.fingerprint] = person
    if low:
        return Refusal(
            "insufficient_assurance",
            f"Named devices are below the assurance level {policy.min_assurance}.",
            {"fingerprints": list(low)},
        )
    return _check_requester(document, persons) or persons


def _check_requester(document: RequestDocument, persons: dict[str, str]) -> Refusal | None:
    """A group made only of the requester's devices cannot be satisfied."""
    if document.requester is None:
        return None
    requester = document.requester.id
    countable = sum(
        any(persons[approver.fingerprint] != requester for approver in group.approvers)
        for group in document.policy.groups
    )
    if document.policy.required > countable:
        return Refusal("invalid_request", MESSAGE_REQUIRED_EXCEEDS_GROUPS)
    return None


def pending_limit(
    document: RequestDocument, store: Store, *, now: int, limit: int
) -> Refusal | None:
    """Refuse when a device already has ``limit`` open requests of this integrator and profile."""
    integrator_id, profile = document.integrator.id, document.profile
    for group in document.policy.groups:
        for approver in group.approvers:
            named = store.pending_count(
                approver.fingerprint, integrator_id=integrator_id, profile=profile
            )
            if named < limit:
                continue
            own = [
                stored.terms
                for stored in store.pending_for(approver.fingerprint)
                if stored.terms.integrator_id == integrator_id
                and stored.terms.profile == profile
                and status_at(stored.terms, stored.state, now) is Status.PENDING
            ]
            if len(own) >= limit:
                return Refusal(
                    "rate_limited",
                    f"A device is named by {limit} open requests already; wait for one to end.",
                    {"fingerprint": approver.fingerprint},
                    retry_after=max(1, min(terms.expires_at for terms in own) - now),
                )
    return None
