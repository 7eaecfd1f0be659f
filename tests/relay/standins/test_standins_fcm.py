"""What the FCM stand-in accepts, and what it refuses as Google does."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.relay.standins.raw import BOTH_PROTOCOLS

from quorumkey_relay.standins import fcm_token
from quorumkey_relay.standins.fcm_table import BEHAVIOURS
from quorumkey_relay.standins.oauth import MESSAGING_SCOPE

if TYPE_CHECKING:
    from quorumkey_relay.standins import StandIns

pytestmark = pytest.mark.anyio

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DATA = {"type": "approval_request", "request_id": "r", "title": "x"}


class Pusher:
    """Pushes as the service account that the stand-in wrote."""

    def __init__(self, stands: StandIns, sender: httpx.AsyncClient) -> None:
        self.stands = stands
        self.sender = sender
        self.account: dict[str, str] = json.loads(stands.files.service_account_file.read_text())
        self.access_token = ""

    def assertion(self, **changes: Any) -> str:  # noqa: ANN401 - claims of any kind
        """A signed assertion; ``changes`` are other claims, or ``key``."""
        now = int(time.time())
        key = changes.pop("key", self.account["private_key"])
        claims = {
            "iss": self.account["client_email"],
            "aud": self.account["token_uri"],
            "iat": now,
            "exp": now + 3_600,
            "scope": MESSAGING_SCOPE,
        }
        return jwt.encode(claims | changes, key, algorithm="RS256")

    async def token(self, assertion: str, *, grant: str = GRANT) -> httpx.Response:
        """Ask for an access token."""
        form = {"grant_type": grant, "assertion": assertion}
        return await self.sender.post(self.account["token_uri"], data=form)

    async def sign_in(self) -> None:
        """Have an access token."""
        self.access_token = (await self.token(self.assertion())).json()["access_token"]

    async def push(self, token: str, **members: Any) -> httpx.Response:  # noqa: ANN401 - members of any kind
        """Send a message with these members beside ``token`` and ``data``."""
        return await self.post({"message": {"token": token, "data": DATA} | members})

    async def post(self, body: object, *, project: str | None = None) -> httpx.Response:
        """Send any body."""
        path = f"/v1/projects/{project or self.stands.files.fcm_project}/messages:send"
        headers = {"authorization": f"Bearer {self.access_token}"}
        return await self.sender.post(self.stands.fcm.url + path, headers=headers, json=body)


@pytest.fixture
async def pusher(stands: StandIns, sender: httpx.AsyncClient) -> Pusher:
    """Somebody with an access token."""
    made = Pusher(stands, sender)
    await made.sign_in()
    return made


@BOTH_PROTOCOLS
async def test_a_good_push_is_accepted(stands: StandIns, pusher: Pusher) -> None:
    """It gets 200 with the message's name, and is kept with what it said."""
    response = await pusher.push(fcm_token(), android={"priority": "HIGH", "ttl": "60s"})
    (push,) = stands.fcm.received

    assert (200, True) == (
        response.status_code,
        response.json()["name"].startswith(f"projects/{stands.files.fcm_project}/messages/"),
    )
    assert (fcm_token(), "r", "approval_request", "60s", "HIGH", True, "x") == (
        push.token,
        push.collapse_id,
        push.push_type,
        push.expiration,
        push.priority,
        push.accepted,
        push.title,
    )


@pytest.mark.parametrize("name", [one.name for one in BEHAVIOURS.values() if one.reason])
async def test_a_token_for_each_error(stands: StandIns, pusher: Pusher, name: str) -> None:
    """Every error comes with its status and body, and is counted by its reason."""
    response = await pusher.push(fcm_token(name))

    assert (BEHAVIOURS[name].status, BEHAVIOURS[name].body) == (
        response.status_code,
        response.content,
    )
    assert {BEHAVIOURS[name].reason: 1} == stands.fcm.counters.refused


async def test_a_404_may_mean_the_project(pusher: Pusher) -> None:
    """Without UNREGISTERED a 404 is about the address, and says nothing of the token."""
    gone = (await pusher.push(fcm_token("UNREGISTERED"))).json()["error"]
    elsewhere = await pusher.post({"message": {"token": fcm_token()}}, project="other")

    assert "UNREGISTERED" == gone["details"][0]["errorCode"]
    assert 404 == elsewhere.status_code
    assert "details" not in elsewhere.json()["error"]


async def test_when_to_come_again(stands: StandIns, pusher: Pusher) -> None:
    """Retry-After is in seconds, or a date."""
    stands.fcm.faults.retry_after_seconds = 30
    seconds = await pusher.push(fcm_token("UNAVAILABLE"))
    date = await pusher.push(fcm_token("UNAVAILABLE_DATE"))

    assert "30" == seconds.headers["retry-after"]
    assert parsedate_to_datetime(date.headers["retry-after"]).timestamp() > time.time()


@pytest.mark.parametrize(
    "message",
    [
        {"data": {"type": 1}},
        {"data": "text"},
        {"data": {"google.x": "1"}},
        {"data": {"from": "1"}},
        {"data": {"x": "y" * 4_096}},
        {"android": {"priority": "urgent"}},
        {"android": {"ttl": "60"}},
        {"android": {"ttl": "2419201s"}},
        {"android": {"unknown": "1"}},
        {"unknown": "1"},
    ],
    ids=lambda message: json.dumps(message)[:32],
)
async def test_wrong_messages_are_refused(pusher: Pusher, message: dict[str, object]) -> None:
    """A message that breaks one of Google's rules is INVALID_ARGUMENT with a BadRequest."""
    response = await pusher.push(fcm_token(), **message)
    error = response.json()["error"]

    assert (400, "INVALID_ARGUMENT") == (response.status_code, error["status"])
    assert "type.googleapis.com/google.rpc.BadRequest" == error["details"][0]["@type"]


@pytest.mark.parametrize(
    "body",
    [[], {}, {"message": 1}, {"message": {"token": ""}}, {"message": {"token": "x"}, "x": 1}],
    ids=["list", "nothing", "number", "no-token", "more"],
)
async def test_wrong_bodies_are_refused(pusher: Pusher, body: object) -> None:
    """What is no message at all is INVALID_ARGUMENT."""
    assert 400 == (await pusher.post(body)).status_code


async def test_a_token_in_the_wrong_form_is_told_apart(pusher: Pusher) -> None:
    """Nobody's token is 400 with FcmError and no BadRequest."""
    (detail,) = (await pusher.push("nobody")).json()["error"]["details"]

    assert "type.googleapis.com/google.firebase.fcm.v1.FcmError" == detail["@type"]


async def test_data_may_have_4096_bytes(pusher: Pusher) -> None:
    """Keys and values count, in bytes; the limit itself is allowed."""
    response = await pusher.push(fcm_token(), data={"x": "ä" * 2_047 + "y"})

    assert 200 == response.status_code


@pytest.mark.parametrize("token", ["ya29", "ya29.unknown"])
async def test_only_its_own_access_tokens_count(pusher: Pusher, token: str) -> None:
    """With an access token that was not made here a push is 401."""
    pusher.access_token = token

    assert 401 == (await pusher.push(fcm_token())).status_code


async def test_access_tokens_can_be_taken_back(stands: StandIns, pusher: Pusher) -> None:
    """After ``revoke`` a push is 401 with ACCESS_TOKEN_EXPIRED until there is a new token."""
    stands.token_endpoint.revoke()
    refused = await pusher.push(fcm_token())
    await pusher.sign_in()
    accepted = await pusher.push(fcm_token())

    assert (401, 200) == (refused.status_code, accepted.status_code)
    assert "ACCESS_TOKEN_EXPIRED" == refused.json()["error"]["details"][0]["reason"]
    assert 2 == stands.fcm.counters.token_requests


async def test_access_tokens_expire(stands: StandIns, pusher: Pusher) -> None:
    """An access token holds for as long as the faults say."""
    stands.fcm.faults.token_lifetime_seconds = 0
    response = await pusher.token(pusher.assertion())
    pusher.access_token = response.json()["access_token"]

    assert 0 == response.json()["expires_in"]
    assert 401 == (await pusher.push(fcm_token())).status_code


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other@example.com"},
        {"aud": "https://example.com/token"},
        {"scope": "https://www.googleapis.com/auth/cloud-platform"},
        {"exp": 1},
        {"iat": "now"},
        {"exp": int(time.time()) + 7_200},
        {"key": rsa.generate_private_key(65_537, 2_048)},
    ],
    ids=["iss", "aud", "scope", "expired", "no-number", "too-long", "signature"],
)
async def test_assertions_are_judged(pusher: Pusher, changes: dict[str, object]) -> None:
    """Account, audience, scope, times and signature are each checked."""
    response = await pusher.token(pusher.assertion(**changes))

    assert (400, "invalid_grant") == (response.status_code, response.json()["error"])


async def test_another_grant_is_refused(pusher: Pusher) -> None:
    """Only RFC 7523's grant is known, and only in a form."""
    grant = await pusher.token(pusher.assertion(), grant="client_credentials")
    form = await pusher.sender.get(pusher.account["token_uri"])

    assert "unsupported_grant_type" == grant.json()["error"]
    assert "invalid_request" == form.json()["error"]


async def test_the_token_endpoint_can_fail(stands: StandIns, pusher: Pusher) -> None:
    """``token_status`` is what it answers with while it stands."""
    stands.fcm.faults.token_status = 503

    assert 503 == (await pusher.token(pusher.assertion())).status_code


async def test_resends_are_told_by_request(stands: StandIns, pusher: Pusher) -> None:
    """The same type and request to the same token is a resend, and accepted twice a duplicate."""
    token = fcm_token("INTERNAL", once=True)
    statuses = [(await pusher.push(token)).status_code for _ in range(3)]
    await pusher.push(token, data=DATA | {"type": "request_resolved"})

    assert [500, 200, 200] == statuses
    assert (2, 1) == (stands.fcm.counters.resends, stands.fcm.counters.duplicates)


@BOTH_PROTOCOLS
@pytest.mark.parametrize("behaviour", ["reset", "close"])
async def test_no_answer_at_all(pusher: Pusher, behaviour: str) -> None:
    """A stream can be reset, or its connection lost, instead of an answer."""
    with pytest.raises(httpx.TransportError):
        await pusher.push(fcm_token(behaviour))


@BOTH_PROTOCOLS
async def test_a_silent_token_is_never_answered(stands: StandIns, pusher: Pusher) -> None:
    """The sender's own patience ends it."""
    with pytest.raises(httpx.ReadTimeout):
        await pusher.sender.post(
            stands.fcm.url + f"/v1/projects/{stands.files.fcm_project}/messages:send",
            headers={"authorization": f"Bearer {pusher.access_token}"},
            json={"message": {"token": fcm_token("silent")}},
            timeout=0.2,
        )

    assert 1 == stands.fcm.counters.unanswered


async def test_an_outage(stands: StandIns, pusher: Pusher) -> None:
    """``answer_status`` is every push's answer while it stands."""
    stands.fcm.faults.answer_status = 502

    assert 502 == (await pusher.push(fcm_token())).status_code


@BOTH_PROTOCOLS
async def test_delayed_answers_keep_their_order(stands: StandIns, pusher: Pusher) -> None:
    """With a delay every push is still answered with its own answer."""
    stands.fcm.faults.delay_seconds = 0.02
    statuses = [
        (await pusher.push(fcm_token(name))).status_code for name in ("ok", "INTERNAL", "ok")
    ]

    assert [200, 500, 200] == statuses
