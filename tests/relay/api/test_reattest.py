"""``POST /v1/device/reattest`` over HTTP: who may call it, and what it answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.relay import attested
from tests.relay.api.harness import House, ok, refused
from tests.relay.api.harness import house as served
from tests.relay.reattested import LABEL, asserted
from tests.relay.simulator import SimDevice

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx2

    from quorumkey_relay.usecases.commands import ReattestationBody

pytestmark = pytest.mark.anyio

PATH = "/v1/device/reattest"
NONE: dict[str, Any] = {"format": "none"}


@pytest.fixture(scope="module")
async def trusting(
    anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[House, None]:
    """A served relay that judges evidence of the test PKI."""
    del anyio_backend
    folder = tmp_path_factory.mktemp("trusting")
    async with served(folder / "data", **attested.trusting(folder)) as running:
        yield running


@pytest.fixture(scope="module")
async def iphone(trusting: House) -> SimDevice:
    """A phone that an App Attest key vouches for."""
    device = SimDevice("alice")
    nonce = await trusting.nonce()
    code = await trusting.pairing_code("alice")
    envelope = await trusting.enrollment(device, code, nonce=nonce)
    evidence = attested.from_iphone(device, nonce, label=LABEL)
    body = {"envelope": envelope.to_json(), "attestation": msgspec.to_builtins(evidence)}
    ok(await trusting.http.post("/v1/device/enroll", json=body), 201)
    return device


async def send(
    house: House, session: dict[str, str], nonce: str, evidence: ReattestationBody
) -> httpx2.Response:
    """Send evidence under a session."""
    body = {"nonce": nonce, "attestation": msgspec.to_builtins(evidence)}
    return await house.http.post(PATH, json=body, headers=session)


async def test_an_assertion(trusting: House, iphone: SimDevice) -> None:
    """The answer is the fingerprint and the level."""
    session = await trusting.session(iphone)
    nonce = await trusting.nonce()

    answer = ok(await send(trusting, session, nonce, asserted(iphone, nonce, counter=1)))

    assert {"fingerprint": iphone.fingerprint, "assurance": "secure_enclave"} == answer


async def test_it_takes_a_session(trusting: House, iphone: SimDevice) -> None:
    """Neither nobody nor an integrator may prove anything for a device, and no nonce is spent."""
    nonce = await trusting.nonce()
    evidence = asserted(iphone, nonce, counter=50)

    answers = [
        await send(trusting, headers, nonce, evidence)
        for headers in ({}, trusting.bearer, {"Authorization": "Bearer x"})
    ]

    assert [(401, "unauthorized")] * 3 == [refused(answer)[:2] for answer in answers]
    session = await trusting.session(iphone)
    assert ok(await send(trusting, session, nonce, evidence))


async def test_a_session_speaks_for_its_own_device(trusting: House, iphone: SimDevice) -> None:
    """Another device's evidence under one's own session is refused."""
    other = await trusting.device("mallory")
    session = await trusting.session(other)
    nonce = await trusting.nonce()

    answer = await send(trusting, session, nonce, asserted(iphone, nonce, counter=90))

    assert (400, "attestation_rejected") == refused(answer)[:2]
    assert answer.json()["error"]["details"] == {
        "reason": "key_mismatch",
        "check": "reattest/1-key",
    }


async def test_a_nonce_serves_once(trusting: House, iphone: SimDevice) -> None:
    """The second presentation is 410, whatever the evidence."""
    session = await trusting.session(iphone)
    nonce = await trusting.nonce()
    evidence = asserted(iphone, nonce, counter=100)

    answers = [await send(trusting, session, nonce, evidence) for _ in range(2)]

    assert 200 == answers[0].status_code
    assert (410, "nonce_expired") == refused(answers[1])[:2]


async def test_of_calls_at_once_one_wins(trusting: House, iphone: SimDevice) -> None:
    """Assertions with one counter, over connections of their own."""
    session = await trusting.session(iphone)
    nonces = [await trusting.nonce() for _ in range(6)]

    answers = await asyncio.gather(
        *(send(trusting, session, nonce, asserted(iphone, nonce, counter=200)) for nonce in nonces)
    )

    lost = [answer for answer in answers if answer.status_code != 200]
    assert 5 == len(lost)
    assert {"counter"} == {answer.json()["error"]["details"]["reason"] for answer in lost}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"nonce": "A" * 43 + "="}, "invalid_request"),
        ({"nonce": 1, "attestation": NONE}, "invalid_request"),
        ({"nonce": "AAAA", "attestation": NONE}, "invalid_request"),
        ({"nonce": "A" * 43 + "=", "attestation": {"format": "x"}}, "invalid_request"),
        ({"nonce": "A" * 43 + "=", "attestation": NONE, "more": 1}, "invalid_request"),
        ({"nonce": "A" * 43 + "=", "attestation": NONE | {"more": 1}}, "invalid_request"),
    ],
    ids=["empty", "no evidence", "number", "short nonce", "format", "member", "evidence's member"],
)
async def test_bodies_of_another_shape(
    trusting: House, iphone: SimDevice, body: dict[str, Any], code: str
) -> None:
    """Members that are missing, unknown or of another type are refused."""
    session = await trusting.session(iphone)

    answer = await trusting.http.post(PATH, json=body, headers=session)

    assert (400, code) == refused(answer)[:2]


async def test_a_relay_that_judges_nothing(house: House) -> None:
    """Where attestation is off, the answer says that nothing was judged."""
    device = await house.device("alice")
    session = await house.session(device)
    nonce = await house.nonce()

    answer = await send(house, session, nonce, asserted(device, nonce, counter=1))

    assert (400, "attestation_rejected") == refused(answer)[:2]
    assert "unsupported" == answer.json()["error"]["details"]["reason"]
