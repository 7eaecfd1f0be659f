"""A catalogue with many conditions: looked at a little at a time, and each condition once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ACME
from tests.relay.simulator import UMBRELLA, granted, refused

from quorumkey_relay.conditions import why_unusable
from quorumkey_relay.usecases.protection import register
from quorumkey_relay.usecases.protection.commands import CatalogueBody, MethodBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.relay.protection.workshop import Workshop

pytestmark = pytest.mark.anyio

MANY = 12


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The conditions that were looked at, in order."""
    texts: list[str] = []

    def look(text: str) -> str | None:
        texts.append(text)
        return why_unusable(text)

    monkeypatch.setattr(register, "why_unusable", look)
    return texts


def catalogue(
    service: str, condition: Callable[[int], str] = "request.tag == '{}'".format
) -> CatalogueBody:
    """Many methods of a service, each with its condition."""
    methods = [
        MethodBody(f"{service}{number}", kind="default", default_condition=condition(number))
        for number in range(MANY)
    ]
    return CatalogueBody(service, methods)


async def test_others_have_a_turn_after_each_condition(
    shop: Workshop, looked_at: list[str]
) -> None:
    """No two conditions are looked at in one turn of the event loop, however many calls ask."""
    register_catalogue = shop.sim.use.protection.register_catalogue
    calls = [
        asyncio.ensure_future(
            register_catalogue(
                integrator=ACME, body=catalogue(service, f"request.{service} == '{{}}'".format)
            )
        )
        for service in ("web", "db", "mail")
    ]
    most = before = 0
    while len(looked_at) < len(calls) * MANY:
        await asyncio.sleep(0)
        most, before = max(most, len(looked_at) - before), len(looked_at)
    await asyncio.gather(*calls)

    assert most == 1


async def test_what_is_registered_is_not_looked_at_again(
    shop: Workshop, looked_at: list[str]
) -> None:
    """A service that starts again costs nothing, and one condition of many methods once."""
    register_catalogue = shop.sim.use.protection.register_catalogue
    same = catalogue("web", lambda _: "request.tag == 'same'")
    await granted(register_catalogue(integrator=ACME, body=same))
    await granted(register_catalogue(integrator=ACME, body=same))

    assert looked_at == ["request.tag == 'same'"]


async def test_the_first_unusable_condition_ends_it(shop: Workshop, looked_at: list[str]) -> None:
    """Nothing after a condition that cannot be used is looked at, and the refusal names it."""
    body = catalogue("web", lambda number: "request.tag ==" if number == 1 else f"{number} == 1")
    refusal = await refused(shop.sim.use.protection.register_catalogue(integrator=ACME, body=body))

    assert refusal.message.startswith("methods: web1: default_condition: ")
    assert looked_at == ["0 == 1", "request.tag =="]


async def test_integrators_do_not_wait_for_each_other(shop: Workshop, looked_at: list[str]) -> None:
    """While one integrator's catalogue is looked at, another's is taken."""
    register_catalogue = shop.sim.use.protection.register_catalogue
    slow = asyncio.ensure_future(register_catalogue(integrator=ACME, body=catalogue("web")))
    await asyncio.sleep(0)
    stop = MethodBody("Stop", kind="default", default_condition="request.now == 1")
    await granted(register_catalogue(integrator=UMBRELLA, body=CatalogueBody("web", [stop])))
    await granted(slow)

    assert 0 < looked_at.index("request.now == 1") < MANY
