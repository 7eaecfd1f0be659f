"""Scenario files: who takes part, read strictly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Action
from quorumkey_relay.demo.scenario import ScenarioError, read_scenario

if TYPE_CHECKING:
    from pathlib import Path

QUESTION: dict[str, Any] = {
    "action": {"type": "a", "description": "b", "params": {"c": 1}},
    "expires_in_seconds": 60,
    "answers": [{"person": "p", "decision": "approve"}],
}
SCENARIO: dict[str, Any] = {
    "integrator": "I",
    "required": 1,
    "groups": [{"name": "G", "people": [{"id": "p", "name": "P"}]}],
    "approved": QUESTION,
    "another_action": {"type": "a", "description": "d"},
    "denied": QUESTION,
}


def written(folder: Path, text: str) -> Path:
    """A file with this text."""
    path = folder / "scenario.json"
    path.write_text(text)
    return path


def test_one_comes_with_the_relay() -> None:
    """Without a file the scenario has five people in three groups, two of which are needed."""
    scenario = read_scenario(None)

    assert {
        "Engineering": ["Alice", "Bob"],
        "Security": ["Carol"],
        "Operations": ["Dave", "Eve"],
    } == {circle.name: [person.name for person in circle.people] for circle in scenario.groups}
    assert scenario.required == 2


def test_the_request_is_that_of_the_protocol() -> None:
    """What is asked first is the example of the protocol's section on requests."""
    asked = read_scenario(None).approved

    assert asked.asked() == Action(
        "cold_boot",
        "Cold boot engine ENG-001",
        {"engine_id": "ENG-001", "ticket": "MAINT-1234"},
    )
    assert asked.expires_in_seconds == 600


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """A file's actions, people and answers are taken as they are."""
    scenario = read_scenario(written(tmp_path, json.dumps(SCENARIO)))

    assert scenario.approved.asked() == Action("a", "b", {"c": 1})
    assert scenario.other() == Action("a", "d", {})
    assert scenario.denied.answers[0].reason is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"required": "two"}, "this is no scenario: Expected `int`, got `str` - at `$.required`"),
        ({"rehearsed": True}, "this is no scenario: Object contains unknown field `rehearsed`"),
        ({"groups": []}, "this is no scenario: p is in no group"),
    ],
    ids=["type", "member", "person"],
)
def test_what_is_no_scenario(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    """A file with other members, other types or unknown people is refused with the reason."""
    with pytest.raises(ScenarioError) as refused:
        read_scenario(written(tmp_path, json.dumps(SCENARIO | change)))

    assert problem == str(refused.value)


def test_what_is_no_json(tmp_path: Path) -> None:
    """A file is read as strictly as everything else: no key twice."""
    with pytest.raises(ProtocolError) as refused:
        read_scenario(written(tmp_path, '{"integrator": "I", "integrator": "J"}'))

    assert refused.value.code == "invalid_json"
