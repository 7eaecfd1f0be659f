"""Steering stand-ins over plain HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.relay.standins.raw import ALERT, apns_headers, provider_token

from quorumkey_relay.config import load_settings
from quorumkey_relay.standins import FaultError, Faults, apns_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from quorumkey_relay.standins import StandIns

pytestmark = pytest.mark.anyio


@pytest.fixture
async def control(stands: StandIns) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A client of the control interface."""
    async with httpx.AsyncClient(base_url=stands.control_url, trust_env=False) as client:
        yield client


@pytest.fixture
def push(stands: StandIns, sender: httpx.AsyncClient) -> Callable[[str], Awaitable[int]]:
    """A function that pushes to a device token of Apple's."""
    authorization = provider_token(stands)

    async def send(token: str) -> int:
        headers = apns_headers(stands, authorization, apns_collapse_id="r")
        response = await sender.post(
            f"{stands.apns.url}/3/device/{token}", headers=headers, content=ALERT
        )
        return response.status_code

    return send


async def json_of(answer: Awaitable[httpx.Response], status: int = 200) -> Any:  # noqa: ANN401 - of any shape
    """The body of an answer that has to have this status."""
    response = await answer
    assert status == response.status_code
    return response.json()


async def test_counters(control: httpx.AsyncClient, push: Callable[[str], Awaitable[int]]) -> None:
    """Each stand-in's counters are there by its name."""
    await push(apns_token("Unregistered"))
    counters = await json_of(control.get("/counters"))

    assert {"apns", "apns_sandbox", "fcm", "webpush"} == counters.keys()
    assert {"Unregistered": 1} == counters["apns"]["refused"]


async def test_received(control: httpx.AsyncClient, push: Callable[[str], Awaitable[int]]) -> None:
    """Pushes are chosen by channel, token and number, and tell everything but credentials."""
    for number in range(3):
        await push(apns_token("ok", number))
    every = await json_of(control.get("/received", params={"channel": "apns"}))
    one = await json_of(control.get("/received", params={"token": apns_token("ok", 1)}))
    later = await json_of(control.get("/received", params={"after": 2}))
    none = await json_of(control.get("/received", params={"channel": "fcm"}))

    assert [1, 2, 3] == [push["number"] for push in every["received"]]
    assert ([2], [3]) == tuple([push["number"] for push in one["received"]] for one in (one, later))
    assert {"received": [], "after": 0} == none
    assert "authorization" not in every["received"][0]["headers"]


async def test_waiting_for_a_push(
    control: httpx.AsyncClient, push: Callable[[str], Awaitable[int]]
) -> None:
    """With ``wait_seconds`` the answer comes with the first push."""
    waiting = asyncio.get_running_loop().create_task(
        json_of(control.get("/received", params={"wait_seconds": 20}))
    )
    await control.get("/counters")
    await push(apns_token())

    assert 1 == len((await waiting)["received"])


async def test_waiting_in_vain(control: httpx.AsyncClient) -> None:
    """When nothing comes the answer is empty."""
    answer = await json_of(control.get("/received", params={"wait_seconds": 0.01}))

    assert [] == answer["received"]


async def test_faults_are_changed(
    stands: StandIns, control: httpx.AsyncClient, push: Callable[[str], Awaitable[int]]
) -> None:
    """Faults are set by name, and read again."""
    changed = await json_of(control.post("/faults", json={"apns": {"answer_status": 503}}))

    assert 503 == stands.apns.faults.answer_status == changed["apns"]["answer_status"]
    assert 503 == await push(apns_token())
    assert changed == await json_of(control.get("/faults"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"apns": {"nonsense": 1}}),
        ("/faults", {"apns": {"delay_seconds": "1"}}),
        ("/faults", {"apns": {"delay_seconds": -1}}),
        ("/faults", {"apns": {"is_down": 1}}),
        ("/faults", {"apns": 1}),
        ("/faults", {"nonsense": {}}),
        ("/faults", []),
        ("/connections", {"apns": "nonsense"}),
        ("/webpush/subscriptions", {"behaviour": "nonsense"}),
        ("/webpush/subscriptions", {"behaviour": 1}),
    ],
    ids=str,
)
async def test_wrong_calls_are_one_sentence(
    control: httpx.AsyncClient, path: str, body: object
) -> None:
    """What cannot be meant is 400 with a sentence, and changes nothing."""
    before = await json_of(control.get("/faults"))
    error = (await json_of(control.post(path, json=body), 400))["error"]

    assert error.endswith(".")
    assert before == await json_of(control.get("/faults"))


@pytest.mark.parametrize("query", ["after=x", "channel=nonsense", "wait_seconds=x"])
async def test_wrong_queries_are_refused(control: httpx.AsyncClient, query: str) -> None:
    """A filter that cannot be meant is 400."""
    await json_of(control.get(f"/received?{query}"), 400)


async def test_there_is_nothing_else(control: httpx.AsyncClient) -> None:
    """Any other path is 404, with every call that there is."""
    answer = await json_of(control.get("/"), 404)

    assert answer["error"].startswith("There is no GET /; there are GET /received, GET /counters, ")


@pytest.mark.parametrize("how", ["goaway", "lose"])
async def test_connections_are_ended(
    stands: StandIns,
    control: httpx.AsyncClient,
    push: Callable[[str], Awaitable[int]],
    how: str,
) -> None:
    """Connections that stand are ended by GOAWAY, or lost."""
    await push(apns_token())
    await json_of(control.post("/connections", json={"apns": how}))
    if how == "lose":
        await stands.apns.until(lambda counters: counters.open_connections == 0)

    assert (how == "goaway") == stands.apns.counters.goaways


async def test_a_new_subscription(stands: StandIns, control: httpx.AsyncClient) -> None:
    """A browser can be made to subscribe from elsewhere."""
    made = await json_of(control.post("/webpush/subscriptions", json={"behaviour": "410"}), 201)
    plain = await json_of(control.post("/webpush/subscriptions"), 201)

    assert made["endpoint"].startswith(f"{stands.webpush.url}/push/410/")
    assert {"endpoint", "p256dh", "auth"} == plain.keys()


async def test_tokens_are_taken_back(stands: StandIns, control: httpx.AsyncClient) -> None:
    """Google's access tokens can be revoked from elsewhere."""
    assert {} == await json_of(control.post("/tokens/revoke"))
    assert not stands.token_endpoint.is_good("ya29")


async def test_reset(
    stands: StandIns, control: httpx.AsyncClient, push: Callable[[str], Awaitable[int]]
) -> None:
    """A reset forgets pushes and counters of all."""
    await push(apns_token())
    await json_of(control.post("/reset"))

    assert (0, ()) == (stands.apns.counters.accepted, stands.apns.received)


async def test_the_settings_are_a_relays(stands: StandIns, control: httpx.AsyncClient) -> None:
    """The variables that it names are settings that a relay starts with."""
    variables = await json_of(control.get("/settings"))
    settings = load_settings(variables, {})

    assert variables == stands.settings()
    assert (stands.apns.url, stands.fcm.url, stands.files.ca_file) == (
        settings.apns_url,
        settings.fcm_url,
        settings.ca_file,
    )


async def test_pipelined_calls_are_answered_in_order(stands: StandIns) -> None:
    """Two calls in one write get two answers, the second of which ends the connection."""
    port = int(stands.control_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("localhost", port)
    writer.write(
        b"GET /counters HTTP/1.1\r\nhost: localhost\r\n\r\n"
        b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    answers = (await reader.read()).split(b"HTTP/1.1 ")
    writer.close()
    await writer.wait_closed()

    assert [b"200", b"404"] == [answer[:3] for answer in answers[1:]]


async def test_nonsense_ends_the_connection(stands: StandIns) -> None:
    """What is no HTTP is not answered."""
    port = int(stands.control_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("localhost", port)
    writer.write(b"nonsense\r\n\r\n")

    assert b"" == await reader.read()
    writer.close()
    await writer.wait_closed()


def test_a_fault_that_is_none() -> None:
    """Faults that are set by name have to be faults."""
    with pytest.raises(FaultError, match="is no fault"):
        Faults().change({"on_change": None})
