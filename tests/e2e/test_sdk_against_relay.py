"""Both clients, the software device and the command ``quorumkey`` against a relay process."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from tests.e2e.sdk_relay_process import RelayProcess, relay_process

from quorumkey import Action, Approved, AsyncClient, Client, NotApproved, Status, group
from quorumkey.client import CreatedRequest, Pairing
from quorumkey.device import (
    Connected,
    DevicePorts,
    Disconnected,
    NotAnswerableError,
    RequestArrived,
    RequestResolved,
    SoftwareDevice,
    StreamClosedError,
)
from quorumkey.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PairingNotConfirmedError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from quorumkey import ConfirmedDevice

ACTION = Action("cold_boot", "Cold boot engine ENG-001", {"engine_id": "ENG-001", "attempts": 3})


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Generator[RelayProcess, None, None]:
    """One relay for the tests of this file."""
    with relay_process(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture
def own_relay(tmp_path: Path) -> Generator[RelayProcess, None, None]:
    """A relay for one test that stops it or changes its key."""
    with relay_process(tmp_path) as running:
        yield running


@pytest.fixture
def client(relay: RelayProcess) -> Generator[Client, None, None]:
    """The integrator's client."""
    with Client(relay.url, relay.api_key) as made:
        yield made


@pytest.fixture
def terminal(relay: RelayProcess, monkeypatch: pytest.MonkeyPatch) -> RelayProcess:
    """The integrator's settings in this process's environment, for `type_in`."""
    monkeypatch.setenv("QUORUMKEY_URL", relay.url)
    monkeypatch.setenv("QUORUMKEY_API_KEY", relay.api_key)
    return relay


def pair(client: Client, home: Path, person: str) -> ConfirmedDevice:
    """Pair the device of a home with the integrator, as `person`."""
    pairing = client.pairings.create(person, person.title())

    async def enroll() -> None:
        async with SoftwareDevice(home) as device:
            await device.enroll(pairing.url)

    asyncio.run(enroll())
    return client.pairings.wait(pairing, timeout=30)


def approve(home: Path, request_id: str, code: str | None = None) -> None:
    """Approve with the device of a home."""

    async def inside() -> None:
        async with SoftwareDevice(home) as device:
            await device.approve(request_id, code=code)

    asyncio.run(inside())


# ------------------------------------------------------------------ the clients


def test_a_2_of_3_approval(client: Client, relay: RelayProcess, tmp_path: Path) -> None:
    """Three groups are asked, two approve, and the receipt proves which."""
    alice, carol, dave = (
        pair(client, tmp_path / name, name) for name in ("alice", "carol", "dave")
    )
    created = client.requests.create(
        action=ACTION,
        groups=[group("Engineering", alice), group("Security", carol), group("Operations", dave)],
        required=2,
    )
    approve(tmp_path / "carol", created.request_id)
    pending = client.requests.resolve(created)
    approve(tmp_path / "alice", created.request_id)
    outcome = client.requests.wait(created, timeout=30)

    assert pending is None
    assert isinstance(outcome, Approved)
    assert ("Security", "Engineering") == outcome.groups_satisfied
    assert ["carol", "alice"] == [approver.approver_id for approver in outcome.approvers]
    assert relay.integrator_id == client.integrator_id
    assert client.requests.receipt(created.request_id) == outcome.receipt


def test_a_denial(client: Client, tmp_path: Path) -> None:
    """The first denial rejects, and no receipt proves anything."""
    bob = pair(client, tmp_path / "bob", "bob")
    created = client.requests.create(action=ACTION, groups=[group("Ops", bob)], required=1)

    async def deny() -> None:
        async with SoftwareDevice(tmp_path / "bob") as device:
            await device.deny(created.request_id, reason="Not now.")

    asyncio.run(deny())
    outcome = client.requests.wait(created, timeout=30)

    assert isinstance(outcome, NotApproved)
    assert Status.REJECTED is outcome.status


def test_a_stored_request_is_resolved_later(
    client: Client, relay: RelayProcess, tmp_path: Path
) -> None:
    """Another process, which has only what was stored, gets the same proven outcome."""
    bob = pair(client, tmp_path / "bob", "bob")
    created = client.requests.create(action=ACTION, groups=[group("Ops", bob)], required=1)
    stored = created.encode()
    approve(tmp_path / "bob", created.request_id)
    with Client(relay.url, relay.api_key, integrator_id=relay.integrator_id) as later:
        outcome = later.requests.resolve(CreatedRequest.decode(stored))

    assert isinstance(outcome, Approved)


def test_a_stored_pairing_is_confirmed_later(
    client: Client, relay: RelayProcess, tmp_path: Path
) -> None:
    """A pairing that was stored is confirmed by another process."""
    pairing = client.pairings.create("erin")
    stored = pairing.encode()

    async def enroll() -> str:
        async with SoftwareDevice(tmp_path / "erin") as device:
            return (await device.enroll(pairing.url)).fingerprint

    fingerprint = asyncio.run(enroll())
    with Client(relay.url, relay.api_key) as later:
        confirmed = later.pairings.confirm(Pairing.decode(stored))

    assert (fingerprint, True) == (confirmed.fingerprint, confirmed.bound)


def test_a_typed_code_is_not_bound(client: Client, relay: RelayProcess, tmp_path: Path) -> None:
    """A device that was typed the code is confirmed only where unbound keys are allowed."""
    pairing = client.pairings.create("frank")

    async def enroll() -> None:
        async with SoftwareDevice(tmp_path / "frank", relay_url=relay.url) as device:
            await device.enroll(pairing.code)

    asyncio.run(enroll())
    with pytest.raises(PairingNotConfirmedError, match="not bound"):
        client.pairings.confirm(pairing)

    assert not client.pairings.confirm(pairing, allow_unbound=True).bound


def test_reading_cancelling_and_deleting(client: Client, tmp_path: Path) -> None:
    """Requests and devices are read, listed, cancelled and deleted as the relay has them."""
    dana = pair(client, tmp_path / "dana", "dana")
    created = client.requests.create(action=ACTION, groups=[group("Ops", dana)], required=1)
    cancelled = client.requests.cancel(created.request_id)

    assert Status.CANCELLED is cancelled.status
    assert cancelled == client.requests.get(created.request_id)
    assert cancelled in list(client.requests.list(status="cancelled", limit=1))
    assert ["Ops"] == [item.group for item in client.requests.deliveries(created.request_id)]
    assert [dana.fingerprint] == [
        device.fingerprint for device in client.devices.list(approver_id="dana")
    ]
    client.devices.delete(dana.fingerprint)
    assert client.devices.get(dana.fingerprint).revoked_at is not None
    with pytest.raises(ConflictError, match="request_completed"):
        client.requests.cancel(_approved(client, tmp_path).request_id)
    with pytest.raises(NotFoundError):
        client.requests.get("nothing")


def _approved(client: Client, folder: Path) -> CreatedRequest:
    gina = pair(client, folder / "gina", "gina")
    created = client.requests.create(action=ACTION, groups=[group("G", gina)], required=1)
    approve(folder / "gina", created.request_id)
    return created


def test_the_same_idempotency_key_is_the_same_request(client: Client, tmp_path: Path) -> None:
    """Creating twice under one key and nonce makes one request; another body is refused."""
    hugo = pair(client, tmp_path / "hugo", "hugo")

    def create(description: str) -> str:
        return client.requests.create(
            action=Action("x", description),
            groups=[group("Ops", hugo)],
            required=1,
            nonce=bytes(32),
            idempotency_key="job-1",
        ).request_id

    assert create("X") == create("X")
    with pytest.raises(ConflictError, match="idempotency_conflict"):
        create("Y")


def test_events(relay: RelayProcess, tmp_path: Path) -> None:
    """The event stream tells what happens, and goes on after a given event."""

    async def happen(client: AsyncClient, number: int) -> None:
        pairing = await client.pairings.create(f"person-{number}")
        async with SoftwareDevice(tmp_path / f"device-{number}") as device:
            await device.enroll(pairing.url)

    async def inside() -> tuple[str, list[str]]:
        async with (
            AsyncClient(relay.url, relay.api_key) as client,
            aclosing(client.events()) as live,
        ):
            arrived = asyncio.ensure_future(anext(live))
            number = 0
            while not arrived.done():  # the stream is open once something arrives on it
                number += 1
                await happen(client, number)
            first = arrived.result()
            await happen(client, number + 1)
            async with aclosing(client.events(first.event_id)) as resumed:
                following = [await anext(resumed)]
            assert following[0].event_id != first.event_id
            return first.type, [event.type for event in following]

    assert ("device.enrolled", ["device.enrolled"]) == asyncio.run(inside())


def test_five_listening_phones(relay: RelayProcess, tmp_path: Path) -> None:
    """Devices that listen are asked at once, answer, and hear how it ended."""
    names = ("alice", "bob", "carol", "dave", "eve")

    async def phone(name: str, client: AsyncClient, ready: asyncio.Barrier) -> str:
        async with SoftwareDevice(tmp_path / name) as device:
            pairing = await client.pairings.create(name)
            await device.enroll(pairing.url)
            phones[name] = await client.pairings.confirm(pairing)
            async with aclosing(device.listen()) as events:
                async for event in events:
                    match event:
                        case Connected():
                            await ready.wait()
                        case RequestArrived(request):
                            await device.acknowledge(request.request_id)
                            if name not in {"alice", "carol"}:
                                continue
                            answered = await device.approve(request)
                            if answered.status is Status.APPROVED:  # only the others are told
                                return answered.status.value
                        case RequestResolved(_, status):
                            return status.value
                        case _:
                            pass
        raise AssertionError("the stream ended")

    phones: dict[str, ConfirmedDevice] = {}

    async def inside() -> tuple[list[str], bool]:
        ready = asyncio.Barrier(len(names) + 1)
        async with (
            asyncio.timeout(60),
            AsyncClient(relay.url, relay.api_key) as client,
            asyncio.TaskGroup() as people,
        ):
            tasks = [people.create_task(phone(name, client, ready)) for name in names]
            await ready.wait()
            created = await client.requests.create(
                action=ACTION,
                groups=[
                    group("Engineering", phones["alice"], phones["bob"]),
                    group("Security", phones["carol"]),
                    group("Operations", phones["dave"], phones["eve"]),
                ],
                required=2,
            )
            outcome = await client.requests.wait(created)
        return [task.result() for task in tasks], outcome.approved

    heard, approved = asyncio.run(inside())

    assert ["approved"] * 5 == heard
    assert approved


# ------------------------------------------------------------------ the device


def test_a_match_code(client: Client, tmp_path: Path) -> None:
    """An approval carries the code; a wrong one may be typed again, by the same decision."""
    jane = pair(client, tmp_path / "jane", "jane")
    created = client.requests.create(
        action=ACTION, groups=[group("Ops", jane)], required=1, match_code="4711"
    )
    with pytest.raises(NotAnswerableError, match="match code"):
        approve(tmp_path / "jane", created.request_id)
    with pytest.raises(InvalidRequestError, match="wrong_code"):
        approve(tmp_path / "jane", created.request_id, "1111")
    approve(tmp_path / "jane", created.request_id, "4711")

    assert client.requests.wait(created, timeout=30).approved


def test_an_unpaired_device_pairs_again(client: Client, tmp_path: Path) -> None:
    """After unpairing the same key may be paired again with a new code."""
    first = pair(client, tmp_path / "kim", "kim")

    async def unpair() -> None:
        async with SoftwareDevice(tmp_path / "kim") as device:
            await device.unpair()

    asyncio.run(unpair())

    assert first.fingerprint == pair(client, tmp_path / "kim", "kim").fingerprint


def test_a_revoked_device_is_cut_off(client: Client, relay: RelayProcess, tmp_path: Path) -> None:
    """A device whose pairing the integrator ended is disconnected and stays away."""
    lena = pair(client, tmp_path / "lena", "lena")

    async def listen() -> int:
        async with (
            AsyncClient(relay.url, relay.api_key) as integrator,
            SoftwareDevice(tmp_path / "lena") as device,
            aclosing(device.listen()) as events,
        ):
            try:
                async for event in events:
                    assert isinstance(event, Connected)
                    await integrator.devices.delete(lena.fingerprint)
            except StreamClosedError as closed:
                return closed.code
        raise AssertionError("the stream went on")

    code = asyncio.run(listen())
    with pytest.raises(PermissionDeniedError, match="device_revoked"):
        approve(tmp_path / "lena", "0190a000-0000-7000-8000-000000000001")

    assert 4403 == code


def test_a_relay_that_restarts(own_relay: RelayProcess, tmp_path: Path) -> None:
    """A listening device connects again when the relay is back, and is asked then."""
    with Client(own_relay.url, own_relay.api_key) as client:
        mia = pair(client, tmp_path / "mia", "mia")

    async def listen() -> list[type]:
        seen: list[type] = []
        ports = DevicePorts(sleep=lambda _seconds: asyncio.sleep(0.05))
        async with (
            AsyncClient(own_relay.url, own_relay.api_key) as integrator,
            SoftwareDevice(tmp_path / "mia", ports=ports) as device,
            aclosing(device.listen()) as events,
        ):
            async for event in events:
                seen.append(type(event))
                if seen == [Connected]:
                    await asyncio.to_thread(own_relay.restart)
                elif isinstance(event, Connected):
                    await integrator.requests.create(
                        action=ACTION, groups=[group("Ops", mia)], required=1
                    )
                elif isinstance(event, RequestArrived):
                    return seen
        raise AssertionError("the stream ended")

    seen = asyncio.run(listen())

    assert [Connected, Disconnected] == seen[:2]
    assert [Connected, RequestArrived] == seen[-2:]


def test_a_relay_that_changes_its_key(own_relay: RelayProcess, tmp_path: Path) -> None:
    """Client and device that pinned the old key follow the relay to its new one."""
    with Client(own_relay.url, own_relay.api_key) as client:
        nils = pair(client, tmp_path / "nils", "nils")
        before = client.requests.create(action=ACTION, groups=[group("O", nils)], required=1)
        following = own_relay.rotate()
        after = client.requests.create(action=ACTION, groups=[group("O", nils)], required=1)
        for created in (before, after):
            approve(tmp_path / "nils", created.request_id)
        outcomes = [client.requests.wait(created, timeout=30) for created in (before, after)]

    assert all(outcome.approved for outcome in outcomes)
    assert following in {key.fingerprint for key in client.relay_public_keys}
    assert following == SoftwareDevice(tmp_path / "nils").identity.relay
