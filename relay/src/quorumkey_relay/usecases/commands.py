"""Bodies of the HTTP API as typed commands (PROTOCOL §4 to §6); unknown members are refused.

Optional members are absent, never null: their type is ``X | UnsetType``. Ranges and rules with
their own error are checked by the use cases, so that each refusal carries its code and message.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType


class ApproverBody(Struct, frozen=True, forbid_unknown_fields=True):
    """One approver device as an integrator names it."""

    fingerprint: str
    device_public_key: str
    approver_id: str | UnsetType = UNSET


class GroupBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A group: any one of its approvers satisfies it."""

    name: str
    approvers: list[ApproverBody]


class ActionBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be approved."""

    type: str
    description: str
    params: dict[str, Any] | UnsetType = UNSET
    bindings: dict[str, str] | UnsetType = UNSET


class PartyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A person: the requester of a request or the approver of a pairing."""

    id: str
    name: str | UnsetType = UNSET


class AskBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/requests`` (PROTOCOL §5)."""

    required: int
    groups: list[GroupBody]
    action: ActionBody
    expires_in_seconds: int | UnsetType = UNSET
    reject_policy: Literal["any", "quorum_impossible"] | UnsetType = UNSET
    distinct: Literal["person", "device"] | UnsetType = UNSET
    min_assurance: str | UnsetType = UNSET
    requester: PartyBody | UnsetType = UNSET
    nonce: str | UnsetType = UNSET
    use_within_seconds: int | UnsetType = UNSET
    match_code: str | UnsetType = UNSET


class PairingBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/pairings`` (PROTOCOL §4.1)."""

    approver: PartyBody
    expires_in_seconds: int | UnsetType = UNSET


class WebhookBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/webhooks`` (PROTOCOL §10); without ``events`` every type is sent."""

    url: str
    events: list[str] | UnsetType = UNSET


class PairingCodeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/device/pairing`` (PROTOCOL §4.2)."""

    pairing_code: str


class SignatureBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The one signature of a DSSE envelope; ``webauthn`` only for a passkey."""

    keyid: str
    sig: str
    webauthn: WebAuthnBody | UnsetType = UNSET


class WebAuthnBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a passkey signed beside the PAE, base64url without padding."""

    authenticator_data: str
    client_data_json: str


class EnvelopeDocument(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A DSSE v1 envelope (PROTOCOL §3); for the OpenAPI document, parsed by the kernel."""

    payload_type: str
    payload: str
    signatures: Annotated[list[SignatureBody], Meta(min_length=1, max_length=1)]


class EnvelopeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A body that holds one envelope: session, decision, push address, unpair."""

    envelope: EnvelopeDocument


class AttestationBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Evidence about where the key lives (PROTOCOL §4.3); members by ``format``."""

    format: Literal["none", "apple-app-attest", "android-key", "webauthn"]
    key_id: str | UnsetType = UNSET
    object: str | UnsetType = UNSET
    chain: list[str] | UnsetType = UNSET
    attestation_object: str | UnsetType = UNSET
    client_data_json: str | UnsetType = UNSET


class ReattestationBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Evidence of an enrolled device: a format of enrolment, or an App Attest assertion."""

    format: Literal[
        "none", "apple-app-attest", "android-key", "webauthn", "apple-app-attest-assertion"
    ]
    key_id: str | UnsetType = UNSET
    object: str | UnsetType = UNSET
    assertion: str | UnsetType = UNSET
    chain: list[str] | UnsetType = UNSET
    attestation_object: str | UnsetType = UNSET
    client_data_json: str | UnsetType = UNSET


class ReattestBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/device/reattest``; the nonce is of ``POST /v1/device/challenge``."""

    nonce: str
    attestation: ReattestationBody


class EnrollBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/device/enroll`` (PROTOCOL §4.3)."""

    envelope: EnvelopeDocument
    push: EnvelopeDocument | UnsetType = UNSET
    attestation: AttestationBody | UnsetType = UNSET
