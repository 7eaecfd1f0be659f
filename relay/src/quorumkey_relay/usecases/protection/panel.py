"""Who can approve a call: one group for each administrator, made of their devices."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import Group, b64encode, limits
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.draft import approver

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.store.protocol import Directory

_DIGEST_CHARS: Final = 16
_SHORTENED: Final = "…"


def panel(
    protection: Protection, directory: Directory, *, requester: str | None, others_needed: int
) -> tuple[Group, ...] | Refusal:
    """Return the groups of a request, or why nobody could ever approve it.

    ``requester`` is the approver id of the person who calls, None for an API key. Their own group,
    if they are an administrator, may deny but not approve, so ``others_needed`` leaves it out.
    """
    integrator_id = protection.integrator_id
    devices = {
        person: found
        for person in protection.administrators
        if (found := directory.devices_of(integrator_id, person))
    }
    others = sum(person != requester for person in devices)
    if others < others_needed:
        return Refusal(
            "failed_precondition",
            f"Approvals of other administrators that this call needs: {others_needed}; others with"
            f" a paired device: {others}. Name more administrators first.",
            {"needed": others_needed, "administrators": others},
        )
    return tuple(
        Group(
            group_name(person),
            tuple(
                approver(device.fingerprint, b64encode(device.public_key), person)
                for device in chosen
            ),
        )
        for person, chosen in newest_of_each(devices.items())
    )


def group_name(person: str) -> str:
    """Return the name of a person's group: their id, shortened where it is too long.

    Names of groups are unique: an id that could be a shortened one is made like it.
    """
    if len(person) <= limits.MAX_NAME_CHARS and _SHORTENED not in person:
        return person
    digest = hashlib.sha256(person.encode()).hexdigest()[:_DIGEST_CHARS]
    start = person[: limits.MAX_NAME_CHARS - _DIGEST_CHARS - 1].rstrip()
    return f"{start}{_SHORTENED}{digest}"


def newest_of_each(
    devices: Iterable[tuple[str, Sequence[Device]]],
) -> list[tuple[str, list[Device]]]:
    """Return each person's devices, the newest first and evenly, as many as may be named."""
    queues = [(person, list(reversed(found))) for person, found in devices]
    chosen: list[tuple[str, list[Device]]] = [(person, []) for person, _ in queues]
    left = limits.MAX_APPROVERS
    for number in range(limits.MAX_GROUP_APPROVERS):
        for (_, queue), (_, taken) in zip(queues, chosen, strict=True):
            if left and number < len(queue):
                taken.append(queue[number])
                left -= 1
    return [(person, taken) for person, taken in chosen if taken]
