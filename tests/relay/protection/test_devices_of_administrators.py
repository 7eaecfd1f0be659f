"""Who opens pairings cannot vote in an administrator's name: an API key that any service has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ACME
from tests.relay.simulator import UMBRELLA, SimDevice, granted, refused

from quorumkey_relay.usecases.commands import PairingBody, PartyBody

if TYPE_CHECKING:
    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.domain.refusal import Refusal

pytestmark = pytest.mark.anyio


async def why_not(shop: Workshop, person: str) -> Refusal:
    """Why an API key cannot open a pairing."""
    body = PairingBody(approver=PartyBody(id=person, name="Somebody"))
    return await refused(shop.sim.use.create_pairing(integrator=ACME, body=body, idempotency=None))


async def test_no_pairing_is_opened_for_an_administrator(shop: Workshop) -> None:
    """While protection is on; the refusal says how a device is replaced."""
    refusal = await why_not(shop, "bob")

    assert "failed_precondition" == refusal.code
    assert "RemoveAdministrator" in refusal.message


async def test_a_code_from_before_is_of_no_use(shop: Workshop) -> None:
    """A pairing that was opened before protection was turned on ties no device afterwards."""
    await shop.set(enabled=False)
    code = await shop.sim.code("bob", ACME)
    await shop.set(enabled=True)
    device = SimDevice("bob")

    refusal = await refused(shop.sim.enroll(await shop.sim.enrollment(device, code)))

    assert "failed_precondition" == refusal.code
    assert shop.sim.store.directory.device(device.fingerprint) is None


async def test_a_code_from_before_the_role_is_of_no_use(shop: Workshop) -> None:
    """A pairing that was opened for somebody before they were named ties no device afterwards."""
    await shop.administrators("dora")
    await shop.dismiss("dora")
    code = await shop.sim.code("dora", ACME)
    await shop.administrators("dora")
    device = SimDevice("dora")

    refusal = await refused(shop.sim.enroll(await shop.sim.enrollment(device, code)))

    assert "failed_precondition" == refusal.code


async def test_others_are_paired_as_ever(shop: Workshop) -> None:
    """Who is no administrator pairs devices while protection is on."""
    device = await shop.sim.device("somebody else")

    assert shop.sim.store.directory.devices_of(ACME.id, "somebody else")[0].fingerprint == (
        device.fingerprint
    )


async def test_another_integrators_approver_is_somebody_else(shop: Workshop) -> None:
    """The same id at an integrator without protection pairs devices."""
    await shop.sim.device("bob", UMBRELLA)

    assert 1 == len(shop.sim.store.directory.devices_of(UMBRELLA.id, "bob"))


async def test_a_device_is_replaced_while_protection_is_off(shop: Workshop) -> None:
    """With protection off a new device is paired, and votes once protection is on again."""
    await shop.set(enabled=False)
    shop.devices["bob"] = await shop.device("bob")
    await shop.set(enabled=True)
    txid = (await shop.waits()).txid

    assert "approved" == (await granted(shop.vote("bob", txid))).status
