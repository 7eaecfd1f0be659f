"""Every call about roles leaves a line that says who, what, which role, why and when (C39)."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.jit.desk import ALICE, ALONE, BOB, BUG, EVE, PROJECT, ROLE, token_of
from tests.relay.simulator import granted, refused

from quorumkey.protocol import format_time
from quorumkey_relay.observe import logs
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.usecases.jit.ports import Person

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.relay.jit.desk import Desk

    from quorumkey.protocol import DecisionValue

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("restored_logging")]


@pytest.fixture
def audit() -> Callable[[], list[dict[str, Any]]]:
    """The lines of the audit log so far."""
    sink = BytesIO()
    logs.configure("info", "json", sink)

    def lines() -> list[dict[str, Any]]:
        written = [json.loads(line) for line in sink.getvalue().splitlines()]
        for line in written:
            for member in ("timestamp", "level"):
                line.pop(member)
        return [line for line in written if line["event"].startswith("api.")]

    return lines


async def test_c39_a_request_is_logged_whole(
    desk: Desk, audit: Callable[[], list[dict[str, Any]]]
) -> None:
    """User, device and access levels, role, project, justification, start and end."""
    sitting = Person(email=ALICE.email, device_id="device-7", access_levels=("levels/trusted",))
    view = await granted(desk.cases.request(sitting, PROJECT, desk.body(BOB)))
    now = desk.sim.clock.now()

    assert [
        {
            "event": "api.requestRole",
            "outcome": "ok",
            "user": "alice@example.com",
            "device_id": "device-7",
            "access_levels": ["levels/trusted"],
            "beneficiary": "alice@example.com",
            "project": PROJECT,
            "role": ROLE,
            "reviewers": ["bob@example.com"],
            "justification": BUG,
            "start": format_time(now),
            "end": format_time(now + 1_800),
            "access_request": view.entitlements[0].activation_id,
        }
    ] == audit()


async def test_c39_each_call_has_its_name(
    desk: Desk, audit: Callable[[], list[dict[str, Any]]]
) -> None:
    """Those of the original, and of what the original could not do."""
    cases = desk.cases
    await granted(cases.projects(ALICE))
    await granted(cases.roles(ALICE, PROJECT))
    await granted(cases.peers(ALICE, PROJECT, f"{PROJECT}:{ROLE}"))
    alone = await granted(cases.self_activate(ALICE, PROJECT, desk.alone()))
    asked = await desk.ask(BOB)
    await desk.read(asked, BOB)
    await desk.withdraw(asked)
    await desk.deny(await desk.ask(BOB))
    await desk.approve(await desk.ask(BOB))
    await granted(cases.revoke(ALICE, alone.entitlements[0].activation_id))

    assert [
        "listProjects",
        "listEligibleRoles",
        "listPeers",
        "activateRole",
        "requestRole",
        "getActivationRequest",
        "withdrawRequest",
        "requestRole",
        "denyRequest",
        "requestRole",
        "activateRole",
        "revokeActivation",
    ] == [line["event"].removeprefix("api.") for line in audit()]


async def test_c39_who_approved_and_for_whom_is_logged(
    desk: Desk, audit: Callable[[], list[dict[str, Any]]]
) -> None:
    """The line of an approval names both."""
    await desk.approve(await desk.ask(BOB))
    line = audit()[-1]

    assert ("api.activateRole", "bob@example.com", "alice@example.com", ROLE, BUG) == (
        line["event"],
        line["user"],
        line["beneficiary"],
        line["role"],
        line["justification"],
    )


async def test_c39_refused_calls_are_logged_with_the_code(
    desk: Desk, audit: Callable[[], list[dict[str, Any]]]
) -> None:
    """Who tried what, and with which role."""
    await refused(desk.cases.self_activate(EVE, PROJECT, desk.alone(ALONE)))
    await refused(desk.cases.approve(EVE, "no-token"))
    await desk.why_not(desk.body(justification=" "))
    activated, approved, asked = audit()

    assert (
        ("eve@example.com", "refused", "forbidden", [ALONE], BUG),
        ("api.activateRole", "forbidden"),
        ("invalid_request", " "),
    ) == (
        (
            activated["user"],
            activated["outcome"],
            activated["code"],
            activated["roles"],
            activated["justification"],
        ),
        (approved["event"], approved["code"]),
        (asked["code"], asked["justification"]),
    )


async def test_c39_a_call_that_breaks_is_logged(
    desk: Desk,
    audit: Callable[[], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As failed; the error goes on its way."""

    async def breaks(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(type(desk.cases.listing), "roles", breaks)
    with pytest.raises(RuntimeError):
        await desk.cases.roles(ALICE, PROJECT)

    assert [("api.listEligibleRoles", "failed")] == [
        (line["event"], line["outcome"]) for line in audit()
    ]


async def test_c39_a_vote_that_cannot_be_looked_up_is_logged(
    signing: Desk,
    audit: Callable[[], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who voted stands in the log, also where the store could not say on which role."""
    view = await signing.ask()

    async def gone(request_id: str) -> None:
        raise StoreUnavailable(request_id)

    monkeypatch.setattr(signing.sim.store, "access_request_of", gone)
    with pytest.raises(StoreUnavailable):
        await signing.vote(view)

    assert [("api.activateRole", BOB.email, "failed")] == [
        (line["event"], line["user"], line["outcome"]) for line in audit()[1:]
    ]


async def test_c39_tokens_are_not_in_the_log(
    desk: Desk, audit: Callable[[], list[dict[str, Any]]]
) -> None:
    """A log is read by more people than a request is."""
    asked = await desk.ask(BOB)
    await desk.read(asked, BOB)
    await desk.approve(asked)

    assert token_of(asked).rpartition("~")[2] not in json.dumps(audit())


async def test_c39_what_is_no_reason_is_not_logged(
    desk: Desk, audit: Callable[[], list[dict[str, Any]]]
) -> None:
    """Text of any length or with line breaks does not get into the log."""
    await desk.why_not(desk.body(justification="x" * 5_000))
    await desk.why_not(desk.body(justification="one\ntwo"))

    assert [logs.REDACTED, logs.REDACTED] == [line["justification"] for line in audit()]


@pytest.mark.parametrize(
    ("reason", "is_logged"),
    [
        ("BUG-12345: disk of db-7 is full", True),
        ("revert 0123456789012345678901234567890123456789", True),
        (f"key {'qk_live_' + 'a' * 43}", False),
    ],
    ids=["words", "a commit", "a key"],
)
async def test_c39_a_key_in_a_reason_is_not_logged(
    desk: Desk, audit: Callable[[], list[dict[str, Any]]], reason: str, *, is_logged: bool
) -> None:
    """People paste what they should not; the event keeps the reason as it was given."""
    await desk.ask(justification=reason)
    (event,) = await desk.events("jit.requested")

    assert (reason if is_logged else logs.REDACTED, reason) == (
        audit()[0]["justification"],
        event["access_request"]["justification"],
    )


@pytest.mark.parametrize(
    ("decision", "call"), [("approve", "api.activateRole"), ("deny", "api.denyRequest")]
)
async def test_c39_a_decision_on_a_device_is_logged_like_a_click(
    signing: Desk,
    audit: Callable[[], list[dict[str, Any]]],
    decision: DecisionValue,
    call: str,
) -> None:
    """With the device that signed it."""
    asked = await signing.ask(BOB)
    await granted(signing.vote(asked, BOB, decision))
    line = audit()[-1]

    assert (
        call,
        "ok",
        "bob@example.com",
        "alice@example.com",
        ROLE,
        signing.devices[BOB.email].fingerprint,
        asked.request_id,
    ) == (
        line["event"],
        line["outcome"],
        line["user"],
        line["beneficiary"],
        line["role"],
        line["device"],
        line["request_id"],
    )


async def test_c39_a_refused_decision_on_a_device_is_logged(
    signing: Desk, audit: Callable[[], list[dict[str, Any]]]
) -> None:
    """Somebody who lost the role tried to approve it."""
    asked = await signing.ask(BOB)
    signing.policy.drop(BOB)
    await refused(signing.vote(asked))
    line = audit()[-1]

    assert ("api.activateRole", "refused", "forbidden") == (
        line["event"],
        line["outcome"],
        line["code"],
    )
