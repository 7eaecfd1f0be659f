"""Devices lose their standing: unpaired by themselves or their integrator, or revoked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey.protocol import Unpair, admits
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.store.writes import AppendEvent, PutDevice, PutPairing
from quorumkey_relay.usecases.advance import advance, device_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol import Envelope
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.domain.model import State, Terms
    from quorumkey_relay.identity.principals import Device, Pairing
    from quorumkey_relay.identity.sessions import Sessions
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit, Write
    from quorumkey_relay.usecases.authenticate import Authenticator

CLOSE_REVOKED: Final = 4403
UNPAIRED: Final = "unpaired"


class Sockets(Protocol):
    """The part of the hub that ends a device's stream."""

    def close(self, device: str, code: int) -> None:
        """Close the device's stream, if it has one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Ends ties, takes what rested on them out of open requests, and voids sessions."""

    store: Store
    clock: Clock
    mint: Mint
    sessions: Sessions
    sockets: Sockets
    plan: DeliveryPlan

    async def end_ties(self, device: Device, ties: tuple[Pairing, ...]) -> None:
        """End ``ties`` of a device; when this returns, its sessions are void."""
        now = self.clock.now()
        ended = tuple(replace(tie, ended_at=now) for tie in ties)
        gone = {tie.integrator_id for tie in ended}
        # The push address and session key go with the last tie.
        if gone >= set(device.pairings):
            device = replace(device, session_key=None, push_channel="none", push=None)
        events = tuple(
            AppendEvent(
                device_event(
                    "device.revoked", device, tie, now=now, mint=self.mint, reason=UNPAIRED
                )
            )
            for tie in ended
        )
        withdrawn = self.withdrawals(device.fingerprint, lambda terms: terms.integrator_id in gone)
        await self.store.commit(
            (PutDevice(device), *(PutPairing(tie) for tie in ended), *events, *withdrawn)
        )
        self.void(device.fingerprint)

    async def revoked_elsewhere(self, fingerprint: str) -> None:
        """Follow up on a device that another process changed, if it lost its standing."""
        device = self.store.directory.device(fingerprint)
        if device is None:
            return
        if not device.usable:
            self.void(fingerprint)  # first: it must not depend on the store's health
        withdrawn = self.withdrawals(
            fingerprint, lambda terms: not device.paired_with(terms.integrator_id)
        )
        if withdrawn:
            await self.store.commit(withdrawn)

    async def reconcile(self) -> None:
        """After a start: take out of open requests what lost its standing meanwhile."""
        named = {device for stored in self.store.pending() for device in stored.terms.seats}
        for fingerprint in sorted(named):
            await self.revoked_elsewhere(fingerprint)

    def revocation(self, device: Device, *, reason: str) -> Commit:
        """Return the writes that revoke a device for good; ``void`` it once they are durable."""
        revoked = replace(device, revoked_at=self.clock.now())
        events = self._events("device.revoked", revoked, reason)
        withdrawn = self.withdrawals(device.fingerprint, lambda _terms: True)
        return (PutDevice(revoked), *events, *withdrawn)

    def regrading(self, device: Device, *, assurance: str, reason: str) -> Commit:
        """Return the writes that give a device another level, and tell its integrators.

        Approvals that it has given in open requests whose floor it does not reach any more are
        taken back; nothing is written where the level is the same.
        """
        if assurance == device.assurance:
            return ()
        regraded = replace(device, assurance=assurance)
        withdrawn = self.withdrawals(
            device.fingerprint,
            lambda terms: not admits(assurance, terms.min_assurance),
            approvals_only=True,
        )
        events = self._events("device.assurance_changed", regraded, reason)
        return (PutDevice(regraded), *events, *withdrawn)

    def _events(self, kind: str, device: Device, reason: str) -> Commit:
        """Tell each integrator that the device is paired with."""
        now = self.clock.now()
        return tuple(
            AppendEvent(device_event(kind, device, tie, now=now, mint=self.mint, reason=reason))
            for tie in device.pairings.values()
        )

    def withdrawals(
        self, fingerprint: str, lost: Callable[[Terms], bool], *, approvals_only: bool = False
    ) -> Commit:
        """Return the writes that take a device out of the open requests that it has ``lost``."""
        now = self.clock.now()
        writes: list[Write] = []
        for stored in self.store.pending_for(fingerprint):
            is_out = approvals_only or fingerprint in stored.state.out
            if is_out and not _approved_by(stored.state, fingerprint):
                continue
            if lost(stored.terms):
                events = lifecycle.lose_device(stored.terms, stored.state, fingerprint, now)
                if events:
                    writes += advance(stored, events, now=now, mint=self.mint, plan=self.plan)[1]
        return tuple(writes)

    def void(self, fingerprint: str) -> None:
        """End every session and the stream of a device."""
        self.sessions.close_all(fingerprint)
        self.sockets.close(fingerprint, CLOSE_REVOKED)


def _approved_by(state: State, fingerprint: str) -> bool:
    return any(
        ballot.device == fingerprint and ballot.choice == "approve"
        for ballot in state.ballots.values()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpairDevice:
    """A device leaves one integrator, or all of them."""

    standing: Standing
    authenticate: Authenticator

    async def __call__(self, *, envelope: Envelope) -> Refusal | None:
        """Carry out an ``unpair`` envelope of the device key; raises ``ProtocolError``."""
        known = self.authenticate(envelope, Unpair, session_key_allowed=False)
        if isinstance(known, Refusal):
            return known
        wanted = known.statement.integrator_id
        ties = tuple(
            tie
            for integrator, tie in known.device.pairings.items()
            if wanted is None or integrator == wanted
        )
        if not ties:
            return Refusal("not_found", "This device is not paired with that integrator.")
        await self.standing.end_ties(known.device, ties)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveDevice:
    """An integrator ends a device's pairing with it."""

    store: Store
    standing: Standing

    async def __call__(self, *, integrator_id: str, fingerprint: str) -> Refusal | None:
        """End the tie; a device that is not paired here is not found."""
        device = self.store.directory.device(fingerprint)
        tie = None if device is None else device.pairings.get(integrator_id)
        if device is None or tie is None:
            return NOT_FOUND
        await self.standing.end_ties(device, (tie,))
        return None
