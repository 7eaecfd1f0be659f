from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sdk.cli.terminal import Done, type_in
from tests.sdk.clock import START
from tests.sdk.relay_double import Stored, answer, body_of

from quorumkey.cli import _mpa
from quorumkey.protocol import Decision, PrivateKey, format_time

if TYPE_CHECKING:
    import httpx2
    from tests.sdk.device.phones import Desk

    from quorumkey.protocol import JsonValue

SERVICE = "/quorumkey.mpa.v1.MultipartyApprovalService"
GET = f"POST {SERVICE}/GetMultipartyApprovalRequest"
LIST = f"POST {SERVICE}/ListMultipartyApprovalRequestsForSession"


@pytest.fixture
def stored(desk: Desk) -> Stored:
    """The request of a gated call that waits for the device, now paired."""
    return desk.ask(profile="protected_method")


def mpa(desk: Desk, command: str, *arguments: str, stdin: str = "") -> Done:
    """Type a command of this device's administrator."""
    return type_in("mpa", command, *arguments, "--home", desk.home, stdin=stdin)


def call(txid: str, *can_act: str, **members: JsonValue) -> dict[str, JsonValue]:
    """A gated call in protobuf's JSON, which leaves out what has its default."""
    value: dict[str, JsonValue] = {
        "txid": txid,
        "method": "KillProcess",
        "caller": {"kind": "person", "id": "carol", "name": "Carol"},
        "state": "requested",
        "requestDigest": "sha256:" + "0" * 64,
        "approvalsRequired": 1,
        "createdAt": format_time(START),
        "expiresAt": format_time(START + 86_400),
        "canAct": list(can_act),
    }
    return value | members


def tells(desk: Desk, *calls: dict[str, JsonValue]) -> None:
    """Have the relay answer the next reads of one call with these."""
    desk.relay.script(GET, *(answer({"request": one}) for one in calls))


def decided(stored: Stored) -> list[tuple[str, str | None]]:
    """What was signed."""
    decisions = [Decision.decode(envelope.payload) for envelope in stored.decisions]
    return [(one.decision, one.reason) for one in decisions]


def test_listing_calls(desk: Desk, stored: Stored) -> None:
    """List shows who called what and what can be done, and follows the pages."""
    txid = stored.document.request_id
    vote: JsonValue = {"approverId": "bob", "decision": "approve", "decidedAt": format_time(START)}
    desk.relay.script(
        LIST,
        answer({"requests": [call(txid, "approve", "reject")], "nextCursor": "c-1"}),
        answer({"requests": [call("t-2", condition="true", votes=[vote], state="approved")]}),
    )
    done = mpa(desk, "list")
    first, second = (body_of(request) for request in desk.relay.calls[-2:])

    assert 0 == done.status
    assert done.out.startswith(
        f"Transaction {txid}\nMethod      KillProcess\nCaller      Carol (carol)\n"
        "State       requested, 0 of 1 approvals\n"
    )
    assert "You can     approve, reject\n" in done.out
    assert f"Condition   true\nVotes       bob: approve, {format_time(START)}\n" in done.out
    assert done.out.endswith("You can     do nothing more\n\n")
    assert ({"limit": 20}, {"limit": 20, "cursor": "c-1"}) == (first, second)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [((), "No call has waited for approval.\n"), (("--open",), "Nothing waits for you.\n")],
    ids=["all", "open"],
)
@pytest.mark.usefixtures("stored")
def test_listing_nothing(desk: Desk, arguments: tuple[str, ...], sentence: str) -> None:
    """With nothing to show, list says so."""
    desk.relay.script(LIST, answer({}), answer({}))

    assert sentence == mpa(desk, "list", *arguments).out
    assert [] == mpa(desk, "list", *arguments, "--json").json


@pytest.mark.usefixtures("stored")
def test_listing_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay whose pages have no end is not read for ever; --open reads the longest pages."""
    monkeypatch.setattr(_mpa, "_MAX_PAGES", 2)
    desk.relay.script(LIST, *[answer({"requests": [call("t-1")], "nextCursor": "c"})] * 3)

    assert [] == mpa(desk, "list", "--open", "--json").json
    assert [100, 100] == [body_of(request)["limit"] for request in desk.relay.calls[-2:]]
    assert 1 == len(desk.relay.scripts[LIST])


@pytest.mark.usefixtures("stored")
def test_listing_what_is_open(desk: Desk) -> None:
    """--open leaves out what cannot be acted on, and --count ends the list."""
    page: dict[str, JsonValue] = {
        "requests": [call("t-1"), call("t-2", "cancel"), call("t-3", "reject")],
        "nextCursor": "more",
    }
    desk.relay.script(LIST, answer(page))
    found = mpa(desk, "list", "--open", "--count", "2", "--json").json

    assert isinstance(found, list)
    assert ["t-2", "t-3"] == [one["txid"] for one in found if isinstance(one, dict)]


@pytest.mark.usefixtures("stored")
def test_showing_a_call(desk: Desk) -> None:
    """Show prints everything the relay says of one call, for people and for programs."""
    ended = call(
        "t-1",
        "fly",
        caller={"kind": "api_key", "id": "key-1"},
        state="failed",
        lapsesAt=format_time(START + 60),
        endedReason="votes_lost",
        endedBy="bob",
        claim={"claimId": "c-1", "result": "error"},
    )
    tells(desk, ended, ended)
    text = mpa(desk, "show", "t-1", "--integrator", "acme").out
    value = mpa(desk, "show", "t-1", "--json").object

    assert "Caller      key-1, an API key\n" in text
    assert f"Run by      {format_time(START + 60)}\nEnded       votes_lost, by bob\n" in text
    assert "Result      error\nYou can     do nothing more\n" in text
    assert {
        "txid": "t-1",
        "method": "KillProcess",
        "caller": {"kind": "api_key", "id": "key-1"},
        "state": "failed",
        "condition": "",
        "approvals_required": 1,
        "votes": [],
        "created_at": format_time(START),
        "expires_at": format_time(START + 86_400),
        "can_act": [],
        "lapses_at": format_time(START + 60),
        "ended_reason": "votes_lost",
        "ended_by": "bob",
        "result": "error",
    } == value
    asked = [request for request in desk.relay.calls if request.url.path.startswith(SERVICE)]
    assert ["acme", None] == [one.headers.get("x-quorumkey-integrator") for one in asked]
    assert all(one.headers["authorization"] == "Bearer token-1" for one in asked)


def test_approving_a_call(desk: Desk, stored: Stored) -> None:
    """Approve shows the signed request, asks, signs with the device's key and says how it is."""
    txid = stored.document.request_id
    vote: JsonValue = {
        "approverId": "alice",
        "decision": "approve",
        "decidedAt": format_time(START),
    }
    tells(desk, call(txid, "approve"), call(txid, state="approved", votes=[vote]))
    done = mpa(desk, "approve", txid, stdin="y\n")

    assert (0, [("approve", None)]) == (done.status, decided(stored))
    assert "Action      Cold boot engine ENG-001\n" in done.out
    assert "Approve this?" in done.err
    assert done.out.endswith("Recorded. The call is approved, 1 of 1 approvals.\n")


@pytest.mark.parametrize(
    ("command", "status"),
    [("reject", "pending"), ("cancel", "pending"), ("reject", "approved"), ("cancel", "approved")],
)
def test_ending_a_call(desk: Desk, stored: Stored, command: str, status: str) -> None:
    """Reject and cancel sign a denial, also of what has been approved and not run."""
    txid = stored.document.request_id
    stored.status = status
    tells(desk, call(txid, command), call(txid, state="rejected"))
    done = mpa(desk, command, txid, "--reason", "No.", "--yes", "--json")

    assert (0, [("deny", "No.")]) == (done.status, decided(stored))
    assert "rejected" == done.object["state"]


@pytest.mark.parametrize("command", ["approve", "reject", "cancel"])
def test_not_saying_yes_to_a_call(desk: Desk, stored: Stored, command: str) -> None:
    """Who does not say yes signs nothing."""
    txid = stored.document.request_id
    tells(desk, call(txid, command))
    done = mpa(desk, command, txid, stdin="n\n")

    assert (1, []) == (done.status, decided(stored))
    assert done.err.endswith("quorumkey: Nothing was signed.\n")


@pytest.mark.parametrize(
    ("can_act", "sentence"),
    [
        ((), "You cannot approve this call; it is requested, 0 of 1 approvals."),
        (("cancel",), "You cannot approve this call; what you can do is cancel."),
    ],
    ids=["nothing", "something-else"],
)
def test_what_cannot_be_done_is_not_signed(
    desk: Desk, stored: Stored, can_act: tuple[str, ...], sentence: str
) -> None:
    """Where the relay says that it cannot be done, no key is touched."""
    txid = stored.document.request_id
    tells(desk, call(txid, *can_act))
    done = mpa(desk, "approve", txid, "--yes")

    assert (1, f"quorumkey: {sentence}\n", []) == (done.status, done.err, decided(stored))


def test_a_forged_call_is_not_approved(desk: Desk, stored: Stored) -> None:
    """The device's own checks come before the signature, whatever the list says."""
    txid = stored.document.request_id
    desk.relay.store(stored.document, PrivateKey.generate())
    tells(desk, call(txid, "approve"))
    done = mpa(desk, "approve", txid, "--yes")

    assert (1, []) == (done.status, decided(stored))
    assert "not signed by the pinned relay" in done.err


def refusal(status: int, code: str, own: str) -> httpx2.Response:
    """An error of the Connect service."""
    return answer({"code": code, "message": f"It is {own}."}, status, x_quorumkey_error=own)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("status", "code", "own"),
    [(404, "not_found", "not_found"), (400, "failed_precondition", "request_completed")],
)
def test_a_refusal_of_the_service_is_one_sentence(
    desk: Desk, status: int, code: str, own: str
) -> None:
    """What the service refuses is one line on standard error, with the relay's own code."""
    desk.relay.script(GET, refusal(status, code, own))
    done = mpa(desk, "show", "t-1")

    assert (1, f"quorumkey: {own}: It is {own}.\n") == (done.status, done.err)


BROKEN: dict[str, JsonValue] = {
    "txid": 1,
    "state": "asleep",
    "caller": "carol",
    "votes": [{}],
    "canAct": [1],
}


@pytest.mark.parametrize("member", BROKEN)
@pytest.mark.usefixtures("stored")
def test_an_answer_that_is_none_is_refused(desk: Desk, member: str) -> None:
    """An answer with a member of the wrong kind is not shown."""
    tells(desk, call("t-1") | {member: BROKEN[member]})
    done = mpa(desk, "show", "t-1")

    assert (1, "") == (done.status, done.out)
    assert "not usable" in done.err


@pytest.mark.parametrize("command", ["list", "show", "approve", "reject", "cancel"])
def test_each_command_has_an_example(command: str) -> None:
    """--help ends with an example that names the command."""
    done = type_in("mpa", command, "--help")

    assert 0 == done.status
    assert f"quorumkey mpa {command}" in done.out.partition("Example")[2]
