"""What an enrolment's evidence proves, and whether policy accepts it (PROTOCOL §4.3, §4.6).

The evidence itself is judged by a verifier of `quorumkey_attestation`; this release is set up with
the one for the format ``none``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from quorumkey.protocol import PublicKey, b64decode
from quorumkey.protocol.limits import NONCE_BYTES
from quorumkey_attestation import Assurance, AttestationError, Expectation
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import Enrollment
    from quorumkey_attestation import Verifier
    from quorumkey_relay.usecases.commands import AttestationBody
    from quorumkey_relay.usecases.ports import Policy

ATTESTATION_REQUIRED = Refusal(
    "attestation_required",
    "This relay pairs only devices that prove where their key lives; send attestation evidence.",
)
OTHER_MEMBERS = Refusal(
    "invalid_request", "attestation: send exactly the members that its format has."
)

#: The members of each format, beside ``format`` itself (PROTOCOL §4.3).
MEMBERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "none": (),
        "apple-app-attest": ("key_id", "object"),
        "android-key": ("chain",),
        "webauthn": ("attestation_object", "client_data_json"),
    }
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestEnrollment:
    """Judges evidence by ``verifier`` and holds the level to the relay's policy."""

    policy: Policy
    verifier: Verifier

    async def __call__(
        self, enrollment: Enrollment, attestation: AttestationBody | None, *, now: int
    ) -> Verdict | Refusal:
        """See ``Attestor``; raises nothing that a device can cause."""
        evidence = {"format": "none"} if attestation is None else msgspec.to_builtins(attestation)
        if evidence.keys() != {"format", *MEMBERS[evidence["format"]]}:
            return OTHER_MEMBERS
        expected = Expectation(
            nonce=b64decode(enrollment.nonce, field="nonce", length=NONCE_BYTES),
            device_public_key=PublicKey.from_base64(enrollment.device_public_key).compressed,
            now=now,
        )
        try:
            result = self.verifier.verify(evidence, expected)
        except AttestationError as error:
            return Refusal("attestation_rejected", str(error), {"reason": error.reason.value})
        if self.policy.attestation == "required" and result.assurance is Assurance.NONE:
            return ATTESTATION_REQUIRED
        kept = None if attestation is None else msgspec.json.encode(attestation)
        proved = None if result.assurance is Assurance.NONE else result.assurance.value
        return Verdict(proved, kept)
