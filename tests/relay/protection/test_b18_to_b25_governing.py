"""What can be protected, and how the workshop is governed (B18, B20 to B25)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from tests.relay.protection.council import Council
from tests.relay.simulator import ACME, granted, shown, simulator

from quorumkey_relay.domain.protection import RELAY_SERVICE, Method
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.domain.transactions import Caller
from quorumkey_relay.presets import preset
from quorumkey_relay.usecases.protection.actor import Actor
from quorumkey_relay.usecases.protection.commands import (
    CatalogueBody,
    MethodBody,
    SettingsBody,
)
from quorumkey_relay.usecases.protection.govern_commands import MethodNameBody, ProtectBody

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable
    from pathlib import Path

    from quorumkey_relay.usecases.protection.govern import Governed

pytestmark = pytest.mark.anyio

ALICE = Actor(integrator=ACME, caller=Caller("person", "alice"), device="alice's")
RULE_CONDITION = 'request.rule.tag == "global"'
DEFAULTS = {
    "KillProcessOnHostsWithTag": "",
    "BeginPasskeyRegistration": "",
    "DeletePasskey": "",
    "SetPasskeySettings": "",
    "CreateRule": RULE_CONDITION,
    "CreatePackageRule": RULE_CONDITION,
    "CreateFileAccessRule": RULE_CONDITION,
    "CreateRulesFromBundleHash": 'request.tag == "global"',
    "DeleteRule": 'resource.tag == "global"',
    "DeletePackageRule": 'resource.tag == "global"',
    "DeleteFileAccessRule": 'resource.tag == "global"',
}
ALWAYS = [
    "SetMultipartyApprovalSettings",
    "DisableMultipartyApproval",
    "AddMPAProtectedMethod",
    "RemoveMPAProtectedMethod",
    "ResetMPAProtectedMethods",
    "CreateAPIKey",
    "UpdateAPIKey",
]
INELIGIBLE = [
    "ResolveMultipartyApprovalRequest",
    "ChatWithAI",
    "PingAgent",
    "CastVote",
    "TestChatBot",
    "TestBucket",
    "ValidateCELRule",
    "FinishPasskeyRegistration",
]


class Board(Council):
    """A council that governs: alice calls, bob approves."""

    async def listed(self) -> dict[str, dict[str, Any]]:
        """Every method as it is listed."""
        answer = await granted(self.sim.use.protection.govern.methods.list(ALICE))
        return {one["name"]: one for one in shown(answer)["methods"]}

    async def add(self, name: str, condition: str = "") -> Governed[Any] | Refusal:
        """Alice protects a method."""
        methods = self.sim.use.protection.govern.methods
        return await methods.add(ALICE, ProtectBody(name, condition))

    async def remove(self, name: str) -> Governed[Any] | Refusal:
        """Alice ends the protection of a method."""
        return await self.sim.use.protection.govern.methods.remove(ALICE, MethodNameBody(name))

    async def reset(self) -> Governed[Any] | Refusal:
        """Alice restores the defaults."""
        return await self.sim.use.protection.govern.methods.reset(ALICE)

    async def change(self, **members: bool | int) -> Governed[Any] | Refusal:
        """Alice changes settings."""
        body = SettingsBody(**members)  # type: ignore[arg-type] # by the names of its members
        return await self.sim.use.protection.govern.settings.set(ALICE, body)

    async def disable(self) -> Governed[Any] | Refusal:
        """Alice turns protection off."""
        return await self.sim.use.protection.govern.settings.disable(ALICE)

    async def switch(self, *, on: bool) -> None:
        """Have protection be on or off, without asking anybody."""
        settings = replace(self.protection.settings, enabled=on)
        await self.put(replace(self.protection, settings=settings))


@pytest.fixture
async def board(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Board, None]:
    """Protection is off; the workshop's catalogue is registered; there is a method that reads."""
    del anyio_backend
    async with simulator(tmp_path) as sim:
        made = await Board.of(sim, "alice", "bob", "carol", enabled=False)
        await made.put(replace(made.protection, methods={}, protected={}))
        loaded = preset("workshop")
        body = CatalogueBody(
            service=loaded.service,
            methods=[
                *(_body(method) for method in loaded.to_register),
                MethodBody(name="ListRules", permission="read"),
                MethodBody(name="RenameHost"),
            ],
        )
        await granted(sim.use.protection.register_catalogue(integrator=ACME, body=body))
        yield made


def _body(method: Method) -> MethodBody:
    return MethodBody(
        name=method.name,
        kind=method.kind,
        permission=method.permission,
        resolver=method.resolver,
        **({"default_condition": method.default_condition} if method.default_condition else {}),
    )


async def waits(call: Awaitable[Governed[Any] | Refusal]) -> str:
    """The txid of a governing call that waits."""
    answer = await call
    assert isinstance(answer, Refusal), answer
    assert answer.code == "approval_required", answer
    assert answer.details is not None
    return str(answer.details["txid"])


async def code(call: Awaitable[Governed[Any] | Refusal]) -> str:
    """Why a governing call is refused."""
    answer = await call
    assert isinstance(answer, Refusal), answer
    return answer.code


# Conditions, as B18 has them


@pytest.mark.parametrize(
    "condition",
    ["request.tag ==", "1 + 1", '"true"', "request.tag", "unknown == 1", " "],
    ids=["syntax", "number", "text", "any type", "unknown name", "blank"],
)
@pytest.mark.parametrize("on", [False, True])
async def test_b18_only_a_condition_that_is_boolean_is_added(
    board: Board,
    condition: str,
    on: bool,  # noqa: FBT001 - a case
) -> None:
    """It is refused at once, with the reason, and nobody is asked to approve it."""
    await board.switch(on=on)
    before = board.protection
    answer = await board.add("RenameHost", condition)

    assert isinstance(answer, Refusal)
    assert ("invalid_request", True, before, []) == (
        answer.code,
        answer.message.startswith("condition: "),
        board.protection,
        await board.audited("protected_method."),
    )


async def test_b18_a_default_condition_is_checked_too(board: Board) -> None:
    """A catalogue with one that cannot be used is refused as a whole."""
    method = MethodBody(name="Sweep", kind="default", default_condition="1 + 1")
    body = CatalogueBody(service="other", methods=[method])
    before = board.protection
    answer = await board.sim.use.protection.register_catalogue(integrator=ACME, body=body)

    assert isinstance(answer, Refusal)
    assert ("invalid_request", before) == (answer.code, board.protection)


async def test_b18_an_empty_condition_is_every_call(board: Board) -> None:
    """The method waits unconditionally."""
    await granted(board.add("RenameHost"))
    await board.switch(on=True)
    waiting = await board.waits(board.body("RenameHost", {}))

    assert "" == waiting.condition


# What is protected, and what can be (B20 to B23)


@pytest.mark.parametrize("name", ALWAYS)
async def test_b20_seven_methods_are_always_protected(board: Board, name: str) -> None:
    """Nobody removes them or gives them a condition, and they are listed so."""
    one = (await board.listed())[name]

    assert ("invalid_request", "invalid_request", "always", RELAY_SERVICE, True) == (
        await code(board.remove(name)),
        await code(board.add(name, "true")),
        one["mark"],
        one["service"],
        one["protected"],
    )


async def test_b20_they_stay_whatever_is_reset_or_registered(board: Board) -> None:
    """They are in the code, not in the list; no service can register one of them."""
    await granted(board.reset())
    body = CatalogueBody(service="other", methods=[MethodBody(name="CreateAPIKey")])
    answer = await board.sim.use.protection.register_catalogue(integrator=ACME, body=body)
    listed = await board.listed()

    assert isinstance(answer, Refusal)
    assert ("invalid_request", {True}) == (
        answer.code,
        {listed[name]["protected"] for name in ALWAYS},
    )


async def test_b21_eleven_methods_are_protected_by_default(board: Board) -> None:
    """With their conditions, as soon as the catalogue is registered."""
    listed = await board.listed()

    assert DEFAULTS == {
        name: one["condition"] for name, one in listed.items() if one.get("mark") == "default"
    }


async def test_b21_a_default_is_modified_and_removed(board: Board) -> None:
    """What was removed stays so when the service registers again."""
    await granted(board.add("CreateRule", 'request.rule.tag == "prod"'))
    await granted(board.remove("DeletePasskey"))
    loaded = preset("workshop")
    body = CatalogueBody(loaded.service, [_body(method) for method in loaded.to_register])
    await granted(board.sim.use.protection.register_catalogue(integrator=ACME, body=body))

    assert ('request.rule.tag == "prod"', None) == (
        board.protection.condition("CreateRule"),
        board.protection.condition("DeletePasskey"),
    )


async def test_b22_the_list_says_what_each_method_is(board: Board) -> None:
    """Default, custom, or, where a default was removed, eligible."""
    await granted(board.add("RenameHost", "request.force == true"))
    await granted(board.remove("DeletePasskey"))
    listed = await board.listed()

    assert [("default", "default"), ("eligible", "custom"), ("eligible", None)] == [
        (listed[name]["kind"], listed[name].get("mark"))
        for name in ("CreateRule", "RenameHost", "DeletePasskey")
    ]


async def test_b22_a_default_drifts_with_its_condition(board: Board) -> None:
    """And does not any more when the registered one is set again; a custom one never does."""
    await granted(board.add("RenameHost", "request.force == true"))
    seen: list[list[str]] = []
    for condition in ("true", RULE_CONDITION):
        await granted(board.add("CreateRule", condition))
        seen.append([name for name, one in (await board.listed()).items() if one["drifted"]])

    assert [["CreateRule"], []] == seen


@pytest.mark.parametrize("name", INELIGIBLE)
async def test_b23_eight_methods_are_ineligible(board: Board, name: str) -> None:
    """They change something and are still never protected."""
    assert ("ineligible", "invalid_request") == (
        (await board.listed())[name]["kind"],
        await code(board.add(name)),
    )


@pytest.mark.parametrize(
    ("name", "refused_with"), [("ListRules", "invalid_request"), ("NoSuchMethod", "not_found")]
)
async def test_b23_reading_and_unknown_methods(board: Board, name: str, refused_with: str) -> None:
    """They cannot be protected, by a custom entry or a condition."""
    assert [refused_with] * 2 == [
        await code(board.add(name)),
        await code(board.add(name, "true")),
    ]


# Reset, as B24 has it


async def test_b24_reset_restores_the_defaults(board: Board) -> None:
    """Custom entries go; removed defaults, their conditions and the always ones are as before."""
    before = await board.listed()
    await granted(board.add("RenameHost"))
    await granted(board.add("CreateRule", "true"))
    await granted(board.remove("DeletePasskey"))
    changed = await board.listed()
    await granted(board.reset())

    assert (True, before) == (changed != before, await board.listed())


async def test_b24_reset_is_gated(board: Board) -> None:
    """While protection is on it waits, and takes effect when it is issued again."""
    await granted(board.add("RenameHost"))
    await board.switch(on=True)
    txid = await waits(board.reset())
    before = board.protection.condition("RenameHost")
    await board.approve(txid, "bob")
    done = await granted(board.reset())

    assert ("", txid, None, "executed") == (
        before,
        done.txid,
        board.protection.condition("RenameHost"),
        await board.state(txid),
    )


# Settings, as B25 has them


async def test_b25_disabling_keeps_the_other_settings(board: Board) -> None:
    """Enabled again, everything is as it was; both go by the gate only while it is on."""
    await granted(board.change(enabled=True, required=3, max_duration_seconds=3_600))
    on = board.protection
    txid = await waits(board.disable())
    await board.approve(txid, "bob", "carol")
    await granted(board.disable())
    off = board.protection
    again = await granted(board.change(enabled=True))

    assert (replace(on.settings, enabled=False), on.protected, None, on.settings) == (
        off.settings,
        off.protected,
        again.txid,
        board.protection.settings,
    )


@pytest.mark.parametrize(
    "members", [{"exclude_api_keys": True}, {"required": 3}, {"enabled": False}]
)
async def test_b25_settings_change_behind_the_gate(board: Board, members: dict[str, Any]) -> None:
    """While protection is on; nothing changes before it is approved and issued again."""
    await board.switch(on=True)
    before = board.protection
    txid = await waits(board.change(**members))
    waiting = board.protection
    await board.approve(txid, "bob")
    approved = board.protection
    await granted(board.change(**members))
    after = board.protection.settings

    assert (before, before, members) == (
        waiting,
        approved,
        {name: getattr(after, name) for name in members},
    )


async def test_b25_the_first_enabling_is_not_gated(board: Board) -> None:
    """There is nothing yet that it could weaken."""
    done = await granted(board.change(enabled=True))

    assert (None, True) == (done.txid, board.protection.settings.enabled)
