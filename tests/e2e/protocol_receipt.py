"""An offline receipt verifier written from §8 of the protocol page, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from tests.e2e.protocol_crypto import (
    Json,
    PasskeyRules,
    digest_of,
    epoch,
    fingerprint_of,
    unb64,
    verify,
)


@dataclass
class Asked:
    """What the caller of ``POST /v1/requests`` asked for and kept."""

    integrator_id: str
    nonce: str
    action: Json
    required: int
    groups: list[Json]
    reject_policy: str = "any"
    distinct: str = "person"
    min_assurance: str = "none"
    requester: Json | None = None
    match_code: str | None = None
    webauthn: PasskeyRules | None = None
    relay_public_keys: list[str] = field(default_factory=list[str])


class RefusedError(Exception):
    """The receipt does not prove the approval; ``step`` is the number in §8."""

    def __init__(self, step: int) -> None:
        super().__init__(f"refused at step {step} of §8")
        self.step = step


def same(left: object, right: object) -> bool:
    """Equality of §5: types count, the order of members does not."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        mine, theirs = cast("Json", left), cast("Json", right)
        return mine.keys() == theirs.keys() and all(same(mine[k], theirs[k]) for k in mine)
    if isinstance(left, list) and isinstance(right, list):
        ours, others = cast("list[object]", left), cast("list[object]", right)
        return len(ours) == len(others) and all(map(same, ours, others))
    return left == right


def verify_receipt(receipt: Json, asked: Asked, *, now: int) -> list[str]:
    """The names of the satisfied groups, or RefusedError with the first step that fails."""
    payload = _step_1(receipt, asked)
    request = _step_2(payload["request"], asked)
    _require(
        3,
        request["integrator"]["id"] == asked.integrator_id and request["nonce"] == asked.nonce,
    )
    _require(4, same(request["action"], asked.action))
    _require(4, same(request.get("requester"), asked.requester))
    _require(4, same(request["policy"], _policy(asked)))
    completed = epoch(payload["completed_at"])
    _require(5, epoch(request["created_at"]) <= completed < epoch(request["expires_at"]))
    _require(5, now <= epoch(request["use_by"]))
    digest = digest_of(unb64(payload["request"]["payload"]))
    signers = [_step_6(each, request, digest, asked) for each in payload["decisions"]]
    _step_7(signers, asked)
    satisfied = [
        group["name"]
        for group in asked.groups
        if any(one["fingerprint"] in signers for one in group["approvers"])
    ]
    _require(8, len(satisfied) >= asked.required)
    return satisfied


def _require(step: int, fact: object) -> None:
    if not fact:
        raise RefusedError(step)


def _under_any(envelope: Json, name: str, keys: list[str], step: int) -> tuple[Json, str]:
    for key in keys:
        try:
            return verify(envelope, name, key), key
        except AssertionError:
            continue
    raise RefusedError(step)


def _step_1(receipt: Json, asked: Asked) -> Json:
    payload, _ = _under_any(receipt, "receipt", asked.relay_public_keys, 1)
    _require(1, payload["v"] == 1 and payload["status"] == "approved")
    return payload


def _step_2(envelope: Json, asked: Asked) -> Json:
    request, key = _under_any(envelope, "request", asked.relay_public_keys, 2)
    _require(2, request["relay"] == fingerprint_of(unb64(key)))
    _require(2, request["v"] == 1)
    return request


def _policy(asked: Asked) -> Json:
    return {
        "required": asked.required,
        "reject_policy": asked.reject_policy,
        "distinct": asked.distinct,
        "min_assurance": asked.min_assurance,
        "match_code": asked.match_code is not None,
        "groups": asked.groups,
    }


def _step_6(envelope: Json, request: Json, digest: str, asked: Asked) -> str:
    """The fingerprint of one approval's key."""
    keys = {
        one["fingerprint"]: one["device_public_key"]
        for group in asked.groups
        for one in group["approvers"]
    }
    keyid = envelope["signatures"][0]["keyid"]
    _require(6, keyid in keys)
    try:
        said = verify(envelope, "decision", keys[keyid], passkeys=asked.webauthn)
    except AssertionError:
        raise RefusedError(6) from None
    _require(6, said["decision"] == "approve" and said["request_digest"] == digest)
    _require(6, said["device"] == keyid)
    _require(6, said.get("code") == asked.match_code)
    decided = epoch(said["decided_at"])
    _require(6, epoch(request["created_at"]) - 300 <= decided)
    _require(6, decided <= epoch(request["expires_at"]) + 300)
    return str(keyid)


def _step_7(signers: list[str], asked: Asked) -> None:
    _require(7, len(set(signers)) == len(signers))
    people: dict[str, str] = {}
    for group in asked.groups:
        for one in group["approvers"]:
            person = one.get("approver_id")
            if one["fingerprint"] not in signers or person is None:
                continue
            _require(7, asked.requester is None or person != asked.requester["id"])
            if asked.distinct == "person":
                _require(7, people.setdefault(person, group["name"]) == group["name"])
