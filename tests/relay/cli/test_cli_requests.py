"""``requests``: the operator's view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.cli.past import Past, during, make_past
from tests.relay.cli.prompt import NO_SUCH_ID
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey.protocol import format_time
from quorumkey_relay.store.records import Delivery
from quorumkey_relay.store.writes import PutDelivery

if TYPE_CHECKING:
    from tests.relay.cli.prompt import Operator
    from tests.relay.simulator import Asked, Simulator


@pytest.fixture
def past(operator: Operator) -> Past:
    """A folder with two devices and three requests."""
    return make_past(operator.data_dir)


def ids(listed: list[dict[str, Any]]) -> list[str]:
    """The requests' ids."""
    return [one["request_id"] for one in listed]


def test_requests_are_listed_newest_first(operator: Operator, past: Past) -> None:
    """The list has the request object of each, with its integrator."""
    listed = operator.json("requests", "list")

    assert ids(listed) == [past.requests[name].id for name in ("pending", "rejected", "approved")]
    assert {ACME.id} == {one["integrator_id"] for one in listed}
    assert past.requests["pending"].answer.keys() <= listed[0].keys()


@pytest.mark.parametrize("status", ["approved", "rejected", "pending"])
def test_requests_in_one_status(operator: Operator, past: Past, status: str) -> None:
    """With ``--status`` only those are listed."""
    listed = operator.json("requests", "list", "--status", status)

    assert [past.requests[status].id] == ids(listed)


@pytest.mark.usefixtures("past")
def test_a_list_goes_on_before_a_request(operator: Operator) -> None:
    """``--limit`` and ``--before`` walk through the list."""
    first = operator.json("requests", "list", "--limit", "1")
    rest = operator.json("requests", "list", "--before", ids(first)[0])

    assert ids(first + rest) == ids(operator.json("requests", "list"))


@pytest.mark.usefixtures("past")
def test_one_integrators_requests(operator: Operator) -> None:
    """With ``--integrator`` only that one's requests are listed."""
    assert [3, 0] == [
        len(operator.json("requests", "list", "--integrator", one.id)) for one in (ACME, UMBRELLA)
    ]


@pytest.mark.usefixtures("past")
def test_the_table_has_a_line_for_each(operator: Operator) -> None:
    """People see id, status and quorum of each request."""
    _, pending, rejected, approved = operator("requests", "list").text.splitlines()

    assert "pending   1 of 2  Acme Corp" in pending
    assert "rejected  0 of 2  Acme Corp" in rejected
    assert "approved  2 of 2  Acme Corp" in approved


def test_what_was_asked_is_shown(operator: Operator, past: Past) -> None:
    """``show`` has the request object, the action with its parameters, and the policy."""
    shown = operator.json("requests", "show", past.requests["approved"].id)

    assert past.requests["approved"].answer.keys() <= shown.keys()
    assert shown["status"] == "approved"
    assert shown["integrator"] == {"id": ACME.id, "name": "Acme Corp"}
    assert shown["requester"] == {"id": "carol", "name": "Carol"}
    assert shown["action"]["params"] == {"engine_id": "ENG-001", "attempts": 3}
    assert shown["policy"]["required"] == 2


def test_who_decided_is_shown(operator: Operator, past: Past) -> None:
    """``show`` has each decision with its device, person, group and reason."""
    (decision,) = operator.json("requests", "show", past.requests["rejected"].id)["decisions"]

    assert decision.pop("decided_at")
    assert decision == {
        "device": past.bob.fingerprint,
        "group": "Group 2",
        "approver_id": "bob",
        "decision": "deny",
        "reason": "Not today",
    }


def test_each_notification_is_shown(operator: Operator, past: Past) -> None:
    """``show`` has a delivery for each device, with channel and state."""
    deliveries = operator.json("requests", "show", past.requests["pending"].id)["deliveries"]

    assert {"alice", "bob"} == {one["approver_id"] for one in deliveries}
    for one in deliveries:
        assert {
            *("device", "group", "channel", "kind", "state", "attempts"),
            *("created_at", "changed_at"),
        } <= one.keys()
        assert one["created_at"] <= one["changed_at"]


def test_people_see_all_of_it(operator: Operator, past: Past) -> None:
    """The text has action, parameters, bindings, quorum, decisions and notifications."""
    printed = operator("requests", "show", past.requests["rejected"].id).text

    for line in (
        "Status      rejected",
        "Wanted by   Carol",
        "Action      Cold boot engine ENG-001",
        'Parameter   engine_id = "ENG-001"',
        "Parameter   attempts = 3",
        "Binding     plan = sha256:abab",
        "Quorum      2 of: Group 1, Group 2",
        "Approved by none",
        "Ended       20",
        "Not today",
        "approval_request",
    ):
        assert line in printed


def test_a_request_that_nobody_named_wants(operator: Operator) -> None:
    """Without requester, parameters and decisions those are left out."""
    asked: list[Asked] = []

    async def ask(sim: Simulator) -> None:
        asked.append(await sim.ask([await sim.device("alice")]))

    during(operator.data_dir, ask)

    printed = operator("requests", "show", asked[0].id).text
    shown = operator.json("requests", "show", asked[0].id)
    assert "Wanted by" not in printed
    assert "Parameter" not in printed
    assert "Nobody has decided.\nNobody was notified.\n" in printed
    assert "requester" not in shown
    assert [[], []] == [shown["decisions"], shown["deliveries"]]


def test_a_notification_that_failed_says_why(operator: Operator) -> None:
    """A delivery that was dropped shows the reason."""
    asked: list[Asked] = []

    async def ask(sim: Simulator) -> None:
        alice = await sim.device("alice")
        sim.listen(alice, room=0)
        asked.append(await sim.ask([alice]))
        await sim.relay.worker.rest()

    during(operator.data_dir, ask)

    (delivery,) = operator.json("requests", "show", asked[0].id)["deliveries"]
    assert delivery["reason"] == "not_listening"
    assert "next_attempt_at" not in delivery
    assert "not_listening" in operator("requests", "show", asked[0].id).text


def test_a_notification_that_waits_says_until_when(operator: Operator) -> None:
    """One that is queued has the time of its next try, and the reason of the last."""
    asked: list[Asked] = []

    async def ask(sim: Simulator) -> None:
        alice = await sim.device("alice")
        asked.append(await sim.ask([alice]))
        waiting = Delivery(
            id="waiting",
            request_id=asked[0].id,
            device=alice.fingerprint,
            channel="apns",
            kind="approval_request",
            not_after=START + 300,
            next_at=START + 30,
            created_at=START,
            changed_at=START + 1,
            attempts=2,
            reason="ServiceUnavailable",
        )
        await sim.store.commit((PutDelivery(waiting),))

    during(operator.data_dir, ask)

    (delivery,) = operator.json("requests", "show", asked[0].id)["deliveries"]
    assert ("queued", 2, "ServiceUnavailable", format_time(START + 30)) == tuple(
        delivery[name] for name in ("state", "attempts", "reason", "next_attempt_at")
    )


def test_a_pending_request_has_no_end(operator: Operator, past: Past) -> None:
    """What has not ended shows who has approved so far, and no end."""
    printed = operator("requests", "show", past.requests["pending"].id).text

    assert "Approved by Group 1" in printed
    assert "Ended" not in printed


@pytest.mark.usefixtures("past")
def test_an_unknown_request_cannot_be_shown(operator: Operator) -> None:
    """An id of nothing is refused, well formed or not."""
    for request_id in (NO_SUCH_ID, "nonsense"):
        assert operator("requests", "show", request_id).refused(1) == (
            "there is no request with this id; see: quorumkey-relay requests list."
        )


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize(
    ("options", "status"),
    [(("--integrator", NO_SUCH_ID), 1), (("--before", "nonsense"), 2)],
    ids=["integrator", "before"],
)
def test_a_list_of_nothing_is_refused(
    operator: Operator, options: tuple[str, str], status: int
) -> None:
    """What to list has to exist, or at least be an id."""
    assert operator("requests", "list", *options).refused(status)


def test_an_empty_list_says_so(operator: Operator) -> None:
    """Where there is nothing, people read a sentence instead of a head."""
    operator.init()

    assert ["No request yet.\n", "No device yet.\n"] == [
        operator(what, "list").text for what in ("requests", "devices")
    ]
