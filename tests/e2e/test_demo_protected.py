"""``make demo-protected``: what it shows, that it shows what happened, and that it ends clean."""

from __future__ import annotations

import json
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from tests.e2e.demonstration import Shown, interrupted, show

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = (sys.executable, "-m", "examples.workshop.demo")
TXID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The demonstration as everybody sees it first."""
    return show(COMMAND, tmp_path_factory.mktemp("tmp"))


def test_it_ends_well(shown: Shown) -> None:
    """It exits 0, says nothing on standard error and leaves no temporary file."""
    assert (0, "", []) == (shown.status, shown.err, shown.left)


def test_protection_is_set_up_by_the_operator(shown: Shown) -> None:
    """Administrators are named, the preset is loaded and protection turned on, in this order."""
    commands = [" ".join(line.split()[2:5]) for line in shown.said(r"^\$ quorumkey-relay [ap]")]

    assert [
        "admins add alice",
        "admins add bob",
        "protection load workshop",
        "protection enable --data-dir",
    ] == commands


def test_the_call_is_refused_with_a_transaction(shown: Shown) -> None:
    """The first call and the same one again wait under one id, and nothing has run."""
    waits = re.findall(rf"FAILED_PRECONDITION, x-mpa-txid: ({TXID})", shown.act("The call waits"))

    assert 2 == len(waits)
    assert 1 == len(set(waits))
    assert "the miner still runs on build-1, build-2, desk-7" in shown.act("The call waits")


def test_the_caller_cannot_approve(shown: Shown) -> None:
    """Alice's own approval is refused by the relay."""
    assert shown.said("^Alice signs approve → refused: Who asks for an action may deny it")


def test_the_other_administrator_sees_what_will_run(shown: Shown) -> None:
    """Bob's device shows method, caller, request and the digest that is signed."""
    screen = shown.act("Another administrator decides")

    for part in (
        "KillProcessOnHostsWithTag, called by ",
        '"id": "alice"',
        r'"process: \"miner\""',
        r'"tag: \"build\""',
        "request sha256:",
        "Bob signs approve → approved, 1 of 1 approvals of others; it has not run",
    ):
        assert part in screen


def test_the_call_runs_once(shown: Shown) -> None:
    """Issued again it runs; issued a third time it opens a transaction of its own."""
    first, *_, second = shown.said("FAILED_PRECONDITION")

    assert ["→ OK, ended on build-1, build-2"] == shown.said("^→ OK")
    assert "the miner still runs on desk-7" in shown.lines
    assert first != second
    assert "that is a new transaction: the approval is used up" in shown.lines
    assert "Alice signs deny for her own call → cancelled" in shown.lines


def test_the_proof_holds_for_this_call_alone(shown: Shown) -> None:
    """The receipt is verified offline, with who signed, and refused for other calls."""
    proof = shown.act("The receipt, without the relay")

    assert "the receipt proves that exactly this call was approved" in proof
    assert re.search(r"signed by +bob$", proof, re.MULTILINE)
    assert "the relay's execution document says: ok" in proof
    assert 2 == len(shown.said(r"refused at step 4 \(action_mismatch\)"))


def test_programs_get_the_result_of_the_protected_call(tmp_path: Path) -> None:
    """With ``--json`` standard output is one document, and the story goes to standard error."""
    done = show((*COMMAND, "--json"), tmp_path)

    result = json.loads(done.out)
    assert result.pop("first_txid") != result.pop("second_txid")
    assert {
        "hosts": ["build-1", "build-2"],
        "approved_by": ["bob"],
        "execution": "ok",
        "refused": ["action_mismatch", "action_mismatch"],
        "second_state": "cancelled",
    } == result
    assert "Bob signs approve" in done.err


def test_an_interruption_leaves_no_process_behind(tmp_path: Path) -> None:
    """Interrupted in the middle it exits 130; relay, service and temporary files are gone."""
    end = interrupted(COMMAND, tmp_path, serves=" serves, ", number=signal.SIGTERM)

    assert (130, "") == end
