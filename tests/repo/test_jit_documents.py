"""What the documents say of just-in-time access is what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import yaml
from msgspec import NODEFAULT, Struct
from msgspec.structs import fields
from tests.repo import markdown, tree

from quorumkey.jit.client import AccessStatus
from quorumkey.protocol import RoleActivation, parse_time
from quorumkey_relay import jit_settings
from quorumkey_relay.api.jit_routes import JIT_ROUTES
from quorumkey_relay.eligibility.condition import read_condition
from quorumkey_relay.jit_settings import JitSettings
from quorumkey_relay.usecases.jit.events import JIT_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = Path("docs/jit-access.md")
PROTOCOL = Path("docs/protocol.md")
PACKAGE = Path("relay/src/quorumkey_relay")
NUMBERS = [f"C{number}" for number in range(1, 41)]

#: Which parts stand under which member of the file.
PARTS: dict[str, type[Struct]] = {
    "identity.oidc.": jit_settings.OidcSettings,
    "identity.proxy.": jit_settings.ProxySettings,
    "eligibility.google.": jit_settings.GoogleSource,
    "activation.": jit_settings.ActivationSettings,
    "tokens.": jit_settings.TokenSettings,
    "notification.mail.": jit_settings.MailSettings,
}
#: Texts that stand for a default which is no value of the file.
WORDS = {
    "what the provider says",
    "one that the relay makes",
    "the public URL",
    "the e-mail address",
    "none",
}


def rows() -> dict[str, str]:
    """The settings of the guide with their defaults."""
    return {row[0].strip("`"): row[1].strip("`") for row in markdown.table(GUIDE, "setting")}


def settings() -> Iterator[tuple[str, object]]:
    """Every member of the file that holds a value, with its default."""
    yield "integrator", NODEFAULT
    yield "eligibility.file", None
    yield "eligibility.api", False
    yield "notification.push", True
    for prefix, part in PARTS.items():
        for field in fields(part):
            yield prefix + field.name, field.default
    for part in (
        jit_settings.GcpIamExecutor,
        jit_settings.PostgresqlExecutor,
        jit_settings.WebhookExecutor,
    ):
        for field in fields(part):
            yield f"executors[].{field.name}", field.default


def written(default: object) -> str:
    """A default as the guide writes it."""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ", ".join(map(str, cast("tuple[str, ...]", default)))
    return str(default)


SETTINGS = dict(settings())


def test_every_setting_is_in_the_guide() -> None:
    """The guide lists every member of the file, and no other."""
    assert SETTINGS.keys() | {"executors[].kind"} == rows().keys()


@pytest.mark.parametrize(("name", "default"), SETTINGS.items(), ids=SETTINGS)
def test_every_default_is_that_of_the_code(name: str, default: object) -> None:
    """What the guide gives as a default is what the code takes."""
    shown = rows()[name].replace("`", "")
    if name in {"executors[].url", "tokens.key_files", "executors[].user_mapping"}:
        assert shown.startswith(("Google's", "one that", "the e-mail"))
    elif default is NODEFAULT:
        assert shown == ""
    elif default in {None, ""}:
        assert shown in WORDS
    else:
        assert shown == written(default)


def test_the_settings_of_the_guide_are_settings() -> None:
    """The parts that the table is checked against are all that there are."""
    assert {field.name for field in fields(JitSettings)} == {
        *("integrator", "identity", "eligibility", "executors"),
        *("activation", "tokens", "notification"),
    }


def test_the_calls_are_those_of_the_code() -> None:
    """The guide lists every call that is no page."""
    served = {
        f"{route.method} {route.path}"
        for route in JIT_ROUTES
        if not re.match(r"/jit(/(?!api)|$)", route.path)
    }

    assert served == {row[0].strip("`") for row in markdown.table(GUIDE, "call")}


def test_the_statuses_are_those_of_the_code() -> None:
    """The guide explains every status."""
    assert {f"`{status.value}`" for status in AccessStatus} == {
        row[0] for row in markdown.table(GUIDE, "status")
    }


def test_the_events_are_those_of_the_code() -> None:
    """The guide names every event."""
    section = tree.read(GUIDE).split("### Events\n", 1)[1].split("\n## ", 1)[0]

    assert {*JIT_EVENTS} == set(re.findall(r"`(jit\.[a-z_]+)`", section))


def test_the_example_conditions_mean_what_the_guide_says() -> None:
    """Each condition of the table marks as it is said, and one that does not marks nobody."""
    meaning: dict[str, str | None] = {}
    for cell, meant in (row[:2] for row in markdown.table(GUIDE, "condition")):
        for condition in re.findall(r"`([^`]+)`", cell):
            meaning[condition] = None if meant == "not eligible" else meant

    assert meaning
    for condition, said in meaning.items():
        marked = read_condition(condition)
        assert (said is None) is (marked.activation_type is None), condition
        if said is not None:
            assert ("with a peer" in said) is (marked.activation_type == "MPA"), condition


def test_the_policy_example_is_yaml() -> None:
    """The YAML of the guide parses."""
    blocks = [fence for fence in markdown.fences(GUIDE) if fence.language == "yaml"]

    assert blocks
    for block in blocks:
        assert isinstance(yaml.safe_load(block.body), dict)


def test_the_document_of_the_protocol_is_the_kernel_s() -> None:
    """The example of an action in the protocol is what reviewers are shown."""
    start = parse_time("2026-04-24T10:30:00Z", field="start")
    activation = RoleActivation(
        beneficiary="alice@example.com",
        project="project-1",
        role="roles/compute.admin",
        justification="BUG-12345",
        duration_seconds=1_800,
        condition='resource.name.startsWith("a")',
        start=start,
    )
    shown = activation.action().to_json()
    section = tree.read(PROTOCOL).split("\n## 18. ", 1)[1].split("\n## ", 1)[0]
    (block,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    example = yaml.safe_load(block)
    digest = (activation.action().bindings or {})["condition"]

    assert digest.startswith("sha256:")
    assert shown | {"bindings": {"condition": "sha256:…"}} == example


def test_every_number_has_a_row_and_a_test() -> None:
    """The guide numbers the behaviours, and tests are named by each number."""
    tested = {
        f"C{int(number)}"
        for path in Path("tests").rglob("test_*.py")
        for number in re.findall(r"def test_c([0-9]{2})_", path.read_text())
    }

    assert NUMBERS == [row[0] for row in markdown.table(GUIDE, "number")]
    assert {*NUMBERS} == tested


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_names_its_place(number: str) -> None:
    """The module that a row names is there."""
    (row,) = (row for row in markdown.table(GUIDE, "number") if row[0] == number)

    assert (tree.ROOT / PACKAGE / row[2].strip("`")).is_file()
