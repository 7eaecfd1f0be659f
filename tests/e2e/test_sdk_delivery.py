"""The SDK's webhooks and the software device's pushes against a relay process and the stand-ins."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.sdk_relay_process import RelayProcess, relay_process

from quorumkey import Action, AsyncClient, group
from quorumkey.client import WebhookDeliveryStatus, WebhookStatus
from quorumkey.device import RequestArrived, RequestWithdrawn, SoftwareDevice
from quorumkey.errors import InvalidRequestError, NotFoundError
from quorumkey.protocol import ApnsAddress, FcmAddress, NoPushAddress
from quorumkey_relay.standins import StandIns, apns_token, fcm_token, start_stand_ins

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from quorumkey import ConfirmedDevice
    from quorumkey.client import CreatedRequest
    from quorumkey.protocol import PushAddress
    from quorumkey_relay.standins import Received, Stand

pytestmark = pytest.mark.anyio

ACTION = Action("cold_boot", "Cold boot engine ENG-001", {"engine_id": "ENG-001"})
PREFIX = "QUORUMKEY_RELAY_"


def options(stands: StandIns) -> list[str]:
    """The stand-ins' settings as options of ``serve``."""
    return [
        text
        for name, value in stands.settings().items()
        for text in ("--" + name.removeprefix(PREFIX).lower().replace("_", "-"), value)
    ]


@asynccontextmanager
async def scene(folder: Path) -> AsyncGenerator[tuple[AsyncClient, StandIns]]:
    """A relay that sends to stand-ins, and its integrator."""
    async with start_stand_ins(folder / "stands") as stands:
        with relay_process(folder, *options(stands)) as relay:
            async with AsyncClient(relay.url, relay.api_key) as acme:
                yield acme, stands


async def pair(
    acme: AsyncClient, device: SoftwareDevice, push: PushAddress | None = None
) -> ConfirmedDevice:
    """Pair a device."""
    pairing = await acme.pairings.create("alice")
    await device.enroll(pairing.url, push=push)
    return await acme.pairings.confirm(pairing)


async def ask(acme: AsyncClient, alice: ConfirmedDevice) -> CreatedRequest:
    """Ask for Alice's approval."""
    return await acme.requests.create(
        action=ACTION, groups=[group("Engineering", alice)], required=1
    )


async def newest(stand: Stand, count: int) -> Received:
    """The newest push, once so many were accepted."""
    await stand.until(lambda counters: counters.accepted >= count)
    return stand.received[-1]


async def counts(acme: AsyncClient, request: CreatedRequest, channel: str) -> tuple[int, int]:
    """How many of a request's notifications on a channel are accepted and acknowledged."""
    (engineering,) = await acme.requests.deliveries(request.request_id)
    found = engineering.channels[channel]
    return found.accepted, found.acknowledged


async def test_a_phone_that_sleeps_answers(tmp_path: Path) -> None:
    """Woken by push alone, a device opens, acknowledges and approves, and the receipt verifies."""
    token = apns_token(number=1)
    async with scene(tmp_path) as (acme, stands), SoftwareDevice(tmp_path / "phone") as phone:
        address = ApnsAddress(token, stands.files.apns_topic, "production")
        request = await ask(acme, await pair(acme, phone, address))
        push = await newest(stands.apns, 1)

        event = await phone.open_push(push.body)
        assert isinstance(event, RequestArrived)
        await phone.acknowledge(event.request.request_id)
        acknowledged = await counts(acme, request, "apns")
        await phone.approve(event.request)
        outcome = await acme.requests.wait(request)

    assert (request.request_id, request.request_id) == (event.request.request_id, push.collapse_id)
    assert (0, 1) == acknowledged
    assert outcome.approved


async def test_an_address_that_comes_later(tmp_path: Path) -> None:
    """A device that says late where it is gets what is pending, and the withdrawal after that."""
    async with scene(tmp_path) as (acme, stands), SoftwareDevice(tmp_path / "phone") as phone:
        request = await ask(acme, await pair(acme, phone))
        await phone.set_push(FcmAddress(fcm_token()))
        push = await newest(stands.fcm, 1)
        arrived = await phone.open_push(data(push))
        await acme.requests.cancel(request.request_id)
        withdrawn = await phone.open_push(data(await newest(stands.fcm, 2)))

    assert isinstance(arrived, RequestArrived)
    assert arrived.request.can_approve
    assert RequestWithdrawn(request.request_id) == withdrawn


async def test_an_address_that_is_taken_back(tmp_path: Path) -> None:
    """After an address was taken back nothing is sent there, and the request waits all the same."""
    async with scene(tmp_path) as (acme, stands), SoftwareDevice(tmp_path / "phone") as phone:
        alice = await pair(acme, phone, FcmAddress(fcm_token()))
        await phone.set_push(NoPushAddress())
        request = await ask(acme, alice)
        (waiting,) = await phone.pending()
        (engineering,) = await acme.requests.deliveries(request.request_id)

    assert request.request_id == waiting.request_id
    assert {} == engineering.channels
    assert 0 == stands.fcm.counters.streams


async def test_an_address_of_another_app(tmp_path: Path) -> None:
    """An address that the relay could not serve is refused when the device says it."""
    async with scene(tmp_path) as (acme, _), SoftwareDevice(tmp_path / "phone") as phone:
        await pair(acme, phone)
        with pytest.raises(InvalidRequestError):
            await phone.set_push(ApnsAddress(apns_token(), "com.example.other", "production"))


def data(push: Received) -> dict[str, Any]:
    """What the app on an Android phone is handed."""
    message: Any = push.payload["message"]
    found: dict[str, Any] = message["data"]
    return found


# ------------------------------------------------------------------ webhooks


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Generator[RelayProcess, None, None]:
    """A relay that may call receivers on this machine; nobody listens there."""
    folder = tmp_path_factory.mktemp("relay")
    with relay_process(folder, "--unsafe-egress-hosts", "localhost") as running:
        yield running


@pytest.fixture
async def acme(relay: RelayProcess) -> AsyncGenerator[AsyncClient]:
    """The integrator's client."""
    async with AsyncClient(relay.url, relay.api_key) as client:
        yield client
        async for webhook in client.webhooks.list():
            await client.webhooks.delete(webhook.webhook_id)


#: Nobody answers at a port that only root could open.
NOWHERE = "http://localhost:1/quorumkey"


async def test_the_life_of_a_webhook(acme: AsyncClient) -> None:
    """A webhook is made, listed, read, rotated, disabled, enabled and deleted."""
    made = await acme.webhooks.create(NOWHERE, ["mpa.approved"])
    webhook_id = made.webhook.webhook_id
    listed = [webhook async for webhook in acme.webhooks.list()]
    read = await acme.webhooks.get(webhook_id)
    rotated = await acme.webhooks.rotate(webhook_id)
    disabled = await acme.webhooks.disable(webhook_id)
    enabled = await acme.webhooks.enable(webhook_id)
    await acme.webhooks.delete(webhook_id)

    assert [made.webhook] == listed == [read]
    assert made.secret != rotated.secret
    assert rotated.webhook.old_secret_expires_at is not None
    assert (WebhookStatus.DISABLED, "requested") == (disabled.status, disabled.disabled_reason)
    assert WebhookStatus.ACTIVE is enabled.status
    with pytest.raises(NotFoundError):
        await acme.webhooks.get(webhook_id)


async def test_deliveries_tell_of_every_attempt(acme: AsyncClient) -> None:
    """Where nobody answers, the delivery has the attempt and its reason, and is tried again."""
    webhook_id = (await acme.webhooks.create(NOWHERE)).webhook.webhook_id
    queued = await acme.webhooks.test(webhook_id)
    while not (tried := await acme.webhooks.delivery(webhook_id, queued.event_id)).attempts:
        pass
    (listed,) = [delivery async for delivery in acme.webhooks.deliveries(webhook_id)]
    again = await acme.webhooks.resend(webhook_id, queued.event_id)

    assert ("webhook.test", WebhookDeliveryStatus.QUEUED) == (queued.type, queued.status)
    assert ["unreachable"] == [attempt.reason for attempt in tried.attempts]
    assert tried.next_attempt_at is not None
    assert queued.event_id == listed.event_id == again.event_id


async def test_what_a_disabled_webhook_refuses(acme: AsyncClient) -> None:
    """A disabled webhook gets neither a test nor a re-send."""
    webhook_id = (await acme.webhooks.create(NOWHERE)).webhook.webhook_id
    queued = await acme.webhooks.test(webhook_id)
    await acme.webhooks.disable(webhook_id)

    with pytest.raises(InvalidRequestError):
        await acme.webhooks.test(webhook_id)
    with pytest.raises(InvalidRequestError):
        await acme.webhooks.resend(webhook_id, queued.event_id)


@pytest.mark.parametrize(
    "url",
    ["http://backend.example.com/", "https://10.0.0.1/", "https://user:pass@example.com/", "ftp:x"],
    ids=["http", "private", "user", "scheme"],
)
async def test_addresses_that_are_refused(acme: AsyncClient, url: str) -> None:
    """An address that may not be called is refused when the webhook is made."""
    with pytest.raises(InvalidRequestError):
        await acme.webhooks.create(url)
