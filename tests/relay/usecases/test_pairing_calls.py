"""Invitations: made by an integrator, looked at by a device, watched until they are used."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import (
    ACME,
    UMBRELLA,
    SimDevice,
    Simulator,
    granted,
    refused,
    shown,
    simulator,
)

from quorumkey.protocol import b64encode
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.principals import Integrator
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.usecases.commands import PairingBody, PairingCodeBody, PartyBody
from quorumkey_relay.usecases.pair import PAIRING_EXPIRED, PAIRING_NOT_FOUND
from quorumkey_relay.usecases.views import ApproverNameView, PairingPreviewView, PartyView

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ALICE = PartyBody(id="alice", name="Alice")


async def test_a_pairing_is_answered_with_its_code(sim: Simulator) -> None:
    """Id, code in three groups of four, address for a QR code, and ten minutes."""
    made = await sim.pairing("alice")

    code = str(made["pairing_code"])
    assert re.fullmatch(r"(?:[0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}", code)
    assert {
        "pairing_id": made["pairing_id"],
        "pairing_code": code,
        "pairing_url": f"http://127.0.0.1:8080/app/pair#code={code}&relay={sim.fingerprint}",
        "expires_at": "2027-01-15T08:10:00Z",
    } == made


async def test_a_pairing_url_is_the_apps(tmp_path: Path) -> None:
    """Where another origin serves the app, the address is there."""
    async with simulator(tmp_path, app_origin="https://app.example") as sim:
        made = await sim.pairing("alice")

    assert str(made["pairing_url"]).startswith("https://app.example/app/pair#code=")


async def test_codes_differ(sim: Simulator) -> None:
    """Each pairing has a code of its own."""
    codes = {(await sim.pairing("alice"))["pairing_code"] for _ in range(20)}

    assert 20 == len(codes)


@pytest.mark.parametrize("seconds", [60, 3_600])
async def test_a_pairing_lives_as_long_as_it_was_asked_to(sim: Simulator, seconds: int) -> None:
    """A code is good until ``expires_at`` and not in that second."""
    body = PairingBody(approver=ALICE, expires_in_seconds=seconds)
    made = await granted(sim.use.create_pairing(integrator=ACME, body=body, idempotency=None))
    code = PairingCodeBody(json.loads(made)["pairing_code"])
    sim.clock.advance(seconds - 1)
    await granted(sim.use.preview_pairing(body=code))
    sim.clock.advance(1)

    assert PAIRING_EXPIRED == await refused(sim.use.preview_pairing(body=code))


@pytest.mark.parametrize("seconds", [59, 3_601])
async def test_a_pairing_lives_within_limits(sim: Simulator, seconds: int) -> None:
    """A minute to an hour."""
    body = PairingBody(approver=ALICE, expires_in_seconds=seconds)

    refusal = await refused(sim.use.create_pairing(integrator=ACME, body=body, idempotency=None))

    message = "Invalid expires_in_seconds: must be between 60 and 3600"
    assert Refusal("invalid_request", message) == refusal


@pytest.mark.parametrize(
    "approver",
    [
        PartyBody(id=""),
        PartyBody(id="x" * 129),
        PartyBody(id=" alice"),
        PartyBody(id="alice", name=""),
        PartyBody(id="alice", name="x" * 81),
        PartyBody(id="al\u2066ice"),
    ],
)
async def test_an_approver_is_named_in_visible_text(sim: Simulator, approver: PartyBody) -> None:
    """Ids have 1 to 128 characters, names 1 to 80, and nothing in them is hidden."""
    body = PairingBody(approver=approver)

    refusal = await refused(sim.use.create_pairing(integrator=ACME, body=body, idempotency=None))

    assert "invalid_request" == refusal.code


# Preview


async def test_a_preview_says_who_invites_whom(sim: Simulator) -> None:
    """Integrator, approver's name, relay and the code's end."""
    code = await sim.code("alice")

    view = await granted(sim.use.preview_pairing(body=PairingCodeBody(code)))

    assert (
        PairingPreviewView(
            integrator=PartyView(ACME.id, ACME.name),
            approver=ApproverNameView("Alice"),
            relay=sim.fingerprint,
            expires_at="2027-01-15T08:10:00Z",
        )
        == view
    )


async def test_a_preview_of_somebody_without_a_name(sim: Simulator) -> None:
    """An approver's id is not shown to a device."""
    body = PairingBody(approver=PartyBody(id="employee-17"))
    made = await granted(sim.use.create_pairing(integrator=ACME, body=body, idempotency=None))

    view = await granted(
        sim.use.preview_pairing(body=PairingCodeBody(json.loads(made)["pairing_code"]))
    )

    assert ApproverNameView() == view.approver


async def test_a_code_may_be_typed_freely(sim: Simulator) -> None:
    """Hyphens, spaces and case do not matter, and O, I and L are read as 0 and 1."""
    code = await sim.code("alice")
    typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")

    view = await granted(sim.use.preview_pairing(body=PairingCodeBody(f" {typed} ")))

    assert ACME.id == view.integrator.id


async def test_a_preview_spends_nothing(sim: Simulator) -> None:
    """After many looks the code still pairs."""
    code = await sim.code("alice")
    for _ in range(5):
        await granted(sim.use.preview_pairing(body=PairingCodeBody(code)))

    enrolled = await granted(sim.enroll(await sim.enrollment(SimDevice("alice"), code)))

    assert enrolled.first


async def test_an_unknown_code_is_not_found(sim: Simulator) -> None:
    """What was never given out is told from what is used up."""
    refusal = await refused(sim.use.preview_pairing(body=PairingCodeBody("0000-0000-0000")))

    assert PAIRING_NOT_FOUND == refusal


@pytest.mark.parametrize("code", ["", "0000-0000-000", "0000-0000-000U", "0000-0000-00001"])
async def test_what_cannot_be_a_code_is_invalid(sim: Simulator, code: str) -> None:
    """Twelve characters of Crockford's alphabet."""
    refusal = await refused(sim.use.preview_pairing(body=PairingCodeBody(code)))

    assert "invalid_request" == refusal.code


async def test_a_used_code_is_expired(sim: Simulator) -> None:
    """A code that has paired a device is not offered again."""
    code = await sim.code("alice")
    await granted(sim.enroll(await sim.enrollment(SimDevice("alice"), code)))

    refusal = await refused(sim.use.preview_pairing(body=PairingCodeBody(code)))

    assert PAIRING_EXPIRED == refusal


async def test_an_invitation_of_nobody_is_not_found(sim: Simulator) -> None:
    """A code whose integrator the relay does not know pairs with nobody."""
    code = await sim.code("alice", Integrator("0190a000-0000-7000-8000-0000000000ff", "Gone"))

    refusal = await refused(sim.use.preview_pairing(body=PairingCodeBody(code)))

    assert PAIRING_NOT_FOUND == refusal


# Reading


async def read(sim: Simulator, pairing_id: str, integrator: Integrator = ACME) -> object:
    """A pairing as its integrator sees it."""
    return await sim.use.read_pairing(integrator_id=integrator.id, pairing_id=pairing_id)


async def test_a_pairing_is_pending_then_paired(sim: Simulator) -> None:
    """With the device come its key, platform, assurance and the envelope it signed."""
    made = await sim.pairing("alice")
    alice = SimDevice("alice", platform="ios")
    before = await granted(
        sim.use.read_pairing(integrator_id=ACME.id, pairing_id=made["pairing_id"])
    )
    sim.clock.advance(7)
    envelope = await sim.enrollment(alice, made["pairing_code"], binding=b64encode(bytes(32)))
    await granted(sim.enroll(envelope))

    after = await granted(
        sim.use.read_pairing(integrator_id=ACME.id, pairing_id=made["pairing_id"])
    )

    assert "pending" == before.status
    assert {
        "pairing_id": made["pairing_id"],
        "status": "paired",
        "device": {
            "fingerprint": alice.fingerprint,
            "device_public_key": alice.key.public_key.base64,
            "platform": "ios",
            "assurance": "none",
            "enrolled_at": "2027-01-15T08:00:07Z",
        },
        "enrollment": envelope.to_json(),
    } == shown(after)


async def test_a_pairing_nobody_used_expires(sim: Simulator) -> None:
    """From ``expires_at`` on an unused pairing is expired."""
    pairing_id = str((await sim.pairing("alice"))["pairing_id"])
    sim.clock.advance(600)

    view = await granted(sim.use.read_pairing(integrator_id=ACME.id, pairing_id=pairing_id))

    assert "expired" == view.status


async def test_a_paired_pairing_stays_paired(tmp_path: Path) -> None:
    """Its time and a restart change nothing about what was paired."""
    async with simulator(tmp_path) as sim:
        made = await sim.pairing("alice")
        await granted(sim.enroll(await sim.enrollment(SimDevice("alice"), made["pairing_code"])))
        sim.clock.advance(86_400)
        clock = sim.clock
    async with simulator(tmp_path, clock) as sim:
        view = await granted(
            sim.use.read_pairing(integrator_id=ACME.id, pairing_id=made["pairing_id"])
        )

    assert "paired" == view.status


async def test_a_pairing_of_nobody_and_of_others_is_not_found(sim: Simulator) -> None:
    """Another integrator's, an unknown and a malformed id are the same."""
    pairing_id = str((await sim.pairing("alice"))["pairing_id"])

    answers = [
        await read(sim, pairing_id, UMBRELLA),
        await read(sim, SystemMint().uuid7()),
        await read(sim, "7"),
    ]

    assert ["not_found"] * 3 == [answer.code for answer in answers if isinstance(answer, Refusal)]


async def test_a_code_lies_in_the_database_as_a_digest(sim: Simulator) -> None:
    """Neither with its hyphens nor without is a code on the disk."""
    code = await sim.code("alice")
    await sim.store.settled()

    data = sim.on_disk()

    assert code.encode() not in data
    assert code.replace("-", "").encode() not in data
