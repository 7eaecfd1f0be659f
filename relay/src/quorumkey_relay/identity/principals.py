"""Integrators, their API keys, devices and pairings, as the relay knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from quorumkey.protocol import PublicKey

if TYPE_CHECKING:
    from collections.abc import Mapping

Scope = Literal["integrator", "admin"]
KeyForm = Literal["native", "webauthn"]
Platform = Literal["ios", "android", "web", "cli"]
AppAttestEnvironment = Literal["production", "development"]


@dataclass(frozen=True, slots=True)
class Integrator:
    """A backend that asks for approvals."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key; only the SHA-256 of its text is known. Times in seconds since the epoch."""

    key_id: str
    integrator_id: str
    scope: Scope
    name: str
    digest: bytes = field(repr=False)
    created_at: int
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """An invitation to pair and, once spent, the tie of a device to integrator and approver.

    ``device`` is the fingerprint of who spent the code; ``ended_at`` when that tie was ended.
    """

    pairing_id: str
    integrator_id: str
    approver_id: str
    approver_name: str | None
    code_digest: bytes = field(repr=False)
    created_at: int
    expires_at: int
    device: str | None = None
    enrolled_at: int | None = None
    enrollment: bytes | None = field(default=None, repr=False)
    attestation: bytes | None = field(default=None, repr=False)
    ended_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """The evidence that last proved where a device's key lives.

    ``evidence`` is the JSON that the device sent, ``judged_at`` when it was accepted, in seconds
    since the epoch. ``serials`` are those of its certificates, in lower-case hex, to be looked up
    in each new revocation list; an App Attest object has none that a list would name.
    ``quirks`` are the deviations that were tolerated. ``revoked_at`` is when one of the
    certificates was found to be revoked; from then on the evidence proves nothing.
    """

    device: str
    format: str
    assurance: str
    judged_at: int
    evidence: bytes = field(repr=False)
    serials: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundAppAttestKey:
    """An App Attest key and the one device that it vouches for.

    ``public_key`` is the uncompressed point of 65 bytes; ``counter`` the greatest that an
    assertion has had, 0 before the first.
    """

    key_id: bytes
    device: str
    public_key: bytes
    app_id: str
    environment: AppAttestEnvironment
    counter: int = 0


NO_PAIRINGS: Mapping[str, Pairing] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device by its fingerprint.

    ``form`` says how its key signs and never changes. ``sign_count`` is a passkey's last counter.
    ``pairings`` maps an integrator's id to the tie that is in force. ``push`` is the sealed
    address, ``push_channel`` its kind, ``push_set_at`` when the device last said so (seconds since
    the epoch), and ``push_faults`` how many messages in a row the address was to blame for.
    """

    fingerprint: str
    public_key: bytes
    platform: Platform
    form: KeyForm
    assurance: str
    enrolled_at: int
    sign_count: int = 0
    session_key: bytes | None = None
    push_channel: str = "none"
    push: bytes | None = field(default=None, repr=False)
    push_set_at: int = 0
    push_faults: int = 0
    revoked_at: int | None = None
    pairings: Mapping[str, Pairing] = field(default_factory=lambda: NO_PAIRINGS)

    @property
    def key(self) -> PublicKey:
        """Return the device's public key, loaded."""
        return PublicKey.from_compressed(self.public_key)

    def paired_with(self, integrator_id: str) -> bool:
        """Say whether requests of this integrator may be answered by this device now."""
        return self.revoked_at is None and integrator_id in self.pairings

    def counter_moved(self, count: int | None) -> bool:
        """Say whether a passkey's counter is greater than the last one, or neither counts (§3).

        ``count`` is None for a native signature, which has none.
        """
        return count is None or count > self.sign_count or count == self.sign_count == 0

    @property
    def usable(self) -> bool:
        """Say whether the device may open sessions: not revoked, and paired with somebody."""
        return self.revoked_at is None and bool(self.pairings)
