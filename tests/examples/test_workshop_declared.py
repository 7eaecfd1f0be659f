"""examples/workshop beside what it must agree with: its .proto file and the relay's preset."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from examples.workshop import workshop_pb2_grpc
from examples.workshop.fleet import Fleet
from examples.workshop.grpc_service import Workshop
from examples.workshop.methods import SERVICE, declared
from tests.repo import tree

from quorumkey_relay.presets import preset

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "examples/workshop"
GENERATED = ("workshop_pb2.py", "workshop_pb2.pyi", "workshop_pb2_grpc.py")


def test_the_generated_code_is_what_the_proto_file_gives(tmp_path: Path) -> None:
    """Running the generator again changes nothing."""
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, f"{FOLDER}/workshop.proto"],
        cwd=tree.ROOT,
        check=True,
    )

    for name in GENERATED:
        assert (tree.ROOT / FOLDER / name).read_bytes() == (tmp_path / FOLDER / name).read_bytes()


def test_the_service_declares_the_preset() -> None:
    """An operator who loaded the preset sees no difference when the service starts."""
    found = preset("workshop")

    assert SERVICE == found.service
    assert {
        (one.name, one.kind, one.permission, one.default_condition, one.resolver)
        for one in found.to_register
    } == {
        (one.name, one.kind, one.permission, one.default_condition, one.resolver is not None)
        for one in declared(Fleet())
    }


@pytest.mark.parametrize(
    ("request_view", "tag"),
    [
        ({"rule_id": "rule-1"}, "global"),
        ({"rule_id": "rule-2"}, "build"),
        ({"rule_id": "rule-9"}, None),
        ({}, None),
        ("rule-1", None),
    ],
    ids=["global", "one-tag", "unknown", "absent", "no-object"],
)
def test_a_rule_is_found_by_its_id(request_view: dict[str, str] | str, tag: str | None) -> None:
    """The resolver answers the rule that a call deletes, and nothing where there is none."""
    resolvers = {one.name: one.resolver for one in declared(Fleet())}
    resolver = resolvers["DeleteRule"]
    assert resolver is not None

    found = resolver(request_view)  # type: ignore[arg-type]  # a dict of strings is a JSON value

    assert tag == (None if found is None else found["tag"])  # type: ignore[index]  # it is no coroutine


def test_every_method_of_the_proto_file_is_served() -> None:
    """The example leaves out none of the methods that its clients can call."""
    offered = [name for name in vars(workshop_pb2_grpc.WorkshopServicer) if name[0].isupper()]

    assert ["KillProcessOnHostsWithTag", "DeleteRule", "ListHosts"] == offered
    assert [] == [name for name in offered if name not in vars(Workshop)]
