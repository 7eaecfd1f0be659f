"""Query parameters: known, once, and of their kind (PROTOCOL §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import NO_SUCH_ID, ok, refused

if TYPE_CHECKING:
    from tests.relay.api.harness import House

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=2", "There is no query parameter 'page' here."),
        ("Limit=2", "There is no query parameter 'Limit' here."),
        ("limit=1&limit=1", "The query parameter limit stands there twice."),
        ("limit=0", "limit must be a whole number from 1 to 100."),
        ("limit=101", "limit must be a whole number from 1 to 100."),
        ("limit=", "limit must be a whole number from 1 to 100."),
        ("limit=05", "limit must be a whole number from 1 to 100."),
        ("limit=%D9%A5", "limit must be a whole number from 1 to 100."),
        ("limit=1e1", "limit must be a whole number from 1 to 100."),
        (
            "status=open",
            "status must be one of pending, approved, rejected, timeout, cancelled.",
        ),
        ("cursor=", "cursor must be a next_cursor that this list has answered."),
        ("cursor=%00", "cursor must be a next_cursor that this list has answered."),
        ("limit", "The query string is malformed."),
        ("limit=1&", "The query string is malformed."),
        ("limit=%ff", "The query string is malformed."),
        ("&".join(f"a{number}=1" for number in range(30)), "The query string is malformed."),
    ],
)
async def test_refused_query(house: House, query: str, message: str) -> None:
    """What a list does not document is 400 invalid_request."""
    assert refused(await house.get(f"/v1/requests?{query}")) == (400, "invalid_request", message)


async def test_a_cursor_that_was_never_given(house: House) -> None:
    """A cursor of the caller's own making is 400."""
    for path in ("/v1/requests", "/v1/devices"):
        assert refused(await house.get(f"{path}?cursor=AAAA"))[:2] == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/info", "/healthz", "/openapi.json", "/docs", "/metrics"])
async def test_calls_without_parameters_take_none(house: House, path: str) -> None:
    """A call that documents no query parameter refuses all."""
    assert refused(await house.http.get(f"{path}?a=1"))[:2] == (400, "invalid_request")


async def test_empty_query(house: House) -> None:
    """A question mark without a query is no parameter."""
    ok(await house.http.get("/v1/info?"))


async def test_writes_refuse_parameters_too(house: House) -> None:
    """A POST with a query parameter is refused."""
    answer = await house.http.post("/v1/device/challenge?a=1")

    assert refused(answer) == (400, "invalid_request", "There is no query parameter 'a' here.")


@pytest.mark.parametrize("text", ["61", "-1", "x"])
async def test_wait_seconds(house: House, text: str) -> None:
    """A wait is 0 to 60 whole seconds."""
    assert refused(await house.get(f"/v1/requests/{NO_SUCH_ID}?wait_seconds={text}")) == (
        400,
        "invalid_request",
        "wait_seconds must be a whole number from 0 to 60.",
    )


async def test_approver_id(house: House) -> None:
    """An approver's id follows the rule for visible text; a good one selects."""
    device = await house.device("alice")
    await house.device("bob")

    found = ok(await house.get("/v1/devices?approver_id=alice"))
    hidden = await house.get("/v1/devices?approver_id=%E2%80%8Balice")
    too_long = await house.get(f"/v1/devices?approver_id={'a' * 129}")

    assert [item["fingerprint"] for item in found["data"]] == [device.fingerprint]
    assert refused(hidden)[:2] == (400, "invalid_request")
    assert refused(too_long)[:2] == (400, "invalid_request")


async def test_status_of_device_lists(house: House) -> None:
    """A device's list knows status=all and no other."""
    session = await house.session(await house.device("carol"))

    ok(await house.http.get("/v1/device/requests?status=all", headers=session))
    answer = await house.http.get("/v1/device/requests?status=pending", headers=session)

    assert refused(answer) == (400, "invalid_request", "status must be one of all.")


async def test_pages(house: House) -> None:
    """A list is newest first, in pages that lead from one to the next."""
    device = await house.device("dave")
    made = [(await house.ask(device))["request_id"] for _ in range(3)]

    first = ok(await house.get("/v1/requests?limit=2&status=pending"))
    second = ok(await house.get(f"/v1/requests?limit=2&cursor={first['next_cursor']}"))

    assert [item["request_id"] for item in first["data"] + second["data"]] == made[::-1]
    assert second["next_cursor"] is None
