"""``integrators``: added and listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey.protocol import check_uuid7

if TYPE_CHECKING:
    from tests.relay.cli.prompt import Operator


def test_a_new_integrator_has_an_id_and_its_name(operator: Operator) -> None:
    """``integrators create --json`` answers ``{id, name}``, the id a UUIDv7."""
    operator.init()

    made = operator.json("integrators", "create", "--name", "Umbrella")

    assert {"id": check_uuid7(made["id"], field="id"), "name": "Umbrella"} == made


def test_the_text_says_how_to_give_it_a_key(operator: Operator) -> None:
    """After adding an integrator people see the next command, with its id."""
    operator.init()

    printed = operator("integrators", "create", "--name", "Umbrella").text

    (umbrella,) = (
        one["id"] for one in operator.json("integrators", "list") if one["name"] == "Umbrella"
    )
    assert f"  quorumkey-relay keys create --integrator {umbrella}\n" in printed


def test_they_are_listed_oldest_first(operator: Operator) -> None:
    """The list has every integrator as ``{id, name}`` in the order of their creation."""
    first = operator.init()["integrator"]
    second = operator.json("integrators", "create", "--name", "Umbrella")

    assert [first, second] == operator.json("integrators", "list")


def test_the_table_has_a_line_for_each(operator: Operator) -> None:
    """People see a head and a line with id and name for each integrator."""
    made = operator.init()["integrator"]

    head, line = operator("integrators", "list").text.splitlines()

    assert ["ID", "NAME"] == head.split()
    assert [made["id"], "Acme", "Corp"] == line.split()


@pytest.mark.parametrize("name", ["", "A" * 81, "A\nB"])
def test_a_name_is_text_that_people_can_see(operator: Operator, name: str) -> None:
    """A name that approvers could not read is refused."""
    operator.init()

    assert operator("integrators", "create", "--name", name).refused(2).startswith("name must ")
