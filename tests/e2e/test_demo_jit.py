"""``make demo-jit``: what it shows, that it shows what happened, and that it ends clean."""

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

COMMAND = (sys.executable, "-m", "examples.jit_access.demo")
SUBJECT = "alice@example.com requests access to project project-1"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The demonstration as everybody sees it first."""
    return show(COMMAND, tmp_path_factory.mktemp("tmp"))


def test_the_jit_demonstration_ends_well(shown: Shown) -> None:
    """It exits 0, says nothing on standard error and leaves no temporary file."""
    assert (0, "", []) == (shown.status, shown.err, shown.left)


def test_alice_sees_roles_and_peers_and_asks(shown: Shown) -> None:
    """The commands that she types show what she may activate, who approves, and her request."""
    act = shown.act("Alice asks for a role")

    assert [
        "alice $ quorumkey jit roles project-1",
        "alice $ quorumkey jit peers project-1:roles/compute.admin",
        (
            "alice $ quorumkey jit request project-1:roles/compute.admin --peer bob@example.com"
            " --justification BUG-12345 --minutes 30"
        ),
    ] == re.findall(r"alice \$ .*", act)
    assert re.search(r"Activated +with the approval of a peer", act)
    assert re.search(r"^ +bob@example.com$", act, re.MULTILINE)
    assert re.search(r"Status +waiting for approval", act)


def test_bob_gets_the_mail(shown: Shown) -> None:
    """The e-mail is shown as the server took it: to whom, about what, with its link."""
    mail = shown.act("Bob gets an e-mail")

    for line in (
        "│ To: bob@example.com",
        "│ Cc: alice@example.com",
        f"│ Subject: {SUBJECT}",
        "│ Precedence: bulk",
        "│ Role: roles/compute.admin",
        "│ Justification: BUG-12345",
    ):
        assert line in mail
    assert re.search(r"http://127\.0\.0\.1:\d+/jit/\?activation=\S+&projectId=project-1", mail)


def test_a_stranger_with_the_link_learns_nothing(shown: Shown) -> None:
    """Eve has the link, an identity, and nothing else."""
    assert shown.said(r"forbidden: You are not allowed to do this, or what you ask for does not")


def test_bob_reads_what_he_signs(shown: Shown) -> None:
    """His device shows the whole activation, and signs it."""
    act = shown.act("The link alone is worth nothing; Bob approves on his device")

    for part in (
        "Activate roles/compute.admin on project-1 for alice@example.com: BUG-12345",
        'beneficiary: "alice@example.com"',
        'start: "20',
        'end: "20',
        "Recorded; it is now ",
        f"an e-mail tells Alice: Re: {SUBJECT}",
    ):
        assert part in act


def test_google_cloud_has_the_binding(shown: Shown) -> None:
    """The binding is for Alice, says who approved, and has a condition that ends it."""
    act = shown.act("Google Cloud has a binding that ends by itself")
    binding = json.loads(act[act.index("{") : act.rindex("}") + 1])

    assert ["user:alice@example.com"] == binding["members"]
    assert "JIT access activation" == binding["condition"]["title"]
    assert (
        "Approved by bob@example.com, justification: BUG-12345"
        == binding["condition"]["description"]
    )
    assert "request.time < timestamp(" in binding["condition"]["expression"]
    assert "Alice has roles/compute.admin: yes" in act


def test_the_receipt_proves_this_activation_alone(shown: Shown) -> None:
    """The receipt is verified offline, with who signed, and refused for other activations."""
    proof = shown.act("The receipt, without the relay")

    assert "the receipt proves that exactly this was approved" in proof
    assert re.search(r"signed by +bob@example.com$", proof, re.MULTILINE)
    assert 2 == len(shown.said(r"refused at step 4 \(action_mismatch\)"))


def test_time_takes_the_role_away(shown: Shown) -> None:
    """Half an hour later the condition holds no more, and the relay says so too."""
    act = shown.act("31 minutes later")

    assert re.search(r"Status +active", act)
    assert "Alice has roles/compute.admin: no" in act
    assert "You have no role that was activated." in act


def test_programs_get_the_result_of_the_activation(tmp_path: Path) -> None:
    """With ``--json`` standard output is one document, and the story goes to standard error."""
    done = show((*COMMAND, "--json"), tmp_path)

    result = json.loads(done.out)
    assert result.pop("request_id")
    assert "roles/compute.admin" == result.pop("binding")["role"]
    assert {
        "mail_to": ["bob@example.com", "alice@example.com"],
        "mail_subjects": [SUBJECT, f"Re: {SUBJECT}"],
        "approved_by": ["bob@example.com"],
        "had_role": True,
        "has_role_after": False,
        "refused": ["action_mismatch", "action_mismatch"],
    } == result
    assert "Bob gets an e-mail" in done.err


def test_an_interruption_leaves_nothing_of_it_behind(tmp_path: Path) -> None:
    """Interrupted in the middle it exits 130; the relay and the temporary files are gone."""
    end = interrupted(COMMAND, tmp_path, serves=" serves; ", number=signal.SIGTERM)

    assert (130, "") == end
