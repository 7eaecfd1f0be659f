from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from tests.sdk.protocol import examples

from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.protocol import (
    Action,
    Envelope,
    Kind,
    Party,
    PasskeyPolicy,
    Policy,
    PrivateKey,
    Receipt,
    RequestDocument,
    b64decode,
    request_digest,
    sign,
    strict_json,
)
from quorumkey.receipts import (
    PolicyGroup,
    UnsafeAny,
    VerificationPolicy,
    VerifiedReceipt,
    load_policy,
    verify_receipt,
    verify_with_policy,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import JsonValue


def _key() -> PrivateKey:
    return PrivateKey.generate()


@dataclass
class Evidence:
    """An approved request of one group, its receipt, and what its integrator expects."""

    relay: PrivateKey = field(default_factory=_key)
    device: PrivateKey = field(default_factory=_key)
    policy: Policy = field(init=False)
    document: RequestDocument = field(init=False)

    def __post_init__(self) -> None:
        self.policy = examples.policy(self.device)
        self.document = examples.request(self.relay, policy=self.policy)

    def envelope(self) -> Envelope:
        """The receipt."""
        payload = self.document.encode()
        approval = examples.decision(self.device, request_digest=request_digest(payload))
        receipt = Receipt(
            status="approved",
            completed_at=examples.CREATED + 1,
            request=sign(Kind.REQUEST, payload, self.relay),
            decisions=(sign(Kind.DECISION, approval.encode(), self.device),),
        )
        return sign(Kind.RECEIPT, receipt.encode(), self.relay)

    def verify(self, receipt: bytes | str | Mapping[str, Any], **other: Any) -> VerifiedReceipt:  # noqa: ANN401 - wrong arguments on purpose
        """Verify under the right expectations, with other ones where told."""
        expectations: dict[str, Any] = {
            "relay_public_keys": [self.relay.public_key],
            "integrator_id": "acme",
            "nonce": examples.NONCE,
            "now": examples.CREATED + 2,
            "action": self.document.action,
            "required": self.policy.required,
            "groups": self.policy.groups,
            **other,
        }
        return verify_receipt(receipt, **expectations)


@pytest.fixture
def evidence() -> Evidence:
    """A fresh approval."""
    return Evidence()


def test_proof_says_what_was_approved(evidence: Evidence) -> None:
    """What a receipt proves is the request, its groups, its times and the approvals."""
    proof = evidence.verify(evidence.envelope().encode())

    assert evidence.document == proof.request
    assert (examples.REQUEST_ID, ("Group 1",)) == (proof.request_id, proof.groups_satisfied)
    assert (examples.CREATED + 1, examples.CREATED + 1_200) == (proof.completed_at, proof.use_by)
    assert [evidence.device.public_key.fingerprint] == [each.device for each in proof.decisions]


def test_receipt_in_every_form(evidence: Evidence) -> None:
    """Bytes, text, an object and any other mapping are one receipt."""
    envelope = evidence.envelope()
    proofs = [
        evidence.verify(envelope.encode()),
        evidence.verify(envelope.encode().decode()),
        evidence.verify(envelope.to_json()),
        evidence.verify(MappingProxyType(envelope.to_json())),
    ]

    assert [proofs[0]] * 4 == proofs


class Choice(StrEnum):
    """A caller's own enumeration."""

    ANY = "any"
    BOOT = "cold_boot"


def test_expectations_in_every_form(evidence: Evidence) -> None:
    """Expectations are taken as our types or as plain mappings, lists, tuples and enumerations."""
    receipt = evidence.envelope().encode()

    evidence.verify(
        receipt,
        relay_public_keys=iter([evidence.relay.public_key.base64]),
        nonce=b64decode(examples.NONCE, field="nonce"),
        action={
            "type": Choice.BOOT,
            "description": examples.ACTION.description,
            "params": MappingProxyType({"engine_id": "ENG-001"}),
        },
        groups=tuple(group.to_json() for group in evidence.policy.groups),
        requester=None,
    )


def test_requester_as_mapping_and_passkeys_as_mapping(evidence: Evidence) -> None:
    """A requester and a relying party may be plain mappings."""
    evidence.document = replace(evidence.document, requester=Party("u-17"))

    evidence.verify(
        evidence.envelope().encode(),
        requester={"id": "u-17"},
        webauthn={"rp_id": "example.com", "origins": ("https://example.com",)},
    )


def test_integers_of_the_caller(evidence: Evidence) -> None:
    """Integers, booleans and null in a caller's mapping are compared as such."""
    params: dict[str, JsonValue] = {"n": 1, "b": True, "z": None, "l": [1, False]}
    evidence.document = replace(evidence.document, action=Action("a", "b", {**params}))
    receipt = evidence.envelope().encode()
    action = {"type": "a", "description": "b", "params": params}

    evidence.verify(receipt, action=action)
    with pytest.raises(ReceiptRefused) as caught:
        evidence.verify(receipt, action={**action, "params": {**params, "n": True}})
    assert RefusalReason.ACTION_MISMATCH == caught.value.reason


def test_an_auditor_may_lack_each_value(evidence: Evidence) -> None:
    """UnsafeAny stands in for the integrator, the nonce and the time, one by one."""
    receipt = evidence.envelope().encode()
    late = examples.CREATED + 10**6

    evidence.verify(receipt, integrator_id=UnsafeAny(), nonce=UnsafeAny(), now=UnsafeAny())
    for name, value in {"integrator_id": "evil", "nonce": "A" * 43 + "=", "now": late}.items():
        with pytest.raises(ReceiptRefused):
            evidence.verify(receipt, **{name: value})
        evidence.verify(receipt, **{name: UnsafeAny()})


def _endless() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["a"] = value
    return value


_UNMEETABLE: list[dict[str, Any]] = [
    {"relay_public_keys": []},
    {"relay_public_keys": ["AAAA"]},
    {"relay_public_keys": [7]},
    {"integrator_id": ""},
    {"integrator_id": None},
    {"nonce": ""},
    {"nonce": b"short"},
    {"nonce": None},
    {"now": 1.5},
    {"now": None},
    {"action": {}},
    {"action": {"type": "a", "description": "b", "params": {"n": 1.5}}},
    {"action": {"type": "a", "description": "b", "params": {"n": b"x"}}},
    {"action": {"type": "a", "description": "b", "params": {1: "n"}}},
    {"action": {"type": "a", "description": "b", "params": _endless()}},
    {"required": 0},
    {"required": 2},
    {"required": True},
    {"required": "1"},
    {"groups": []},
    {"groups": [{}]},
    {"groups": [{"name": "a", "approvers": []}]},
    {"reject_policy": "none"},
    {"distinct": "none"},
    {"min_assurance": ""},
    {"requester": {}},
    {"match_code": "x"},
    {"match_code": 4711},
    {"webauthn": {"rp_id": "example.com", "origins": []}},
]


@pytest.mark.parametrize("wrong", _UNMEETABLE, ids=str)
def test_expectations_that_nothing_meets(evidence: Evidence, wrong: dict[str, Any]) -> None:
    """What could match too much, or nothing, is refused before the receipt is read."""
    with pytest.raises(ReceiptRefused) as caught:
        evidence.verify(b"not even a receipt", **wrong)

    assert (RefusalReason.INVALID_EXPECTATION, 0) == (caught.value.reason, caught.value.step)


_NO_RECEIPTS: list[bytes | str | dict[Any, Any]] = [
    b"",
    b"null",
    b"[" * 100_000,
    b"{" + b" " * 5_000_000,
    "\ud800",
    "",
    {},
    {"payloadType": 1, "payload": 2, "signatures": 3},
    {"payloadType": "x", "payload": "\ud800", "signatures": [{}]},
    {1: 2},
    _endless(),
]


@pytest.mark.parametrize("receipt", _NO_RECEIPTS, ids=range(len(_NO_RECEIPTS)))
def test_no_receipt_at_all(evidence: Evidence, receipt: bytes | str | dict[str, Any]) -> None:
    """Anything that is no receipt is refused as malformed, with our own error."""
    with pytest.raises(ReceiptRefused) as caught:
        evidence.verify(receipt)

    assert (RefusalReason.MALFORMED, 1) == (caught.value.reason, caught.value.step)


def test_one_changed_byte_anywhere(evidence: Evidence) -> None:
    """No receipt with a changed byte passes, wherever the byte is."""
    receipt = evidence.envelope().encode()
    for place in range(0, len(receipt), 7):
        changed = bytes([receipt[place] ^ 1])
        with pytest.raises(ReceiptRefused):
            evidence.verify(receipt[:place] + changed + receipt[place + 1 :])


def test_groups_are_the_kernels() -> None:
    """PolicyGroup is the kernel's group, by a name that fits."""
    assert "Group" == PolicyGroup.__name__


def _policy(evidence: Evidence, **other: Any) -> VerificationPolicy:  # noqa: ANN401 - as above
    members: dict[str, Any] = {
        "relay_public_keys": (evidence.relay.public_key,),
        "action": evidence.document.action,
        "policy": evidence.policy,
        "integrator_id": "acme",
        "nonce": examples.NONCE,
        **other,
    }
    return VerificationPolicy(**members)


def test_policy_file_round_trip(evidence: Evidence) -> None:
    """A policy survives its file with every member there, and with the least."""
    full = _policy(
        evidence,
        policy=replace(
            evidence.policy,
            reject_policy="quorum_impossible",
            distinct="device",
            min_assurance="tee",
            match_code=True,
        ),
        now=examples.CREATED,
        requester=Party("u-17", "Grace"),
        match_code="4711",
        webauthn=PasskeyPolicy("example.com", frozenset({"https://example.com"})),
    )
    least = _policy(evidence, integrator_id=None, nonce=None)

    for policy in (full, least):
        assert policy == load_policy(strict_json.dumps(policy.to_json()))


def test_policy_defaults_are_the_protocols(evidence: Evidence) -> None:
    """A file that leaves out the optional members means the protocol's defaults."""
    members = _policy(evidence).to_json()
    for name in ("reject_policy", "distinct", "min_assurance"):
        del members[name]

    assert _policy(evidence) == load_policy(json.dumps(members).encode())


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"extra": 1}, "invalid_request"),
        ({"required": "2"}, "invalid_request"),
        ({"required": 0}, "invalid_request"),
        ({"groups": {}}, "invalid_request"),
        ({"relay_public_keys": []}, "invalid_request"),
        ({"relay_public_keys": "x"}, "invalid_request"),
        ({"relay_public_keys": ["x"]}, "invalid_public_key"),
        ({"nonce": "x"}, "invalid_request"),
        ({"nonce": 1}, "invalid_request"),
        ({"integrator_id": ""}, "invalid_request"),
        ({"now": 1}, "invalid_request"),
        ({"match_code": "x"}, "invalid_request"),
        ({"match_code": None}, "invalid_request"),
        ({"webauthn": {}}, "invalid_request"),
        ({"requester": "x"}, "invalid_request"),
        ({"action": {}}, "invalid_request"),
    ],
    ids=str,
)
def test_policy_file_with_mistakes(evidence: Evidence, members: dict[str, Any], code: str) -> None:
    """A mistake in a policy file is named, never passed over."""
    with pytest.raises(ProtocolError) as caught:
        load_policy(json.dumps({**_policy(evidence).to_json(), **members}).encode())

    assert code == caught.value.code


def test_policy_file_is_read_strictly(evidence: Evidence) -> None:
    """A member twice, or a file beyond its limit, is refused."""
    text = json.dumps(_policy(evidence).to_json())

    with pytest.raises(ProtocolError, match="same member twice"):
        load_policy((text[:-1] + ', "required": 1}').encode())
    with pytest.raises(ProtocolError) as caught:
        load_policy(text.encode() + b" " * 400_000)
    assert "payload_too_large" == caught.value.code
    with pytest.raises(ProtocolError, match="must have the member action"):
        load_policy(b'{"relay_public_keys": [], "required": 1, "groups": []}')


def test_policy_asks_for_the_code_it_has(evidence: Evidence) -> None:
    """Whether a code is asked for follows from the code itself, in a policy made by hand too."""
    policy = _policy(evidence, match_code="4711")

    assert policy.policy.match_code


def test_policy_without_request_takes_the_callers_word(evidence: Evidence) -> None:
    """A policy that fits any request passes only when that is said."""
    receipt = evidence.envelope().encode()
    now = examples.CREATED + 2

    verify_with_policy(receipt, _policy(evidence), now=now)
    for name in ("integrator_id", "nonce"):
        policy = _policy(evidence, **{name: None})
        with pytest.raises(ReceiptRefused, match="any request") as caught:
            verify_with_policy(receipt, policy, now=now)
        assert RefusalReason.INVALID_EXPECTATION == caught.value.reason
        verify_with_policy(receipt, policy, now=now, unsafe_any_request=True)


def test_auditors_clock(evidence: Evidence) -> None:
    """An old receipt passes at the policy's own time, or without one."""
    receipt = evidence.envelope().encode()
    late = examples.CREATED + 10**6

    with pytest.raises(ReceiptRefused):
        verify_with_policy(receipt, _policy(evidence), now=late)
    verify_with_policy(receipt, _policy(evidence, now=examples.CREATED), now=late)
    verify_with_policy(receipt, _policy(evidence), now=UnsafeAny())
