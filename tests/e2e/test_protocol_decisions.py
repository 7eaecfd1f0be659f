"""How a decision is judged (§5): ten steps in order, and the first failure answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import Device, error_of, ok, refused
from tests.e2e.protocol_crypto import Json, Key, b64, malleated, payload_of, unb64, utc
from tests.e2e.protocol_world import START

if TYPE_CHECKING:
    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
UNSIGNED = (400, "invalid_signature")
NOT_FOUND = (404, "not_found")
NO_SUCH_ID = "0190a000-0000-7000-8000-00000000dead"
OTHER_DIGEST = "sha256:" + "0a" * 32


def pending(world: World, **members: object) -> tuple[Device, Json]:
    """A device and a request that it alone can decide."""
    device = world.acme.device("decider")
    return device, world.acme.asked([device], **members)


def sent(
    device: Device, request: Json, payload: Json | bytes, key: Key | None = None
) -> tuple[int, str]:
    """Status and code of a refused decision with a payload of the test's own."""
    envelope = (key or device.key).seal("decision", payload)
    return refused(device.send_decision(request, envelope))


def test_answer_has_the_members_of_the_page(world: World) -> None:
    """A decision answers status, progress and the recorded decision."""
    ann, ben = world.acme.devices("m-ann", "m-ben")
    request = world.acme.asked([ann], [ben])

    assert ok(ann.decide(request)) == {
        "status": "pending",
        "groups_satisfied_count": 1,
        "groups_required": 2,
        "decision": "approve",
    }
    assert ok(ben.decide(request, "deny"))["status"] == "rejected"


def test_reason_is_taken(world: World) -> None:
    """A decision may give a reason in text that people see."""
    device, request = pending(world)

    assert ok(device.decide(request, "deny", reason="Not today"))["decision"] == "deny"


@pytest.mark.parametrize("reason", ["", " a", "a\u202eb", None, 1, "a" * 100_000])
def test_reason_is_visible_text(world: World, reason: object) -> None:
    """A reason outside the rules of text is refused and the request stays pending."""
    device, request = pending(world)

    status, code = refused(device.decide(request, reason=reason))

    assert (status, code) in {INVALID, (413, "payload_too_large")}
    assert world.acme.status(request) == "pending"


BODIES: list[object] = [
    {}, [], "x", 1, True, {"envelope": None}, {"envelope": []}, {"envelope": {}}, {"envelope": "x"},
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_step_1_shape_comes_before_existence(world: World, body: object) -> None:
    """A body without an envelope is ``invalid_request`` even on a request that is not there."""
    path = f"/v1/device/requests/{NO_SUCH_ID}/decision"

    assert refused(world.relay.post(path, body)) == INVALID


def test_step_2_unknown_request_and_stranger_are_told_alike(world: World) -> None:
    """A stranger's decision and one on no request are both 404 with the same words."""
    device, request = pending(world)
    stranger = Device(world.relay, Key())
    nowhere = request | {"request_id": NO_SUCH_ID}

    answers = [stranger.decide(request), device.decide(nowhere), stranger.decide(nowhere)]

    assert {refused(answer) for answer in answers} == {NOT_FOUND}
    assert len({str(error_of(answer)) for answer in answers}) == 1


@pytest.mark.parametrize("request_id", ["x", "0", NO_SUCH_ID.upper(), "%00"])
def test_step_2_malformed_id_is_not_found(world: World, request_id: str) -> None:
    """A malformed request id is 404 ``not_found``."""
    device, request = pending(world)

    assert refused(device.decide(request | {"request_id": request_id})) == NOT_FOUND


def test_step_2_comes_before_the_signature(world: World) -> None:
    """A stranger with a bad signature is 404: nobody learns who may decide by guessing."""
    device, request = pending(world)
    envelope = Key().seal("decision", device.decision(request, "approve"))

    assert refused(device.send_decision(request, envelope)) == NOT_FOUND


def test_step_3_signature_of_another_key(world: World) -> None:
    """A signature that does not verify under the key in the document is refused."""
    device, request = pending(world)
    envelope = Key().seal("decision", device.decision(request, "approve"))
    envelope["signatures"][0]["keyid"] = device.fingerprint

    assert refused(device.send_decision(request, envelope)) == UNSIGNED


def test_step_3_comes_before_the_payload(world: World) -> None:
    """A bad signature over a bad payload is ``invalid_signature``."""
    device, request = pending(world)
    envelope = Key().seal("decision", b"not json")
    envelope["signatures"][0]["keyid"] = device.fingerprint

    assert refused(device.send_decision(request, envelope)) == UNSIGNED


PAYLOADS: list[Json] = [
    {"device": "00" * 32}, {"device": None}, {"request_digest": OTHER_DIGEST},
    {"request_digest": ""}, {"decision": "Approve"}, {"decision": True}, {"decision": None},
    {"extra": 1}, {"v": 2}, {"v": "1"}, {"v": True}, {"code": "1234"}, {"code": None},
    {"decided_at": START}, {"decided_at": "2027-01-15T08:00:00.0Z"}, {"extensions": []},
    {"decided_at": "2027-01-15T08:00:00+00:00"}, {"decided_at": "2027-01-15 08:00:00Z"},
    {"decided_at": "2027-02-30T08:00:00Z"}, {"decided_at": ""}, {"extensions": None},
    {"critical": ["x"], "extensions": {"x": 1}}, {"critical": "x"}, {"critical": [1]},
]  # fmt: skip


@pytest.mark.parametrize("members", PAYLOADS)
def test_step_4_payload_is_strict(world: World, members: Json) -> None:
    """A signed payload with another value, or a member too many, is ``invalid_request``."""
    device, request = pending(world)

    assert sent(device, request, device.decision(request, "approve") | members) == INVALID
    assert world.acme.status(request) == "pending"


@pytest.mark.parametrize("name", ["request_digest", "decision", "device", "decided_at"])
def test_step_4_payload_is_complete(world: World, name: str) -> None:
    """A signed payload without one of its members is ``invalid_request``."""
    device, request = pending(world)
    payload = device.decision(request, "approve")
    del payload[name]

    assert sent(device, request, payload) == INVALID


@pytest.mark.parametrize("payload", [b"", b"[]", b"1", b"\xff", b"{", b'{"a":1,"a":1}', b"NaN"])
def test_step_4_payload_is_a_json_object(world: World, payload: bytes) -> None:
    """Signed bytes that are no JSON object are refused with 400."""
    device, request = pending(world)

    assert sent(device, request, payload)[0] == 400
    assert world.acme.status(request) == "pending"


def test_step_4_extensions_that_are_not_critical_are_ignored(world: World) -> None:
    """Unknown names in ``extensions`` do no harm."""
    device, request = pending(world)

    answer = device.decide(request, v=1, extensions={"x": {"y": [1]}, "intent": "z"}, critical=[])

    assert ok(answer)["status"] == "approved"


def test_step_4_comes_before_the_pairing(world: World) -> None:
    """An unpaired device with a bad payload is ``invalid_request``."""
    device, request = pending(world)
    assert device.unpair().status_code == 204

    assert sent(device, request, device.decision(request, "approve", extra=1)) == INVALID


def test_step_5_unpaired_device_is_revoked(world: World) -> None:
    """A device that unpaired since is 403 ``device_revoked``."""
    device, request = pending(world)
    assert device.unpair().status_code == 204

    assert refused(device.decide(request)) == (403, "device_revoked")


def test_step_5_comes_before_the_recorded_answer(world: World) -> None:
    """A device that decided and unpaired gets no recorded answer."""
    device, request = pending(world)
    ok(device.decide(request, "deny"))
    assert device.unpair().status_code == 204

    assert refused(device.decide(request, "deny")) == (403, "device_revoked")
    assert refused(device.decide(request, "approve")) == (403, "device_revoked")


def test_step_6_same_decision_answers_the_recorded(world: World) -> None:
    """The same decision again is 200 with the recorded answer, finished or not."""
    ann, ben = world.acme.devices("r-ann", "r-ben")
    request = world.acme.asked([ann], [ben])
    first = ok(ann.decide(request))
    again = ok(ann.decide(request))
    ok(ben.decide(request))
    after = ok(ann.decide(request))

    assert again == first
    assert after["decision"] == "approve"
    assert world.acme.status(request) == "approved"


def test_step_6_first_envelope_stays_the_evidence(world: World) -> None:
    """A repeated decision, signed anew or malleated, neither counts nor replaces the first."""
    ann, ben = world.acme.devices("e-ann", "e-ben")
    request = world.acme.asked([ann], [ben])
    first = ann.key.seal("decision", ann.decision(request, "approve"))
    twisted = first | {"signatures": [dict(first["signatures"][0])]}
    signature = unb64(first["signatures"][0]["sig"])
    twisted["signatures"][0]["sig"] = b64(malleated(signature))
    assert ok(ann.send_decision(request, first))["groups_satisfied_count"] == 1

    again = ok(ann.send_decision(request, twisted))
    anew = ok(ann.decide(request, reason="Again"))
    ok(ben.decide(request))

    assert again["groups_satisfied_count"] == anew["groups_satisfied_count"] == 1
    receipt = world.acme.receipt(request)
    evidence = payload_of(receipt)["decisions"]
    assert first in evidence
    assert twisted not in evidence
    assert len(evidence) == 2


def test_step_6_other_decision_is_already_decided(world: World) -> None:
    """The other decision of a device that decided is 409 ``already_decided``, finished or not."""
    ann, ben = world.acme.devices("o-ann", "o-ben")
    request = world.acme.asked([ann], [ben])
    ok(ann.decide(request))

    assert refused(ann.decide(request, "deny")) == (409, "already_decided")
    ok(ben.decide(request))
    assert refused(ann.decide(request, "deny")) == (409, "already_decided")


def test_step_6_comes_before_the_clock(world: World) -> None:
    """The same bytes sent again long after get the recorded answer, not ``clock_skew``."""
    ann, ben = world.acme.devices("c-ann", "c-ben")
    request = world.acme.asked([ann], [ben], expires_in_seconds=900)
    envelope = ann.key.seal("decision", ann.decision(request, "approve"))
    first = ok(ann.send_decision(request, envelope))
    world.clock.advance(400)

    assert ok(ann.send_decision(request, envelope)) == first


@pytest.mark.parametrize("end", ["approved", "rejected", "cancelled", "timeout"])
def test_step_7_finished_request(world: World, end: str) -> None:
    """A decision on a finished request is 409 with the status, whatever its time says."""
    ann, ben = world.acme.devices("f-ann", "f-ben")
    request = world.acme.asked([ann], [ben], required=1, expires_in_seconds=60)
    if end in {"approved", "rejected"}:
        ok(ann.decide(request, "approve" if end == "approved" else "deny"))
    elif end == "cancelled":
        ok(world.acme.post(f"/v1/requests/{request['request_id']}/cancel"))
    else:
        world.clock.advance(60)

    answer = ben.decide(request, decided_at=utc(START - 1_000_000))

    assert refused(answer) == (409, "request_completed")
    assert error_of(answer)["details"]["status"] == end
    assert world.acme.status(request) == end


@pytest.mark.parametrize("skew", [-301, 301, -(10**6), 10**6])
def test_step_8_clock_is_300_seconds_off(world: World, skew: int) -> None:
    """A decision dated more than 300 s off is ``clock_skew`` and carries the relay's time."""
    device, request = pending(world)
    now = world.relay.now()

    answer = device.decide(request, decided_at=utc(now + skew))

    assert refused(answer) == (400, "clock_skew")
    assert error_of(answer)["details"]["time"] == utc(now)
    assert ok(device.decide(request))["status"] == "approved"


@pytest.mark.parametrize("skew", [-300, 300])
def test_step_8_clock_within_300_seconds(world: World, skew: int) -> None:
    """A decision dated 300 s off is taken."""
    device, request = pending(world)

    answer = device.decide(request, decided_at=utc(world.relay.now() + skew))

    assert ok(answer)["status"] == "approved"


def test_step_8_comes_before_requester_and_code(world: World) -> None:
    """A wrongly dated approval of the requester without the code is ``clock_skew``."""
    ann, ben = world.acme.devices("k-ann", "k-ben")
    requester = {"id": "k-ann"}
    request = world.acme.asked([ann], [ben], required=1, requester=requester, match_code="1234")

    assert refused(ann.decide(request, decided_at=utc(START))) == (400, "clock_skew")


def test_step_9_requester_cannot_approve(world: World) -> None:
    """The requester's device may not approve, before any code is looked at, and may deny."""
    ann, ben = world.acme.devices("q-ann", "q-ben")
    requester = {"id": "q-ann", "name": "Ann"}
    request = world.acme.asked([ann], [ben], required=1, requester=requester, match_code="1234")

    assert refused(ann.decide(request)) == (403, "requester_cannot_approve")
    assert refused(ann.decide(request, code="1234")) == (403, "requester_cannot_approve")
    assert ok(ann.decide(request, "deny"))["status"] == "rejected"


def test_step_9_match_code(world: World) -> None:
    """An approval needs the match code; a wrong or missing one is ``wrong_code``."""
    device, request = pending(world, match_code="0420")

    for wrong in ({}, {"code": "420"}):
        assert refused(device.decide(request, **wrong)) == (400, "wrong_code")
    assert ok(device.decide(request, code="0420"))["status"] == "approved"


def test_step_9_third_wrong_code_puts_the_device_out(world: World) -> None:
    """After the third wrong code even the right one is refused."""
    ann, ben = world.acme.devices("w-ann", "w-ben")
    request = world.acme.asked([ann, ben], match_code="1234")
    for _ in range(3):
        assert refused(ann.decide(request, code="9999")) == (400, "wrong_code")

    assert refused(ann.decide(request, code="1234")) == (400, "wrong_code")
    assert world.acme.status(request) == "pending"
    assert ok(ben.decide(request, code="1234"))["status"] == "approved"


def test_step_9_denial_needs_no_code(world: World) -> None:
    """A denial of a request with a match code needs none."""
    device, request = pending(world, match_code="1234")

    assert ok(device.decide(request, "deny"))["status"] == "rejected"


def test_match_code_reaches_no_device(world: World) -> None:
    """The match code is in no message to a device."""
    device, _ = pending(world, match_code="918273")

    assert "918273" not in str(device.inbox("?status=all"))
