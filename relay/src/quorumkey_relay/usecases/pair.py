"""Pairings: an integrator's invitation, and a device's look at it (PROTOCOL §4.1, 4.2, 4.4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from quorumkey.protocol import (
    format_pairing_code,
    format_time,
    limits,
    make_pairing_code,
    normalise_pairing_code,
)
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.identity.principals import Pairing
from quorumkey_relay.store.writes import PutPairing
from quorumkey_relay.usecases.draft import given, party
from quorumkey_relay.usecases.read import is_request_id
from quorumkey_relay.usecases.render import encode, paired_device_of
from quorumkey_relay.usecases.views import (
    ApproverNameView,
    PairingCreatedView,
    PairingPreviewView,
    PairingView,
    PartyView,
)

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Directory, Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.commands import PairingBody, PairingCodeBody
    from quorumkey_relay.usecases.idempotency import Idempotency, Idempotent
    from quorumkey_relay.usecases.ports import Policy

CODE_RANDOM_BYTES = 8

PAIRING_NOT_FOUND = Refusal("pairing_not_found", "There is no pairing with this code.")
PAIRING_EXPIRED = Refusal(
    "pairing_expired", "This pairing code is expired or used; ask for a new one."
)
NOT_FOR_ADMINISTRATORS = Refusal(
    "failed_precondition",
    "While protected methods wait for approval no device is paired for an administrator: whoever"
    " opens pairings could approve in their name. Have RemoveAdministrator approved, pair the"
    " device, have AddAdministrator approved; or disable protection for it.",
)
BAD_EXPIRY = Refusal(
    "invalid_request",
    "Invalid expires_in_seconds: must be between"
    f" {limits.MIN_PAIRING_SECONDS} and {limits.MAX_PAIRING_SECONDS}",
)


def code_digest(code: str) -> bytes:
    """Return what is stored of a pairing code: the SHA-256 of its twelve characters."""
    return hashlib.sha256(code.encode()).digest()


def pairing_url(app_url: str, code: str, relay: str) -> str:
    """Return what a QR code shows; the code stays in the fragment, which no server sees."""
    return f"{app_url}/app/pair#code={code}&relay={relay}"


def invitation(
    mint: Mint, *, integrator_id: str, approver: PartyView, now: int, expires_in: int
) -> tuple[Pairing, str]:
    """Return a new pairing and its code, as it is shown."""
    code = make_pairing_code(mint.random(CODE_RANDOM_BYTES))
    pairing = Pairing(
        pairing_id=mint.uuid7(),
        integrator_id=integrator_id,
        approver_id=approver.id,
        approver_name=given(approver.name, None),
        code_digest=code_digest(code),
        created_at=now,
        expires_at=now + expires_in,
    )
    return pairing, format_pairing_code(code)


def open_pairing(directory: Directory, code: str, now: int) -> Pairing | Refusal:
    """Return the pairing of a code that a device presents; raises ``ProtocolError``.

    A code that is used is remembered until it would have expired, so that it is refused as used.
    """
    pairing = directory.pairing_by_code(code_digest(normalise_pairing_code(code)))
    if pairing is None:
        return PAIRING_NOT_FOUND
    return PAIRING_EXPIRED if now >= pairing.expires_at else pairing


def takes_devices_of(directory: Directory, integrator_id: str, approver_id: str) -> bool:
    """Say whether a device may be paired for an approver of an integrator now."""
    protection = directory.protection(integrator_id)
    return protection is None or protection.takes_devices_of(approver_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePairing:
    """Makes a code that ties one device to an approver of the integrator."""

    store: Store
    clock: Clock
    mint: Mint
    keys: RelayKeys
    policy: Policy
    idempotent: Idempotent

    async def __call__(
        self, *, integrator: Integrator, body: PairingBody, idempotency: Idempotency | None
    ) -> bytes | Refusal:
        """Return the new pairing as JSON; raises ``ProtocolError`` and ``StoreUnavailable``."""
        now = self.clock.now()

        def create() -> tuple[bytes, Commit] | Refusal:
            return self._create(integrator.id, body, now)

        return await self.idempotent(
            idempotency, integrator_id=integrator.id, now=now, create=create
        )

    def _create(
        self, integrator_id: str, body: PairingBody, now: int
    ) -> tuple[bytes, Commit] | Refusal:
        approver = party(body.approver)
        expires_in = given(body.expires_in_seconds, limits.DEFAULT_PAIRING_SECONDS)
        if not limits.MIN_PAIRING_SECONDS <= expires_in <= limits.MAX_PAIRING_SECONDS:
            return BAD_EXPIRY
        if not takes_devices_of(self.store.directory, integrator_id, approver.id):
            return NOT_FOR_ADMINISTRATORS
        pairing, code = invitation(
            self.mint,
            integrator_id=integrator_id,
            approver=PartyView(approver.id, UNSET if approver.name is None else approver.name),
            now=now,
            expires_in=expires_in,
        )
        view = PairingCreatedView(
            pairing_id=pairing.pairing_id,
            pairing_code=code,
            pairing_url=pairing_url(self.policy.app_url, code, self.keys.fingerprint(now)),
            expires_at=format_time(pairing.expires_at),
        )
        return encode(view), (PutPairing(pairing),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPairing:
    """How far a pairing is, with what the device signed, so that the SDK can check it."""

    store: Store
    clock: Clock

    async def __call__(self, *, integrator_id: str, pairing_id: str) -> PairingView | Refusal:
        """Return the pairing."""
        if not is_request_id(pairing_id):
            return NOT_FOUND
        pairing = await self.store.pairing(pairing_id)
        if pairing is None or pairing.integrator_id != integrator_id:
            return NOT_FOUND
        device = None
        if pairing.device is not None:
            device = self.store.directory.device(pairing.device)
        if device is None or pairing.enrollment is None:
            expired = self.clock.now() >= pairing.expires_at
            return PairingView(pairing_id, "expired" if expired else "pending")
        attestation = pairing.attestation
        return PairingView(
            pairing_id=pairing_id,
            status="paired",
            device=paired_device_of(device, pairing),
            enrollment=msgspec.Raw(pairing.enrollment),
            attestation=UNSET if attestation is None else msgspec.Raw(attestation),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewPairing:
    """What a device shows before it enrols; spends nothing."""

    store: Store
    clock: Clock
    keys: RelayKeys

    async def __call__(self, *, body: PairingCodeBody) -> PairingPreviewView | Refusal:
        """Return who invites whom; raises ``ProtocolError`` for what cannot be a code."""
        now = self.clock.now()
        pairing = open_pairing(self.store.directory, body.pairing_code, now)
        if isinstance(pairing, Refusal):
            return pairing
        if pairing.device is not None:
            return PAIRING_EXPIRED
        integrator = self.store.directory.integrator(pairing.integrator_id)
        if integrator is None:
            return PAIRING_NOT_FOUND
        name = pairing.approver_name
        return PairingPreviewView(
            integrator=PartyView(integrator.id, integrator.name),
            approver=ApproverNameView(UNSET if name is None else name),
            relay=self.keys.fingerprint(now),
            expires_at=format_time(pairing.expires_at),
        )
