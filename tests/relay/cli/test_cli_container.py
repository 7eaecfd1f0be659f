"""The image's entry point: its command and its variables are ones that the relay takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.relay.cli.tree import commands

if TYPE_CHECKING:
    from tests.relay.cli.prompt import Operator

DOCKERFILE = Path(__file__).parents[3] / "Dockerfile"
REACHED_AT = {
    "QUORUMKEY_RELAY_PUBLIC_URL": "https://relay.example.com",
    "QUORUMKEY_RELAY_ATTESTATION": "off",
}


def words(instruction: str) -> list[str]:
    """The words of ENTRYPOINT or CMD."""
    found = re.findall(rf"^{instruction} (\[.+\])$", DOCKERFILE.read_text(), re.MULTILINE)
    return [str(word) for word in json.loads(found[-1])]


@pytest.fixture
def in_the_image(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """An operator with the image's variables, whose volume is the test's folder."""
    text = DOCKERFILE.read_text()
    for name, value in re.findall(r"\b(QUORUMKEY_RELAY_\w+)=(\S+)", text.partition("\nENV ")[2]):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("QUORUMKEY_RELAY_DATA_DIR", str(operator.data_dir))
    return operator


def test_the_entry_point_is_the_command() -> None:
    """The image runs ``quorumkey-relay``, and without more words it serves."""
    assert ["quorumkey-relay"] == words("ENTRYPOINT")
    assert tuple(words("CMD")) in [path for path, _ in commands()]


def test_a_volume_is_set_up_with_the_images_variables(in_the_image: Operator) -> None:
    """``init`` and the commands for integrators and keys need no more than the image sets."""
    made = in_the_image.bare("init", "--integrator", "Acme Corp", "--json").json

    integrators = in_the_image.bare("integrators", "list", "--json").json
    assert [made["integrator"]] == integrators


def test_serving_takes_an_address_and_a_decision(in_the_image: Operator) -> None:
    """Without public URL and attestation ``serve`` says what is missing."""
    printed = in_the_image.bare("serve")

    assert (2, "") == (printed.status, printed.out)
    assert "public_url" in printed.err
    assert "attestation" in printed.err


def test_the_two_variables_of_the_example_are_enough(
    in_the_image: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what the example at the top of the file sets, the configuration is complete."""
    head = DOCKERFILE.read_text().partition("\nFROM ")[0]
    assert all(f"{name}={value}" in head for name, value in REACHED_AT.items())
    for name, value in REACHED_AT.items():
        monkeypatch.setenv(name, value)
    in_the_image.bare("init", "--integrator", "Acme Corp")

    assert in_the_image.bare("check", "--json").json["checks"][0]["detail"] == (
        "production, reached at https://relay.example.com"
    )
