"""Whose votes count about calls of protected methods: those of administrators, at that moment.

A vote counts when it is given by an administrator on a paired device (B7), while the request is
open as long as both stay so, and once more when the approval is claimed (B30). Who loses the role
takes their approval along, as a device does that is revoked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey.protocol import admits
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.usecases.advance import advance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.domain.model import Terms
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Directory, Store
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.writes import Commit, Write

    class Devices(Protocol):
        """The part of the directory that knows who has which devices."""

        def devices_of(self, integrator_id: str, approver_id: str) -> Sequence[Device]:
            """Return the unrevoked devices that are paired for an approver."""
            ...


def able_administrators(devices: Devices, protection: Protection) -> int:
    """Return how many administrators can approve now: those with a paired device."""
    return sum(
        bool(devices.devices_of(protection.integrator_id, one)) for one in protection.administrators
    )


def may_vote(terms: Terms, device: Device, protection: Protection | None) -> bool:
    """Say whether the person of a named device is among those who may vote on a request now."""
    if terms.form.voters == "paired":
        return True
    tie, person = device.pairings.get(terms.integrator_id), terms.seats[device.fingerprint].person
    return (
        protection is not None
        and protection.is_administrator(person)
        and tie is not None
        and tie.approver_id == person
    )


def lost_votes(stored: Stored, directory: Directory, protection: Protection | None) -> list[str]:
    """Return the devices whose approval does not count any more.

    A revocation by another process is in the directory before what follows from it is committed,
    and that may fail; only approvals in good standing at a commit count (PROTOCOL §5), and only of
    devices that still reach the request's floor.
    """
    terms = stored.terms
    return [
        ballot.device
        for ballot in stored.state.ballots.values()
        if ballot.choice == "approve"
        and not (
            (device := directory.device(ballot.device))
            and device.paired_with(terms.integrator_id)
            and admits(device.assurance, terms.min_assurance)
            and may_vote(terms, device, protection)
        )
    ]


def good_votes(stored: Stored, directory: Directory, protection: Protection | None) -> bool:
    """Say whether an approval still rests on enough votes; to be asked when it is claimed."""
    terms, ballots = stored.terms, stored.state.ballots.values()
    lost = lost_votes(stored, directory, protection)
    groups = {
        terms.seats[ballot.device].group
        for ballot in ballots
        if ballot.choice == "approve" and ballot.device not in lost
    }
    return len(groups) >= terms.required


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministratorVotes:
    """Takes approvals back whose person is not an administrator any more."""

    store: Store
    clock: Clock
    mint: Mint
    plan: DeliveryPlan

    def withdrawals(self, protection: Protection) -> Commit:
        """Return the writes that take them out of open requests, given who is one from now on.

        They go into the commit that changes the administrators.
        """
        now = self.clock.now()
        writes: list[Write] = []
        for stored in self.store.pending():
            terms = stored.terms
            if terms.form.voters == "paired" or terms.integrator_id != protection.integrator_id:
                continue
            lost = lost_votes(stored, self.store.directory, protection)
            events = lifecycle.lose_devices(terms, stored.state, lost, now)
            if events:
                writes += advance(stored, events, now=now, mint=self.mint, plan=self.plan)[1]
        return tuple(writes)

    async def reconcile(self) -> None:
        """Follow up on what another process changed of who is an administrator."""
        for protection in self.store.directory.protections():
            if writes := self.withdrawals(protection):
                await self.store.commit(writes)
