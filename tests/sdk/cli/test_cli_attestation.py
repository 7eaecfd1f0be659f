from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import pytest
from tests.sdk.cli.terminal import type_in
from tests.sdk.relay_double import answer, body_of

from quorumkey.cli import _attestation

if TYPE_CHECKING:
    from tests.sdk.cli.terminal import Done
    from tests.sdk.device.phones import Desk

ENROLL = "POST /v1/device/enroll"


def program(*lines: str) -> str:
    """A command that runs these lines of Python."""
    return shlex.join([sys.executable, "-c", "\n".join(lines)])


def enroll(desk: Desk, command: str) -> Done:
    """Enrol with the evidence that a command makes."""
    options = ("--yes", "--home", desk.home, "--attestation-command", command)
    return type_in("device", "enroll", desk.link, *options)


def test_a_program_makes_the_evidence(desk: Desk) -> None:
    """It reads nonce and key and writes the attestation; the level is shown."""
    done = enroll(
        desk,
        program(
            "import json, sys",
            "asked = json.load(sys.stdin)",
            "print(json.dumps({'format': 'android-key', 'chain': sorted(asked)}))",
        ),
    )

    (call,) = [call for call in desk.relay.calls if call.url.path.endswith("enroll")]
    assert {"format": "android-key", "chain": ["device_public_key", "nonce"]} == body_of(call)[
        "attestation"
    ]
    assert (0, True) == (done.status, "Assurance   none" in done.out)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("", "is empty"),
        ("'", "cannot be read"),
        ("/nonexistent/program", "cannot be run"),
        (program("raise SystemExit(3)"), "failed with status 3"),
        (program("print('no JSON')"), "wrote no JSON"),
        (program("print('[]')"), "no object with a format"),
        (program("print('{}')"), "no object with a format"),
    ],
    ids=["empty", "unquoted", "missing", "failing", "text", "list", "without format"],
)
def test_a_program_that_makes_none_is_told(desk: Desk, command: str, problem: str) -> None:
    """A sentence says what it did instead, and nothing is enrolled."""
    done = enroll(desk, command)

    assert 0 != done.status
    assert problem in done.err
    assert ENROLL not in desk.relay.seen()


def test_a_program_that_takes_too_long_is_ended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person does not wait for ever."""
    monkeypatch.setattr(_attestation, "COMMAND_SECONDS", 0.01)

    done = enroll(desk, program("import time", "time.sleep(60)"))

    assert "took more than" in done.err


def test_a_program_proves_the_device_anew(desk: Desk) -> None:
    """The evidence of the program is sent, and the level shown."""
    phone = desk.enroll()
    fingerprint = phone.approver.fingerprint
    desk.relay.script(
        "POST /v1/device/reattest", answer({"fingerprint": fingerprint, "assurance": "tee"})
    )
    command = program('print(\'{"format": "none"}\')')

    options = ("--home", desk.home, "--attestation-command", command, "--json")
    done = type_in("device", "reattest", *options)

    (call,) = [call for call in desk.relay.calls if call.url.path.endswith("reattest")]
    assert {"format": "none"} == body_of(call)["attestation"]
    assert (0, {"fingerprint": fingerprint, "assurance": "tee"}) == (done.status, done.object)


def test_proving_anew_takes_a_program(desk: Desk) -> None:
    """Without one there is nothing to send."""
    desk.enroll()

    assert 2 == type_in("device", "reattest", "--home", desk.home).status
