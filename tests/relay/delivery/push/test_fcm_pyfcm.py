"""What pyfcm does not tell, beside what the contract of channels shows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.push_rigs import Rig, message, rig
from tests.contract.push_rigs_web import PYFCM

from quorumkey.protocol import ApnsAddress
from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.delivery.channel import Outcome

pytestmark = pytest.mark.anyio


@pytest.fixture
async def push(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Rig, None]:
    """The channel and the stand-in."""
    del anyio_backend
    async with rig(PYFCM, tmp_path) as ready:
        yield ready


async def test_google_is_sent_the_same(push: Rig) -> None:
    """What arrives is what the default client sends, beside a flag that changes nothing."""
    await push.send("ok", 3)

    (received,) = push.stand.received
    assert ("300s", "HIGH") == (received.expiration, received.priority)


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        ("ok", Accepted()),
        ("UNREGISTERED", Gone(None, "UNREGISTERED")),
        ("INVALID_ARGUMENT", Rejected("INVALID_ARGUMENT")),
        ("INVALID_TOKEN", Gone(None, "INVALID_ARGUMENT")),
        ("PERMISSION_DENIED", Misconfigured("PERMISSION_DENIED")),
        ("THIRD_PARTY_AUTH_ERROR", Misconfigured("UNAUTHENTICATED")),
        ("INTERNAL", Retry(None, "UNAVAILABLE")),
        ("html", Retry(None, "UNAVAILABLE")),
    ],
)
async def test_what_it_tells(push: Rig, behaviour: str, outcome: Outcome) -> None:
    """Where its exceptions say enough the reaction is the table's."""
    assert outcome == await push.send(behaviour)


@pytest.mark.xfail(strict=True, reason="takes any 404 for a dead token")
async def test_a_404_without_a_code_drops_nobody(push: Rig) -> None:
    """A project that does not exist is not its devices' fault."""
    assert Misconfigured("NOT_FOUND") == await push.send("NOT_FOUND")


@pytest.mark.xfail(strict=True, reason="takes any 403 for another project's token")
async def test_another_projects_token_is_gone(push: Rig) -> None:
    """It is told apart from an account that may not send."""
    assert Gone(None, "SENDER_ID_MISMATCH") == await push.send("SENDER_ID_MISMATCH")


@pytest.mark.xfail(strict=True, reason="reads whole seconds only, and raises ValueError")
async def test_a_date_in_retry_after_is_honoured(push: Rig) -> None:
    """Retry-After may be a date."""
    assert Retry(1, "UNAVAILABLE") == await push.send("UNAVAILABLE_DATE")


@pytest.mark.xfail(strict=True, reason="says of a 429 that the server is unavailable")
async def test_a_quota_is_told_apart(push: Rig) -> None:
    """A device that gets too many messages is no server that is down."""
    assert Retry(None, "DEVICE_QUOTA_EXCEEDED") == await push.send("DEVICE_QUOTA")


async def test_a_token_endpoint_that_refuses_is_ours(push: Rig) -> None:
    """Nobody's address is to blame when the account is refused."""
    push.stand.faults.token_status = 400

    assert Misconfigured("token_refused") == await push.send()


async def test_a_busy_token_endpoint_is_tried_again(push: Rig) -> None:
    """The message waits for the schedule."""
    push.stand.faults.token_status = 503

    assert Retry(None, "token_unavailable") == await push.send()


async def test_what_cannot_arrive_is_not_sent(push: Rig) -> None:
    """Neither to an address of another channel nor too late."""
    other = message(ApnsAddress("ab" * 32, "com.example.approve", "sandbox"))
    late = push.message(lifetime_seconds=0)

    sent = [await push.channel.send(one) for one in (other, late)]

    assert ([Rejected("no_address"), Rejected("too_late")], 0) == (
        sent,
        push.stand.counters.streams,
    )


async def test_one_lane_for_all_phones(push: Rig) -> None:
    """One account serves every phone."""
    assert "fcm" == push.channel.lane(push.message().address)
