"""The container's files, read as data: a test machine need not have a container engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import yaml
from tests.repo import tree

if TYPE_CHECKING:
    from collections.abc import Mapping

INSTRUCTIONS = "CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK RUN STOPSIGNAL USER VOLUME WORKDIR"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined and comments dropped."""
    lines = [
        line for line in tree.read(Path("Dockerfile")).splitlines() if not line.startswith("#")
    ]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    pairs = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(word, re.sub(r"\s+", " ", rest)) for word, rest in pairs]


def final_stage() -> list[tuple[str, str]]:
    """The instructions after the last FROM."""
    steps = instructions()
    last = max(at for at, (word, _) in enumerate(steps) if word == "FROM")
    return steps[last + 1 :]


@pytest.fixture
def service() -> Mapping[str, object]:
    """The one service of compose.yaml."""
    document = cast("Mapping[str, object]", yaml.safe_load(tree.read(Path("compose.yaml"))))
    services = cast("Mapping[str, Mapping[str, object]]", document["services"])
    assert ["relay"] == list(services)
    return services["relay"]


def health_command(arguments: str) -> list[str]:
    """The command of a HEALTHCHECK instruction."""
    return cast("list[str]", json.loads(arguments.split(" CMD ", 1)[1]))


def test_every_line_is_an_instruction() -> None:
    """The Dockerfile consists of instructions that we mean to use."""
    assert INSTRUCTIONS == " ".join(sorted({word for word, _ in instructions()}))


def test_what_is_copied_is_there_and_sent_to_the_builder() -> None:
    """Each source of a COPY exists, and .dockerignore lets these through and no more."""
    sent = tree.read(Path(".dockerignore")).split()
    sources = {
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }

    assert sources == {entry.removeprefix("!") for entry in sent if entry.startswith("!")}
    assert "*" in sent
    assert all((tree.ROOT / source).exists() for source in sources)


def test_the_image_does_not_run_as_root() -> None:
    """The last stage names a user, after the last step that needs root."""
    words = [word for word, _ in final_stage()]

    assert ("USER", "quorumkey") in final_stage()
    assert "RUN" not in words[words.index("USER") :]


def test_the_image_leaves_the_build_tools_behind() -> None:
    """The last stage installs nothing; it takes the finished environment from the first."""
    runs = " ".join(rest for word, rest in final_stage() if word == "RUN")

    assert "pip" not in runs
    assert ("COPY", "--from=build /opt/quorumkey /opt/quorumkey") in final_stage()


def test_the_image_stops_and_reports_as_the_relay_does() -> None:
    """It is stopped by the signal that the relay answers, and asked for its health without curl."""
    steps = dict(final_stage())

    assert steps["STOPSIGNAL"] == "SIGTERM"
    assert health_command(steps["HEALTHCHECK"])[0] == "python"
    assert "/healthz" in steps["HEALTHCHECK"]
    compile(health_command(steps["HEALTHCHECK"])[2], "healthcheck", "exec")


def test_compose_takes_away_what_the_relay_does_not_need(service: Mapping[str, object]) -> None:
    """No writable root, no capability, no new privilege, one volume."""
    assert service["read_only"] is True
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert ["data:/data"] == service["volumes"]
    assert "privileged" not in service


def test_compose_listens_on_loopback_only(service: Mapping[str, object]) -> None:
    """The relay is reached through the operator's own https proxy."""
    assert ["127.0.0.1:8080:8080"] == service["ports"]


def test_compose_and_image_ask_for_health_alike(service: Mapping[str, object]) -> None:
    """The health command stands in both files and is the same in both."""
    health = cast("Mapping[str, list[str]]", service["healthcheck"])

    assert ["CMD", *health_command(dict(final_stage())["HEALTHCHECK"])] == health["test"]


def test_compose_sets_only_settings_that_exist(service: Mapping[str, object]) -> None:
    """Every variable that the two files set is one that the relay reads."""
    from quorumkey_relay.config import OPTIONS  # noqa: PLC0415 - the other tests run without it

    known = {option.env for option in OPTIONS}
    image = set(re.findall(r"\b(QUORUMKEY_RELAY_\w+)=", dict(final_stage())["ENV"]))
    environment = cast("Mapping[str, str]", service["environment"])

    assert image <= known
    assert set(environment) <= known


def test_the_image_is_named_after_the_version(service: Mapping[str, object]) -> None:
    """compose.yaml tags what it builds with the distributions' version."""
    assert f"quorumkey-relay:{tree.project('relay')['version']}" == service["image"]
