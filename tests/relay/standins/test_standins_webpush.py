"""What the Web Push stand-in accepts, and what it refuses as push services do."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import http_ece  # type: ignore[import-untyped]  # ships no types
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.relay.standins.raw import BOTH_PROTOCOLS

from quorumkey_relay.standins.webpush_table import BEHAVIOURS, HUGE_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from quorumkey_relay.standins import StandIns, Subscription

pytestmark = pytest.mark.anyio

TEXT = b'{"type":"approval_request","request_id":"r","title":"x"}'
TOPIC = "0190a00000007000800000000000000a"


def decoded(text: str) -> bytes:
    """Base64url without padding, read."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point_of(key: ec.EllipticCurvePrivateKey) -> str:
    """A key's public point in base64url."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return urlsafe_b64encode(point).rstrip(b"=").decode()


def encrypted(subscription: Subscription, text: bytes = TEXT, **options: Any) -> bytes:  # noqa: ANN401 - http_ece's options
    """A body as http_ece makes it."""
    encrypt: Any = vars(http_ece)["encrypt"]
    body: bytes = encrypt(
        text,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=decoded(subscription.p256dh),
        auth_secret=decoded(subscription.auth),
        version="aes128gcm",
        **options,
    )
    return body


class Pusher:
    """An application server with a VAPID key."""

    def __init__(self, stands: StandIns, sender: httpx.AsyncClient) -> None:
        self.stands = stands
        self.sender = sender
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.authorization = self.vapid()

    def vapid(self, **changes: Any) -> str:  # noqa: ANN401 - claims of any kind
        """An ``authorization``; ``changes`` are other claims, or ``key`` to sign with."""
        key = changes.pop("key", self.key)
        claims = {
            "aud": self.stands.webpush.url,
            "exp": int(time.time()) + 3_600,
            "sub": "mailto:ops@example.com",
        }
        token = jwt.encode(claims | changes, key, algorithm="ES256")
        return f"vapid t={token}, k={point_of(self.key)}"

    async def push(
        self, subscription: Subscription, body: bytes | None = None, **changes: str | None
    ) -> httpx.Response:
        """Send one; ``changes`` are other headers, with underscores, and None leaves one out."""
        headers: dict[str, str | None] = {
            "authorization": self.authorization,
            "ttl": "60",
            "urgency": "high",
            "topic": TOPIC,
            "content-encoding": "aes128gcm",
        }
        headers |= {name.replace("_", "-"): text for name, text in changes.items()}
        return await self.sender.post(
            subscription.endpoint,
            headers={name: text for name, text in headers.items() if text is not None},
            content=encrypted(subscription) if body is None else body,
        )


@pytest.fixture
def pusher(stands: StandIns, sender: httpx.AsyncClient) -> Pusher:
    """An application server."""
    return Pusher(stands, sender)


@BOTH_PROTOCOLS
async def test_a_good_push_is_opened(stands: StandIns, pusher: Pusher) -> None:
    """It gets 201 with a location, and the browser reads what was encrypted for it."""
    subscription = stands.webpush.subscribe()
    response = await pusher.push(subscription)
    (push,) = stands.webpush.received

    assert (201, True) == (response.status_code, "location" in response.headers)
    assert (TEXT, "x") == (push.body, push.title)
    assert (subscription.endpoint, TOPIC, "approval_request", "60", "high", True) == (
        push.token,
        push.collapse_id,
        push.push_type,
        push.expiration,
        push.priority,
        push.accepted,
    )


@pytest.mark.parametrize("name", [one.name for one in BEHAVIOURS.values() if one.reason])
async def test_a_subscription_for_each_refusal(stands: StandIns, pusher: Pusher, name: str) -> None:
    """Every behaviour comes with its status, and is counted."""
    response = await pusher.push(stands.webpush.subscribe(name))

    assert BEHAVIOURS[name].status == response.status_code
    assert {name: 1} == stands.webpush.counters.refused


@BOTH_PROTOCOLS
async def test_refusals_say_more(stands: StandIns, pusher: Pusher) -> None:
    """Some have a Retry-After, a location or more than anybody should read."""
    busy = await pusher.push(stands.webpush.subscribe("429"))
    moved = await pusher.push(stands.webpush.subscribe("redirect"))
    huge = await pusher.push(stands.webpush.subscribe("huge"))

    assert ("1", "/elsewhere") == (busy.headers["retry-after"], moved.headers["location"])
    assert HUGE_BODY_BYTES == len(huge.content)


@pytest.mark.parametrize(
    ("status", "reason", "changes"),
    [
        (400, "BadTtl", {"ttl": None}),
        (400, "BadTtl", {"ttl": "soon"}),
        (400, "BadTopic", {"topic": "x" * 33}),
        (400, "BadTopic", {"topic": "a b"}),
        (400, "BadUrgency", {"urgency": "urgent"}),
        (415, "BadContentEncoding", {"content_encoding": "aesgcm"}),
        (401, "MissingAuthorization", {"authorization": None}),
        (401, "InvalidAuthorizationHeader", {"authorization": "bearer x"}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_wrong_headers_are_refused(
    stands: StandIns, pusher: Pusher, status: int, reason: str, changes: dict[str, Any]
) -> None:
    """A push whose headers break a rule is told which."""
    response = await pusher.push(stands.webpush.subscribe(), **changes)

    assert (status, {"code": status, "reason": reason}) == (response.status_code, response.json())


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("BadJwtToken", {"aud": "https://fcm.googleapis.com"}),
        ("BadJwtToken", {"sub": "somebody"}),
        ("BadJwtToken", {"exp": "later"}),
        ("BadJwtToken", {"key": ec.generate_private_key(ec.SECP256R1())}),
        ("ExpiredJwtToken", {"exp": 1}),
        ("ExpiredJwtToken", {"exp": int(time.time()) + 90_000}),
    ],
    ids=["aud", "sub", "no-number", "signature", "expired", "too-long"],
)
async def test_vapid_is_judged(
    stands: StandIns, pusher: Pusher, reason: str, changes: dict[str, object]
) -> None:
    """Audience, contact, signature and times are each checked."""
    pusher.authorization = pusher.vapid(**changes)
    response = await pusher.push(stands.webpush.subscribe())

    assert (403, reason) == (response.status_code, response.json()["reason"])


async def test_a_subscription_may_be_for_one_key(stands: StandIns, pusher: Pusher) -> None:
    """One made for an application server's key takes pushes under that key only."""
    own = stands.webpush.subscribe(application_server_key=point_of(pusher.key))
    other = stands.webpush.subscribe(
        application_server_key=point_of(ec.generate_private_key(ec.SECP256R1()))
    )

    assert 201 == (await pusher.push(own)).status_code
    assert "VapidKeyMismatch" == (await pusher.push(other)).json()["reason"]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "short": lambda body: body[:90],
    "tag": lambda body: body[:-1] + bytes((body[-1] ^ 1,)),
    "id-length": lambda body: body[:20] + b"\x40" + body[21:],
    "no-point": lambda body: body[:21] + bytes(65) + body[86:],
    "two-records": lambda body: body[:16] + b"\0\0\0\x20" + body[20:],
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_a_browser_cannot_open_is_refused(
    stands: StandIns,
    pusher: Pusher,
    damage: str,
) -> None:
    """A damaged body is UnreadableMessage."""
    subscription = stands.webpush.subscribe()
    response = await pusher.push(subscription, DAMAGES[damage](encrypted(subscription)))

    assert (400, "UnreadableMessage") == (response.status_code, response.json()["reason"])


async def test_a_body_may_have_4096_bytes(stands: StandIns, pusher: Pusher) -> None:
    """The limit itself is allowed: 3,993 bytes of text; one more is 413."""
    subscription = stands.webpush.subscribe()
    most = await pusher.push(subscription, encrypted(subscription, b"x" * 3_993))
    more = await pusher.push(subscription, encrypted(subscription, b"x" * 3_994))

    assert (201, 413) == (most.status_code, more.status_code)


async def test_nobodys_endpoint_is_404(stands: StandIns, pusher: Pusher) -> None:
    """An endpoint that nobody subscribed at does not exist."""
    response = await pusher.sender.post(f"{stands.webpush.url}/push/ok/nobody")

    assert 404 == response.status_code


async def test_once_is_once(stands: StandIns, pusher: Pusher) -> None:
    """A subscription made with ``once`` is treated badly at its first push only, until a reset."""
    subscription = stands.webpush.subscribe("503", once=True)
    statuses = [(await pusher.push(subscription)).status_code for _ in range(3)]
    counters = stands.webpush.counters
    stands.webpush.reset()
    statuses.append((await pusher.push(subscription)).status_code)

    assert [503, 201, 201, 503] == statuses
    assert (2, 1, 1) == (counters.resends, counters.duplicates, counters.credentials)


def test_an_unknown_behaviour_is_an_error(stands: StandIns) -> None:
    """There is no subscription for what is not in the table."""
    with pytest.raises(KeyError):
        stands.webpush.subscribe("418")


async def test_an_outage(stands: StandIns, pusher: Pusher) -> None:
    """``answer_status`` is every push's answer while it stands."""
    stands.webpush.faults.answer_status = 502

    assert 502 == (await pusher.push(stands.webpush.subscribe())).status_code


async def test_nothing_secret_is_shown(stands: StandIns, pusher: Pusher) -> None:
    """Neither a subscription nor a push shows its endpoint or keys in its repr."""
    subscription = stands.webpush.subscribe()
    await pusher.push(subscription)

    assert "Subscription()" == repr(subscription)
    assert subscription.endpoint not in repr(stands.webpush.received[0])
