"""FCM through the default client, against the stand-in for Google."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.contract.push_rigs import Rig, message, rig
from tests.contract.push_rigs_web import FCM
from tests.relay.simulator import ManualClock

from quorumkey.protocol import ApnsAddress
from quorumkey_relay.config import load_settings
from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry
from quorumkey_relay.delivery.push.fcm import fcm_channel
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.settings import Settings
from quorumkey_relay.standins import fcm_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
async def push(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Rig, None]:
    """The channel and the stand-in."""
    del anyio_backend
    async with rig(FCM, tmp_path) as ready:
        yield ready


def silence(kind: str, what: str, sentence: str) -> None:
    """No alarm."""
    del kind, what, sentence


def said(push: Rig) -> dict[str, Any]:
    """The message that the stand-in has received."""
    (received,) = push.stand.received
    body: dict[str, Any] = json.loads(received.body)
    assert {"message"} == body.keys()
    sent: dict[str, Any] = body["message"]
    return sent


async def test_what_google_is_sent(push: Rig) -> None:
    """A message of data alone, high priority, and as long a life as the request has."""
    await push.send("ok", 3)

    sent = said(push)
    assert {"token", "data", "android"} == sent.keys()
    assert {"priority": "HIGH", "ttl": "300s"} == sent["android"]
    assert {"title", "type", "request_id", "challenge"} == sent["data"].keys()
    assert {str} == {type(one) for one in sent["data"].values()}
    assert fcm_token("ok", 3) == sent["token"]


async def test_the_challenge_is_its_json_as_text(push: Rig) -> None:
    """The app reads the envelope that the relay signed."""
    sent = push.message()
    await push.channel.send(sent)

    assert sent.challenge is not None
    assert json.loads(sent.challenge.encode()) == json.loads(said(push)["data"]["challenge"])


async def test_one_access_token_serves_a_crowd(push: Rig) -> None:
    """However many want the first token at once, it is asked for once."""
    sent = await asyncio.gather(*(push.send("ok", number) for number in range(100)))

    counters = push.stand.counters
    assert {Accepted()} == set(sent)
    assert (1, 1) == (counters.token_requests, counters.credentials)


async def test_a_token_is_renewed_in_the_background(push: Rig) -> None:
    """After 50 minutes the next push goes out with the old token, and a new one is fetched."""
    await push.send("ok", 1)
    push.clock.advance(3_000)

    outcome = await push.send("ok", 2)

    before = push.stand.counters.credentials
    await push.stand.until(lambda counters: counters.token_requests == 2)
    assert (Accepted(), 1) == (outcome, before)


async def test_a_token_that_is_taken_back_is_renewed_once(push: Rig) -> None:
    """A 401 costs one new token and the push goes out with it."""
    await push.send("ok", 1)
    push.stands.token_endpoint.revoke()
    push.clock.advance(60)

    outcome = await push.send("ok", 2)

    assert (Accepted(), 2) == (outcome, push.stand.counters.token_requests)


async def test_a_crowd_renews_it_once_too(push: Rig) -> None:
    """Of many pushes that are refused, one renews the token for all."""
    await push.send("ok", 1)
    push.stands.token_endpoint.revoke()
    push.clock.advance(60)

    sent = await asyncio.gather(*(push.send("ok", number) for number in range(2, 52)))

    assert ({Accepted()}, 2) == (set(sent), push.stand.counters.token_requests)


async def test_a_refusal_that_stays_is_ours(push: Rig) -> None:
    """Refused with a new token too, the push is not sent a third time."""
    await push.send("ok", 1)
    push.clock.advance(60)

    outcome = await push.send("UNAUTHENTICATED")

    assert Misconfigured("UNAUTHENTICATED") == outcome
    assert (2, 3) == (push.stand.counters.token_requests, len(push.stand.received))


async def test_a_new_token_is_not_renewed_at_once(push: Rig) -> None:
    """Where a fresh token is refused, another one would be refused too."""
    outcome = await push.send("UNAUTHENTICATED")

    assert Misconfigured("UNAUTHENTICATED") == outcome
    assert (1, 1) == (push.stand.counters.token_requests, len(push.stand.received))


async def test_without_a_token_nothing_is_sent(push: Rig) -> None:
    """While the token endpoint is busy the message waits for the schedule."""
    push.stand.faults.token_status = 503

    outcome = await push.send()

    assert (Retry(None, "token_unavailable"), ()) == (outcome, tuple(push.stand.received))


async def test_a_lost_renewal_is_not_a_lost_message(push: Rig) -> None:
    """Refused, and without a new token: the message has surely not been taken."""
    await push.send("ok", 1)
    push.clock.advance(60)
    push.stand.faults.token_delay_seconds = 60.0
    sending = asyncio.create_task(push.send("UNAUTHENTICATED"))
    await push.stand.until(lambda counters: counters.token_requests == 2)
    push.stand.lose_connections()

    assert Retry(None, "broken") == await sending


async def test_an_unknown_account_is_ours(tmp_path: Path) -> None:
    """An assertion under another key is refused: nobody's address is to blame."""
    async with rig(FCM, tmp_path) as push:
        path = push.stands.files.service_account_file
        account = json.loads(path.read_text())
        key = rsa.generate_private_key(65_537, 2_048)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        path.write_text(json.dumps(account | {"private_key": text}))
        settings = load_settings(push.stands.settings(), {})
        channel = fcm_channel(settings, push.clock, silence)
        assert channel is not None

        outcome = await channel.send(push.message())

        await channel.close()
    assert Misconfigured("token_invalid_grant") == outcome


async def test_the_projects_quota_pauses_everybody(push: Rig) -> None:
    """What is sent while the project's quota is exceeded is held back without a call."""
    first = await push.send("QUOTA_EXCEEDED", 1)
    push.clock.advance(20)

    second = await push.send("ok", 2)

    calls = len(push.stand.received)
    push.clock.advance(40)
    third = await push.send("ok", 3)
    assert (Retry(60, "QUOTA_EXCEEDED"), Retry(40, "QUOTA_EXCEEDED")) == (first, second)
    assert (1, Accepted()) == (calls, third)


async def test_a_devices_quota_pauses_nobody_else(push: Rig) -> None:
    """Others are sent to at once."""
    first = await push.send("DEVICE_QUOTA", 1)

    second = await push.send("ok", 2)

    assert (Retry(None, "DEVICE_QUOTA_EXCEEDED"), Accepted()) == (first, second)


async def test_another_projects_token_raises_an_alarm(tmp_path: Path) -> None:
    """The address is gone, and an operator learns that app and account do not fit."""
    alarms: list[tuple[str, str]] = []

    def tell(kind: str, what: str, sentence: str) -> None:
        assert sentence.endswith(".")
        alarms.append((kind, what))

    async with rig(FCM, tmp_path) as push:
        settings = load_settings(push.stands.settings(), {})
        channel = fcm_channel(settings, push.clock, tell)
        assert channel is not None

        outcome = await channel.send(push.message("SENDER_ID_MISMATCH"))

        await channel.close()
    assert Gone(None, "SENDER_ID_MISMATCH") == outcome
    assert [("sender_id_mismatch", "fcm")] == alarms


async def test_an_address_of_another_channel_is_refused(push: Rig) -> None:
    """Nothing is sent that could not arrive."""
    other = message(ApnsAddress("ab" * 32, "com.example.approve", "sandbox"))

    assert Rejected("no_address") == await push.channel.send(other)


async def test_a_message_that_is_too_late_is_not_sent(push: Rig) -> None:
    """A time to live of nothing means now or never; never is known already."""
    outcome = await push.channel.send(push.message(lifetime_seconds=0))

    assert (Rejected("too_late"), 0) == (outcome, push.stand.counters.streams)


async def test_what_is_not_wanted_once_there_is_a_token_is_not_sent(push: Rig) -> None:
    """A request may end while its pushes wait for the access token, the first or a newer one."""
    first = await push.channel.send(replace(push.message(), is_wanted=lambda: False))
    wanted = iter((True, False))
    push.stands.token_endpoint.revoke()
    push.clock.advance(60)
    second = await push.channel.send(replace(push.message(), is_wanted=lambda: next(wanted)))

    assert [Retry(0, "not_wanted")] * 2 == [first, second]
    assert (0, 2) == (push.stand.counters.accepted, push.stand.counters.token_requests)


async def test_one_lane_for_all_phones(push: Rig) -> None:
    """One account serves every phone."""
    assert "fcm" == push.channel.lane(push.message().address)


# Turned on and off


def test_without_an_account_there_is_no_channel() -> None:
    """The account's file turns the channel on."""
    assert None is fcm_channel(Settings(), ManualClock(), silence)


async def test_pyfcm_is_an_extra(push: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is chosen and not installed the relay says how to install it."""
    monkeypatch.delitem(sys.modules, "quorumkey_relay.delivery.push.fcm_pyfcm", raising=False)
    monkeypatch.setitem(sys.modules, "pyfcm", None)
    settings = load_settings(push.stands.settings(), {"fcm_client": "pyfcm"})

    with pytest.raises(ConfigError, match=r"pip install 'quorumkey-relay\[pyfcm\]'"):
        fcm_channel(settings, push.clock, silence)
