"""What the documents say of protected methods is what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.repo import markdown, tree

from quorumkey.protection import MAX_STALENESS_SECONDS
from quorumkey.protocol import ProtectedCall, TransactionState, request_binding
from quorumkey_relay.conditions import why_unusable
from quorumkey_relay.domain.protection import GOVERNING_METHODS, ProtectionSettings
from quorumkey_relay.domain.transactions import RESULT_WITHIN_SECONDS
from quorumkey_relay.usecases.protection.audit import AUDIT_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey.protocol import JsonValue

GUIDE = Path("docs/protected-methods.md")
PROTOCOL = Path("docs/protocol.md")
BEHAVIOURS = 33
PROTO = Path("relay/proto/quorumkey/mpa/v1/mpa.proto")


def named(texts: Iterable[str]) -> set[str]:
    """What stands in backticks."""
    return {name for text in texts for name in re.findall(r"`([^`]+)`", text)}


def conditions() -> list[str]:
    """The example conditions of the guide."""
    (block,) = [
        fence
        for fence in markdown.fences(GUIDE)
        if fence.language == "text" and fence.body.startswith("request.rule.tag")
    ]
    return block.body.splitlines()


@pytest.mark.parametrize("condition", conditions())
def test_every_example_condition_is_usable(condition: str) -> None:
    """A condition that the guide shows is one that the relay takes."""
    assert why_unusable(condition) is None


def test_settings_are_those_of_the_code() -> None:
    """The guide lists every setting with its default."""
    shown = {True: "yes", False: "no"}
    defaults = {
        f"`{name}`": shown[value] if isinstance(value, bool) else f"{value:,}"
        for name in ProtectionSettings.__struct_fields__
        for value in [getattr(ProtectionSettings(), name)]
    }

    assert defaults | {"`enabled`": "off"} == {
        row[0]: row[1] for row in markdown.table(GUIDE, "setting")
    }


def test_states_are_those_of_the_code() -> None:
    """The guide lists every state of a transaction, and the diagram of the protocol too."""
    states = {state.value for state in TransactionState}
    diagram = next(
        fence.body for fence in markdown.fences(PROTOCOL) if "requested ─►" in fence.body
    )

    assert states == named(row[0] for row in markdown.table(GUIDE, "state"))
    assert states == set(re.findall(r"[a-z]+", diagram))


def test_the_governing_methods_are_those_of_the_code() -> None:
    """The protocol lists every method of the service, and says which ones wait."""
    rows = [row for row in markdown.table(PROTOCOL, "method") if row[0].startswith("`")]
    service = set(re.findall(r"^  rpc (\w+)\(", tree.read(PROTO), re.MULTILINE))

    assert service == named(row[0] for row in rows)
    assert {*GOVERNING_METHODS} == named(row[0] for row in rows if row[1] == "yes")
    assert all(f"`{name}`" in tree.read(GUIDE) for name in GOVERNING_METHODS)


def test_the_events_are_those_of_the_code() -> None:
    """The protocol names every event of the audit trail."""
    section = tree.read(PROTOCOL).split("### Events\n", 1)[1].split("\n## ", 1)[0]
    words = named([section])

    assert {event.partition(".")[2] for event in AUDIT_EVENTS} <= words


def test_the_bounds_are_those_of_the_code() -> None:
    """The guide's staleness bound and time for a result are those of the code."""
    text = " ".join(tree.read(GUIDE).split())

    assert (MAX_STALENESS_SECONDS, RESULT_WITHIN_SECONDS) == (1.0, 3_600)
    assert "a snapshot that is at most one second old" in text
    assert "after an hour the state is `indeterminate`" in text


def test_the_lines_of_the_protocol_are_those_of_the_kernel() -> None:
    """The examples of lines in the protocol are what approvers are shown."""
    request: JsonValue = {"rule": {"hosts": ["db-1"]}, "like this": None}
    call = ProtectedCall(
        method="CreateRule",
        caller_kind="api_key",
        caller_id="k-1",
        request=request,
        request_binding=request_binding(b""),
    )
    text = tree.read(PROTOCOL)

    assert call.action().params["request"] == ['["like this"]: null', 'rule.hosts[0]: "db-1"']
    assert '`rule.hosts[0]: "db-1"`' in text
    assert '`["like this"]`' in text


def test_every_behaviour_has_a_row_and_a_test() -> None:
    """The guide numbers the behaviours, and tests are named by each number."""
    sources = Path("tests").rglob("test_*.py")
    tested = {
        f"B{int(number)}"
        for path in sources
        for number in re.findall(r"def test_b([0-9]{2})_", path.read_text())
    }

    assert tested == {row[0] for row in markdown.table(GUIDE, "number")}
    assert len(tested) == BEHAVIOURS
