from __future__ import annotations

import functools
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.sdk.cli.terminal import Done, type_in
from tests.sdk.client.world import ACTION
from tests.sdk.clock import START
from tests.sdk.jit.jit_answers import (
    ACTIVATION,
    ALICE,
    BOB,
    ENTITLEMENT,
    LINK,
    ROLES,
    TOKEN,
    active_value,
    request_value,
)
from tests.sdk.relay_double import URL, RelayDouble, Stored, answer, body_of

from quorumkey.cli import _jit_options
from quorumkey.jit.client import JitClient
from quorumkey.protocol import Decision, RoleActivation, format_time

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sdk.device.phones import Desk

    from quorumkey.protocol import JsonValue

BASE = "/jit/api"
PROJECT = f"{BASE}/projects/project-1"
ONE = f"{BASE}/activation-request"


def person(relay: RelayDouble, monkeypatch: pytest.MonkeyPatch) -> RelayDouble:
    """Somebody whose ID token is in the environment, and whose commands talk to this relay."""
    client = functools.partial(JitClient, transport=relay.transport)
    monkeypatch.setattr(_jit_options, "JitClient", client)
    monkeypatch.setenv("QUORUMKEY_URL", URL)
    monkeypatch.setenv("QUORUMKEY_JIT_TOKEN", TOKEN)
    return relay


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> RelayDouble:
    """A relay in memory that the person's commands talk to."""
    return person(RelayDouble(), monkeypatch)


@pytest.fixture
def reviewer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A person with a device, both at one relay in memory."""
    person(desk.relay, monkeypatch)
    return desk


def jit(*arguments: str | Path, stdin: str = "") -> Done:
    """Type a command of just-in-time access."""
    return type_in("jit", *arguments, stdin=stdin)


def test_roles(office: RelayDouble) -> None:
    """Without a project the projects are listed, with one its roles and what warns of them."""
    office.script(
        f"GET {BASE}/projects", *[answer({"projects": ["project-1"]})] * 2, answer({"projects": []})
    )
    office.script(f"GET {PROJECT}/roles", *[answer(ROLES)] * 2)
    office.script(f"GET {PROJECT}/roles", answer({"entitlements": [], "warnings": []}))

    assert "project-1\n" == jit("roles").out
    assert ["project-1"] == jit("roles", "--json").json
    assert "There is no project in which you may activate a role.\n" == jit("roles").out
    done = jit("roles", "project-1")
    assert (
        f"Entitlement {ENTITLEMENT}\nRole        roles/compute.admin\n"
        "Activated   with the approval of a peer\n\n"
        "Entitlement project-1:roles/viewer:YSA9PSBi\nRole        roles/viewer\n"
        f"Only for    a == b\nActivated   alone\nActive      until {format_time(START + 600)}\n\n"
    ) == done.out
    assert "Warning: A group could not be read.\n" == done.err
    entitlements = jit("roles", "project-1", "--json").object["entitlements"]
    assert isinstance(entitlements, list)
    assert {
        "id": "project-1:roles/viewer:YSA9PSBi",
        "role": "roles/viewer",
        "condition": "a == b",
        "activation_type": "JIT",
        "active": True,
        "valid_until": format_time(START + 600),
    } == entitlements[1]
    assert "There is no role that you may activate there.\n" == jit("roles", "project-1").out


def test_peers(office: RelayDouble) -> None:
    """Who could approve is listed, or that nobody could."""
    office.script(f"GET {PROJECT}/peers", answer({"peers": [{"email": BOB}]}))
    office.script(f"GET {PROJECT}/peers", answer({"peers": []}))

    assert f"{BOB}\n" == jit("peers", ENTITLEMENT).out
    assert [] == jit("peers", ENTITLEMENT, "--json").json


@pytest.mark.parametrize("wrong", ["project-1", ":roles/viewer", "project-1:"])
@pytest.mark.usefixtures("office")
def test_what_is_no_entitlement(wrong: str) -> None:
    """An entitlement has a project and a role."""
    done = jit("peers", wrong)

    assert (2, "quorumkey: An entitlement is PROJECT:ROLE") == (done.status, done.err[:41])


def test_activating_alone(office: RelayDouble) -> None:
    """The roles of one project are activated together, for so many minutes."""
    alone = request_value(
        "ACTIVE",
        reviewers=[],
        **dict.fromkeys(
            ("approval", "required", "approvals", "requestTime", "expiryTime", "activation")
        ),
    )
    office.script(f"POST {PROJECT}/roles/self-activate", answer(alone))

    done = jit("activate", ENTITLEMENT, "project-1:b", "-j", "BUG-12345", "-m", "30")

    assert {
        "entitlementIds": [ENTITLEMENT, "project-1:b"],
        "justification": "BUG-12345",
        "activationTimeout": 30,
    } == body_of(office.calls[-1])
    assert (
        "Role        roles/compute.admin\nProject     project-1\nStatus      active\n"
        f"Time        {format_time(START)} to {format_time(START + 1_800)}\n"
        "Activation  mpa-AAAAAAAAAAAAAAAA\n"
        f"Wanted by   {ALICE}\nReason      BUG-12345\n"
    ) == done.out


def test_asking_peers(office: RelayDouble) -> None:
    """A request names the peers, and prints the token that leads to it."""
    office.script(f"POST {PROJECT}/roles/request", *[answer(request_value())] * 2)
    arguments = (
        "request",
        ENTITLEMENT,
        "--peer",
        BOB,
        "--peer",
        "c@example.com",
        "-j",
        "BUG-12345",
    )

    done = jit(*arguments)

    assert [BOB, "c@example.com"] == body_of(office.calls[-1])["peers"]
    assert (
        "Role        roles/compute.admin\nProject     project-1\n"
        "Status      waiting for approval\n"
        f"Time        {format_time(START)} to {format_time(START + 1_800)}\n"
        f"Wanted by   {ALICE}\nReason      BUG-12345\nReviewers   {BOB}\n"
        f"Approved by nobody yet\nDecide by   {format_time(START + 1_800)}\n"
        f"Token       {ACTIVATION}\n"
    ) == done.out
    value = jit(*arguments, "--json").object
    assert {
        "beneficiary": ALICE,
        "reviewers": [BOB],
        "justification": "BUG-12345",
        "approvals": [],
        "approval": "click",
        "activation": ACTIVATION,
        "requested_at": format_time(START),
        "expires_at": format_time(START + 1_800),
        "required": 1,
        "duration_minutes": 30,
    } == {name: member for name, member in value.items() if name != "roles"}


def test_a_time_that_nobody_knows_yet(office: RelayDouble) -> None:
    """Where the approval begins the time, its length is printed; moments that are none are too."""
    role: JsonValue = {
        "activationId": "mpa-1",
        "projectId": "project-1",
        "id": ENTITLEMENT,
        "name": "roles/compute.admin",
        "resourceCondition": "a == b",
        "status": "ACTIVATION_PENDING",
    }
    office.script(
        f"GET {ONE}",
        answer(request_value(entitlements=[role], expiryTime=10**15)),
        answer(request_value(entitlements=[role], durationMinutes=None)),
    )

    done = jit("review", LINK)
    assert "Only for    a == b\nTime        30 min from the last approval\n" in done.out
    assert f"Decide by   {10**15} s\n" in done.out
    assert "Time " not in jit("review", LINK).out


def test_reviewing(office: RelayDouble) -> None:
    """One request by its link, and what waits; at most as many as asked for."""
    pages: JsonValue = {"data": [request_value(), request_value()], "next_cursor": None}
    nothing: JsonValue = {"data": [], "next_cursor": None}
    office.script(f"GET {ONE}", answer(request_value(approvals=[{"email": BOB}])))
    office.script(f"GET {BASE}/activation-requests", answer(pages), answer(nothing))

    assert f"Approved by {BOB}\n" in jit("review", LINK).out
    assert ACTIVATION == office.calls[-1].url.params["activation"]
    listed = jit("review", "--count", "1", "--json").json
    assert isinstance(listed, list)
    assert 1 == len(listed)
    assert "Nothing waits for you.\n" == jit("review").out


def test_ones_own_requests(office: RelayDouble) -> None:
    """One's own requests with how they stand, or that there are none."""
    page: JsonValue = {"data": [request_value("DENIED")], "next_cursor": None}
    nothing: JsonValue = {"data": [], "next_cursor": None}
    office.script(f"GET {BASE}/activation-requests", answer(page), answer(nothing))

    assert "Status      denied\n" in jit("requests").out
    assert "beneficiary" == office.calls[-1].url.params["role"]
    assert "You have not asked for a role.\n" == jit("requests").out


@pytest.mark.parametrize(
    "link",
    ["https://relay.example.com/jit/", "https://[x/jit/?activation=a", f"{LINK}&activation=b"],
    ids=["no_token", "no_address", "two_tokens"],
)
@pytest.mark.usefixtures("office")
def test_what_is_no_link(link: str) -> None:
    """A link without its token is a mistake in copying."""
    done = jit("review", link)

    assert (2, "quorumkey: The link has no activation in it; copy the whole link.\n") == (
        done.status,
        done.err,
    )


def test_approving_by_a_call(office: RelayDouble) -> None:
    """Where a click approves, the request is shown, the person asked, and the call made."""
    office.script(f"GET {ONE}", *[answer(request_value())] * 2)
    office.script(f"POST {ONE}", answer(request_value("ACTIVE")))

    refused = jit("approve", ACTIVATION, stdin="n\n")
    assert (1, "quorumkey: Nothing was decided.\n") == (refused.status, refused.err[-32:])
    assert "POST" not in {call.method for call in office.calls}
    done = jit("approve", ACTIVATION, "--yes")
    assert 0 == done.status
    assert done.out.endswith("\n\nRecorded; it is now active.\n")


def test_denying_by_a_call(office: RelayDouble) -> None:
    """A denial is a call of its own; a relay that names no role is believed as far as it goes."""
    office.script(f"GET {ONE}", *[answer(request_value())] * 2)
    office.script(
        f"POST {ONE}/deny", answer(request_value("DENIED")), answer(request_value(entitlements=[]))
    )

    assert "Recorded; it is now denied.\n" in jit("deny", LINK, stdin="y\n").out
    assert jit("deny", LINK, "-y").out.endswith("Recorded.\n")


def _on_devices(stored: Stored, status: str = "ACTIVATION_PENDING") -> dict[str, JsonValue]:
    return {
        **request_value(status),
        "approval": "device",
        "requestId": stored.document.request_id,
    }


def _ask(reviewer: Desk, **members: Any) -> Stored:  # noqa: ANN401 - any member
    """The signed request of what the relay shows, or of something else."""
    every: dict[str, Any] = {
        "beneficiary": ALICE,
        "project": "project-1",
        "role": "roles/compute.admin",
        "justification": "BUG-12345",
        "duration_seconds": 1_800,
        "start": START,
    }
    activation = RoleActivation(**every)
    return reviewer.ask(**{"profile": "jit_access", "action": activation.action(), **members})


def _decided(stored: Stored) -> list[tuple[str, str | None]]:
    decisions = [Decision.decode(envelope.payload) for envelope in stored.decisions]
    return [(one.decision, one.reason) for one in decisions]


def test_approving_on_the_device(reviewer: Desk) -> None:
    """Where devices decide, what is signed is shown, and the device signs it."""
    stored = _ask(reviewer)
    reviewer.relay.script(
        f"GET {ONE}",
        *[answer(_on_devices(stored))] * 2,
        answer(_on_devices(stored, "GRANTING")),
    )

    refused = jit("approve", LINK, "--home", reviewer.home, stdin="n\n")
    assert (1, []) == (refused.status, stored.decisions)
    done = jit("approve", LINK, "--home", reviewer.home, stdin="y\n")

    assert 0 == done.status, done.err
    assert f"Action      {stored.document.action.description}\n" in done.out
    assert "Approve this?" in done.err
    assert [("approve", None)] == _decided(stored)
    assert done.out.endswith("Recorded; it is now approved; the target is being told.\n")


def test_a_time_from_the_approval_is_signed(reviewer: Desk) -> None:
    """Where the approval begins the time, its length is what is compared."""
    stored = _ask(
        reviewer,
        action=RoleActivation(
            beneficiary=ALICE,
            project="project-1",
            role="roles/compute.admin",
            justification="BUG-12345",
            duration_seconds=1_800,
        ).action(),
    )
    shown = _on_devices(stored)
    entitlements = shown["entitlements"]
    assert isinstance(entitlements, list)
    (role,) = entitlements
    assert isinstance(role, dict)
    timeless: JsonValue = [
        {name: value for name, value in role.items() if not name.endswith("Time")}
    ]
    reviewer.relay.script(f"GET {ONE}", *[answer(shown | {"entitlements": timeless})] * 2)

    assert 0 == jit("approve", LINK, "--home", reviewer.home, "-y").status
    assert [("approve", None)] == _decided(stored)


_OTHERS: dict[str, tuple[dict[str, Any], dict[str, JsonValue]]] = {
    "another_kind": ({"profile": "protected_method"}, {}),
    "another_role": ({"action": ACTION}, {}),
    "another_reason": ({}, {"justification": "BUG-1"}),
    "another_person": ({}, {"beneficiary": {"email": BOB}}),
    "no_role": ({}, {"entitlements": []}),
    "a_reason_that_nobody_can_be_shown": ({}, {"justification": "BUG\u202e"}),
}


@pytest.mark.parametrize(("signed", "shown"), _OTHERS.values(), ids=_OTHERS.keys())
def test_a_relay_that_leads_elsewhere(
    reviewer: Desk, signed: dict[str, Any], shown: dict[str, JsonValue]
) -> None:
    """A relay cannot have a link sign another request than the role that it shows; deny it can."""
    stored = _ask(reviewer, **signed)
    reviewer.relay.script(f"GET {ONE}", *[answer(_on_devices(stored) | shown)] * 3)

    done = jit("approve", LINK, "--home", reviewer.home, "--yes")

    assert (1, []) == (done.status, stored.decisions)
    assert "not what the link leads to" in done.err
    assert 0 == jit("deny", LINK, "--home", reviewer.home, "--yes").status


def test_a_request_that_cannot_be_read(reviewer: Desk) -> None:
    """What the device cannot check it does not sign, and says why."""
    stored = _ask(reviewer)
    stored.envelope = replace(stored.envelope, payload=b"{}")
    reviewer.relay.script(f"GET {ONE}", answer(_on_devices(stored)))

    done = jit("approve", LINK, "--home", reviewer.home, "--yes")

    assert (1, []) == (done.status, stored.decisions)
    assert "Do not approve: " in done.out


def test_denying_on_the_device(reviewer: Desk) -> None:
    """A denial is signed with its reason."""
    stored = _ask(reviewer)
    reviewer.relay.script(f"GET {ONE}", *[answer(_on_devices(stored))] * 2)

    done = jit("deny", LINK, "--home", reviewer.home, "--reason", "Not now", "-y", "--json")

    assert [("deny", "Not now")] == _decided(stored)
    assert stored.document.request_id == done.object["request_id"]


def test_a_relay_that_names_no_signed_request(reviewer: Desk) -> None:
    """Without a request to sign, nothing is decided by a call in its place."""
    reviewer.relay.script(f"GET {ONE}", answer(request_value(approval="device")))

    done = jit("approve", LINK, "--home", reviewer.home, "-y")

    assert 1 == done.status
    assert "The relay names no signed request." in done.err
    assert "POST" not in {call.method for call in reviewer.relay.calls}


def test_withdrawing(office: RelayDouble) -> None:
    """One's own request is taken back by its link."""
    office.script(f"POST {ONE}/withdraw", answer(request_value("WITHDRAWN")))

    assert "Status      withdrawn\n" in jit("withdraw", LINK).out


def test_active_access(office: RelayDouble) -> None:
    """What is in force, who approved it, and what is wrong with it."""
    troubled = active_value(
        "REVOKING",
        approvers=[],
        resourceCondition="a == b",
        executor="PostgreSQL; the relay ends it.",
        fault="The server does not answer.",
    )
    full: JsonValue = {"data": [active_value(), troubled], "next_cursor": None}
    nothing: JsonValue = {"data": [], "next_cursor": None}
    ended: JsonValue = {"data": [active_value("ENDED")], "next_cursor": None}
    answers = (full, full, nothing, ended, ended)
    office.script(f"GET {BASE}/activations", *map(answer, answers))

    done = jit("active")
    assert (
        "Role        roles/compute.admin\nProject     project-1\nStatus      active\n"
        f"Person      {ALICE}\nApproved by {BOB}\nReason      BUG-12345\n"
        f"Time        {format_time(START)} to {format_time(START + 1_800)}\n"
        "Activation  019a-activation\n\n"
    ) in done.out
    assert (
        "Only for    a == b\nPerson      alice@example.com\n"
        "Approved by nobody; activated alone\n" in done.out
    )
    assert (
        "Target      PostgreSQL; the relay ends it.\nTrouble     The server does not answer.\n"
        in done.out
    )
    listed = jit("active", "--count", "1", "--json").json
    assert listed == [
        {
            "activation_id": "019a-activation",
            "project": "project-1",
            "id": ENTITLEMENT,
            "role": "roles/compute.admin",
            "condition": "",
            "beneficiary": ALICE,
            "approvers": [BOB],
            "justification": "BUG-12345",
            "status": "ACTIVE",
            "start": format_time(START),
            "end": format_time(START + 1_800),
        }
    ]
    assert "You have no role that was activated.\n" == jit("active").out
    assert [] == jit("active", "--json").json
    assert "Status      ended\n" in jit("active", "--all").out


def test_revoking_access(office: RelayDouble) -> None:
    """Access is ended by its id."""
    office.script(f"POST {BASE}/activations/a-1/revoke", answer(active_value("REVOKED")))

    assert "Status      revoked\n" in jit("revoke", "a-1").out


def test_text_of_others_is_shown_and_not_obeyed(office: RelayDouble) -> None:
    """A justification with a terminal's control sequence is printed as text."""
    office.script(f"GET {ONE}", answer(request_value(justification="\x1b[2J[red]BUG")))

    done = jit("review", LINK)

    assert "\x1b" not in done.out
    assert "[red]BUG" in done.out


# ---------------------------------------------------------------- who calls


def _projects(office: RelayDouble) -> None:
    office.script(f"GET {BASE}/projects", answer({"projects": []}))


def test_a_token_from_a_file(office: RelayDouble, tmp_path: Path) -> None:
    """The ID token may be in a file, or come on standard input."""
    file = tmp_path / "token"
    file.write_text("from-a-file\n")
    _projects(office)
    _projects(office)

    assert 0 == jit("roles", "--token-file", file).status
    assert 0 == jit("roles", "--token-file", "-", stdin="from-stdin").status
    assert ["Bearer from-a-file", "Bearer from-stdin"] == [
        call.headers["authorization"] for call in office.calls
    ]


@pytest.mark.parametrize("token", [None, ""], ids=["unset", "empty"])
def test_without_a_token(
    token: str | None, office: RelayDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has none is told every way to give one, and nothing is asked."""
    monkeypatch.delenv("QUORUMKEY_JIT_TOKEN")
    if token is not None:
        monkeypatch.setenv("QUORUMKEY_JIT_TOKEN", token)
    done = jit("roles")

    assert (2, "") == (done.status, done.out)
    for way in ("--token-file", "--token-command", "QUORUMKEY_JIT_TOKEN"):
        assert way in done.err
    assert not office.calls


def test_a_token_from_a_command(office: RelayDouble) -> None:
    """A command prints the ID token; no shell reads it."""
    _projects(office)
    command = f"{sys.executable} -c 'print(\"from $HOME\")'"

    assert 0 == jit("roles", "--token-command", command).status
    assert "Bearer from $HOME" == office.calls[-1].headers["authorization"]


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (("--token-file", "a", "--token-command", "b"), "not both", 2),
        (("--token-file", "/nowhere/token"), "cannot be read", 2),
        (("--token-command", "/nowhere/program"), "failed (FileNotFoundError)", 2),
        (("--token-command", "'"), "failed (ValueError)", 2),
        (("--token-command", ""), "failed (IndexError)", 2),
        (("--token-command", "false"), "failed (CalledProcessError)", 2),
        (("--token-command", "true"), "no ID token", 2),
        (("--token-command", "printf '\\303\\251'"), "no ID token", 2),
    ],
    ids=["both", "no_file", "no_program", "no_words", "nothing", "fails", "silent", "not_ascii"],
)
@pytest.mark.usefixtures("office")
def test_tokens_that_are_not_there(arguments: tuple[str, ...], words: str, status: int) -> None:
    """What gives no token is said in one sentence, and nothing is called."""
    done = jit("roles", *arguments)

    assert (status, True) == (done.status, words in done.err)
    assert 1 == done.err.count("\n")
