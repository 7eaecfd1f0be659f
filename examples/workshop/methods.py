"""What the example declares: its methods, what waits by default, and what a call acts on.

These are the methods of the relay's preset ``workshop``, of which this example offers only a few,
so an operator who has loaded the preset sees no difference when the service starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.protection import Method

if TYPE_CHECKING:
    from examples.workshop.fleet import Fleet

    from quorumkey.protection import Resource
    from quorumkey.protocol import JsonValue

SERVICE: Final = "workshop"

#: Every call of these waits.
_ALWAYS_ASKED: Final = (
    "KillProcessOnHostsWithTag",
    "BeginPasskeyRegistration",
    "DeletePasskey",
    "SetPasskeySettings",
)
#: These wait where the request is about every host.
_OF_REQUEST: Final = {
    "CreateRule": 'request.rule.tag == "global"',
    "CreatePackageRule": 'request.rule.tag == "global"',
    "CreateFileAccessRule": 'request.rule.tag == "global"',
    "CreateRulesFromBundleHash": 'request.tag == "global"',
}
#: These wait where what they delete is about every host.
_OF_RESOURCE: Final = ("DeleteRule", "DeletePackageRule", "DeleteFileAccessRule")
#: These never wait.
_NEVER: Final = (
    "ResolveMultipartyApprovalRequest",
    "ChatWithAI",
    "PingAgent",
    "CastVote",
    "TestChatBot",
    "TestBucket",
    "ValidateCELRule",
    "FinishPasskeyRegistration",
)


def declared(fleet: Fleet) -> tuple[Method, ...]:
    """Return the methods of the service, with what finds the rule that a call deletes."""

    def rule(request: JsonValue) -> Resource | None:
        rule_id = request.get("rule_id") if isinstance(request, dict) else None
        found = fleet.rules.get(rule_id) if isinstance(rule_id, str) else None
        if found is None:
            return None  # the call waits: nobody knows what it would delete
        return {"rule_id": found.rule_id, "tag": found.tag, "text": found.text}

    def missing(_request: JsonValue) -> None:
        return None  # the example keeps no such rules

    return (
        *(Method(name, kind="default") for name in _ALWAYS_ASKED),
        *(
            Method(name, kind="default", default_condition=condition)
            for name, condition in _OF_REQUEST.items()
        ),
        *(
            Method(
                name,
                kind="default",
                default_condition='resource.tag == "global"',
                resolver=rule if name == "DeleteRule" else missing,
            )
            for name in _OF_RESOURCE
        ),
        *(Method(name, kind="ineligible") for name in _NEVER),
    )
