"""Calls of Google's APIs as a service account, against the stand-in for Google."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import ManualClock

from quorumkey_relay.delivery.google.access_token import (
    MESSAGING_SCOPE,
    ServiceAccount,
    TokenRefused,
    TokenUnavailable,
)
from quorumkey_relay.delivery.google.api import GoogleApi, google_client
from quorumkey_relay.standins.exchange import Reply, Request, json_reply
from quorumkey_relay.standins.google_cloud import start_google_cloud

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.standins.google_cloud import GoogleCloud

pytestmark = pytest.mark.anyio

LARGE = 300_000


class Rig:
    """The stand-in, what calls it, and their clock; ``seen`` are the requests that came."""

    def __init__(self, cloud: GoogleCloud, clock: ManualClock) -> None:
        self.cloud, self.clock = cloud, clock
        self.seen: list[Request] = []
        self.api = self.calling()
        cloud.serve_also(self.answer)

    def calling(self, **scope: str) -> GoogleApi:
        """Calls of one scope."""
        account = ServiceAccount.read(self.cloud.files.service_account_file)
        client = google_client(self.cloud.files.ca_file.read_bytes())
        return GoogleApi(account, client, self.clock, **scope)

    def answer(self, request: Request) -> Reply | None:
        """Repeat what was sent, or much more."""
        self.seen.append(request)
        if request.path == "/nothing":
            return None
        said = "x" * LARGE if request.path == "/large" else request.body.decode()
        return json_reply(200, {"said": said})


@pytest.fixture(scope="session")
def credentials_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose keys are made once for all tests."""
    return tmp_path_factory.mktemp("google-api")


@pytest.fixture
async def rig(credentials_folder: Path, anyio_backend: object) -> AsyncGenerator[Rig, None]:
    """The stand-in, and what calls it."""
    del anyio_backend
    clock = ManualClock()
    async with start_google_cloud(credentials_folder, now=clock.now) as cloud:
        ready = Rig(cloud, clock)
        yield ready
        await ready.api.close()


async def test_a_post_carries_body_headers_and_token(rig: Rig) -> None:
    """What is posted arrives as JSON, with the account's token."""
    answer = await rig.api.post(f"{rig.cloud.url}/echo", b'{"a":1}', headers={"x-a": "b"})

    (seen,) = rig.seen
    assert (200, {"said": '{"a":1}'}) == (answer.status, json.loads(answer.body))
    assert ("POST", "application/json", "b") == (
        seen.method,
        seen.headers["content-type"],
        seen.headers["x-a"],
    )


async def test_a_get_carries_headers_and_token(rig: Rig) -> None:
    """What is asked for by GET has no body."""
    answer = await rig.api.get(f"{rig.cloud.url}/echo?a=b", headers={"x-a": "b"})

    (seen,) = rig.seen
    assert (200, "GET", "/echo?a=b", "b", b"") == (
        answer.status,
        seen.method,
        seen.path,
        seen.headers["x-a"],
        seen.body,
    )


async def test_one_token_serves_many_calls(rig: Rig) -> None:
    """A second call asks for no second token."""
    await rig.api.get(f"{rig.cloud.url}/echo")
    await rig.api.post(f"{rig.cloud.url}/echo", b"{}")

    assert 1 == rig.cloud.stand.counters.token_requests


async def test_a_token_that_google_refuses_is_renewed(rig: Rig) -> None:
    """The call is made once more with another token."""
    await rig.api.get(f"{rig.cloud.url}/echo")
    rig.clock.advance(60)
    rig.cloud.token_endpoint.revoke()

    answer = await rig.api.get(f"{rig.cloud.url}/echo")

    assert (200, 2) == (answer.status, rig.cloud.stand.counters.token_requests)


async def test_a_token_that_is_refused_at_once_is_not_renewed(rig: Rig) -> None:
    """A new token that Google does not take is told as 401, and no third is asked for."""
    await rig.api.get(f"{rig.cloud.url}/echo")
    rig.cloud.token_endpoint.revoke()

    answer = await rig.api.get(f"{rig.cloud.url}/echo")

    assert (401, 1) == (answer.status, rig.cloud.stand.counters.token_requests)


async def test_a_long_answer_is_read_whole(rig: Rig) -> None:
    """A policy is longer than what a push service ever says."""
    answer = await rig.api.get(f"{rig.cloud.url}/large")

    assert LARGE == len(json.loads(answer.body)["said"])


async def test_what_is_not_there_is_an_answer(rig: Rig) -> None:
    """Errors are for the caller to judge."""
    assert 404 == (await rig.api.get(f"{rig.cloud.url}/nothing")).status


async def test_the_scope_decides(rig: Rig) -> None:
    """An assertion for another scope gets no token for the cloud's APIs."""
    messaging = rig.calling(scope=MESSAGING_SCOPE)

    with pytest.raises(TokenRefused):
        await messaging.get(f"{rig.cloud.url}/echo")

    await messaging.close()


async def test_no_token_no_call(rig: Rig) -> None:
    """While the token endpoint is down, nothing else is called."""
    rig.cloud.stand.faults.token_status = 503

    with pytest.raises(TokenUnavailable):
        await rig.api.get(f"{rig.cloud.url}/echo")

    assert [] == rig.seen
