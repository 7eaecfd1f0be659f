from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.sdk.clock import START
from tests.sdk.relay_double import Phone, RelayDouble, Stored

from quorumkey.client import RelayPins, Status
from quorumkey.client._fields import Fields
from quorumkey.device import Choice
from quorumkey.device.review import DeviceRequest, ReceivedRequest, Reviewer
from quorumkey.errors import ProtocolError
from quorumkey.protocol import Challenge, Party, PrivateKey, RequestDocument, sign

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope

RELAY = RelayDouble()
ALICE, BOB = Phone("alice"), Phone("bob")
STORED = RELAY.ask(ALICE, BOB)
DEVICE = ALICE.key.public_key
STRANGER = PrivateKey.generate()


def received(stored: Stored = STORED, challenge: Envelope | None = None) -> ReceivedRequest:
    """What the relay answers about a request."""
    return ReceivedRequest(
        request_id=stored.document.request_id,
        request=stored.envelope,
        challenge=challenge or RELAY.challenge(stored, DEVICE.fingerprint),
        status=Status.PENDING,
        groups_satisfied_count=0,
        my_decision=None,
    )


def review(
    item: ReceivedRequest,
    *,
    now: int = START,
    led_by: Envelope | None = None,
    pins: RelayPins | None = None,
    request_id: str = STORED.document.request_id,
) -> DeviceRequest:
    """Check it for Alice's phone, which is paired with Acme Corp."""
    reviewer = Reviewer(
        device=DEVICE,
        pins=pins or RelayPins.of((RELAY.key.public_key,)),
        integrators={"acme"},
    )
    return reviewer.review(item, request_id=request_id, now=now, led_by=led_by)


def changed(**change: object) -> Stored:
    """The same request with something else in the document, properly signed."""
    document = replace(STORED.document, **change)  # type: ignore[arg-type]  # any member
    return Stored(document, sign(RequestDocument.KIND, document.encode(), RELAY.key))


def challenged(**change: object) -> Envelope:
    """The challenge with something else in it, properly signed."""
    honest = Challenge.decode(RELAY.challenge(STORED, DEVICE.fingerprint).payload)
    statement = replace(honest, **change)  # type: ignore[arg-type]  # any member
    return sign(Challenge.KIND, statement.encode(), RELAY.key)


def payload(text: bytes) -> ReceivedRequest:
    """A request whose signed payload is this."""
    return replace(received(), request=sign(RequestDocument.KIND, text, RELAY.key))


def test_an_honest_request_may_be_approved() -> None:
    """A request that passes every check is shown in full and may be answered either way."""
    request = review(received(), now=START + 100)

    assert request.problem is None
    assert STORED.document == request.document
    assert (STORED.digest, "Alice", 200) == (request.digest, request.group, request.seconds_left)
    assert (True, True) == (request.can_approve, request.can_deny)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        # Step 1:
        (
            replace(received(), request=replace(STORED.envelope, keyid="0" * 64)),
            "not signed by the pinned relay",
        ),
        (
            replace(received(), request=replace(STORED.envelope, payload=b"{}")),
            "not signed by the pinned relay",
        ),
        (
            replace(received(), request=sign(Challenge.KIND, STORED.envelope.payload, RELAY.key)),
            "payloadType",
        ),
        # Step 2:
        (payload(b"{}"), "cannot be shown in full"),
        (payload(STORED.envelope.payload.replace(b'"v":1', b'"v":2')), "cannot be shown in full"),
        (
            payload(STORED.envelope.payload.replace(b'"v":1', b'"v":1,"new":1')),
            "cannot be shown in full",
        ),
        (
            payload(STORED.envelope.payload.replace(b'"v":1', b'"v":1,"critical":["sealed"]')),
            "cannot be shown in full",
        ),
        (received(changed(relay=STRANGER.public_key.fingerprint)), "another relay"),
        (
            received(changed(request_id=RELAY.ask(ALICE).document.request_id)),
            "another request",
        ),
        (received(changed(integrator=Party("evil", "Evil"))), "not paired with"),
        # Step 3:
        (
            received(challenge=replace(challenged(), payload=b"{}")),
            "challenge does not hold",
        ),
        (received(challenge=challenged(device=BOB.approver.fingerprint)), "not for this device"),
        (
            received(challenge=challenged(relay=STRANGER.public_key.fingerprint)),
            "not for this device",
        ),
        (received(challenge=challenged(request_digest="sha256:" + "0" * 64)), "another request"),
        (received(challenge=challenged(expires_at=START + 299)), "another request"),
        (
            received(challenge=sign(Challenge.KIND, challenged().payload, STRANGER)),
            "not from the pinned relay",
        ),
        # Step 4:
        (
            received(changed(policy=RELAY.ask(BOB).document.policy), challenged()),
            "another request",
        ),
    ],
)
def test_a_failed_check_leaves_no_approve(item: ReceivedRequest, problem: str) -> None:
    """Where a check fails, the problem is named and Approve is not offered."""
    request = review(item)

    assert problem in str(request.problem)
    assert not request.can_approve


def test_a_request_that_does_not_name_this_device() -> None:
    """A request in whose groups the device does not stand cannot be approved by it."""
    other = RELAY.ask(BOB)
    challenge = RELAY.challenge(other, DEVICE.fingerprint)
    request = review(received(other, challenge), request_id=other.document.request_id)

    assert "exactly one group" in str(request.problem)


def test_time_that_is_over() -> None:
    """At expires_at a request cannot be approved any more."""
    last, over = (review(received(), now=START + 300 + late) for late in (-1, 0))

    assert (None, 1) == (last.problem, last.seconds_left)
    assert ("The time to answer this request is over.", 0) == (over.problem, over.seconds_left)


def test_what_the_relay_signed_can_be_denied() -> None:
    """What cannot be shown in full can still be denied; what the relay did not sign cannot."""
    unreadable = review(payload(b"{}"))
    forged = review(replace(received(), request=replace(STORED.envelope, payload=b"{}")))

    assert (True, None) == (unreadable.can_deny, unreadable.document)
    assert (False, None) == (forged.can_deny, forged.digest)


def test_the_challenge_that_led_here_counts() -> None:
    """The challenge of a push is checked instead of the one in the answer."""
    request = review(received(), led_by=challenged(expires_at=START + 299))

    assert "another request" in str(request.problem)


def test_a_replaced_relay_key() -> None:
    """A request made after the relay's key change and signed by the old key is refused."""
    relay = RelayDouble()
    phone = Phone("alice")
    pins = RelayPins.of((relay.key.public_key,))
    old = relay.succeed(not_before=START)
    honest = relay.ask(phone)
    forged = relay.store(replace(honest.document, relay=old.public_key.fingerprint), old)
    reviewer = Reviewer(
        device=phone.key.public_key, pins=pins.follow(relay.successions), integrators={"acme"}
    )
    problems = [
        reviewer.review(
            ReceivedRequest.parse(Fields(relay.item(stored))),
            request_id=stored.document.request_id,
            now=START,
        ).problem
        for stored in (honest, forged)
    ]

    assert [None, "The request is signed by a relay key that had been replaced."] == problems


@pytest.mark.parametrize(
    ("status", "decision"),
    [(Status.APPROVED, None), (Status.TIMEOUT, None), (Status.PENDING, Choice.DENY)],
)
def test_nothing_is_offered_twice(status: Status, decision: Choice | None) -> None:
    """A request that is finished, or was answered by this device, offers nothing."""
    request = review(replace(received(), status=status, my_decision=decision))

    assert (None, False, False) == (request.problem, request.can_approve, request.can_deny)


def test_a_strangers_challenge_is_no_challenge() -> None:
    """A challenge alone is checked before anything is fetched for it."""
    reviewer = Reviewer(device=DEVICE, pins=RelayPins.of((STRANGER.public_key,)), integrators=())

    with pytest.raises(ProtocolError, match="pinned relay"):
        reviewer.check_challenge(challenged())
