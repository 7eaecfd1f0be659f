"""``--unsafe-test-root``: loud where it is given, and refused where it must not be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.attested import pem_of_test_roots
from tests.relay.cli.prompt import first_line, started, stop

from quorumkey.client import Client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.cli.prompt import Operator


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """A PEM file with the roots of the test PKI."""
    path = tmp_path / "roots.pem"
    path.write_bytes(pem_of_test_roots())
    return path


def test_everybody_is_told(operator: Operator, roots: Path) -> None:
    """The ready line, the log and ``/v1/info`` say that evidence of tests counts."""
    made = operator.init()
    options = ("--data-dir", str(operator.data_dir), "--port", "0", "--json")
    with started("serve", *options, "--unsafe-test-root", str(roots)) as process:
        ready: dict[str, Any] = json.loads(first_line(process))
        with Client(ready["url"], made["api_key"]) as client:
            info = client.info()
        _, said = stop(process)

    warnings = [json.loads(line) for line in said.splitlines()]
    assert ready["unsafe_test_root"] is True
    assert info.unsafe_test_root is True
    assert [one["level"] for one in warnings if one["event"] == "unsafe_test_root_trusted"] == [
        "warning"
    ]


def test_people_are_told(operator: Operator, roots: Path) -> None:
    """``check`` says so, in words that cannot be overlooked."""
    operator.init()

    printed = operator("check", "--json", "--unsafe-test-root", str(roots))

    assert "UNSAFE" in json.loads(printed.out)["checks"][0]["detail"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read"), (b"", "PEM"), (b"x" * 1_048_577, "1048576 bytes")],
    ids=["missing", "empty", "too large"],
)
def test_a_file_of_roots_that_is_wrong_stops_the_start(
    operator: Operator, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    """What cannot be read is told in a sentence, with the status of a configuration error."""
    operator.init()
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_bytes(content)
    options = ("--data-dir", str(operator.data_dir), "--port", "0")
    with started("serve", *options, "--unsafe-test-root", str(path)) as process:
        printed, said = process.communicate(timeout=60)

    assert (2, "") == (process.returncode, printed)
    assert problem in said
    assert "Traceback" not in said
