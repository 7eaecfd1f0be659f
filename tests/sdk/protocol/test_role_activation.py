from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final

import pytest

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Action, RoleActivation, json_equal, parse_time, request_binding
from quorumkey.protocol.limits import MAX_CONDITION_CHARS, MAX_PARAMS_BYTES
from quorumkey.protocol.strict_json import dumps

START: Final = parse_time("2026-04-24T10:30:00Z", field="start")
CONDITION: Final = 'resource.name.startsWith("a")'


def _activation(**members: Any) -> RoleActivation:  # noqa: ANN401 - wrong ones on purpose
    every: dict[str, Any] = {
        "beneficiary": "alice@example.com",
        "project": "project-1",
        "role": "roles/compute.admin",
        "justification": "BUG-12345",
        "duration_seconds": 3_600,
        "start": START,
        **members,
    }
    return RoleActivation(**every)


def test_action_of_an_activation() -> None:
    """The reviewers sign who gets which role where, why, and from when to when."""
    action = _activation(condition=CONDITION).action()

    assert action == Action(
        "jit_access",
        "Activate roles/compute.admin on project-1 for alice@example.com: BUG-12345",
        {
            "beneficiary": "alice@example.com",
            "project": "project-1",
            "role": "roles/compute.admin",
            "resource_condition": CONDITION,
            "justification": "BUG-12345",
            "start": "2026-04-24T10:30:00Z",
            "end": "2026-04-24T11:30:00Z",
        },
        {"condition": request_binding(CONDITION.encode())},
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (3_600, "60 minutes"),
    ],
)
def test_time_that_begins_with_the_approval(seconds: int, text: str) -> None:
    """Without a start nobody knows the moments yet, so the length is what is signed."""
    activation = _activation(start=None, duration_seconds=seconds)

    assert activation.end is None
    assert activation.action().params == {
        "beneficiary": "alice@example.com",
        "project": "project-1",
        "role": "roles/compute.admin",
        "justification": "BUG-12345",
        "start": "with the last approval",
        "duration": text,
    }
    assert activation.action().bindings is None


def test_every_member_is_signed() -> None:
    """No two activations that differ in anything have the same text."""
    one = _activation(condition=CONDITION)
    others = [
        replace(one, beneficiary="bob@example.com"),
        replace(one, project="project-2"),
        replace(one, role="roles/compute.viewer"),
        replace(one, justification="BUG-12346"),
        replace(one, duration_seconds=3_601),
        replace(one, condition=""),
        replace(one, condition=CONDITION + " "),
        replace(one, start=START + 1),
        replace(one, start=None),
    ]
    actions = [activation.action().to_json() for activation in (one, *others)]

    assert {member.name for member in fields(one)} == {
        *("beneficiary", "project", "role", "justification", "duration_seconds", "condition"),
        "start",
    }
    assert START + 3_600 == one.end
    for index, action in enumerate(actions):
        assert not any(json_equal(action, other) for other in actions[index + 1 :])


def test_long_texts_are_cut_and_their_digest_is_signed() -> None:
    """The longest members fit into an action; what is cut ends in a mark and is bound whole."""
    condition = "é\u202e" * (MAX_CONDITION_CHARS // 2)
    activation = _activation(
        beneficiary="é" * 128,
        project="é" * 128,
        role="é" * 256,
        justification="é" * 99,
        condition=condition,
    )

    action = activation.action()
    shown = action.params["resource_condition"]

    assert isinstance(shown, str)
    assert ("…", "…") == (shown[-1], action.description[-1])
    assert "\\u202e" in shown
    assert "\u202e" not in shown
    assert len(dumps(dict(action.params))) <= MAX_PARAMS_BYTES
    assert {"condition": request_binding(condition.encode())} == action.bindings


_WRONG: Final[dict[str, dict[str, Any]]] = {
    "nobody": {"beneficiary": ""},
    "a person of another type": {"beneficiary": 1},
    "a long person": {"beneficiary": "x" * 129},
    "a person in another case": {"beneficiary": "Alice@example.com"},
    "no project": {"project": ""},
    "a long project": {"project": "x" * 129},
    "no role": {"role": ""},
    "a long role": {"role": "x" * 257},
    "no reason": {"justification": ""},
    "a reason of spaces": {"justification": " "},
    "a long reason": {"justification": "x" * 100},
    "a reason in two lines": {"justification": "BUG\n1"},
    "a reason that turns the line": {"justification": "BUG\u202e1"},
    "no time": {"duration_seconds": 0},
    "a time that is true": {"duration_seconds": True},
    "a start before the years": {"start": -(10**12)},
    "an end after the years": {"start": 253_402_300_000},
    "a start of another type": {"start": "now"},
    "a condition of another type": {"condition": None},
    "a condition of spaces": {"condition": " "},
    "a long condition": {"condition": "x" * (MAX_CONDITION_CHARS + 1)},
    "a condition that is no text": {"condition": "\ud800"},
}


@pytest.mark.parametrize("wrong", _WRONG.values(), ids=_WRONG.keys())
def test_what_is_no_activation(wrong: dict[str, Any]) -> None:
    """A member that nobody could be shown, or that says nothing, is refused."""
    with pytest.raises(ProtocolError) as caught:
        _activation(**wrong)

    assert "invalid_request" == caught.value.code
