"""B1: the order in which a call is judged; the first reason to let it pass counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ALICE, KEY
from tests.relay.simulator import UMBRELLA, granted

from quorumkey_relay.usecases.protection.views import ProceedView

if TYPE_CHECKING:
    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.usecases.protection.commands import CallerBody

pytestmark = pytest.mark.anyio

#: Three reasons to pass at once: excluded, not protected, or a condition that is false.
STEPS = [
    ("disabled", False, True, None, KEY),
    ("disabled", False, True, None, ALICE),
    ("api_key_excluded", True, True, None, KEY),
    ("api_key_excluded", True, True, "false", KEY),
    ("api_key_excluded", True, True, "", KEY),
    ("unprotected", True, True, None, ALICE),
    ("unprotected", True, False, None, KEY),
    ("condition_false", True, True, 'request.tag == "global"', ALICE),
    ("condition_false", True, False, 'request.tag == "global"', KEY),
]


@pytest.mark.parametrize(
    ("reason", "enabled", "exclude", "condition", "caller"),
    STEPS,
    ids=[f"{number}-{step[0]}" for number, step in enumerate(STEPS)],
)
async def test_b01_first_reason_counts(  # noqa: PLR0913, PLR0917 - the row of the table
    shop: Workshop,
    reason: str,
    enabled: bool,  # noqa: FBT001 - a column
    exclude: bool,  # noqa: FBT001 - a column
    condition: str | None,
    caller: CallerBody,
) -> None:
    """Disabled comes first, then excluded API keys, then what is unprotected, then conditions."""
    if condition is not None:
        await shop.protect("CreateRule", condition)
    await shop.set(enabled=enabled, exclude_api_keys=exclude)

    assert await shop.proceeds(shop.body("CreateRule", caller=caller)) == reason


@pytest.mark.parametrize("caller", [ALICE, KEY], ids=["person", "api_key"])
async def test_b01_else_the_call_is_gated(shop: Workshop, caller: CallerBody) -> None:
    """A protected method whose condition holds waits, whoever calls."""
    await shop.protect("CreateRule", 'request.tag == "staging"')

    assert (await shop.waits(shop.body("CreateRule", caller=caller))).state == "requested"


async def test_b01_always_protected_waits_without_being_listed(shop: Workshop) -> None:
    """A method that its service declared as always protected is on no list, and waits."""
    assert (await shop.waits(shop.body("RotateRoot"))).condition == ""


async def test_b01_without_a_protection_everything_proceeds(shop: Workshop) -> None:
    """An integrator that never said anything about protection is not held up."""
    check = shop.sim.use.protection.check
    verdict = await granted(check(integrator=UMBRELLA, body=shop.body()))

    assert verdict == ProceedView("disabled", 0)
