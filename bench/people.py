"""The people of the benchmark: an integrator, phones that enrol over HTTP, and their calls."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.load import LoadError
from quorumkey.protocol import (
    Decision,
    Enrollment,
    Kind,
    PrivateKey,
    Push,
    PushAddress,
    Session,
    b64encode,
    limits,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.load import Load

HOST = "127.0.0.1"


def call(
    method: str, path: str, body: bytes = b"", *, token: str | None = None, key: str | None = None
) -> bytes:
    """Return a call as it goes over the wire; ``key`` is an Idempotency-Key."""
    head = [f"{method} {path} HTTP/1.1", f"host: {HOST}"]
    if token is not None:
        head.append(f"authorization: Bearer {token}")
    if key is not None:
        head.append(f"idempotency-key: {key}")
    if body:
        head += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join((*head, "", "")).encode() + body


def redirected(calls: Sequence[bytes], path: str) -> list[bytes]:
    """Return the same calls, headers and bodies, for another path."""
    return [
        b"%b %b %b" % (method, path.encode(), rest)
        for method, _, rest in (each.split(b" ", 2) for each in calls)
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was made: what a decision on it needs."""

    request_id: str
    digest: str

    @classmethod
    def read(cls, answer: bytes) -> Asked:
        """Read the answer to a creation."""
        made = json.loads(answer)
        return cls(made["request_id"], made["request_digest"])


@dataclass(frozen=True, slots=True)
class Phone:
    """A software device; its person has the same number."""

    number: int
    key: PrivateKey

    def named(self) -> dict[str, str]:
        """Return how an integrator names it in a request."""
        public = self.key.public_key
        return {"fingerprint": public.fingerprint, "device_public_key": public.base64}

    def session(self, *, relay: str, audience: str, nonce: str) -> bytes:
        """Return a signed session envelope."""
        fingerprint = self.key.public_key.fingerprint
        statement = Session(relay=relay, audience=audience, nonce=nonce, device=fingerprint)
        return sign(Kind.SESSION, statement.encode(), self.key).encode()

    def approval(self, asked: Asked) -> bytes:
        """Return the call that approves a request, signed now."""
        statement = Decision(
            request_digest=asked.digest,
            decision="approve",
            device=self.key.public_key.fingerprint,
            decided_at=int(time.time()),
        )
        envelope = sign(Kind.DECISION, statement.encode(), self.key)
        path = f"/v1/device/requests/{asked.request_id}/decision"
        return call("POST", path, b'{"envelope":%b}' % envelope.encode())


@dataclass(frozen=True, slots=True)
class Account:
    """An integrator by its API key."""

    token: str

    async def enroll(self, load: Load, count: int, *, audience: str) -> list[Phone]:
        """Enrol new phones over HTTP, each for a person of its own."""
        phones = [Phone(number, PrivateKey.generate()) for number in range(count)]
        invited = await load.run([self._invitation(phone) for phone in phones])
        nonces = await load.run([call("POST", "/v1/device/challenge")] * count)
        answers = zip(phones, invited.succeeded(), nonces.succeeded(), strict=True)
        enrolled = await load.run(
            [
                _enrolment(phone, invitation=invitation, challenge=challenge, audience=audience)
                for phone, invitation, challenge in answers
            ]
        )
        enrolled.succeeded()
        return phones

    async def address(self, load: Load, addresses: Mapping[Phone, PushAddress]) -> None:
        """Tell the relay where phones want to be woken."""
        nonces = await load.run([call("POST", "/v1/device/challenge")] * len(addresses))
        offered = zip(addresses.items(), nonces.succeeded(), strict=True)
        told = await load.run(
            [_push(phone, address, challenge=challenge) for (phone, address), challenge in offered]
        )
        told.succeeded()

    def _invitation(self, phone: Phone) -> bytes:
        body = {"approver": {"id": f"person-{phone.number}", "name": f"Person {phone.number}"}}
        return call("POST", "/v1/pairings", json.dumps(body).encode(), token=self.token)

    def asks(
        self, groups: Sequence[Sequence[Phone]], *, required: int, key: str | None = None
    ) -> bytes:
        """Return the call that asks these groups, with a nonce as the SDK sends it."""
        body = {
            "required": required,
            "groups": [
                {"name": f"Group {number}", "approvers": [phone.named() for phone in group]}
                for number, group in enumerate(groups, start=1)
            ],
            "action": {
                "type": "cold_boot",
                "description": "Cold boot engine ENG-001",
                "params": {"engine_id": "ENG-001", "ticket": "MAINT-1234"},
            },
            "expires_in_seconds": limits.MAX_EXPIRES_IN_SECONDS,
            "nonce": b64encode(os.urandom(limits.NONCE_BYTES)),
        }
        encoded = json.dumps(body, separators=(",", ":")).encode()
        return call("POST", "/v1/requests", encoded, token=self.token, key=key)

    def reads(self, request_id: str) -> bytes:
        """Return the call that reads a request's status."""
        return call("GET", f"/v1/requests/{request_id}", token=self.token)

    async def all_accepted(self, load: Load, asked: Sequence[Asked], count: int) -> None:
        """Raise LoadError unless the log says of each request that so many were accepted."""
        paths = (f"/v1/requests/{each.request_id}/deliveries" for each in asked)
        answers = await load.run([call("GET", path, token=self.token) for path in paths])
        for answer in answers.succeeded():
            groups = json.loads(answer)["groups"]
            states = [state for group in groups for state in group["channels"].values()]
            if sum(state["accepted"] for state in states) != count:
                message = f"not all of {count} deliveries were accepted: {states}"
                raise LoadError(message)

    def cancels(self, asked: Asked) -> bytes:
        """Return the call that withdraws a request."""
        return call("POST", f"/v1/requests/{asked.request_id}/cancel", token=self.token)


def _push(phone: Phone, address: PushAddress, *, challenge: bytes) -> bytes:
    """Return the call that sets a phone's push address, given the answer that has its nonce."""
    offered = json.loads(challenge)
    statement = Push(
        relay=offered["relay"],
        nonce=offered["nonce"],
        device=phone.key.public_key.fingerprint,
        push=address,
    )
    envelope = sign(Kind.PUSH, statement.encode(), phone.key)
    return call("PUT", "/v1/device/push", b'{"envelope":%b}' % envelope.encode())


def _enrolment(phone: Phone, *, invitation: bytes, challenge: bytes, audience: str) -> bytes:
    """Return the call that enrols a phone, given the answers to the two calls before it."""
    offered = json.loads(challenge)
    statement = Enrollment(
        relay=offered["relay"],
        audience=audience,
        nonce=offered["nonce"],
        pairing_code=json.loads(invitation)["pairing_code"],
        device_public_key=phone.key.public_key.base64,
        platform="cli",
    )
    envelope = sign(Kind.ENROLLMENT, statement.encode(), phone.key)
    return call("POST", "/v1/device/enroll", b'{"envelope":%b}' % envelope.encode())
