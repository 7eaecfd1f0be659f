"""The port of attestation, and the one format of this release: none (PROTOCOL §4.3, §4.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import UNSET

from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from quorumkey.protocol import Enrollment
    from quorumkey_relay.usecases.commands import AttestationBody
    from quorumkey_relay.usecases.ports import Policy

ATTESTATION_REQUIRED = Refusal(
    "attestation_required",
    "This relay pairs only devices that prove where their key lives; send attestation evidence.",
)
UNSUPPORTED = Refusal(
    "attestation_rejected", "This relay verifies no evidence of this format; enrol without it."
)
MEMBERS_WITH_NONE = Refusal("invalid_request", "attestation: format none has no other member.")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What attestation proved, and the evidence to keep, as JSON.

    ``assurance`` None proves nothing: it leaves a known device's level as it is.
    """

    assurance: str | None
    evidence: bytes | None = None


class Attestor(Protocol):
    """Judges the evidence of an enrolment."""

    async def __call__(
        self, enrollment: Enrollment, attestation: AttestationBody | None, *, now: int
    ) -> Verdict | Refusal:
        """Return the level that the evidence proves, or why it is refused."""
        ...


@dataclass(frozen=True, slots=True)
class NoAttestation:
    """Accepts the format ``none`` alone, unless attestation is required."""

    policy: Policy

    async def __call__(
        self, enrollment: Enrollment, attestation: AttestationBody | None, *, now: int
    ) -> Verdict | Refusal:
        """Return that nothing is proved; see ``Attestor``."""
        del enrollment, now
        if attestation is not None and attestation.format != "none":
            return UNSUPPORTED
        if attestation is not None and any(
            getattr(attestation, name) is not UNSET
            for name in attestation.__struct_fields__
            if name != "format"
        ):
            return MEMBERS_WITH_NONE
        if self.policy.attestation == "required":
            return ATTESTATION_REQUIRED
        evidence = None if attestation is None else msgspec.json.encode(attestation)
        return Verdict(None, evidence)
