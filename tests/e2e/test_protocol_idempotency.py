"""Idempotency keys (§5): the same call again gets the first answer again."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import pytest
from tests.e2e.protocol_client import ok, refused, request_body

if TYPE_CHECKING:
    from tests.e2e.protocol_world import World

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DIGEST = "sha256:" + "0a" * 32
NO_SUCH_ID = "0190a000-0000-7000-8000-00000000dead"


def test_idempotency_key_answers_the_first_again(world: World) -> None:
    """The same key and the same bytes give the first answer again and no second request."""
    device = world.acme.device("twice")
    body = request_body([device])
    key = {"Idempotency-Key": "order 66 ~!"}
    first = ok(world.acme.post("/v1/requests", body, key), 201)
    again = ok(world.acme.post("/v1/requests", body, key), 201)

    assert first == again
    assert [item["request_id"] for item in device.inbox()] == [first["request_id"]]


def test_idempotency_key_refuses_another_body(world: World) -> None:
    """The same key with other bytes is ``idempotency_conflict``."""
    device = world.acme.device("conflict")
    key = {"Idempotency-Key": "conflict"}
    ok(world.acme.post("/v1/requests", request_body([device]), key), 201)

    answer = world.acme.post("/v1/requests", request_body([device]), key)

    assert refused(answer) == (409, "idempotency_conflict")


def test_idempotency_key_belongs_to_integrator_and_path(world: World) -> None:
    """Another integrator or another path may use the same key."""
    key = {"Idempotency-Key": "shared"}
    body = {"approver": {"id": "shared"}}
    mine = ok(world.acme.post("/v1/pairings", body, key), 201)
    theirs = ok(world.umbrella.post("/v1/pairings", body, key), 201)
    request = world.acme.post("/v1/requests", request_body([world.acme.device("sh")]), key)

    assert mine["pairing_id"] != theirs["pairing_id"]
    assert request.status_code == 201
    assert ok(world.acme.post("/v1/pairings", body, key), 201) == mine


def test_idempotency_key_keeps_only_success(world: World) -> None:
    """A refused call leaves its key free."""
    device = world.acme.device("free")
    key = {"Idempotency-Key": "free"}
    assert refused(world.acme.post("/v1/requests", {}, key)) == (400, "invalid_request")

    assert world.acme.post("/v1/requests", request_body([device]), key).status_code == 201


@pytest.mark.parametrize("key", ["", "a" * 256, "a\tb", b"\xc3\xa9"])
def test_idempotency_key_is_printable(world: World, key: str | bytes) -> None:
    """A key is 1 to 255 printable ASCII characters."""
    headers = cast("dict[str, str]", {"Idempotency-Key": key})

    answer = world.acme.post("/v1/requests", request_body([world.acme.device("k")]), headers)

    assert refused(answer) == (400, "invalid_request")


def test_idempotency_key_of_255_characters(world: World) -> None:
    """A key of 255 characters is honoured."""
    key = {"Idempotency-Key": "~" * 255}
    body = {"approver": {"id": "long-key"}}

    assert ok(world.acme.post("/v1/pairings", body, key), 201) == ok(
        world.acme.post("/v1/pairings", body, key), 201
    )


def test_idempotency_key_used_at_once_creates_one_request(world: World) -> None:
    """Of simultaneous calls with one key each gets the one request or ``idempotency_conflict``."""
    device = world.acme.device("at-once")
    body = request_body([device])
    key = {"Idempotency-Key": "at-once"}
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(world.acme.post, "/v1/requests", body, key) for _ in range(8)]
        answers = [one.result(timeout=20) for one in waiting]

    created = {a.json()["request_id"] for a in answers if a.status_code == 201}
    others = {refused(a) for a in answers if a.status_code != 201}
    assert len(created) == 1
    assert others <= {(409, "idempotency_conflict")}
    assert len(device.inbox()) == 1


def test_idempotency_key_is_honoured_for_a_day(world: World) -> None:
    """A key is honoured for 24 hours and then free again."""
    key = {"Idempotency-Key": "a day"}
    body = {"approver": {"id": "a-day"}}
    first = ok(world.acme.post("/v1/pairings", body, key), 201)
    world.clock.advance(24 * 3_600 - 1)
    assert ok(world.acme.post("/v1/pairings", body, key), 201) == first
    world.clock.advance(1)

    assert ok(world.acme.post("/v1/pairings", body, key), 201) != first
