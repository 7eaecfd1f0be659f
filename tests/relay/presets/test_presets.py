"""The preset ``workshop``: exactly the methods and conditions of B20, B21 and B23."""

from __future__ import annotations

import pytest

from quorumkey_relay.conditions import why_unusable
from quorumkey_relay.domain import protection_rules
from quorumkey_relay.domain.protection import GOVERNING_METHODS, Protection
from quorumkey_relay.presets import PRESETS, preset

BY_RULE = 'request.rule.tag == "global"'
BY_RESOURCE = 'resource.tag == "global"'

DEFAULTS = {
    "KillProcessOnHostsWithTag": "",
    "BeginPasskeyRegistration": "",
    "DeletePasskey": "",
    "SetPasskeySettings": "",
    "CreateRule": BY_RULE,
    "CreatePackageRule": BY_RULE,
    "CreateFileAccessRule": BY_RULE,
    "CreateRulesFromBundleHash": 'request.tag == "global"',
    "DeleteRule": BY_RESOURCE,
    "DeletePackageRule": BY_RESOURCE,
    "DeleteFileAccessRule": BY_RESOURCE,
}
INELIGIBLE = {
    "ResolveMultipartyApprovalRequest",
    "ChatWithAI",
    "PingAgent",
    "CastVote",
    "TestChatBot",
    "TestBucket",
    "ValidateCELRule",
    "FinishPasskeyRegistration",
}


def registered() -> Protection:
    """A protection with the preset's service."""
    found = preset("workshop")
    after = protection_rules.register(
        Protection(integrator_id="acme"), found.service, found.to_register, why_unusable
    )
    assert isinstance(after, Protection)
    return after


def test_always_protected() -> None:
    """The seven are the relay's own, and are not registered a second time."""
    found = preset("workshop")
    always = [method.name for method in found.methods if method.kind == "always"]

    assert list(GOVERNING_METHODS[:7]) == always
    assert not set(always) & {method.name for method in found.to_register}


def test_protected_by_default() -> None:
    """The eleven are protected under their conditions once the preset is registered."""
    assert DEFAULTS == registered().protected


def test_ineligible() -> None:
    """The eight cannot be protected."""
    found = {method.name for method in preset("workshop").methods if method.kind == "ineligible"}

    assert INELIGIBLE == found


def test_nothing_else() -> None:
    """There are 26 methods, each once."""
    names = [method.name for method in preset("workshop").methods]

    assert 7 + 11 + 8 == len(names) == len(set(names))


def test_resolvers() -> None:
    """Those whose condition looks at the resource have a resolver, no others."""
    found = preset("workshop").methods

    assert {name for name, text in DEFAULTS.items() if text == BY_RESOURCE} == {
        method.name for method in found if method.resolver
    }


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_registered(name: str) -> None:
    """A preset holds to the rules for catalogues, and each of its conditions can be used."""
    found = preset(name)
    after = protection_rules.register(
        Protection(integrator_id="acme"), found.service, found.to_register, why_unusable
    )

    assert isinstance(after, Protection)
