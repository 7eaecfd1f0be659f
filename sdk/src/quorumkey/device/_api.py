"""Each call of the devices' API as a value (PROTOCOL §4 and §6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from quorumkey.client._calls import get, post, segment
from quorumkey.client._exchange import Answer, Call, json_of, nothing_of
from quorumkey.client.models import Status, key_of, page_of, party_of
from quorumkey.device.decisions import Choice
from quorumkey.device.review import ReceivedRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.client._fields import Fields
    from quorumkey.client.models import Page
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.keys import PublicKey
    from quorumkey.protocol.statements import Party

__all__ = [
    "Answered",
    "Enrolled",
    "Nonce",
    "PairingPreview",
    "Reattested",
    "SessionToken",
    "acknowledge",
    "decide",
    "enroll",
    "get_request",
    "list_requests",
    "make_nonce",
    "open_session",
    "preview_pairing",
    "reattest",
    "set_push",
    "unpair",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingPreview:
    """Who wants to pair: shown to the person before anything is spent.

    `relay` is the fingerprint that the relay claims; `expires_at` is in epoch seconds.
    """

    integrator: Party
    approver_name: str | None
    relay: str
    expires_at: int

    @staticmethod
    def parse(fields: Fields) -> PairingPreview:
        """Read the answer of ``POST /v1/device/pairing``."""
        return PairingPreview(
            integrator=party_of(fields.child("integrator")),
            approver_name=fields.child("approver").optional_text("name"),
            relay=fields.text("relay"),
            expires_at=fields.time("expires_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonce:
    """A nonce to sign, and the key of the relay that gave it."""

    nonce: str
    relay_public_key: PublicKey

    @staticmethod
    def parse(fields: Fields) -> Nonce:
        """Read the answer of ``POST /v1/device/challenge``."""
        return Nonce(
            nonce=fields.text("nonce"),
            relay_public_key=key_of(fields, "relay_public_key", fingerprint="relay"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A finished enrolment."""

    fingerprint: str
    pictogram: tuple[str, ...]
    pictogram_speakable: str
    integrator: Party
    relay_public_key: str
    assurance: str

    @staticmethod
    def parse(fields: Fields) -> Enrolled:
        """Read the answer of ``POST /v1/device/enroll``."""
        return Enrolled(
            fingerprint=fields.text("fingerprint"),
            pictogram=fields.texts("pictogram"),
            pictogram_speakable=fields.text("pictogram_speakable"),
            integrator=party_of(fields.child("integrator")),
            relay_public_key=fields.text("relay_public_key"),
            assurance=fields.text("assurance"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reattested:
    """The level of a device after it has proved itself anew."""

    fingerprint: str
    assurance: str

    @staticmethod
    def parse(fields: Fields) -> Reattested:
        """Read the answer of ``POST /v1/device/reattest``."""
        return Reattested(
            fingerprint=fields.text("fingerprint"), assurance=fields.text("assurance")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionToken:
    """A bearer token that reads and acknowledges, and nothing else."""

    token: str = field(repr=False)
    expires_at: int

    @staticmethod
    def parse(fields: Fields) -> SessionToken:
        """Read the answer of ``POST /v1/device/session``."""
        return SessionToken(token=fields.text("token"), expires_at=fields.time("expires_at"))

    def on(self, call: Call[T]) -> Call[T]:
        """The call with this token."""
        return call.with_headers(("authorization", f"Bearer {self.token}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the relay says after a decision: its word, on which nothing of the device depends."""

    status: Status
    groups_satisfied_count: int
    groups_required: int
    decision: Choice

    @staticmethod
    def parse(fields: Fields) -> Answered:
        """Read the answer of ``POST /v1/device/requests/{id}/decision``."""
        return Answered(
            status=fields.choice("status", Status),
            groups_satisfied_count=fields.integer("groups_satisfied_count"),
            groups_required=fields.integer("groups_required"),
            decision=fields.choice("decision", Choice),
        )


def preview_pairing(code: str) -> Call[PairingPreview]:
    """``POST /v1/device/pairing``: spends nothing."""
    body = {"pairing_code": code}
    return post("/v1/device/pairing", body, _json(PairingPreview.parse), repeatable=True)


def make_nonce() -> Call[Nonce]:
    """``POST /v1/device/challenge``."""
    return post("/v1/device/challenge", {}, _json(Nonce.parse), repeatable=True)


def enroll(
    envelope: Envelope, attestation: JsonValue = None, push: Envelope | None = None
) -> Call[Enrolled]:
    """``POST /v1/device/enroll``; its nonce is spent, so it is not sent twice."""
    body: dict[str, JsonValue] = {"envelope": envelope.to_json()}
    if push is not None:
        body["push"] = push.to_json()
    if attestation is not None:
        body["attestation"] = attestation
    return post("/v1/device/enroll", body, _json(Enrolled.parse), repeatable=False)


def reattest(nonce: str, attestation: JsonValue) -> Call[Reattested]:
    """``POST /v1/device/reattest``; its nonce is spent, so it is not sent twice."""
    body: dict[str, JsonValue] = {"nonce": nonce, "attestation": attestation}
    return post("/v1/device/reattest", body, _json(Reattested.parse), repeatable=False)


def open_session(envelope: Envelope) -> Call[SessionToken]:
    """``POST /v1/device/session``; its nonce is spent, so it is not sent twice."""
    body = {"envelope": envelope.to_json()}
    return post("/v1/device/session", body, _json(SessionToken.parse), repeatable=False)


def set_push(envelope: Envelope) -> Call[None]:
    """``PUT /v1/device/push``; its nonce is spent, so it is not sent twice."""
    body = {"envelope": envelope.to_json()}
    return post("/v1/device/push", body, nothing_of, repeatable=False, method="PUT")


def unpair(envelope: Envelope) -> Call[None]:
    """``POST /v1/device/unpair``; its nonce is spent, so it is not sent twice."""
    body = {"envelope": envelope.to_json()}
    return post("/v1/device/unpair", body, nothing_of, repeatable=False)


def list_requests(*, every: bool, cursor: str | None) -> Call[Page[ReceivedRequest]]:
    """``GET /v1/device/requests``, one page: pending ones, or every one that named this device."""
    query: tuple[tuple[str, str], ...] = (("status", "all"),) if every else ()
    if cursor is not None:
        query = (*query, ("cursor", cursor))
    return get("/v1/device/requests", page_of(ReceivedRequest.parse), query=query)


def get_request(request_id: str) -> Call[ReceivedRequest]:
    """``GET /v1/device/requests/{id}``."""
    return get(f"/v1/device/requests/{segment(request_id)}", ReceivedRequest.parse)


def acknowledge(request_id: str) -> Call[None]:
    """``POST /v1/device/requests/{id}/ack``: it was shown to the person."""
    path = f"/v1/device/requests/{segment(request_id)}/ack"
    return post(path, {}, nothing_of, repeatable=True)


def decide(request_id: str, envelope: Envelope) -> Call[Answered]:
    """``POST /v1/device/requests/{id}/decision``: the same bytes twice count once."""
    path = f"/v1/device/requests/{segment(request_id)}/decision"
    body = {"envelope": envelope.to_json()}
    return post(path, body, _json(Answered.parse), repeatable=True)


def _json(parse: Callable[[Fields], T]) -> Callable[[Answer], T]:
    return lambda answer: parse(json_of(answer))
