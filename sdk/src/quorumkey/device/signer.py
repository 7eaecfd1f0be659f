"""What a device signs, each statement in its envelope (PROTOCOL §3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey.protocol.dsse import sign
from quorumkey.protocol.pairing import pairing_binding
from quorumkey.protocol.statements import Decision, Enrollment, Push, Session, Unpair

if TYPE_CHECKING:
    from quorumkey.device.decisions import Choice
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.keys import PrivateKey
    from quorumkey.protocol.push_address import PushAddress
    from quorumkey.protocol.statements import Statement

__all__ = ["PLATFORM", "DeviceSigner"]

#: What a software device is to the relay and to integrators.
PLATFORM: Final = "cli"


@dataclass(frozen=True, slots=True)
class DeviceSigner:
    """Signs with one device key for one dialled origin.

    Attributes:
        key: the device's key.
        audience: the origin that was dialled.
    """

    key: PrivateKey
    audience: str

    @property
    def fingerprint(self) -> str:
        """The device's id."""
        return self.key.public_key.fingerprint

    def enrollment(
        self, *, relay: str, nonce: str, pairing_code: str, secret: bytes | None
    ) -> Envelope:
        """Ask to be paired; with a secret, the key is bound to it."""
        key = self.key.public_key
        binding = None if secret is None else pairing_binding(secret, relay, key.compressed)
        return self._sign(
            Enrollment(
                relay=relay,
                audience=self.audience,
                nonce=nonce,
                pairing_code=pairing_code,
                device_public_key=key.base64,
                platform=PLATFORM,
                binding=binding,
            )
        )

    def session(self, *, relay: str, nonce: str) -> Envelope:
        """Ask for a session, over HTTP or on a socket."""
        return self._sign(
            Session(relay=relay, audience=self.audience, nonce=nonce, device=self.fingerprint)
        )

    def push(self, *, relay: str, nonce: str, address: PushAddress) -> Envelope:
        """Say where to be woken from now on."""
        return self._sign(Push(relay=relay, nonce=nonce, device=self.fingerprint, push=address))

    def unpair(self, *, relay: str, nonce: str, integrator_id: str | None) -> Envelope:
        """End the pairing with one integrator, or with all."""
        return self._sign(
            Unpair(relay=relay, nonce=nonce, device=self.fingerprint, integrator_id=integrator_id)
        )

    def decision(
        self, *, digest: str, choice: Choice, decided_at: int, reason: str | None, code: str | None
    ) -> Envelope:
        """Approve or deny the request with this digest."""
        return self._sign(
            Decision(
                request_digest=digest,
                decision=choice.value,
                device=self.fingerprint,
                decided_at=decided_at,
                reason=reason,
                code=code,
            )
        )

    def _sign(self, statement: Statement) -> Envelope:
        return sign(statement.KIND, statement.encode(), self.key)
