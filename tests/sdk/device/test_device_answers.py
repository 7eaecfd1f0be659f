from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.clock import START
from tests.sdk.device.phones import Desk
from tests.sdk.relay_double import URL, Stored, answer, body_of, failure

from quorumkey.client import Status
from quorumkey.device import Choice, DeviceRequest, NotAnswerableError, RelayMismatchError
from quorumkey.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    TransportError,
)
from quorumkey.protocol import (
    Decision,
    PrivateKey,
    Session,
    format_time,
    parse_envelope,
    verify_statement,
)

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.device import Answered, SoftwareDevice
    from quorumkey.protocol import JsonValue


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A device that is not paired yet."""
    return Desk(tmp_path / "home")


@pytest.fixture
def stored(desk: Desk) -> Stored:
    """A request that waits for the device, now paired."""
    return desk.ask()


def path_of(stored: Stored) -> str:
    """The call that a decision is."""
    return f"POST /v1/device/requests/{stored.document.request_id}/decision"


def sent(desk: Desk) -> list[bytes]:
    """The decision envelopes that went out, as bytes."""
    return [call.read() for call in desk.relay.calls if call.url.path.endswith("/decision")]


def approve(desk: Desk, stored: Stored, code: str | None = None) -> Answered:
    """Approve by id."""
    return desk.use(lambda device: device.approve(stored.document.request_id, code=code))


def deny(desk: Desk, stored: Stored) -> Answered:
    """Deny by id."""
    return desk.use(lambda device: device.deny(stored.document.request_id, reason="No."))


def test_an_approval_is_signed(desk: Desk, stored: Stored) -> None:
    """An approval names the request's digest and the device, under the device's key."""
    answered = approve(desk, stored)
    key = PrivateKey.from_pem(next((desk.home / "relays").glob("*/key.pem")).read_bytes())
    (envelope,) = stored.decisions
    decision = verify_statement(envelope, Decision, key=key.public_key).statement

    assert (stored.digest, "approve", envelope.keyid, START, None, None) == (
        decision.request_digest,
        decision.decision,
        decision.device,
        decision.decided_at,
        decision.reason,
        decision.code,
    )
    assert (Status.PENDING, 1, 1, Choice.APPROVE) == (
        answered.status,
        answered.groups_satisfied_count,
        answered.groups_required,
        answered.decision,
    )


def test_a_denial_has_a_reason(desk: Desk, stored: Stored) -> None:
    """A denial carries the person's reason."""
    deny(desk, stored)

    assert "No." == Decision.decode(stored.decisions[0].payload).reason


def test_what_was_shown_is_what_is_signed(desk: Desk, stored: Stored) -> None:
    """A request that was shown is signed as shown, without fetching it again."""

    async def work(device: SoftwareDevice) -> DeviceRequest:
        request = await device.show(stored.document.request_id)
        before = len(desk.relay.calls)
        await device.approve(request)
        assert len(desk.relay.calls) == before + 1
        return request

    assert stored.digest == desk.use(work).digest


def test_a_lost_answer_is_met_with_the_same_bytes(desk: Desk, stored: Stored) -> None:
    """After lost answers, in this process and the next, the same bytes go out."""
    desk.relay.script(path_of(stored), *(httpx2.ReadError("x") for _ in range(4)))
    with pytest.raises(TransportError):
        approve(desk, stored)
    desk.clock.time += 5
    approve(desk, stored)

    assert 5 == len(sent(desk))
    assert 1 == len(set(sent(desk)))


def test_a_stored_decision_is_sent_after_the_end(desk: Desk, stored: Stored) -> None:
    """What was signed in time is sent again even when the time is over by now."""
    desk.relay.script(path_of(stored), *(httpx2.ReadError("x") for _ in range(4)))
    with pytest.raises(TransportError):
        approve(desk, stored)
    desk.clock.time = desk.relay.now = START + 1000
    approve(desk, stored)

    assert 1 == len(set(sent(desk)))


def test_nothing_is_sent_that_is_not_stored(desk: Desk, stored: Stored) -> None:
    """Where the envelope cannot be stored, it is not sent."""
    (folder,) = (desk.home / "relays").iterdir()
    (folder / "decisions").write_bytes(b"in the way")

    with pytest.raises(Exception, match="cannot"):
        approve(desk, stored)

    assert [] == sent(desk)


@pytest.mark.parametrize("first", [approve, deny])
def test_never_both(desk: Desk, stored: Stored, first: object) -> None:
    """After one decision was signed, the other is never signed, whatever the relay says."""
    second = deny if first is approve else approve
    assert callable(first)
    first(desk, stored)

    with pytest.raises(NotAnswerableError, match="already signed"):
        second(desk, stored)

    assert 1 == len(sent(desk))


def test_two_processes_decide_once(desk: Desk, stored: Stored) -> None:
    """Of two processes that decide differently at the same moment, one signs."""

    async def race() -> tuple[Answered | BaseException, ...]:
        async with desk.device() as first, desk.device() as second:
            shown = await first.show(stored.document.request_id)
            await second.show(stored.document.request_id)
            return await asyncio.gather(
                first.approve(shown), second.deny(shown), return_exceptions=True
            )

    outcomes = asyncio.run(race())

    assert 1 == len(set(sent(desk)))
    assert 1 == sum(isinstance(outcome, NotAnswerableError) for outcome in outcomes)


def test_a_wrong_clock_is_corrected(desk: Desk, stored: Stored) -> None:
    """Told that its clock is off, the device signs the same decision anew with the relay's time."""
    skew = failure(400, "clock_skew", time=format_time(START + 100))
    desk.relay.script(path_of(stored), skew)
    approve(desk, stored)
    decisions = [
        Decision.decode(parse_envelope(body_of(call)["envelope"]).payload)
        for call in desk.relay.calls
        if call.url.path.endswith("/decision")
    ]

    assert [START, START + 100] == [decision.decided_at for decision in decisions]
    assert ["approve", "approve"] == [decision.decision for decision in decisions]


@pytest.mark.parametrize("code", ["invalid_signature", "invalid_request"])
def test_other_refusals_are_not_signed_anew(desk: Desk, stored: Stored, code: str) -> None:
    """Only clock_skew and wrong_code allow a new signature; after others the bytes stay."""
    desk.relay.script(path_of(stored), failure(400, code))
    with pytest.raises(InvalidRequestError, match=code):
        approve(desk, stored)
    desk.clock.time += 5
    desk.relay.now += 5
    approve(desk, stored)

    assert 1 == len(set(sent(desk)))


def test_the_clock_is_corrected_once(desk: Desk, stored: Stored) -> None:
    """A relay that goes on complaining about the clock is not signed for again and again."""
    skews = [failure(400, "clock_skew", time=format_time(START + n)) for n in (100, 200, 250)]
    desk.relay.script(path_of(stored), *skews)

    with pytest.raises(InvalidRequestError, match="clock_skew"):
        approve(desk, stored)

    assert 2 == len(sent(desk))


@pytest.mark.parametrize("time", [None, "soon", 7])
def test_a_correction_without_a_time(desk: Desk, stored: Stored, time: JsonValue) -> None:
    """clock_skew without a usable time is raised as it is."""
    details: dict[str, JsonValue] = {} if time is None else {"time": time}
    desk.relay.script(path_of(stored), failure(400, "clock_skew", **details))

    with pytest.raises(InvalidRequestError, match="clock_skew"):
        approve(desk, stored)


def test_the_clock_cannot_be_led_astray(desk: Desk, stored: Stored) -> None:
    """A time far outside the request's is not signed."""
    desk.relay.script(
        path_of(stored), failure(400, "clock_skew", time=format_time(START + 100_000))
    )

    with pytest.raises(NotAnswerableError, match="clock"):
        approve(desk, stored)

    assert 1 == len(sent(desk))


def test_the_devices_own_clock_does_not_matter(desk: Desk, stored: Stored) -> None:
    """A device whose clock is a day off decides at the relay's time."""
    desk.clock.time += 86_400
    approve(desk, stored)

    assert START == Decision.decode(stored.decisions[0].payload).decided_at


def test_a_wrong_code_may_be_typed_again(desk: Desk) -> None:
    """After wrong_code the same decision is signed anew with the next code."""
    policy = desk.ask().document.policy
    stored = desk.relay.ask(
        desk.enroll(),
        change={"policy": type(policy)(required=1, groups=policy.groups, match_code=True)},
    )
    desk.relay.script(path_of(stored), failure(400, "wrong_code"))
    with pytest.raises(InvalidRequestError, match="wrong_code"):
        approve(desk, stored, code="11")
    approve(desk, stored, code="22")
    codes = [
        Decision.decode(parse_envelope(body_of(call)["envelope"]).payload).code
        for call in desk.relay.calls
        if call.url.path.endswith("/decision")
    ]

    assert ["11", "22"] == codes
    with pytest.raises(NotAnswerableError, match="match code"):
        approve(desk, desk.relay.ask(desk.enroll(), change={"policy": stored.document.policy}))


def test_a_code_that_nobody_asked_for(desk: Desk, stored: Stored) -> None:
    """A code is not signed where the request has none."""
    with pytest.raises(NotAnswerableError, match="no match code"):
        approve(desk, stored, code="11")

    assert [] == sent(desk)


def test_a_forged_request_is_not_answered(desk: Desk, stored: Stored) -> None:
    """A request that the pinned relay did not sign can neither be approved nor denied."""
    desk.relay.store(stored.document, PrivateKey.generate())

    for decide in (approve, deny):
        with pytest.raises(NotAnswerableError, match="pinned relay"):
            decide(desk, stored)

    assert [] == sent(desk)


def test_what_cannot_be_shown_can_be_denied(desk: Desk, stored: Stored) -> None:
    """A request with a failed check is not approved, but may be denied."""
    other = desk.relay.ask(
        desk.enroll(), change={"integrator": type(stored.document.integrator)("evil", "Evil")}
    )

    with pytest.raises(NotAnswerableError, match="not paired with"):
        approve(desk, other)
    assert Choice.DENY is deny(desk, other).decision


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"my_decision": "approve"}, "already answered: approve"),
        ({"status": "cancelled"}, "finished: cancelled"),
    ],
)
def test_what_is_over_is_not_signed(
    desk: Desk, stored: Stored, change: dict[str, JsonValue], message: str
) -> None:
    """A request that is finished, or answered elsewhere, is not signed for."""
    request_id = stored.document.request_id
    item = {**desk.relay.item(stored), **change}
    desk.relay.script(f"GET /v1/device/requests/{request_id}", answer(item))

    with pytest.raises(NotAnswerableError, match=message):
        deny(desk, stored)


# ------------------------------------------------------------------ reading


def test_pending_requests_are_checked(desk: Desk, stored: Stored) -> None:
    """The list holds every page, each request checked."""
    forged: JsonValue = {
        **desk.relay.item(stored),
        "request": {**stored.envelope.to_json(), "payload": "AAAA"},
    }
    desk.relay.script(
        "GET /v1/device/requests",
        answer({"data": [desk.relay.item(stored)], "next_cursor": "c"}),
        answer({"data": [forged], "next_cursor": None}),
    )
    good, bad = desk.use(lambda device: device.pending(every=True))

    assert (True, False) == (good.can_approve, bad.can_approve)
    assert ["status=all", "status=all&cursor=c"] == [
        call.url.query.decode() for call in desk.relay.calls if call.url.query
    ]


def test_a_session_is_signed_and_kept(desk: Desk, stored: Stored) -> None:
    """One signed session serves every reading until it ends."""

    async def work(device: SoftwareDevice) -> None:
        await device.pending()
        await device.pending()
        desk.clock.time += 871
        await device.pending()

    desk.use(work)
    calls = [call for call in desk.relay.calls if call.url.path.endswith("/session")]
    session = Session.decode(parse_envelope(body_of(calls[0])["envelope"]).payload)

    assert 2 == len(calls)
    assert (
        desk.relay.fingerprint,
        URL,
        stored.document.policy.groups[0].approvers[0].fingerprint,
    ) == (
        session.relay,
        session.audience,
        session.device,
    )
    assert "Bearer token-1" == desk.relay.calls[-1].headers["authorization"]


def test_a_refused_session_is_renewed_once(desk: Desk, stored: Stored) -> None:
    """Where the token is not accepted any more, one new session is opened."""
    denied = [failure(401, "unauthorized") for _ in range(3)]
    path = f"GET /v1/device/requests/{stored.document.request_id}"
    desk.relay.script(path, denied[0])
    desk.use(lambda device: device.show(stored.document.request_id))
    desk.relay.script(path, *denied[1:])

    with pytest.raises(AuthenticationError):
        desk.use(lambda device: device.show(stored.document.request_id))


def test_two_readings_share_a_session(desk: Desk, stored: Stored) -> None:
    """Readings at the same time open one session."""

    async def work(device: SoftwareDevice) -> None:
        request_id = stored.document.request_id
        await asyncio.gather(device.show(request_id), device.show(request_id))

    desk.use(work)

    assert 1 == desk.relay.seen().count("POST /v1/device/session")


def test_acknowledging(desk: Desk, stored: Stored) -> None:
    """Acknowledging without a stream is a call."""
    desk.use(lambda device: device.acknowledge(stored.document.request_id))

    assert desk.relay.seen()[-1].endswith("/ack")


def test_a_key_change_is_followed_while_reading(desk: Desk) -> None:
    """A request under the relay's next key is trusted once its succession was read."""
    phone = desk.enroll()
    desk.relay.succeed(not_before=START)
    stored = desk.relay.ask(phone)
    request = desk.use(lambda device: device.show(stored.document.request_id))

    assert request.can_approve
    assert desk.relay.fingerprint == desk.device().identity.relay


def test_another_relay_gets_no_session(desk: Desk, stored: Stored) -> None:
    """Where another relay answers at the address, nothing is signed for it."""
    desk.relay.key = PrivateKey.generate()

    with pytest.raises(RelayMismatchError, match="nothing was signed"):
        desk.use(lambda device: device.show(stored.document.request_id))

    assert "POST /v1/device/session" not in desk.relay.seen()


def test_an_unknown_request(desk: Desk) -> None:
    """A request that is not this device's is the relay's 404."""
    desk.enroll()
    desk.relay.script("GET /v1/device/requests/x", failure(404, "not_found"))

    with pytest.raises(NotFoundError):
        desk.use(lambda device: device.show("x"))


def test_an_approved_call_can_be_withdrawn(desk: Desk) -> None:
    """A denial of a protected method's call is signed after others approved it, until it lapses."""
    stored = desk.ask(profile="protected_method")
    stored.status = "approved"
    desk.clock.sleep(stored.document.expires_at - START + 600)
    desk.relay.now = int(desk.clock.now())
    asked = desk.use(lambda device: device.show(stored.document.request_id))

    assert (False, True) == (asked.can_approve, asked.can_deny)
    with pytest.raises(NotAnswerableError, match="finished: approved"):
        approve(desk, stored)
    assert Choice.DENY is deny(desk, stored).decision


def test_an_approved_request_of_another_profile_is_finished(desk: Desk, stored: Stored) -> None:
    """What an integrator asked is not denied any more once it is approved."""
    stored.status = "approved"
    asked = desk.use(lambda device: device.show(stored.document.request_id))

    assert not asked.can_deny
    with pytest.raises(NotAnswerableError, match="finished: approved"):
        deny(desk, stored)
