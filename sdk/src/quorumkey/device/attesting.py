"""What a device is asked for when it has to prove where its key lives (PROTOCOL §4.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from quorumkey.protocol.encoding import JsonValue, b64encode

if TYPE_CHECKING:
    from quorumkey.protocol.keys import PublicKey

__all__ = ["Attest", "AttestationChallenge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationChallenge:
    """What evidence has to be about; evidence about anything else is refused.

    Attributes:
        nonce: the enrolment's nonce, 32 bytes.
        device_public_key: the key that enrols.
    """

    nonce: bytes
    device_public_key: PublicKey

    def to_json(self) -> JsonValue:
        """As JSON, both members in base64 as in the enrollment."""
        return {
            "nonce": b64encode(self.nonce),
            "device_public_key": self.device_public_key.base64,
        }


Attest: TypeAlias = Callable[[AttestationChallenge], JsonValue]
"""Makes the member ``attestation`` of an enrolment: an object with its ``format``."""
