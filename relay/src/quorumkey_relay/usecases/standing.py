"""Devices lose their standing: unpaired by themselves or their integrator, or revoked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey.protocol import Unpair
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.store.protocol import AppendEvent, PutDevice, PutPairing
from quorumkey_relay.usecases.advance import advance, device_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol import Envelope
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.model import State
    from quorumkey_relay.identity.principals import Device, Pairing
    from quorumkey_relay.identity.sessions import Sessions
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Commit, Store, Write
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
        withdrawn = self.withdrawals(device.fingerprint, lambda integrator: integrator in gone)
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
            fingerprint, lambda integrator: not device.paired_with(integrator)
        )
        if withdrawn:
            await self.store.commit(withdrawn)

    async def reconcile(self) -> None:
        """After a start: take out of open requests what lost its standing meanwhile."""
        named = {device for stored in self.store.pending() for device in stored.terms.seats}
        for fingerprint in sorted(named):
            await self.revoked_elsewhere(fingerprint)

    def withdrawals(self, fingerprint: str, lost: Callable[[str], bool]) -> Commit:
        """Return the writes that take a device out of open requests of integrators it lost."""
        now = self.clock.now()
        writes: list[Write] = []
        for stored in self.store.pending_for(fingerprint):
            if fingerprint in stored.state.out and not _approved_by(stored.state, fingerprint):
                continue
            if lost(stored.terms.integrator_id):
                events = lifecycle.lose_device(stored.terms, stored.state, fingerprint, now)
                if events:
                    writes += advance(stored, events, mint=self.mint)[1]
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
