"""What the APNs stand-in accepts, and what it refuses as Apple does."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.relay.standins.raw import ALERT, apns_headers, provider_token

from quorumkey_relay.standins import apns_token, start_stand_ins
from quorumkey_relay.standins.apns_table import BEHAVIOURS, LONG_AGO_MS, STATUSES

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.standins import StandIns

pytestmark = pytest.mark.anyio

BACKGROUND = b'{"aps":{"content-available":1}}'
COLLAPSE_ID = "0190a000-0000-7000-8000-000000000001"


class Pusher:
    """Pushes with one provider token."""

    def __init__(self, stands: StandIns, sender: httpx.AsyncClient) -> None:
        self.stands = stands
        self.sender = sender
        self.authorization = provider_token(stands)

    async def push(
        self, token: str, body: bytes = ALERT, *, sandbox: bool = False, **changes: str | None
    ) -> tuple[int, str | None]:
        """Send one; status and reason."""
        response = await self.response(token, body, sandbox=sandbox, **changes)
        return response.status_code, response.json()["reason"] if response.content else None

    async def response(
        self, token: str, body: bytes = ALERT, *, sandbox: bool = False, **changes: str | None
    ) -> httpx.Response:
        """Send one; the whole answer."""
        stand = self.stands.apns_sandbox if sandbox else self.stands.apns
        headers = apns_headers(self.stands, self.authorization, **changes)
        return await self.sender.post(
            f"{stand.url}/3/device/{token}", headers=headers, content=body
        )


@pytest.fixture
async def pusher(stands: StandIns, sender: httpx.AsyncClient) -> Pusher:
    """Somebody who pushes."""
    return Pusher(stands, sender)


async def test_a_good_push_is_accepted(stands: StandIns, pusher: Pusher) -> None:
    """It gets 200, its own apns-id and no body, and is kept with what it said."""
    response = await pusher.response(apns_token(), apns_collapse_id=COLLAPSE_ID)
    (push,) = stands.apns.received

    assert (200, b"") == (response.status_code, response.content)
    assert response.headers["apns-id"] == push.headers["apns-id"]
    assert json.loads(ALERT) == push.payload
    assert (apns_token(), COLLAPSE_ID, "alert", "0", "10", True, None) == (
        push.token,
        push.collapse_id,
        push.push_type,
        push.expiration,
        push.priority,
        push.accepted,
        push.reason,
    )


@pytest.mark.parametrize("reason", STATUSES)
async def test_a_token_for_each_reason(stands: StandIns, pusher: Pusher, reason: str) -> None:
    """Every reason of Apple's table comes with its status, and is counted."""
    status, given = await pusher.push(apns_token(reason))

    assert (STATUSES[reason], reason) == (status, given)
    assert {reason: 1} == stands.apns.counters.refused


@pytest.mark.parametrize(
    ("status", "reason", "changes"),
    [
        (400, "BadCollapseId", {"apns_collapse_id": "x" * 65}),
        (400, "BadExpirationDate", {"apns_expiration": "tomorrow"}),
        (400, "BadMessageId", {"apns_id": "0190A000-0000-7000-8000-000000000001"}),
        (400, "BadPriority", {"apns_priority": "7"}),
        (400, "InvalidPushType", {"apns_push_type": None}),
        (400, "InvalidPushType", {"apns_push_type": "background"}),
        (400, "MissingTopic", {"apns_topic": None}),
        (400, "BadTopic", {"apns_topic": "com example"}),
        (400, "TopicDisallowed", {"apns_topic": "com.example.other"}),
        (403, "MissingProviderToken", {"authorization": None}),
        (403, "InvalidProviderToken", {"authorization": "bearer a.b.c"}),
        (403, "InvalidProviderToken", {"authorization": "basic abc"}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_wrong_headers_are_refused(
    pusher: Pusher, status: int, reason: str, changes: dict[str, Any]
) -> None:
    """A push whose headers break one of Apple's rules gets that rule's reason."""
    assert (status, reason) == await pusher.push(apns_token(), **changes)


@pytest.mark.parametrize(
    ("status", "reason", "body"),
    [
        (400, "PayloadEmpty", b""),
        (400, "PayloadEmpty", b"no json"),
        (400, "PayloadEmpty", b'{"type":"x"}'),
        (413, "PayloadTooLarge", b'{"aps":{"alert":"' + b"x" * 4_080 + b'"}}'),
        (400, "BadPriority", BACKGROUND),
    ],
    ids=["empty", "no-json", "no-aps", "large", "background-now"],
)
async def test_wrong_payloads_are_refused(
    pusher: Pusher, status: int, reason: str, body: bytes
) -> None:
    """A payload that Apple does not take gets Apple's reason."""
    assert (status, reason) == await pusher.push(apns_token(), body)


async def test_a_payload_may_have_4096_bytes(pusher: Pusher) -> None:
    """The limit itself is allowed, counted in bytes."""
    body = b'{"aps":{"alert":"' + b"x" * (4_096 - 20) + b'"}}'

    assert (4_096, (200, None)) == (len(body), await pusher.push(apns_token(), body))


async def test_a_background_push_is_accepted_later(pusher: Pusher) -> None:
    """``content-available`` alone goes with the type background and priority 5."""
    assert (200, None) == await pusher.push(
        apns_token(), BACKGROUND, apns_push_type="background", apns_priority="5"
    )


async def test_doubled_headers_are_refused(stands: StandIns, pusher: Pusher) -> None:
    """A header that stands there twice is DuplicateHeaders."""
    headers = apns_headers(stands, pusher.authorization)
    response = await pusher.sender.post(
        f"{stands.apns.url}/3/device/{apns_token()}",
        headers=[*headers.items(), ("apns-priority", "5")],
        content=ALERT,
    )

    assert (400, {"reason": "DuplicateHeaders"}) == (response.status_code, response.json())


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("POST", "/3/device/", "MissingDeviceToken"),
        ("POST", "/4/device/00", "BadPath"),
        ("GET", f"/3/device/{apns_token()}", "MethodNotAllowed"),
    ],
    ids=["no-token", "path", "method"],
)
async def test_wrong_calls_are_refused(
    stands: StandIns, pusher: Pusher, method: str, path: str, reason: str
) -> None:
    """What is no push at all is told so."""
    headers = apns_headers(stands, pusher.authorization)
    response = await pusher.sender.request(method, stands.apns.url + path, headers=headers)

    assert (STATUSES[reason], {"reason": reason}) == (response.status_code, response.json())


@pytest.mark.parametrize("token", ["00" * 32, "zz" * 32, apns_token()[:-2]])
async def test_nobodys_tokens_are_bad(pusher: Pusher, token: str) -> None:
    """A token that no behaviour was made for is BadDeviceToken."""
    assert (400, "BadDeviceToken") == await pusher.push(token)


async def test_the_environments_are_apart(stands: StandIns, pusher: Pusher) -> None:
    """A token of one environment is BadDeviceToken in the other."""
    sandboxed = apns_token(environment="sandbox")

    assert (400, "BadDeviceToken") == await pusher.push(sandboxed)
    assert (200, None) == await pusher.push(sandboxed, sandbox=True)
    assert (400, "BadDeviceToken") == await pusher.push(apns_token(), sandbox=True)
    assert ("apns", "apns_sandbox") == (
        stands.apns.received[0].channel,
        stands.apns_sandbox.received[0].channel,
    )


async def test_a_dead_token_says_since_when(stands: StandIns, pusher: Pusher) -> None:
    """410 has a timestamp in milliseconds: now, long ago by token, or what the faults say."""
    before = int(time.time() * 1_000)
    now = (await pusher.response(apns_token("Unregistered"))).json()["timestamp"]
    old = (await pusher.response(apns_token("gone-before"))).json()["timestamp"]
    stands.apns.faults.gone_timestamp_ms = 1_700_000_000_000
    chosen = (await pusher.response(apns_token("ExpiredToken"))).json()["timestamp"]

    assert before <= now
    assert (LONG_AGO_MS, 1_700_000_000_000) == (old, chosen)


async def test_once_is_once(stands: StandIns, pusher: Pusher) -> None:
    """A token made with ``once`` is treated badly at its first push only, until a reset."""
    token = apns_token("ServiceUnavailable", once=True)
    statuses = [(await pusher.push(token))[0] for _ in range(3)]
    stands.apns.reset()
    statuses.append((await pusher.push(token))[0])

    assert [503, 200, 200, 503] == statuses


async def test_a_page_and_an_empty_answer(pusher: Pusher) -> None:
    """Front ends that are not Apple's application answer in HTML, or with nothing."""
    page = await pusher.response(apns_token("html"))
    empty = await pusher.response(apns_token("empty"))

    assert (503, True) == (page.status_code, page.text.startswith("<html>"))
    assert (500, b"") == (empty.status_code, empty.content)


@pytest.mark.parametrize("behaviour", ["reset", "close"])
async def test_no_answer_at_all(stands: StandIns, pusher: Pusher, behaviour: str) -> None:
    """A stream can be reset, or its connection lost, instead of an answer."""
    with pytest.raises(httpx.RemoteProtocolError):
        await pusher.push(apns_token(behaviour))

    assert not stands.apns.received[0].accepted
    assert {} == stands.apns.counters.refused


async def test_an_outage(stands: StandIns, pusher: Pusher) -> None:
    """``answer_status`` is every push's answer while it stands."""
    stands.apns.faults.answer_status = 503
    during = await pusher.push(apns_token())
    stands.apns.faults.answer_status = None

    assert ((503, None), (200, None)) == (during, await pusher.push(apns_token()))


# ---------------------------------------------------------------- provider tokens


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("InvalidProviderToken", {"kid": "OTHERKEY01"}),
        ("InvalidProviderToken", {"iss": "OTHERTEAM1"}),
        ("InvalidProviderToken", {"key": ec.generate_private_key(ec.SECP256R1())}),
        ("InvalidProviderToken", {"iat": "yesterday"}),
        ("InvalidProviderToken", {"age": -600}),
        ("ExpiredProviderToken", {"age": 3_610}),
    ],
    ids=["kid", "iss", "signature", "no-number", "ahead", "old"],
)
async def test_provider_tokens_are_judged(
    stands: StandIns, pusher: Pusher, reason: str, changes: dict[str, Any]
) -> None:
    """Key id, team, signature and age are each checked."""
    if "age" in changes:
        changes = {"iat": int(time.time()) - changes["age"]}
    pusher.authorization = provider_token(stands, **changes)

    assert (403, reason) == await pusher.push(apns_token())
    assert 0 == stands.apns.counters.credentials


async def test_a_token_expires_after_an_hour(credentials_folder: Path) -> None:
    """A token that was good is ExpiredProviderToken once the stand-in's clock is an hour later."""
    now = [time.time()]
    async with start_stand_ins(credentials_folder, now=lambda: now[0]) as stands:
        context = ssl.create_default_context(cafile=stands.files.ca_file)
        async with httpx.AsyncClient(http1=False, http2=True, verify=context) as sender:
            pusher = Pusher(stands, sender)
            young = await pusher.push(apns_token())
            now[0] += 3_602
            old = await pusher.push(apns_token())

    assert ((200, None), (403, "ExpiredProviderToken")) == (young, old)


async def test_tokens_too_often_spoil_a_connection(stands: StandIns, pusher: Pusher) -> None:
    """A second token within 20 minutes is refused, and so is all else on that connection."""
    good = pusher.authorization
    first = await pusher.push(apns_token())
    pusher.authorization = provider_token(stands)
    second = await pusher.push(apns_token())
    pusher.authorization = good
    third = await pusher.push(apns_token())

    assert (200, None) == first
    assert (429, "TooManyProviderTokenUpdates") == second == third
    assert 1 == stands.apns.counters.credentials


async def test_another_connection_is_not_spoiled(
    stands: StandIns, pusher: Pusher, sender: httpx.AsyncClient
) -> None:
    """The token that was good is good on a new connection."""
    await pusher.push(apns_token())
    context = ssl.create_default_context(cafile=stands.files.ca_file)
    async with httpx.AsyncClient(http1=False, http2=True, verify=context) as second:
        other = Pusher(stands, second)
        refused = await other.push(apns_token())
    del sender

    assert (429, "TooManyProviderTokenUpdates") == refused
    assert (200, None) == await pusher.push(apns_token())


# ---------------------------------------------------------------- counting


async def test_resends_and_duplicates(stands: StandIns, pusher: Pusher) -> None:
    """An apns-id again is a resend; token, type and collapse id accepted again a duplicate."""
    apns_id = "0190a000-0000-7000-8000-00000000000a"
    for _ in range(2):
        await pusher.push(apns_token(), apns_id=apns_id, apns_collapse_id=COLLAPSE_ID)
    await pusher.push(apns_token(), apns_collapse_id=COLLAPSE_ID)
    withdrawn = ALERT.replace(b"approval_request", b"request_resolved")
    await pusher.push(apns_token(), withdrawn, apns_collapse_id=COLLAPSE_ID)
    counters = stands.apns.counters

    assert (4, 1, 2) == (counters.accepted, counters.resends, counters.duplicates)


async def test_a_refused_push_again_is_no_duplicate(stands: StandIns, pusher: Pusher) -> None:
    """What is sent again after a refusal is a resend only."""
    token = apns_token("InternalServerError", once=True)
    apns_id = "0190a000-0000-7000-8000-00000000000b"
    for _ in range(2):
        await pusher.push(token, apns_id=apns_id, apns_collapse_id=COLLAPSE_ID)

    assert (1, 0) == (stands.apns.counters.resends, stands.apns.counters.duplicates)


async def test_a_reset_forgets(stands: StandIns, pusher: Pusher) -> None:
    """After ``reset`` nothing was received and all counters are zero but open connections."""
    await pusher.push(apns_token())
    stands.apns.reset()

    assert () == stands.apns.received
    assert (0, 1) == (stands.apns.counters.accepted, stands.apns.counters.open_connections)


async def test_delays_hold_up_nobody_else(stands: StandIns, pusher: Pusher) -> None:
    """While one push is never answered, others are."""
    await pusher.push(apns_token())
    silent = asyncio.get_running_loop().create_task(pusher.push(apns_token("silent")))
    await stands.apns.until(lambda counters: counters.unanswered == 1)

    assert (200, None) == await pusher.push(apns_token(number=1))
    silent.cancel()
    await asyncio.gather(silent, return_exceptions=True)


async def test_nothing_secret_is_shown(stands: StandIns, pusher: Pusher) -> None:
    """A push's repr and label have behaviour and last four characters of the token at most."""
    await pusher.push(apns_token(number=0xABCD))
    (push,) = stands.apns.received

    assert "ok…abcd" == push.label
    assert push.token not in repr(push)
    assert "bearer" not in repr(push)
    assert "authorization" not in json.dumps(push.to_json())


def test_behaviours_explain_themselves() -> None:
    """Every behaviour has words for the help."""
    assert all(one.help for one in BEHAVIOURS.values())
