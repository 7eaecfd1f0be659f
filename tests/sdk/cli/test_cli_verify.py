from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.sdk.cli.terminal import Done, type_in
from tests.sdk.clock import START
from tests.sdk.relay_double import Phone, RelayDouble

from quorumkey.protocol import Action, Party, format_time, webhook
from quorumkey.receipts import VerificationPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import Envelope

RELAY = RelayDouble()
ALICE = Phone("alice")
STORED = RELAY.ask(ALICE)
STORED.decisions, STORED.status = [ALICE.decide(STORED.digest)], "approved"
RECEIPT = RELAY.receipt(STORED)
POLICY = VerificationPolicy(
    relay_public_keys=(RELAY.key.public_key,),
    action=STORED.document.action,
    policy=STORED.document.policy,
    integrator_id="acme",
    nonce=STORED.document.nonce,
)
IN_TIME = format_time(START + 60)


def verify(
    folder: Path,
    *options: str,
    receipt: Envelope = RECEIPT,
    policy: VerificationPolicy = POLICY,
    at: str = IN_TIME,
) -> Done:
    """Write both files and verify."""
    (folder / "receipt.json").write_bytes(receipt.encode())
    (folder / "policy.json").write_text(json.dumps(policy.to_json()))
    files = (folder / "receipt.json", "--policy", folder / "policy.json")
    return type_in("verify", *files, "--at", at, *options)


def test_a_valid_receipt(tmp_path: Path) -> None:
    """A receipt that proves the approval exits with 0 and says what was approved by whom."""
    done = verify(tmp_path)

    assert (0, "") == (done.status, done.err)
    assert done.out.startswith("Valid: Cold boot engine ENG-001\n")
    assert "Approved by Alice\n" in done.out


def test_a_valid_receipt_as_json(tmp_path: Path) -> None:
    """With --json the result is one object."""
    done = verify(tmp_path, "--json")

    assert {
        "valid": True,
        "request_id": STORED.document.request_id,
        "groups_satisfied": ["Alice"],
        "devices": [ALICE.approver.fingerprint],
        "completed_at": format_time(START + 60),
        "use_by": format_time(STORED.document.use_by),
    } == done.json


@pytest.mark.parametrize(
    ("receipt", "policy", "reason"),
    [
        (
            replace(RECEIPT, payload=RECEIPT.payload.replace(b"approved", b"approve!", 1)),
            POLICY,
            "step 1 (untrusted_relay)",
        ),
        (RECEIPT, replace(POLICY, action=Action("x", "Other")), "step 4 (action_mismatch)"),
        (RECEIPT, replace(POLICY, requester=Party("dana")), "step 4 (requester_mismatch)"),
        (RECEIPT, replace(POLICY, integrator_id="other"), "step 3 (integrator_mismatch)"),
    ],
)
def test_a_refused_receipt(
    tmp_path: Path, receipt: Envelope, policy: VerificationPolicy, reason: str
) -> None:
    """A receipt that does not prove it exits with 1 and one sentence with the reason."""
    done = verify(tmp_path, receipt=receipt, policy=policy)

    assert (1, "") == (done.status, done.out)
    assert done.err.startswith(f"quorumkey: Refused at {reason}: ")
    assert 1 == done.err.count("\n")


def test_a_late_receipt(tmp_path: Path) -> None:
    """Without --at, now is the clock's: an old approval is refused."""
    late = verify(tmp_path, at=format_time(STORED.document.use_by + 1))
    now = type_in("verify", tmp_path / "receipt.json", "--policy", tmp_path / "policy.json")

    assert [1, 1] == [late.status, now.status]
    assert "expired" in late.err


def test_a_refusal_as_json(tmp_path: Path) -> None:
    """With --json a refusal is an object on standard output and a sentence beside it."""
    done = verify(tmp_path, "--json", policy=replace(POLICY, nonce=None, integrator_id="other"))

    assert (2, {"valid": False, "reason": "invalid_expectation", "step": 0}) == (
        done.status,
        done.json,
    )
    assert "nonce" in done.err


def test_a_policy_for_any_request(tmp_path: Path) -> None:
    """A policy without nonce or integrator needs the caller's explicit word."""
    anyone = replace(POLICY, nonce=None, integrator_id=None)

    assert 2 == verify(tmp_path, policy=anyone).status
    assert 0 == verify(tmp_path, "--unsafe-any-request", policy=anyone).status


def test_the_integrator_beside_the_policy(tmp_path: Path) -> None:
    """An integrator id on the command line completes a policy that lacks one."""
    policy = replace(POLICY, integrator_id=None)

    assert 2 == verify(tmp_path, policy=policy).status
    assert 0 == verify(tmp_path, "--integrator-id", "acme", policy=policy).status
    assert 1 == verify(tmp_path, "--integrator-id", "other", policy=policy).status


def test_a_receipt_from_a_pipe(tmp_path: Path) -> None:
    """A receipt may come from standard input."""
    verify(tmp_path)
    arguments = ("verify", "-", "--policy", tmp_path / "policy.json", "--at", IN_TIME)

    assert 0 == type_in(*arguments, stdin=RECEIPT.encode()).status
    assert 1 == type_in(*arguments, stdin=b"x" * 5_000_000).status


@pytest.mark.parametrize("policy", ["{}", "no json", '{"relay_public_keys": []}'])
def test_an_unusable_policy(tmp_path: Path, policy: str) -> None:
    """A policy that cannot be read is wrong usage."""
    verify(tmp_path)
    (tmp_path / "policy.json").write_text(policy)
    done = type_in("verify", tmp_path / "receipt.json", "--policy", tmp_path / "policy.json")

    assert 2 == done.status
    assert "policy" in done.err


def test_missing_files(tmp_path: Path) -> None:
    """A file that is not there is wrong usage, and named."""
    verify(tmp_path)
    (tmp_path / "receipt.json").unlink()
    done = type_in("verify", tmp_path / "receipt.json", "--policy", tmp_path / "policy.json")

    assert 2 == done.status
    assert "receipt.json" in done.err


# ------------------------------------------------------------------ webhooks

SECRET = webhook.generate_secret(bytes(32))


def check_webhook(folder: Path, *options: str, body: bytes = b"{}", at: int = START) -> Done:
    """Write body and secret, and check the signature over ``{}``."""
    (folder / "body").write_bytes(body)
    if not (folder / "secret").exists():
        (folder / "secret").write_text(SECRET + "\n")
    return type_in(
        "webhook",
        "verify",
        folder / "body",
        "--id",
        "e-1",
        "--timestamp",
        str(START),
        "--signature",
        webhook.sign(SECRET, "e-1", START, b"{}"),
        "--secret-file",
        folder / "secret",
        "--at",
        format_time(at),
        *options,
    )


def test_a_valid_webhook(tmp_path: Path) -> None:
    """A webhook under the secret exits with 0 and names the event."""
    done = check_webhook(tmp_path)

    assert (0, "Valid: e-1\n", "") == (done.status, done.out, done.err)
    assert {"valid": True, "event_id": "e-1"} == check_webhook(tmp_path, "--json").json


@pytest.mark.parametrize(("body", "at"), [(b"{ }", START), (b"{}", START + 301)])
def test_a_refused_webhook(tmp_path: Path, body: bytes, at: int) -> None:
    """A changed and a late webhook exit with 1 and the reason."""
    done = check_webhook(tmp_path, "--json", body=body, at=at)

    assert (1, {"valid": False, "reason": "invalid_signature"}) == (done.status, done.json)
    assert 1 == done.err.count("\n")


def test_an_unusable_secret(tmp_path: Path) -> None:
    """A secret of another form is wrong usage."""
    (tmp_path / "secret").write_text("secret")

    assert 2 == check_webhook(tmp_path).status


def test_a_webhook_without_a_time(tmp_path: Path) -> None:
    """Without --at a delivery of long ago is too old."""
    check_webhook(tmp_path)
    done = type_in(
        "webhook",
        "verify",
        tmp_path / "body",
        "--id",
        "e-1",
        "--timestamp",
        "1000",
        "--signature",
        webhook.sign(SECRET, "e-1", 1000, b"{}"),
        "--secret-file",
        tmp_path / "secret",
    )

    assert 1 == done.status
