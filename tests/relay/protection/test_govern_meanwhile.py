"""A governing call on its way, and what changes between the gate and its commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from msgspec.structs import replace
from tests.relay.simulator import ACME, granted, refused

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.domain.transactions import Caller
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import PutProtection
from quorumkey_relay.usecases.protection.actor import Actor, PersonOf
from quorumkey_relay.usecases.protection.commands import SettingsBody
from quorumkey_relay.usecases.protection.gate import Gate, Proceed
from quorumkey_relay.usecases.protection.govern import Governor
from quorumkey_relay.usecases.protection.govern_settings import GovernSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.protection.gate import GatedCall, Outcome

pytestmark = pytest.mark.anyio

LONGER = SettingsBody(max_duration_seconds=600)


@dataclass
class Between:
    """The relay's gate; after the first of its answers, something happens."""

    gate: Gate
    happens: Callable[[], Awaitable[object]]
    answers: list[Outcome | Refusal] = field(default_factory=list["Outcome | Refusal"])

    async def enter(
        self, call: GatedCall, *, effect: Callable[[], Commit | Refusal] | None = None
    ) -> Outcome | Refusal:
        """Ask the gate, and let it happen once."""
        answer = await self.gate.enter(call, effect=effect)
        self.answers.append(answer)
        if len(self.answers) == 1:
            await self.happens()
        return answer


@dataclass
class Refusing:
    """A store that refuses the first ``times`` commits, as after a change by another process."""

    store: Store
    times: int

    def __getattr__(self, name: str) -> object:
        """Do everything else as the store does."""
        return getattr(self.store, name)

    async def commit(self, writes: Commit) -> None:
        """Refuse, or commit."""
        if self.times:
            self.times -= 1
            raise Conflict
        await self.store.commit(writes)


def alice(shop: Workshop) -> Actor:
    """An administrator."""
    device = shop.devices["alice"].fingerprint
    return Actor(integrator=ACME, caller=Caller("person", "alice", "Alice"), device=device)


def settings_of(shop: Workshop, gate: object, store: object | None = None) -> GovernSettings:
    """The use case, behind another gate or store."""
    relay = shop.sim.relay
    governor = Governor(
        store=cast("Store", store or relay.store),
        clock=relay.clock,
        mint=relay.mint,
        gate=cast("Gate", gate),
    )
    return GovernSettings(governor=governor)


def real_gate(shop: Workshop) -> Gate:
    """The relay's gate."""
    return shop.sim.use.protection.check.gate


async def test_protection_is_enabled_meanwhile(shop: Workshop) -> None:
    """What proceeded because protection was off waits when it is on by the time of the commit."""
    await shop.set(enabled=False)
    between = Between(real_gate(shop), lambda: shop.set(enabled=True))
    answer = await settings_of(shop, between).set(alice(shop), LONGER)

    assert isinstance(answer, Refusal)
    assert answer.code == "approval_required"
    assert isinstance(between.answers[0], Proceed)
    assert shop.protection.settings.max_duration_seconds == 86_400


async def test_the_role_is_lost_meanwhile(shop: Workshop) -> None:
    """Who is no administrator any more by the time of the commit changes nothing."""
    await shop.set(enabled=False)
    before = shop.protection
    between = Between(real_gate(shop), lambda: shop.dismiss("alice"))
    answer = await settings_of(shop, between).set(alice(shop), LONGER)

    assert isinstance(answer, Refusal)
    assert answer.code == "forbidden"
    assert before.settings == shop.protection.settings


async def test_another_process_was_first(shop: Workshop) -> None:
    """A commit that rests on what is no more is made again from what is."""
    await shop.set(enabled=False)
    store = Refusing(shop.sim.store, times=2)
    done = await granted(settings_of(shop, real_gate(shop), store).set(alice(shop), LONGER))

    assert done.view.settings.max_duration_seconds == 600
    assert shop.protection.settings.max_duration_seconds == 600


async def test_it_never_stops_changing(shop: Workshop) -> None:
    """A call that cannot be committed in several tries is told to come again."""
    await shop.set(enabled=False)
    store = Refusing(shop.sim.store, times=1_000)

    with pytest.raises(StoreUnavailable):
        await settings_of(shop, real_gate(shop), store).set(alice(shop), LONGER)


async def test_the_rule_is_broken_meanwhile(shop: Workshop) -> None:
    """A rule that holds at the first look and not at the commit refuses."""
    await shop.set(enabled=False)

    async def fewer() -> None:
        before = shop.protection
        after = replace(before, administrators=("alice",), revision=before.revision + 1)
        await shop.sim.store.commit((PutProtection(before, after),))

    between = Between(real_gate(shop), fewer)
    body = SettingsBody(enabled=True)

    assert (await refused(settings_of(shop, between).set(alice(shop), body))).code == (
        "failed_precondition"
    )
    assert shop.protection.settings.enabled is False


async def test_a_device_that_is_revoked_governs_nothing(shop: Workshop) -> None:
    """A session that outlived its device's pairing is nobody's."""
    device = shop.devices["alice"]
    person = shop.sim.use.protection.govern.person
    await shop.sim.unpair(device)
    answer = person(device.fingerprint, None)

    assert isinstance(answer, Refusal)
    assert answer.code == "device_revoked"


async def test_an_unknown_device_governs_nothing(shop: Workshop) -> None:
    """A fingerprint that nobody has is nobody's."""
    person: PersonOf = shop.sim.use.protection.govern.person
    answer = person("00" * 32, None)

    assert isinstance(answer, Refusal)
    assert answer.code == "device_revoked"
