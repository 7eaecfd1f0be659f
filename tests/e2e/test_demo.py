"""``make demo``: what it shows, that it shows what happened, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.demonstration import DEMO_SECONDS, Shown, environment, interrupted, show

SCENARIO = Path("relay/src/quorumkey_relay/demo/scenario.json")
COMMAND = (sys.executable, "-m", "quorumkey_relay.demo")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The demonstration as everybody sees it first."""
    return show(COMMAND, tmp_path_factory.mktemp("tmp"))


def test_it_ends_well(shown: Shown) -> None:
    """It exits 0, says nothing on standard error and leaves no temporary file."""
    assert (0, "", []) == (shown.status, shown.err, shown.left)


def test_two_groups_approve(shown: Shown) -> None:
    """It prints whose approval the receipt proves."""
    assert "approved by: Engineering, Security" in shown.lines


def test_five_phones_are_paired(shown: Shown) -> None:
    """Everybody's phone is shown with its own fingerprint and pictogram."""
    paired = shown.said(r"^\w+ of \w+: [0-9a-f]{16}… .+ paired with Acme Corp")

    assert ["Alice", "Bob", "Carol", "Dave", "Eve"] == [line.split()[0] for line in paired]
    assert len({line.split()[3] for line in paired}) == 5


def test_everybody_is_notified(shown: Shown) -> None:
    """The relay's own delivery log names each group with as many phones as it has."""
    told = shown.said("^notified and shown: ")

    everybody = (
        "Engineering 1 by apns, Engineering 1 by fcm, Security 1 by websocket,"
        " Operations 2 by websocket"
    )
    assert [f"notified and shown: {everybody}"] * 2 == told


def test_two_phones_are_woken_by_push(shown: Shown) -> None:
    """Alice's phone has Apple's push service and Bob's has Google's; the others stay connected."""
    assert [("Alice", "Apple"), ("Bob", "Google")] == [
        (line.split()[0], line.split()[-1]) for line in shown.said(", woken by ")
    ]


def test_pushes_name_who_asks_and_nothing_more(shown: Shown) -> None:
    """Each push is shown with its title, its size and its members, in which the action is not."""
    assert [
        "Apple is sent for Alice's phone: “Acme Corp is requesting approval”",
        "Google is sent for Bob's phone: “Acme Corp is requesting approval”",
    ] == sorted(set(shown.said("requesting approval”$")))
    sizes = shown.said(r"^\d+ bytes: .+; not a word of the action$")
    assert {"aps, type, request_id, challenge", "title, type, request_id, challenge"} <= {
        line.partition(": ")[2].partition(";")[0] for line in sizes
    }


def test_notifications_are_withdrawn(shown: Shown) -> None:
    """When a request has ended, every sleeping phone is told but that of who ended it."""
    assert [
        "Apple is sent for Alice's phone: “Acme Corp: request closed”",
        "Apple is sent for Alice's phone: “Acme Corp: request closed”",
        "Google is sent for Bob's phone: “Acme Corp: request closed”",
    ] == sorted(shown.said("request closed”$"))


def test_phones_show_what_is_signed(shown: Shown) -> None:
    """Whoever decides sees action, parameters, quorum and own group first."""
    before, _, after = shown.out.partition("Alice's phone shows")
    screen = after.partition("Alice signs")[0]

    assert before
    for shown_first in (
        "Cold boot engine ENG-001",
        'engine_id "ENG-001"',
        'ticket    "MAINT-1234"',
        "2 of Engineering, Security, Operations",
        "you are   Engineering",
    ):
        assert shown_first in screen


def test_the_quorum_grows(shown: Shown) -> None:
    """Alice's approval is one of two groups, Carol's the second and the end."""
    assert [
        "Alice signs approve → pending, 1 of 2 groups",
        "Carol signs approve → approved, 2 of 2 groups",
    ] == shown.said("signs approve")


def test_forgeries_are_refused_with_the_reason(shown: Shown) -> None:
    """A receipt with a changed byte fails its signature, the genuine one another action."""
    changed, other = shown.said("refused at step")

    assert changed == (
        "the receipt with one byte changed: refused at step 1 (untrusted_relay):"
        " The signature is not valid."
    )
    assert other == (
        "the receipt for “Cold boot engine ENG-002”: refused at step 4 (action_mismatch):"
        " Another action was approved."
    )


def test_the_second_request_is_denied(shown: Shown) -> None:
    """Bob's denial ends the other request, and everybody else is told."""
    assert shown.said("^Bob signs deny: .+ → rejected, 0 of 2 groups$")
    assert len(shown.said("told: rejected$")) == 3
    assert shown.lines[-1].startswith("rejected: Acme Corp does not act")


def test_its_words_come_from_the_scenario(tmp_path: Path) -> None:
    """With another file other people approve another action, and no word of the first is left."""
    scenario: dict[str, Any] = {
        "integrator": "Umbrella",
        "required": 1,
        "groups": [
            {"name": "Pilots", "people": [{"id": "p1", "name": "Pia"}]},
            {"name": "Crew", "people": [{"id": "c1", "name": "Quinn"}]},
        ],
        "approved": {
            "action": {"type": "launch", "description": "Launch", "params": {"crew": ["Pia"]}},
            "expires_in_seconds": 60,
            "answers": [{"person": "c1", "decision": "approve"}],
        },
        "another_action": {"type": "launch", "description": "Land"},
        "denied": {
            "action": {"type": "launch", "description": "Launch again"},
            "expires_in_seconds": 60,
            "answers": [{"person": "p1", "decision": "deny"}],
        },
    }
    path, temporary = tmp_path / "mine.json", tmp_path / "tmp"
    path.write_text(json.dumps(scenario))
    temporary.mkdir()

    shown = show((*COMMAND, "--scenario", str(path)), temporary)

    assert (0, "") == (shown.status, shown.err)
    assert "approved by: Crew" in shown.lines
    assert '"Pia"' in shown.lines
    assert "Quinn signs approve → approved, 1 of 1 groups" in shown.lines
    assert "Pia signs deny → rejected, 0 of 1 groups" in shown.lines
    known = json.loads(SCENARIO.read_text(encoding="utf-8"))
    names = [known["integrator"], *(group["name"] for group in known["groups"])]
    names += [person["name"] for group in known["groups"] for person in group["people"]]
    assert [] == [name for name in names if re.search(rf"\b{name}\b", shown.out)]


@pytest.mark.parametrize(
    ("question", "answers", "sentence"),
    [
        (
            "approved",
            [{"person": "alice", "decision": "deny"}],
            "the demonstration failed: the request ended as rejected.",
        ),
        (
            "denied",
            [{"person": who, "decision": "approve"} for who in ("alice", "carol")],
            "the demonstration failed: the request ended as approved.",
        ),
        (
            "approved",
            [{"person": "zoe", "decision": "approve"}],
            "the demonstration failed: this is no scenario: zoe is in no group.",
        ),
    ],
    ids=["denied", "approved", "nobody"],
)
def test_another_end_is_a_failure(
    tmp_path: Path, question: str, answers: list[dict[str, str]], sentence: str
) -> None:
    """What does not end as it should exits 1 with one sentence and leaves nothing behind."""
    scenario = json.loads(SCENARIO.read_text(encoding="utf-8"))
    scenario[question]["answers"] = answers
    path, temporary = tmp_path / "mine.json", tmp_path / "tmp"
    path.write_text(json.dumps(scenario))
    temporary.mkdir()

    shown = show((*COMMAND, "--scenario", str(path)), temporary)

    assert (1, f"quorumkey-relay: {sentence}\n") == (shown.status, shown.err)
    assert [] == shown.left


def test_programs_get_the_result(tmp_path: Path) -> None:
    """With ``--json`` standard output is one document, and the story goes to standard error."""
    shown = show((*COMMAND, "--json"), tmp_path)

    assert shown.status == 0
    result = json.loads(shown.out)
    pushes = result.pop("pushes")
    assert result == {
        "approved_by": ["Engineering", "Security"],
        "refused": ["untrusted_relay", "action_mismatch"],
        "denied": "rejected",
    }
    assert sorted((push["person"], push["channel"], push["type"]) for push in pushes) == [
        ("alice", "apns", "approval_request"),
        ("alice", "apns", "approval_request"),
        ("alice", "apns", "request_resolved"),
        ("alice", "apns", "request_resolved"),
        ("bob", "fcm", "approval_request"),
        ("bob", "fcm", "approval_request"),
        ("bob", "fcm", "request_resolved"),
    ]
    assert all(push["size_bytes"] <= 4_096 for push in pushes)
    assert "Alice signs approve" in shown.err


def test_a_terminal_shows_the_board_live(tmp_path: Path) -> None:
    """In a terminal the phones' states and the quorum are drawn again as they change."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--pace", "0.01"],
        env=environment(tmp_path) | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        screen = b""
        while chunk := _read(ours):
            screen += chunk
        os.close(ours)
        _, said = process.communicate(timeout=DEMO_SECONDS)

    text = screen.decode()
    assert (0, b"") == (process.returncode, said)
    assert text.count("Cold boot engine ENG-001") > 10
    quorum = [text.index(marks) for marks in ("□□  0 of 2", "■□  1 of 2", "■■  2 of 2")]
    assert sorted(quorum) == quorum
    assert "\x1b[1A" in text


def _read(terminal: int) -> bytes:
    """What the terminal shows next; nothing once the program has gone."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Interrupted in the middle it exits 130; relay and temporary files are gone."""
    end = interrupted(COMMAND, tmp_path, serves=" serves, ", number=number)

    assert (130, "") == end
