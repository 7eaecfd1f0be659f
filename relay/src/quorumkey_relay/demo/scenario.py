"""Who takes part in the demonstration, what is asked, and who answers what: read from a file."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final, Literal, cast

import msgspec

from quorumkey.protocol import Action, strict_json

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import JsonValue

_MAX_FILE_BYTES: Final = 65_536
_FILE_NAME: Final = "scenario.json"


class ScenarioError(Exception):
    """The file is no scenario; the message says why."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An approver, as the integrator knows them, and how their phone is reached."""

    id: str
    name: str
    woken_by: Literal["websocket", "apns", "fcm"] = "websocket"


class Circle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of approvers."""

    name: str
    people: tuple[Person, ...]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person decides, and why."""

    person: str
    decision: Literal["approve", "deny"]
    reason: str | None = None


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request, and the answers in their order."""

    action: dict[str, object]
    expires_in_seconds: int
    answers: tuple[Answer, ...]

    def asked(self) -> Action:
        """Return the action; raises ``ProtocolError``."""
        return Action.from_json(cast("JsonValue", self.action))


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole course: one request that is approved, one that is denied."""

    integrator: str
    required: int
    groups: tuple[Circle, ...]
    approved: Question
    another_action: dict[str, object]
    denied: Question

    def other(self) -> Action:
        """Return the action that nobody approved; raises ``ProtocolError``."""
        return Action.from_json(cast("JsonValue", self.another_action))


def read_scenario(path: Path | None) -> Scenario:
    """Read a scenario file, the one that comes with the relay when ``path`` is None.

    Raises ``OSError``, ``ProtocolError`` where it is no JSON, and ``ScenarioError``.
    """
    file = resources.files("quorumkey_relay.demo").joinpath(_FILE_NAME) if path is None else path
    value = strict_json.loads(file.read_bytes(), max_bytes=_MAX_FILE_BYTES)
    try:
        scenario = msgspec.convert(value, Scenario)
    except msgspec.ValidationError as error:
        message = f"this is no scenario: {error}"
        raise ScenarioError(message) from None
    known = {person.id for circle in scenario.groups for person in circle.people}
    for question in (scenario.approved, scenario.denied):
        for answer in question.answers:
            if answer.person not in known:
                message = f"this is no scenario: {answer.person} is in no group"
                raise ScenarioError(message)
    return scenario
