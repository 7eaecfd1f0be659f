"""What a created request says of itself (§5): its object, its signed document, its reads."""

from __future__ import annotations

import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_client import digest_in, error_of, ok, refused, request_body
from tests.e2e.protocol_crypto import Json, b64, epoch, verify
from tests.e2e.protocol_world import START

if TYPE_CHECKING:
    from tests.e2e.protocol_client import Device
    from tests.e2e.protocol_world import World

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DIGEST = "sha256:" + "0a" * 32
NO_SUCH_ID = "0190a000-0000-7000-8000-00000000dead"


def document_of(world: World, device: Device, request: Json) -> Json:
    """The verified request document, as one of its devices gets it."""
    path = f"/v1/device/requests/{request['request_id']}"
    item = ok(world.relay.http.get(path, headers=device.session()))
    assert digest_in(item) == request["request_digest"]
    return verify(item["request"], "request", world.relay.info()["relay_public_key"])


def test_request_object_has_the_members_of_the_page(world: World) -> None:
    """Creation answers 201 with exactly the request object."""
    ann, ben = world.acme.devices("obj-ann", "obj-ben")

    request = world.acme.asked([ann], [ben], required=1, expires_in_seconds=60)

    now = world.relay.now()
    assert UUID7.fullmatch(request.pop("request_id"))
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", request.pop("request_digest"))
    assert epoch(request.pop("created_at")) == now
    assert epoch(request.pop("expires_at")) == now + 60
    assert epoch(request.pop("use_by")) == now + 60 + 900
    assert request == {
        "profile": "approval",
        "status": "pending",
        "groups_required": 1,
        "groups_total": 2,
        "groups_satisfied": [],
    }


def test_document_of_a_plain_request_has_every_default(world: World) -> None:
    """The signed document carries the defaults, and nothing that was not asked for."""
    device = world.acme.device("plain")
    body = request_body([device])
    request = ok(world.acme.post("/v1/requests", body), 201)

    document = document_of(world, device, request)

    assert document == {
        "v": 1,
        "profile": "approval",
        "relay": world.relay.info()["relay"],
        "integrator": {"id": world.acme.integrator_id, "name": world.acme.name},
        "request_id": request["request_id"],
        "nonce": body["nonce"],
        "action": body["action"] | {"params": {}},
        "policy": {
            "required": 1,
            "reject_policy": "any",
            "distinct": "person",
            "min_assurance": "none",
            "match_code": False,
            "groups": body["groups"],
        },
        "created_at": request["created_at"],
        "expires_at": request["expires_at"],
        "use_by": request["use_by"],
    }
    assert epoch(request["expires_at"]) - epoch(request["created_at"]) == 300


def test_document_carries_every_optional_member(world: World) -> None:
    """What the caller sent is what is signed, order of groups, approvers and members included."""
    ann, ann2, ben = world.acme.devices("opt-ann", "opt-ann", "opt-ben")
    groups = [
        {"name": "Zweite é", "approvers": [ben.named("opt-ben")]},
        {"name": "Ärzte \U0001f680", "approvers": [ann2.named(), ann.named("opt-ann")]},
    ]
    params = {"z": [1, {"b": None, "a": True}], "a": "e\u0301", "big": 2**53 - 1, "n": -1}
    action = {"type": "a.b:c-d_0", "description": "é " + "\U0001f9e8" * 10, "params": params}
    optional = {
        "action": action | {"bindings": {"plan": DIGEST, "state_2": DIGEST}},
        "groups": groups,
        "required": 1,
        "nonce": b64(secrets.token_bytes(32)),
        "expires_in_seconds": 900,
        "use_within_seconds": 0,
        "reject_policy": "quorum_impossible",
        "distinct": "device",
        "min_assurance": "none",
        "requester": {"id": "Ops Bot 7", "name": "Ops"},
        "match_code": "042042",
    }
    request = ok(world.acme.post("/v1/requests", optional), 201)

    document = document_of(world, ann, request)

    assert document["action"] == optional["action"]
    assert list(document["action"]["params"]) == list(params)
    assert document["requester"] == optional["requester"]
    assert document["nonce"] == optional["nonce"]
    assert document["use_by"] == document["expires_at"]
    assert document["policy"] == {
        "required": 1,
        "reject_policy": "quorum_impossible",
        "distinct": "device",
        "min_assurance": "none",
        "match_code": True,
        "groups": groups,
    }
    assert "042042" not in str(document)


@pytest.mark.parametrize(
    "members",
    [
        {"expires_in_seconds": 60},
        {"expires_in_seconds": 900},
        {"use_within_seconds": 86_400},
        {"match_code": "00"},
        {"match_code": "999999"},
        {"requester": {"id": "a" * 128, "name": "b" * 80}},
        {"action": {"type": "a", "description": "b", "bindings": {"a" * 32: DIGEST}}},
    ],
)
def test_members_at_their_bounds_are_accepted(world: World, members: Json) -> None:
    """Values at the bounds of the page are accepted."""
    device = world.acme.device("bounds")

    assert world.acme.asked([device], **members)["status"] == "pending"


def test_eight_bindings_are_accepted(world: World) -> None:
    """Eight bindings stand in the document in full."""
    device = world.acme.device("binder")
    bindings = {f"b_{number}": DIGEST for number in range(8)}
    action = {"type": "a", "description": "b", "bindings": bindings}

    request = world.acme.asked([device], action=action)

    assert document_of(world, device, request)["action"]["bindings"] == bindings


def test_read_answers_the_request_object(world: World) -> None:
    """Reading a request answers what its creation answered."""
    request = world.acme.asked([world.acme.device("reader")])

    assert world.acme.read(request) == request


@pytest.mark.parametrize("text", [NO_SUCH_ID, "x", NO_SUCH_ID.upper(), "%20", "..%2f", "0" * 36])
def test_unknown_and_malformed_ids_are_not_found(world: World, text: str) -> None:
    """An id that is unknown or malformed is 404 ``not_found`` on every call."""
    for path in ("", "/receipt", "/deliveries"):
        assert refused(world.acme.get(f"/v1/requests/{text}{path}")) == (404, "not_found")
    assert refused(world.acme.post(f"/v1/requests/{text}/cancel")) == (404, "not_found")


def test_request_of_another_integrator_is_not_found(world: World) -> None:
    """Another integrator's request does not exist for any call."""
    request = world.acme.asked([world.acme.device("private")])
    path = f"/v1/requests/{request['request_id']}"

    for rest in ("", "/receipt", "/deliveries"):
        assert refused(world.umbrella.get(path + rest)) == (404, "not_found")
    assert refused(world.umbrella.post(f"{path}/cancel")) == (404, "not_found")
    assert world.acme.status(request) == "pending"


def test_cancel_ends_a_pending_request(world: World) -> None:
    """Cancelling answers the request object, and answers it again."""
    request = world.acme.asked([world.acme.device("cancelled")])
    path = f"/v1/requests/{request['request_id']}/cancel"

    first = ok(world.acme.post(path))

    assert first["status"] == "cancelled"
    assert epoch(first["completed_at"]) == world.relay.now()
    assert ok(world.acme.post(path)) == first == world.acme.read(request)


def test_cancel_of_another_end_is_refused(world: World) -> None:
    """An approved request cannot be cancelled."""
    device = world.acme.device("done")
    request = world.acme.asked([device])
    ok(device.decide(request))

    answer = world.acme.post(f"/v1/requests/{request['request_id']}/cancel")

    assert refused(answer) == (409, "request_completed")
    assert error_of(answer)["details"]["status"] == "approved"


def test_unanswered_request_times_out(world: World) -> None:
    """From ``expires_at`` on every read says ``timeout``, completed at ``expires_at``."""
    request = world.acme.asked([world.acme.device("late")], expires_in_seconds=60)
    world.clock.advance(59)
    before = world.acme.status(request)
    world.clock.advance(1)

    after = world.acme.read(request)

    assert before == "pending"
    assert after["status"] == "timeout"
    assert after["completed_at"] == request["expires_at"]
    assert refused(world.acme.post(f"/v1/requests/{request['request_id']}/cancel")) == (
        409,
        "request_completed",
    )


def test_list_is_newest_first_and_pages(world: World) -> None:
    """A list walks every request once, newest first, with ``next_cursor`` null at the end."""
    device = world.umbrella.device("lister")
    made = [world.umbrella.asked([device]) for _ in range(5)]
    seen: list[Json] = []
    query = "?limit=2"
    while True:
        page = ok(world.umbrella.get(f"/v1/requests{query}"))
        assert page.keys() == {"data", "next_cursor"}
        seen += page["data"]
        if page["next_cursor"] is None:
            break
        query = f"?limit=2&cursor={page['next_cursor']}"

    assert seen == made[::-1]


def test_list_by_status(world: World) -> None:
    """``status`` keeps the requests of that status only."""
    device = world.acme.device("by-status")
    gone = world.acme.asked([device])
    ok(world.acme.post(f"/v1/requests/{gone['request_id']}/cancel"))
    there = world.acme.asked([device])

    cancelled = ok(world.acme.get("/v1/requests?status=cancelled&limit=100"))["data"]
    pending = ok(world.acme.get("/v1/requests?status=pending&limit=100"))["data"]

    assert gone["request_id"] in {one["request_id"] for one in cancelled}
    assert {one["status"] for one in cancelled} == {"cancelled"}
    assert there in pending
    assert {one["status"] for one in pending} == {"pending"}


def test_expired_requests_are_listed_as_timeout(world: World) -> None:
    """A list calls a request that ran out ``timeout`` and no longer ``pending``."""
    request = world.acme.asked([world.acme.device("expires")], expires_in_seconds=60)
    world.clock.advance(60)

    timed_out = ok(world.acme.get("/v1/requests?status=timeout&limit=100"))["data"]
    pending = ok(world.acme.get("/v1/requests?status=pending&limit=100"))["data"]

    assert request["request_id"] in {one["request_id"] for one in timed_out}
    assert request["request_id"] not in {one["request_id"] for one in pending}


QUERIES = [
    "?limit=0", "?limit=101", "?limit=x", "?limit=", "?limit=1.0", "?limit=+1", "?cursor=x",
    "?status=open", "?status=", "?page=2", "?limit=1&limit=2", "?cursor=", "?limit=%00",
    "?Limit=1",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_list_refuses_unknown_parameters_and_values(world: World, query: str) -> None:
    """Unknown query parameters and values, and a bad cursor, are ``invalid_request``."""
    assert refused(world.acme.get(f"/v1/requests{query}")) == (400, "invalid_request")


@pytest.mark.parametrize("query", ["?wait_seconds=61", "?wait_seconds=-1", "?wait_seconds=a"])
def test_wait_seconds_is_0_to_60(world: World, query: str) -> None:
    """``wait_seconds`` outside 0 to 60 is ``invalid_request``."""
    request = world.acme.asked([world.acme.device("waiter")])

    answer = world.acme.get(f"/v1/requests/{request['request_id']}{query}")

    assert refused(answer) == (400, "invalid_request")


def test_wait_answers_as_soon_as_it_is_decided(world: World) -> None:
    """A waiting read answers when the last decision falls, long before its time is over."""
    device = world.acme.device("awaited")
    request = world.acme.asked([device])
    path = f"/v1/requests/{request['request_id']}?wait_seconds=60"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.acme.get, path)
        ok(device.decide(request))

        assert ok(waiting.result(timeout=20))["status"] == "approved"


def test_wait_answers_at_once_when_finished(world: World) -> None:
    """A waiting read of a finished request answers at once, and one of 0 seconds always does."""
    request = world.acme.asked([world.acme.device("finished")])
    path = f"/v1/requests/{request['request_id']}"

    assert ok(world.acme.get(f"{path}?wait_seconds=0"))["status"] == "pending"
    ok(world.acme.post(f"{path}/cancel"))
    assert ok(world.acme.get(f"{path}?wait_seconds=60"))["status"] == "cancelled"


def test_deliveries_count_per_group_and_channel(world: World) -> None:
    """``deliveries`` answers counts and names no device."""
    device = world.acme.device("delivered")
    request = world.acme.asked([device])

    answer = ok(world.acme.get(f"/v1/requests/{request['request_id']}/deliveries"))

    assert device.fingerprint not in str(answer)
    assert "Group 1" in str(answer)


def test_receipt_of_a_pending_request_is_not_there(world: World) -> None:
    """The receipt of a pending request is 409 ``not_completed``."""
    request = world.acme.asked([world.acme.device("unfinished")])

    answer = world.acme.get(f"/v1/requests/{request['request_id']}/receipt")

    assert refused(answer) == (409, "not_completed")
    assert world.relay.now() >= START
