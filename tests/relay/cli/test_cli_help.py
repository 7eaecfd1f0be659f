"""Help, usage errors and the ways a command ends."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.relay.cli.prompt import (
    COMMAND,
    NO_SUCH_DEVICE,
    NO_SUCH_ID,
    Operator,
    environment,
    started,
)
from tests.relay.cli.tree import commands

from quorumkey_relay.cli import app as cli_app

PATHS = [path for path, _ in commands()]

#: What the issue asks for; more may be there.
PROMISED = {
    ("init",),
    ("serve",),
    ("check",),
    ("demo",),
    ("integrators", "create"),
    ("integrators", "list"),
    ("keys", "create"),
    ("keys", "list"),
    ("keys", "revoke"),
    ("keys", "rotate-relay"),
    ("devices", "list"),
    ("devices", "revoke"),
    ("requests", "list"),
    ("requests", "show"),
    ("pairings", "create"),
    ("admins", "add"),
    ("admins", "remove"),
    ("admins", "list"),
    ("protection", "show"),
    ("protection", "list"),
    ("protection", "enable"),
    ("protection", "disable"),
    ("protection", "set"),
    ("protection", "add"),
    ("protection", "remove"),
    ("protection", "reset"),
    ("protection", "load"),
    ("protection", "log"),
}


def test_every_promised_command_exists() -> None:
    """The command has everything that operators were promised."""
    assert set(PATHS) >= PROMISED


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    """Help has an exit status line, examples, and ``--json``."""
    command = dict(commands())[path]

    assert re.search(r"^  Exit status: 0 .+, 1 .+, 2 .+\.$", command.help, re.MULTILINE)
    assert command.examples
    assert "--json" in command.flags


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_example_is_of_its_command(path: tuple[str, ...]) -> None:
    """An example names the command that it stands under and only flags that the command has."""
    command = dict(commands())[path]
    for example in command.examples:
        program, *words = shlex.split(example)

        assert program == "quorumkey-relay"
        assert tuple(words[: len(path)]) == path
        assert {word for word in words if word.startswith("--")} <= command.flags


def test_the_version_is_the_distributions(operator: Operator) -> None:
    """``--version`` prints the installed version and exits 0."""
    assert operator.bare("--version").text == f"quorumkey-relay {version('quorumkey-relay')}\n"


@pytest.mark.parametrize("arguments", [(), ("keys",)])
def test_without_a_command_there_is_help(operator: Operator, arguments: tuple[str, ...]) -> None:
    """Where a command is missing, the commands are listed on standard error, with status 2."""
    printed = operator.bare(*arguments)

    assert (2, "") == (printed.status, printed.out)
    assert "Commands:\n" in printed.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("keys", "nonsense"),
        ("serve", "--nonsense"),
        ("init",),
        ("keys", "create"),
        ("keys", "create", "--integrator", NO_SUCH_ID, "--scope", "nonsense"),
        ("keys", "revoke"),
        ("devices", "revoke", "nonsense"),
        ("pairings", "create", "--integrator", NO_SUCH_ID, "--approver", "a", "--expires-in", "5"),
        ("requests", "list", "--status", "nonsense"),
        ("requests", "list", "--limit", "101"),
        ("demo", "--pace", "-1"),
        ("protection", "set", "--required", "1"),
        ("protection", "set", "--max-duration", "59"),
        ("protection", "set", "--exclude-api-keys", "maybe"),
        ("protection", "log", "--limit", "0"),
        ("admins", "add"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_sentence(operator: Operator, arguments: tuple[str, ...]) -> None:
    """What cannot be a command ends with status 2 and one sentence."""
    operator.bare(*arguments).refused(2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("integrators", "create", "--name", "Umbrella"),
        ("integrators", "list"),
        ("keys", "create", "--integrator", NO_SUCH_ID),
        ("keys", "list"),
        ("keys", "revoke", NO_SUCH_ID),
        ("keys", "rotate-relay"),
        ("devices", "list"),
        ("devices", "revoke", NO_SUCH_DEVICE, "--yes"),
        ("requests", "list"),
        ("requests", "show", NO_SUCH_ID),
        ("pairings", "create", "--integrator", NO_SUCH_ID, "--approver", "alice"),
        ("admins", "add", "alice"),
        ("protection", "enable"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_folder_without_a_relay_is_left_alone(
    operator: Operator, arguments: tuple[str, ...]
) -> None:
    """Where there is no relay, the sentence says how to make one, and nothing is made."""
    sentence = operator(*arguments).refused(1)

    assert sentence == (
        f"there is no relay in {operator.data_dir}; make one with:"
        f" quorumkey-relay init --data-dir {operator.data_dir} --integrator NAME."
    )
    assert not operator.data_dir.exists()


@pytest.mark.parametrize("name", ["secrets.key", "relay.key"])
def test_a_lost_key_is_not_made_anew(operator: Operator, name: str) -> None:
    """A key file that is gone is named; a new one would make a different relay."""
    operator.init()
    (operator.data_dir / name).unlink()

    sentence = operator("keys", "rotate-relay").refused(1)

    assert f"{operator.data_dir / name} is missing; put it back from the backup." == sentence
    assert not (operator.data_dir / name).exists()


def test_a_key_that_others_can_read_is_refused(operator: Operator) -> None:
    """A key file with a mode beyond 0600 is named, with the command that mends it."""
    operator.init()
    path = operator.data_dir / "secrets.key"
    path.chmod(0o644)

    assert f"{path} can be read by others; run: chmod 600 {path}." == operator(
        "keys", "list"
    ).refused(1)


def test_a_damaged_database_is_one_sentence(operator: Operator) -> None:
    """A file that is no database ends with status 1 and without a traceback."""
    operator.init()
    (operator.data_dir / "relay.db").write_bytes(b"not a database" * 1_000)

    assert "file is not a database" in operator("keys", "list").refused(1)


def test_a_migration_that_fails_is_one_sentence(operator: Operator) -> None:
    """What the database itself refuses is told with its reason."""
    operator.init()
    with closing(sqlite3.connect(operator.data_dir / "relay.db")) as connection:
        connection.execute("PRAGMA user_version = 0")

    assert "already exists" in operator("keys", "list").refused(1)


def test_what_a_terminal_would_obey_is_escaped(operator: Operator) -> None:
    """Control characters in a path are printed as escapes."""
    sentence = operator.bare("keys", "list", "--data-dir", "\x1b[31m\u202e").refused(1)

    assert sentence.startswith("there is no relay in \\x1b[31m\\u202e;")


def test_a_bug_is_one_sentence_too(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception nobody foresaw is named by its type and place, never by what it says."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(cli_app, "set_up", fail)

    sentence = operator("init", "--integrator", "Acme Corp").refused(1)

    assert sentence.startswith("this is a bug in quorumkey-relay: ZeroDivisionError at ")
    assert "a secret" not in sentence


def test_the_module_is_the_command() -> None:
    """``python -m quorumkey_relay`` runs the same command."""
    done = subprocess.run(
        [*COMMAND, "--version"], env=environment(), capture_output=True, text=True, check=True
    )

    assert done.stdout == f"quorumkey-relay {version('quorumkey-relay')}\n"


def test_the_installed_program_is_the_command() -> None:
    """The distribution installs ``quorumkey-relay``."""
    program = Path(sys.executable).with_name("quorumkey-relay")
    done = subprocess.run(
        [program, "--version"], env=environment(), capture_output=True, text=True, check=True
    )

    assert done.stdout == f"quorumkey-relay {version('quorumkey-relay')}\n"


def test_a_reader_that_goes_away_is_no_error(operator: Operator) -> None:
    """With standard output closed, as by ``head``, nothing is printed on standard error."""
    operator.init()
    reading, writing = os.pipe()
    os.close(reading)
    arguments = ("integrators", "list", "--data-dir", str(operator.data_dir))
    for form in ((), ("--json",)):
        with started(*arguments, *form, stdout=writing) as process:
            _, said = process.communicate(timeout=60)

        assert (1, "") == (process.returncode, said)
    os.close(writing)


def test_text_is_written_in_any_encoding(operator: Operator) -> None:
    """A terminal without the characters of a name gets escapes instead of an error."""
    operator.json("init", "--integrator", "Ængström")
    arguments = ("integrators", "list", "--data-dir", str(operator.data_dir))
    with started(*arguments, PYTHONIOENCODING="ascii") as process:
        printed, said = process.communicate(timeout=60)

    assert (0, "") == (process.returncode, said)
    assert "\\xc6ngstr\\xf6m" in printed


def test_a_name_is_never_markup(operator: Operator) -> None:
    """Brackets and emoji codes in a name are printed as they are."""
    operator.json("init", "--integrator", "[red]Acme[/red] :dog: [link=http://x]y[/link]")

    assert "[red]Acme[/red] :dog: [link=http://x]y[/link]" in operator("integrators", "list").text
