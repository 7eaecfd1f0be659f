from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.sdk.cli.terminal import type_in
from tests.sdk.protected_world import World
from tests.sdk.relay_double import URL, Phone, RelayDouble, answer, body_of

from quorumkey.protocol import Action, Kind, format_time, sign

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

    from quorumkey.protocol import JsonValue

ALICE = Phone("alice")
FINGERPRINT = ALICE.approver.fingerprint
GROUP = ("--group", f"Engineering={FINGERPRINT}")
ACTION = ("--type", "cold_boot", "--description", "Cold boot engine ENG-001")


@pytest.fixture
def relay(relay: RelayDouble) -> RelayDouble:
    """A relay in memory that the integrator's commands talk to, with Alice's phone paired."""
    relay.script(f"GET /v1/devices/{FINGERPRINT}", *(answer(device()) for _ in range(3)))
    return relay


def device(**more: JsonValue) -> dict[str, JsonValue]:
    """Alice's phone as the relay tells it."""
    return {
        "fingerprint": FINGERPRINT,
        "device_public_key": ALICE.approver.device_public_key,
        "pictogram": [],
        "platform": "ios",
        "assurance": "none",
        "approver": {"id": "alice"},
        "enrolled_at": format_time(0),
        **more,
    }


def test_asking(relay: RelayDouble) -> None:
    """A request is what the options say; every group is required unless fewer are asked for."""
    done = type_in(
        "request", *ACTION, *GROUP, "--param", "n:=3", "--requester", "dana", "--expires-in", "60"
    )
    body = body_of(relay.calls[-1])

    assert 0 == done.status
    assert "Status      pending\nQuorum      0 of 1 required\n" in done.out
    assert Action("cold_boot", "Cold boot engine ENG-001", {"n": 3}).to_json() == body["action"]
    assert (1, {"id": "dana"}, 60) == (
        body["required"],
        body["requester"],
        body["expires_in_seconds"],
    )


def test_asking_by_file(relay: RelayDouble) -> None:
    """A file from a pipe is a template; options go before what it says."""
    template: dict[str, JsonValue] = {
        "action": {"type": "x", "description": "X", "params": {"a": 1}, "bindings": {}},
        "groups": [{"name": "G", "approvers": [ALICE.approver.to_json()]}],
        "required": 1,
        "requester": {"id": "dana"},
        "match_code": "11",
    }
    done = type_in(
        "request",
        "--file",
        "-",
        "--description",
        "Y",
        "--param",
        "b=2",
        "--match-code",
        "22",
        stdin=json.dumps(template),
    )
    body = body_of(relay.calls[-1])

    assert 0 == done.status
    assert {"type": "x", "description": "Y", "params": {"a": 1, "b": "2"}} == body["action"]
    assert ("22", {"id": "dana"}) == (body["match_code"], body["requester"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*GROUP,), "--type and --description"),
        ((*ACTION,), "--group"),
        ((*ACTION, *GROUP, "--required", "2"), "required cannot exceed number of groups"),
        ((*ACTION, *GROUP, "--distinct", "odd"), "distinct"),
        ((*ACTION, *GROUP, "--min-assurance", "odd"), "min_assurance"),
        (("--type", "X Y", "--description", "d", *GROUP), "action.type"),
        ((*ACTION, *GROUP, "--param", "n:=1.5"), "JSON"),
        ((*ACTION, *GROUP, "--idempotency-key", "ä"), "idempotency key"),
    ],
)
@pytest.mark.usefixtures("relay")
def test_what_cannot_be_asked(arguments: tuple[str, ...], message: str) -> None:
    """A request that breaks a rule is wrong usage, in the protocol's words."""
    done = type_in("request", *arguments)

    assert (2, "") == (done.status, done.out)
    assert message in done.err


def test_a_relay_that_answers_with_another_device(relay: RelayDouble) -> None:
    """A device with another fingerprint than the one asked for is not named."""
    other = "0" * 64
    relay.script(f"GET /v1/devices/{other}", answer(device()))
    done = type_in("request", *ACTION, "--group", f"G={other}")

    assert (1, "quorumkey: The relay answered with another device.\n") == (done.status, done.err)


def approving(relay: RelayDouble) -> None:
    """Let Alice approve as soon as the relay is asked how a request stands."""
    respond = relay.respond

    def decide(request: httpx2.Request) -> httpx2.Response:
        for stored in relay.requests.values():
            if not stored.decisions:
                stored.decisions, stored.status = [ALICE.decide(stored.digest)], "approved"
        return respond(request)

    relay.respond = decide  # type: ignore[method-assign]  # a double's answer


def test_waiting_for_an_approval(relay: RelayDouble, tmp_path: Path) -> None:
    """When approved, the receipt is verified and written, and the policy names the integrator."""
    policy, receipt = tmp_path / "policy.json", tmp_path / "receipt.json"
    files = ("--policy-out", policy, "--receipt-out", receipt)
    approving(relay)
    done = type_in("request", *ACTION, *GROUP, "--wait", *files)

    assert (0, "Approved by: Engineering. The receipt was verified.\n") == (done.status, done.out)
    assert "Waiting for " in done.err
    assert "acme" == json.loads(policy.read_text())["integrator_id"]
    assert (
        0 == type_in("verify", receipt, "--policy", policy, "--at", format_time(relay.now)).status
    )


def test_waiting_for_programs(relay: RelayDouble) -> None:
    """With --json the outcome is one object, whether approved or not."""
    approving(relay)
    approved = type_in("request", *ACTION, *GROUP, "--wait", "--json").object

    assert (True, "approved", ["Engineering"]) == (
        approved["approved"],
        approved["status"],
        approved["groups_satisfied"],
    )


def test_waiting_in_vain(relay: RelayDouble) -> None:
    """When the patience ends first, the command says so and exits with 1."""
    done = type_in("request", *ACTION, *GROUP, "--wait", "--timeout", "2")
    (request_id,) = relay.requests

    assert (1, "") == (done.status, done.out)
    assert f"The request {request_id} is still pending." in done.err


@pytest.mark.usefixtures("relay")
def test_a_policy_without_the_integrator(tmp_path: Path) -> None:
    """A policy that cannot name the integrator yet says what verify will need."""
    done = type_in("request", *ACTION, *GROUP, "--policy-out", tmp_path / "policy.json", "--json")
    named = type_in(
        "request",
        *ACTION,
        *GROUP,
        "--policy-out",
        tmp_path / "policy.json",
        "--integrator-id",
        "acme",
    )

    assert "verify needs --integrator-id" in done.err
    assert "" == named.err


def test_a_pinned_relay_key(relay: RelayDouble) -> None:
    """With --relay-key the relay is not asked for its key."""
    type_in("request", *ACTION, *GROUP, "--relay-key", relay.key.public_key.base64)

    assert "GET /v1/info" not in relay.seen()


def test_a_finished_request(relay: RelayDouble) -> None:
    """Status shows who approved and when it was completed, by the relay's word."""
    stored = relay.ask(ALICE)
    stored.status = "approved"
    state: dict[str, JsonValue] = {**relay.state(stored), "groups_satisfied": ["Alice"]}
    relay.script(f"GET /v1/requests/{stored.document.request_id}", answer(state))
    done = type_in("status", stored.document.request_id)

    assert "Approved by Alice\n" in done.out
    assert f"Completed   {format_time(relay.now + 60)}\n" in done.out


def test_a_receipt_in_a_file(relay: RelayDouble, tmp_path: Path) -> None:
    """A receipt goes to standard output, or into a file that is named."""
    stored = relay.ask(ALICE)
    printed = type_in("receipt", stored.document.request_id)
    written = type_in("receipt", stored.document.request_id, "-o", tmp_path / "r", "--json")
    bad = type_in("receipt", stored.document.request_id, "-o", tmp_path / "none" / "r")

    assert printed.out == (tmp_path / "r").read_text() + "\n"
    assert {
        "request_id": stored.document.request_id,
        "output": str(tmp_path / "r"),
    } == written.object
    assert 2 == bad.status


def test_how_a_receipt_is_checked_is_told(relay: RelayDouble, tmp_path: Path) -> None:
    """The way named for a protected method's receipt is the one that compares the call."""
    stored = relay.ask(ALICE)
    request_id = stored.document.request_id
    ordinary = type_in("receipt", request_id, "-o", tmp_path / "ordinary")
    relay.script(f"GET /v1/requests/{request_id}/receipt", answer(World().receipt().to_json()))
    protected = type_in("receipt", request_id, "-o", tmp_path / "protected")
    strange = sign(Kind.REQUEST, b"{}", relay.key).to_json()
    relay.script(f"GET /v1/requests/{request_id}/receipt", answer(strange))
    unread = type_in("receipt", request_id, "-o", tmp_path / "strange")

    assert "quorumkey verify" in ordinary.out
    assert "verify_protected_call" in protected.out
    assert "quorumkey verify" in unread.out


def test_revoked_devices_are_told_apart(relay: RelayDouble) -> None:
    """A device whose pairing has ended says when."""
    page: dict[str, JsonValue] = {
        "data": [device(revoked_at=format_time(9)), device()],
        "next_cursor": None,
    }
    relay.script("GET /v1/devices", answer(page), answer(page))
    as_json = type_in("devices", "--json").json
    text = type_in("devices").out

    assert isinstance(as_json, list)
    assert isinstance(as_json[0], dict)
    assert format_time(9) == as_json[0]["revoked_at"]
    assert "Ended       1970-01-01T00:00:09Z\n" in text


def test_a_pairing_that_nobody_uses(relay: RelayDouble) -> None:
    """Pair prints the link and gives up with the caller's patience."""
    done = type_in("pair", "alice", "--name", "Alice", "--timeout", "2")

    assert 1 == done.status
    assert f"{URL}/app/pair#code=7Q4M2XKD90FZ&relay={relay.fingerprint}&secret=" in done.out
    assert "No device has used the pairing yet." in done.err
