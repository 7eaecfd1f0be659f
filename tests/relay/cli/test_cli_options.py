"""Options and variables: one table, the same for flags and environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.cli.tree import commands

from quorumkey_relay.cli.options import COMMAND_OPTIONS
from quorumkey_relay.config import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.relay.cli.prompt import Operator

#: The last one is meant for one command; a variable would stay for the next.
NOT_FROM_THE_ENVIRONMENT = {"--help", "-h", "--break-glass"}


def flags_and_variables() -> Iterator[tuple[str, str]]:
    """Every option of every command, with the help that is printed for it."""
    for path, command in commands():
        for flag in command.flags - NOT_FROM_THE_ENVIRONMENT:
            yield f"{' '.join(path)} {flag}", command.help


@pytest.mark.parametrize("name", ["serve", "check"])
def test_every_setting_is_an_option(name: str) -> None:
    """``serve`` and ``check`` take every setting of the relay as a flag."""
    (command,) = (command for path, command in commands() if path == (name,))

    assert {option.flag for option in OPTIONS} <= command.flags


def test_every_option_is_a_variable() -> None:
    """The help of each option of each command but one names a QUORUMKEY_RELAY_ variable."""
    missing = [
        where
        for where, text in flags_and_variables()
        if "QUORUMKEY_RELAY_" + where.rpartition("--")[2].replace("-", "_").upper() not in text
    ]

    assert [] == missing


def test_no_command_option_is_a_setting() -> None:
    """A variable means one thing: the options of commands and the settings share no name."""
    assert not COMMAND_OPTIONS & {option.name for option in OPTIONS}


def test_a_variable_stands_for_a_flag(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables alone make ``init`` do what its flags do."""
    monkeypatch.setenv("QUORUMKEY_RELAY_DATA_DIR", str(operator.data_dir))
    monkeypatch.setenv("QUORUMKEY_RELAY_INTEGRATOR", "Acme Corp")
    monkeypatch.setenv("QUORUMKEY_RELAY_JSON", "1")

    assert operator.bare("init").json["integrator"]["name"] == "Acme Corp"


def test_a_flag_wins_over_a_variable(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both are given, the flag counts."""
    monkeypatch.setenv("QUORUMKEY_RELAY_DATA_DIR", "/nowhere")

    assert operator.init()["integrator"]["name"] == "Acme Corp"


def test_an_unknown_variable_stops_every_command(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt variable is named, with the nearest one that exists, and nothing is done."""
    monkeypatch.setenv("QUORUMKEY_RELAY_DATADIR", "elsewhere")

    sentence = operator("init", "--integrator", "Acme Corp").refused(2)

    assert sentence == (
        "QUORUMKEY_RELAY_DATADIR is not a setting of the relay;"
        " did you mean QUORUMKEY_RELAY_DATA_DIR?"
    )
    assert not operator.data_dir.exists()


def test_another_commands_variable_is_known(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is an option of another command stops nothing."""
    operator.init()
    monkeypatch.setenv("QUORUMKEY_RELAY_APPROVER", "alice")

    assert 0 == operator("check").status


def test_a_setting_that_a_command_does_not_use_cannot_stop_it(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys can be managed while the address to serve at is wrong."""
    operator.init()
    monkeypatch.setenv("QUORUMKEY_RELAY_PORT", "banana")

    assert 0 == operator("keys", "list").status


@pytest.mark.parametrize("command", ["serve", "check"])
def test_each_problem_of_the_settings_is_a_sentence(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Bad values are all named at once, a sentence each, with exit status 2."""
    monkeypatch.setenv("QUORUMKEY_RELAY_PORT", "banana")

    printed = operator(command, "--mode", "paranoid")

    assert (2, "") == (printed.status, printed.out)
    mode, port = sorted(printed.err.splitlines())
    assert mode.endswith(" --mode must be development or production (it is 'paranoid').")
    assert port.endswith("_PORT must be a whole number from 0 to 65535 (it is 'banana').")


def test_production_wants_decisions(operator: Operator) -> None:
    """On an address that others reach, ``serve`` names everything that is not decided."""
    printed = operator("serve", "--host", "0.0.0.0")  # noqa: S104 - it does not start

    assert (2, 2) == (printed.status, len(printed.err.splitlines()))
    assert "public_url" in printed.err
    assert "attestation" in printed.err
