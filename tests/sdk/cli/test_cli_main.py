from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.sdk.cli.terminal import type_in

from quorumkey.cli import _app, main

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = [
    ("request",),
    ("status",),
    ("receipt",),
    ("cancel",),
    ("verify",),
    ("pair",),
    ("devices",),
    ("device", "init"),
    ("device", "enroll"),
    ("device", "listen"),
    ("device", "list"),
    ("device", "show"),
    ("device", "approve"),
    ("device", "deny"),
    ("device", "reattest"),
    ("device", "whoami"),
    ("device", "unpair"),
    ("device", "push"),
    ("device", "open"),
    ("jit", "roles"),
    ("jit", "peers"),
    ("jit", "activate"),
    ("jit", "request"),
    ("jit", "requests"),
    ("jit", "review"),
    ("jit", "approve"),
    ("jit", "deny"),
    ("jit", "withdraw"),
    ("jit", "active"),
    ("jit", "revoke"),
    ("webhook", "create"),
    ("webhook", "list"),
    ("webhook", "show"),
    ("webhook", "rotate"),
    ("webhook", "disable"),
    ("webhook", "enable"),
    ("webhook", "delete"),
    ("webhook", "test"),
    ("webhook", "deliveries"),
    ("webhook", "resend"),
    ("webhook", "verify"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    """The help has examples, exit statuses and --json, line by line as written."""
    done = type_in(*command, "--help")

    assert 0 == done.status
    assert "\n  Example" in done.out
    assert f"\n    quorumkey {' '.join(command)}" in done.out
    assert "\n  Exit status: " in done.out
    assert "--json" in done.out
    assert "\b" not in done.out


def test_the_commands_are_these() -> None:
    """There is no command without a test of its help."""
    app = _app.build()
    groups = {group.name: group.typer_instance for group in app.registered_groups if group.name}
    nested = [
        (name, str(command.name))
        for name, group in groups.items()
        if group is not None
        for part in group.registered_groups
        if part.typer_instance is not None
        for command in part.typer_instance.registered_commands
    ]
    flat = [
        (str(command.name),)
        for part in app.registered_groups
        if part.name not in groups and part.typer_instance is not None
        for command in part.typer_instance.registered_commands
    ]

    assert sorted(COMMANDS) == sorted([*flat, *nested])


@pytest.mark.parametrize("arguments", [(), ("device",), ("jit",), ("webhook",)])
def test_without_a_command_there_is_help(arguments: tuple[str, ...]) -> None:
    """Without a command the help goes to standard error, with the status of wrong usage."""
    done = type_in(*arguments)

    assert (2, "") == (done.status, done.out)
    assert done.err.startswith("Usage: quorumkey")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status",), "Missing argument 'ID'"),
        (("nothing",), "No such command 'nothing'"),
        (("status", "x", "--odd"), "No such option"),
        (("status", "x", "--wait", "soon"), "--wait"),
        (("status", "x"), "QUORUMKEY_URL"),
        (("status", "x", "--url", "ftp://x"), "https"),
    ],
)
def test_wrong_usage_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    """Wrong usage exits with 2 and one line on standard error."""
    monkeypatch.delenv("QUORUMKEY_URL", raising=False)
    monkeypatch.setenv("QUORUMKEY_API_KEY", "qk_test_" + "0" * 64)
    done = type_in(*arguments)

    assert (2, "") == (done.status, done.out)
    assert message in done.err
    assert 1 == done.err.count("\n")
    assert done.err.startswith("quorumkey: ")


def test_the_version() -> None:
    """--version names the program and its version."""
    done = type_in("--version")

    assert (0, "quorumkey ") == (done.status, done.out[:10])


def test_interruption(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ctrl-C ends with 130 and says nothing."""

    def interrupt(_device: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("quorumkey.device.SoftwareDevice.identities", interrupt)
    done = type_in("device", "whoami", "--home", tmp_path)

    assert (130, "", "") == (done.status, done.out, done.err)


def test_the_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The program takes its arguments from the process and exits with the status."""
    monkeypatch.setattr(sys, "argv", ["quorumkey", "--version"])
    with pytest.raises(SystemExit) as caught:
        main()

    assert 0 == caught.value.code
    assert capsys.readouterr().out.startswith("quorumkey ")


@pytest.mark.parametrize("package", ["typer", "rich", "websockets"])
def test_without_the_extra(package: str) -> None:
    """Without the extra's packages the program says in one sentence what to install."""
    # Listening alone needs websockets; everything else works without it.
    arguments = "['quorumkey', '--version']"
    program = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv = {arguments};"
        "from quorumkey.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )

    if package == "websockets":
        assert 0 == done.returncode
    else:
        assert (2, "", "quorumkey: the command needs more: pip install 'quorumkey[cli]'.\n") == (
            done.returncode,
            done.stdout,
            done.stderr,
        )


def test_another_missing_package_is_no_extra() -> None:
    """A package that is missing from the base installation is not explained away."""
    program = (
        "import sys; sys.modules['httpx2'] = None; sys.argv = ['quorumkey'];"
        "from quorumkey.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )

    assert 1 == done.returncode
    assert "ModuleNotFoundError" in done.stderr
