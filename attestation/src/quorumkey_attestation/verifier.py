"""The port through which evidence is judged, and its smallest adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.result import Assurance, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Expectation", "NoEvidence", "Verifier"]

NONCE_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 33  # SEC 1 §2.3.3, compressed point of P-256


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What evidence has to be about; evidence about anything else is refused.

    Attributes:
        nonce: the 32 bytes that the verifying party issued for this enrolment.
        device_public_key: the key that enrols, a compressed P-256 point of 33 bytes.
        now: the moment of judgement, in seconds since the Unix epoch.

    Raises:
        ValueError: a length is wrong; both are the caller's own values, so this is a bug there.
    """

    nonce: bytes
    device_public_key: bytes
    now: int

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_BYTES:
            msg = f"nonce must be {NONCE_BYTES} bytes, not {len(self.nonce)}"
            raise ValueError(msg)
        if len(self.device_public_key) != PUBLIC_KEY_BYTES:
            msg = f"device_public_key must be {PUBLIC_KEY_BYTES} bytes"
            raise ValueError(msg)


class Verifier(Protocol):
    """Judges the ``attestation`` member of an enrolment."""

    def verify(self, evidence: Mapping[str, object], expected: Expectation) -> Result:
        """Return what ``evidence`` proves.

        Args:
            evidence: the JSON object that the device sent; its ``format`` names the rest.
            expected: the nonce, the key and the moment it has to be about.

        Raises:
            AttestationError: it proves nothing; the reason says why.
        """
        ...


class NoEvidence:
    """Accepts only ``{"format": "none"}``, which proves nothing: level ``none``."""

    def verify(self, evidence: Mapping[str, object], expected: Expectation) -> Result:
        """See :meth:`Verifier.verify`; no format is looked at but ``none``."""
        del expected  # the absence of evidence is about no key
        if evidence.get("format") != "none":
            raise AttestationError(
                Reason.UNSUPPORTED, "This verifier judges no evidence; send format none."
            )
        if len(evidence) != 1:
            raise AttestationError(Reason.MALFORMED, "Format none has no other member.")
        return Result(format="none", assurance=Assurance.NONE)
