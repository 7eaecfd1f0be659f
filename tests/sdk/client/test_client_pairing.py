from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from tests.sdk.clock import ManualClock
from tests.sdk.relay_double import API_KEY, CODE, URL, RelayDouble, answer, body_of, failure

from quorumkey.client import AsyncClient, Client, ClientPorts, Pairing, PairingStatus, group
from quorumkey.errors import (
    ConfigurationError,
    NotFoundError,
    PairingNotConfirmedError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from quorumkey.protocol import (
    Enrollment,
    Envelope,
    Kind,
    Party,
    PrivateKey,
    b64encode,
    format_time,
    pairing_binding,
    sign,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quorumkey.client import AttestationEvidence
    from quorumkey.protocol import JsonValue

PHONE = PrivateKey.generate()
FINGERPRINT = PHONE.public_key.fingerprint


@dataclass
class World:
    """A client, its relay, and the clock of both."""

    clock: ManualClock = field(default_factory=ManualClock)
    relay: RelayDouble = field(default_factory=RelayDouble)

    def __post_init__(self) -> None:
        self.client = Client(
            URL,
            API_KEY,
            transport=self.relay.transport,
            sleep=self.clock.sleep,
            ports=ClientPorts(now=self.clock.now, monotonic=self.clock.now),
        )

    def enroll(
        self,
        pairing: Pairing,
        *,
        key: PrivateKey = PHONE,
        change: Mapping[str, str | None] = MappingProxyType({}),
        kind: Kind = Kind.ENROLLMENT,
    ) -> None:
        """Let a device use the pairing; `change` is what goes wrong with it."""
        public = key.public_key
        enrollment = Enrollment(
            relay=self.relay.fingerprint,
            audience=URL,
            nonce=b64encode(bytes(32)),
            pairing_code=CODE,
            device_public_key=public.base64,
            platform="ios",
            binding=pairing_binding(pairing.secret, self.relay.fingerprint, public.compressed),
        )
        changed = replace(enrollment, **change)  # type: ignore[arg-type]  # any member
        self.report(sign(kind, changed.encode(), key))

    def report(self, envelope: Envelope, key: PrivateKey = PHONE) -> None:
        """Let the relay say that the pairing was used."""
        self.relay.pairing = {
            "pairing_id": "pairing-1",
            "status": "paired",
            "device": {
                "fingerprint": key.public_key.fingerprint,
                "device_public_key": key.public_key.base64,
                "platform": "ios",
                "assurance": "secure_enclave",
                "enrolled_at": format_time(self.relay.now),
            },
            "enrollment": envelope.to_json(),
            "attestation": {"format": "none"},
        }


@pytest.fixture
def world() -> Iterator[World]:
    """A world for one test."""
    made = World()
    yield made
    made.client.close()


def test_a_pairing_names_the_approver(world: World) -> None:
    """Creation sends the approver and an idempotency key, and how long it may take if given."""
    world.client.pairings.create("alice", "Alice", expires_in_seconds=60, idempotency_key="k")
    call = world.relay.calls[-1]

    assert {"approver": {"id": "alice", "name": "Alice"}, "expires_in_seconds": 60} == body_of(call)
    assert "k" == call.headers["idempotency-key"]


def test_the_secret_is_in_the_link_alone(world: World) -> None:
    """The link ends in a secret that no call to the relay ever holds."""
    pairing = world.client.pairings.create("alice")
    world.enroll(pairing)
    world.client.pairings.confirm(pairing)
    link, _, secret = pairing.url.partition("&secret=")
    sent = "".join(f"{call.url}{call.headers}{call.read()!r}" for call in world.relay.calls)

    assert f"{URL}/app/pair#code={CODE}&relay={world.relay.fingerprint}" == link
    assert 43 == len(secret)
    assert secret not in sent
    assert b64encode(pairing.secret) not in sent


def test_secrets_differ(world: World) -> None:
    """Two pairings have two secrets, and neither shows in a repr."""
    first, second = (world.client.pairings.create("alice") for _ in range(2))

    assert first.secret != second.secret
    assert 32 == len(first.secret)
    assert repr(first.secret) not in repr(first)
    assert "secret=" not in repr(first)


@pytest.mark.parametrize(
    "url",
    [
        f"{URL}/app/pair",
        f"{URL}/app/pair#code=0000-0000-0000&relay={'0' * 64}",
        f"{URL}/app/pair#code={CODE}&relay={'0' * 64}",
        f"{URL}/app/pair#code={CODE}",
    ],
)
def test_links_for_something_else_are_refused(world: World, url: str) -> None:
    """A link for another code or another relay than the pinned one is not handed out."""
    world.relay.script(
        "POST /v1/pairings",
        answer(
            {
                "pairing_id": "p",
                "pairing_code": CODE,
                "pairing_url": url,
                "expires_at": format_time(0),
            },
            201,
        ),
    )

    with pytest.raises(UnexpectedAnswerError, match="pairing link"):
        world.client.pairings.create("alice")


def test_a_pairing_can_be_stored(world: World) -> None:
    """What encode wrote, decode reads."""
    pairing = world.client.pairings.create("alice", "Alice")

    assert pairing == Pairing.decode(pairing.encode())


@pytest.mark.parametrize("data", [b"", b"{}", b'{"secret": "AAAA"}'])
def test_something_else_is_no_stored_pairing(data: bytes) -> None:
    """Bytes that encode did not write are refused."""
    with pytest.raises(ConfigurationError, match="stored pairing"):
        Pairing.decode(data)


def test_a_bound_device_is_confirmed(world: World) -> None:
    """An enrolment that passes every check makes a device that can be named in a group."""
    pairing = world.client.pairings.create("alice", "Alice")
    world.enroll(pairing)
    device = world.client.pairings.confirm(pairing)

    assert device.bound
    assert (FINGERPRINT, "ios", "secure_enclave", Party("alice", "Alice")) == (
        device.fingerprint,
        device.platform,
        device.assurance,
        device.approver,
    )
    (approver,) = group("Engineering", device).approvers
    assert ("alice", FINGERPRINT) == (approver.approver_id, approver.fingerprint)


OTHER = PrivateKey.generate()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relay": OTHER.public_key.fingerprint}, "another relay"),
        ({"pairing_code": "0000-0000-0000"}, "another pairing code"),
        ({"device_public_key": OTHER.public_key.base64}, "another key"),
        ({"platform": "cli"}, "another platform"),
        ({"binding": b64encode(bytes(32))}, "another secret"),
        ({"binding": None}, "not bound"),
    ],
)
def test_evidence_that_does_not_fit_is_refused(
    world: World, change: dict[str, str | None], message: str
) -> None:
    """An enrolment for something else, or not bound to this secret, is not confirmed."""
    pairing = world.client.pairings.create("alice")
    world.enroll(pairing, change=change)

    with pytest.raises(PairingNotConfirmedError, match=message):
        world.client.pairings.confirm(pairing)


def test_another_type_of_statement_is_refused(world: World) -> None:
    """A document of another type does not pass for an enrolment."""
    pairing = world.client.pairings.create("alice")
    world.enroll(pairing, kind=Kind.SESSION)

    with pytest.raises(PairingNotConfirmedError, match="does not hold"):
        world.client.pairings.confirm(pairing)


def test_an_enrolment_that_cannot_be_read_is_refused(world: World) -> None:
    """A signed enrolment that is no enrolment of the protocol is refused."""
    pairing = world.client.pairings.create("alice")
    world.report(sign(Kind.ENROLLMENT, b"{}", PHONE))

    with pytest.raises(PairingNotConfirmedError, match="does not hold"):
        world.client.pairings.confirm(pairing)


def test_an_enrolment_without_a_signature_is_no_answer(world: World) -> None:
    """A pairing whose enrolment is no envelope is an answer that is not one."""
    pairing = world.client.pairings.create("alice")
    world.enroll(pairing)
    world.relay.pairing["enrollment"] = {"payload": "AAAA"}

    with pytest.raises(UnexpectedAnswerError, match="envelope"):
        world.client.pairings.confirm(pairing)


def test_a_relays_own_key_is_refused(world: World) -> None:
    """A relay that reports a key of its own beside the device's enrolment is found out."""
    pairing = world.client.pairings.create("alice")
    world.enroll(pairing)
    enrollment = world.relay.pairing["enrollment"]
    world.enroll(pairing, key=OTHER)
    world.report(sign(Kind.ENROLLMENT, b"{}", OTHER), OTHER)
    world.relay.pairing["enrollment"] = enrollment

    with pytest.raises(PairingNotConfirmedError, match="does not hold"):
        world.client.pairings.confirm(pairing)


def test_a_relay_cannot_bind_its_own_key(world: World) -> None:
    """A relay that enrols its own key does not know the secret, so the key is not bound."""
    pairing = world.client.pairings.create("alice")
    forged = replace(pairing, secret=bytes(32))
    world.enroll(forged)

    with pytest.raises(PairingNotConfirmedError, match="another secret"):
        world.client.pairings.confirm(pairing)


def test_an_unbound_key_can_be_allowed(world: World) -> None:
    """Told so, confirm accepts a key that is not bound, and says that it is not."""
    pairing = world.client.pairings.create("alice")
    world.enroll(pairing, change={"binding": None})

    assert not world.client.pairings.confirm(pairing, allow_unbound=True).bound


def test_a_wrong_binding_is_never_allowed(world: World) -> None:
    """Allowing unbound keys does not allow keys bound to something else."""
    pairing = world.client.pairings.create("alice")
    world.enroll(pairing, change={"binding": b64encode(bytes(32))})

    with pytest.raises(PairingNotConfirmedError, match="another secret"):
        world.client.pairings.confirm(pairing, allow_unbound=True)


def test_attestation_is_checked_where_asked(world: World) -> None:
    """The caller's check gets the evidence with the nonce and the key it must be for."""
    pairing = world.client.pairings.create("alice")
    world.enroll(pairing)
    seen: list[AttestationEvidence] = []
    world.client.pairings.confirm(pairing, check_attestation=seen.append)
    (evidence,) = seen

    assert (bytes(32), PHONE.public_key, {"format": "none"}) == (
        evidence.nonce,
        evidence.device_public_key,
        evidence.attestation,
    )


@pytest.mark.parametrize("status", ["pending", "expired"])
def test_an_unused_pairing_is_not_confirmed(world: World, status: str) -> None:
    """Before a device has used it, there is nothing to confirm."""
    pairing = world.client.pairings.create("alice")
    world.relay.pairing["status"] = status

    with pytest.raises(PairingNotConfirmedError, match=status):
        world.client.pairings.confirm(pairing)


def test_a_key_change_between_pairing_and_enrolment(world: World) -> None:
    """A device that enrolled after a change of the relay's key is confirmed."""
    pairing = world.client.pairings.create("alice")
    world.relay.succeed(not_before=world.relay.now)
    world.enroll(pairing)

    assert world.client.pairings.confirm(pairing).bound


def test_a_key_change_between_enrolment_and_confirmation(world: World) -> None:
    """A device that enrolled before the change is confirmed by a client that knows only the new."""
    pairing = world.client.pairings.create("alice")
    world.enroll(pairing)
    world.relay.succeed(not_before=world.relay.now)
    with Client(URL, API_KEY, transport=world.relay.transport) as client:
        confirmed = client.pairings.confirm(pairing)

    assert confirmed.bound


# ------------------------------------------------------------------ waiting


def test_waiting_for_a_device(world: World) -> None:
    """Waiting asks once a second until a device has used the pairing, then confirms it."""
    pairing = world.client.pairings.create("alice")
    pending: JsonValue = dict(world.relay.pairing)
    world.enroll(pairing)
    world.relay.script("GET /v1/pairings/pairing-1", answer(pending), answer(pending))
    device = world.client.pairings.wait(pairing)

    assert FINGERPRINT == device.fingerprint
    assert [1.0, 1.0] == world.clock.slept


def test_waiting_ends_with_the_pairing(world: World) -> None:
    """Waiting ends when the pairing has expired."""
    pairing = world.client.pairings.create("alice")
    world.relay.pairing["status"] = "expired"

    with pytest.raises(PairingNotConfirmedError, match="expired"):
        world.client.pairings.wait(pairing)


def test_waiting_ends_with_the_callers_patience(world: World) -> None:
    """Waiting ends after the caller's timeout."""
    pairing = world.client.pairings.create("alice")

    with pytest.raises(WaitTimeoutError):
        world.client.pairings.wait(pairing, timeout=2)

    assert 2 == len(world.clock.slept)


# ------------------------------------------------------------------ devices


def device_json(fingerprint: str = FINGERPRINT, **more: JsonValue) -> dict[str, JsonValue]:
    """A device as the relay tells it."""
    return {
        "fingerprint": fingerprint,
        "device_public_key": PHONE.public_key.base64,
        "pictogram": [],
        "platform": "ios",
        "assurance": "none",
        "approver": {"id": "alice"},
        "enrolled_at": format_time(0),
        **more,
    }


def test_devices_are_listed_page_by_page(world: World) -> None:
    """Iterating the devices fetches every page under the caller's filter."""
    world.relay.script(
        "GET /v1/devices",
        answer({"data": [device_json()], "next_cursor": "c"}),
        answer({"data": [device_json(revoked_at=format_time(9))], "next_cursor": None}),
    )
    devices = list(world.client.devices.list(approver_id="alice"))

    assert [None, 9] == [device.revoked_at for device in devices]
    assert ["approver_id=alice", "approver_id=alice&cursor=c"] == [
        call.url.query.decode() for call in world.relay.calls
    ]


def test_a_key_must_have_the_fingerprint(world: World) -> None:
    """A device whose key has another fingerprint than the one beside it is no answer."""
    world.relay.script("GET /v1/devices/x", answer(device_json("0" * 64)))

    with pytest.raises(UnexpectedAnswerError, match="fingerprint"):
        world.client.devices.get("x")


def test_a_key_must_be_a_key(world: World) -> None:
    """A device whose key is no point of the curve is no answer."""
    world.relay.script("GET /v1/devices/x", answer(device_json(device_public_key="AAAA")))

    with pytest.raises(UnexpectedAnswerError, match="device_public_key"):
        world.client.devices.get("x")


def test_a_listed_device_can_be_named(world: World) -> None:
    """A device that the relay lists can stand in a group, with its person's id."""
    world.relay.script(f"GET /v1/devices/{FINGERPRINT}", answer(device_json()))
    device = world.client.devices.get(FINGERPRINT)

    assert "alice" == group("G", device).approvers[0].approver_id


def test_the_awaited_client_pairs_too() -> None:
    """Pairing, confirming, waiting, listing and deleting work awaited."""
    world = World()

    async def work() -> None:
        async with AsyncClient(
            URL,
            API_KEY,
            transport=world.relay.transport,
            sleep=world.clock.asleep,
            ports=ClientPorts(now=world.clock.now, monotonic=world.clock.now),
        ) as client:
            pairing = await client.pairings.create("alice")
            assert (await client.pairings.get(pairing.pairing_id)).status is PairingStatus.PENDING
            world.enroll(pairing)
            confirmed = await client.pairings.confirm(pairing)
            assert confirmed == await client.pairings.wait(pairing)
            page: dict[str, JsonValue] = {"data": [device_json()], "next_cursor": "c"}
            last: dict[str, JsonValue] = {"data": [], "next_cursor": None}
            world.relay.script("GET /v1/devices", answer(page), answer(last))
            assert [device async for device in client.devices.list()]
            with pytest.raises(NotFoundError):
                await client.devices.get("x")
            world.relay.script("DELETE /v1/devices/x", failure(500, "internal_error"), answer({}))
            await client.devices.delete("x")

    asyncio.run(work())
    world.client.close()


def test_deleting_a_device(world: World) -> None:
    """Deleting a device is one call that answers nothing."""
    world.relay.script("DELETE /v1/devices/x", answer({}, 204))
    world.client.devices.delete("x")

    assert ["DELETE /v1/devices/x"] == world.relay.seen()


def test_reading_a_pairing(world: World) -> None:
    """A pairing can be read as the relay tells it."""
    assert PairingStatus.PENDING is world.client.pairings.get("pairing-1").status
