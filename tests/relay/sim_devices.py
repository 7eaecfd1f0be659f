"""Parts of the simulator: a clock, a stream, and what a phone or a passkey signs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

from quorumkey.protocol import (
    Decision,
    Envelope,
    Kind,
    PrivateKey,
    WebAuthnAssertion,
    b64url_encode,
    media_type,
    sign,
)
from quorumkey.protocol.dsse import pae
from quorumkey_relay.usecases.commands import ApproverBody

if TYPE_CHECKING:
    from quorumkey.protocol import DecisionValue

START: Final = 1_800_000_000
RP_ID: Final = "127.0.0.1"
ORIGIN: Final = "http://127.0.0.1:8080"

# WebAuthn Level 3, section 6.1.
_PRESENT_AND_VERIFIED: Final = 0x05


class ManualClock:
    """A clock that moves when the test says so."""

    def __init__(self, now: int = START) -> None:
        self.seconds = now

    def now(self) -> int:
        """Seconds since the epoch."""
        return self.seconds

    def monotonic(self) -> float:
        """The same, for limits."""
        return float(self.seconds)

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.seconds += seconds


class SimStream:
    """A device's open stream, with ``room`` for so many frames."""

    def __init__(self, room: int = 1_000) -> None:
        self.room = room
        self.frames: list[dict[str, Any]] = []
        self.closed_with: int | None = None

    def offer(self, frame: bytes) -> bool:
        """Take a frame, if there is room."""
        if len(self.frames) >= self.room:
            return False
        self.frames.append(json.loads(frame))
        return True

    def close(self, code: int) -> None:
        """End with a code."""
        self.closed_with = code

    @property
    def types(self) -> list[str]:
        """The types of the frames so far."""
        return [str(frame["type"]) for frame in self.frames]


@dataclass
class SimDevice:
    """A phone of one person: a key, and what it signs."""

    person: str
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    platform: Literal["ios", "android", "web", "cli"] = "cli"

    @property
    def fingerprint(self) -> str:
        """Its fingerprint."""
        return self.key.public_key.fingerprint

    def sign(self, kind: Kind, payload: bytes) -> Envelope:
        """Sign a payload with the device key."""
        return sign(kind, payload, self.key)

    def named(self, approver_id: str | None = None) -> ApproverBody:
        """The device as an integrator names it."""
        body = {"fingerprint": self.fingerprint, "device_public_key": self.key.public_key.base64}
        if approver_id is not None:
            body["approver_id"] = approver_id
        return ApproverBody(**body)

    def decision(
        self,
        digest: str,
        decision: DecisionValue,
        *,
        at: int,
        code: str | None = None,
        reason: str | None = None,
    ) -> Envelope:
        """A signed decision."""
        statement = Decision(
            request_digest=digest,
            decision=decision,
            device=self.fingerprint,
            decided_at=at,
            code=code,
            reason=reason,
        )
        return self.sign(Kind.DECISION, statement.encode())


@dataclass
class SimPasskey(SimDevice):
    """A passkey: signs through WebAuthn, and counts by ``step`` at each signature."""

    platform: Literal["ios", "android", "web", "cli"] = "web"
    counter: int = 0
    step: int = 1
    origin: str = ORIGIN

    def sign(self, kind: Kind, payload: bytes) -> Envelope:
        """Sign a payload as a browser's authenticator does."""
        self.counter += self.step
        challenge = sha256(pae(media_type(kind), payload)).digest()
        client_data = json.dumps(
            {
                "type": "webauthn.get",
                "challenge": b64url_encode(challenge),
                "origin": self.origin,
                "crossOrigin": False,
            }
        ).encode()
        authenticator_data = (
            sha256(RP_ID.encode()).digest()
            + bytes([_PRESENT_AND_VERIFIED])
            + self.counter.to_bytes(4, "big")
        )
        signature = self.key.sign(authenticator_data + sha256(client_data).digest())
        return Envelope(
            media_type(kind),
            payload,
            self.fingerprint,
            signature,
            WebAuthnAssertion(authenticator_data, client_data),
        )
