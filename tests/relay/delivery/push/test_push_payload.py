"""What a push carries, byte by byte: a title, a request's id, the challenge, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.contract.push_rigs import RELAY, challenge, message

from quorumkey.protocol import Kind, sign
from quorumkey_relay.delivery.push.payload import (
    MAX_FCM_TTL_SECONDS,
    MAX_PAYLOAD_BYTES,
    MAX_WEB_PUSH_PLAINTEXT_BYTES,
    apns_payload,
    fcm_message,
    webpush_payload,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol import Envelope
    from quorumkey_relay.delivery.channel import Message

REQUEST = "0190a000-0000-7000-8000-000000000007"
NAME = 'Acme "Ünited" \\ Söhne 🦊'
TOKEN = 'a"b\\c'
NOW = 1_800_000_000


def fcm(message: Message, *, with_challenge: bool = True) -> bytes:
    """The body for Google, at the time of the messages here."""
    return fcm_message(message, TOKEN, NOW, with_challenge=with_challenge)


MAKERS: dict[str, Callable[..., bytes]] = {
    "apns": apns_payload,
    "fcm": fcm,
    "webpush": webpush_payload,
}


@pytest.fixture(params=list(MAKERS))
def make(request: pytest.FixtureRequest) -> Callable[..., bytes]:
    """Each channel's payload in turn."""
    return MAKERS[str(request.param)]


def sized(size: int) -> Envelope:
    """An envelope around so many bytes, as extensions of the challenge could make it."""
    return sign(Kind.CHALLENGE, b"x" * size, RELAY)


def test_what_an_iphone_gets() -> None:
    """Beside ``aps`` stand the three members of the protocol; the alert may break through."""
    envelope = challenge(REQUEST)

    payload = msgspec.json.decode(
        apns_payload(message(None, 7, integrator_name=NAME, envelope=envelope))
    )

    assert payload == {
        "aps": {
            "alert": {"title": f"{NAME} is requesting approval"},
            "sound": "default",
            "interruption-level": "time-sensitive",
            "mutable-content": 1,
        },
        "type": "approval_request",
        "request_id": REQUEST,
        "challenge": envelope.to_json(),
    }


def test_what_withdraws_from_an_iphone() -> None:
    """A closed request makes no sound, breaks through nothing, and has no challenge."""
    payload = msgspec.json.decode(apns_payload(message(None, 7, kind="request_resolved")))

    assert payload == {
        "aps": {
            "alert": {"title": "Acme Corp: request closed"},
            "interruption-level": "passive",
            "mutable-content": 1,
        },
        "type": "request_resolved",
        "request_id": REQUEST,
    }


def test_what_an_android_phone_gets() -> None:
    """All values are strings, the challenge as its JSON; it wakes the phone and then expires."""
    envelope = challenge(REQUEST)

    body = msgspec.json.decode(fcm(message(None, 7, integrator_name=NAME, envelope=envelope)))

    assert body == {
        "message": {
            "token": TOKEN,
            "data": {
                "title": f"{NAME} is requesting approval",
                "type": "approval_request",
                "request_id": REQUEST,
                "challenge": envelope.encode().decode(),
            },
            "android": {"priority": "HIGH", "ttl": "300s"},
        }
    }


def test_what_withdraws_from_an_android_phone() -> None:
    """A closed request shows nothing new, so it claims no high priority."""
    body = msgspec.json.decode(fcm(message(None, 7, kind="request_resolved")))

    assert body["message"]["android"] == {"priority": "NORMAL", "ttl": "300s"}
    assert body["message"]["data"] == {
        "title": "Acme Corp: request closed",
        "type": "request_resolved",
        "request_id": REQUEST,
    }


@pytest.mark.parametrize(
    ("lifetime_seconds", "ttl"),
    [(0, "0s"), (-5, "0s"), (MAX_FCM_TTL_SECONDS + 1, f"{MAX_FCM_TTL_SECONDS}s")],
    ids=["over-now", "over-already", "beyond-the-limit"],
)
def test_how_long_google_keeps_it(lifetime_seconds: int, ttl: str) -> None:
    """No time left means now or never; more than four weeks is not allowed."""
    body = msgspec.json.decode(fcm(message(None, lifetime_seconds=lifetime_seconds)))

    assert body["message"]["android"]["ttl"] == ttl


def test_what_a_browser_gets() -> None:
    """The JSON that is encrypted has a title and the three members."""
    envelope = challenge(REQUEST)

    text = msgspec.json.decode(webpush_payload(message(None, 7, envelope=envelope)))

    assert text == {
        "title": "Acme Corp is requesting approval",
        "type": "approval_request",
        "request_id": REQUEST,
        "challenge": envelope.to_json(),
    }


def test_without_the_challenge(make: Callable[..., bytes]) -> None:
    """Asked for so, a payload has all but the challenge, whose name does not occur."""
    assert b"challenge" not in make(message(None, 7), with_challenge=False)
    assert b"challenge" in make(message(None, 7))


def test_a_challenge_that_does_not_fit_is_left_out(make: Callable[..., bytes]) -> None:
    """What would be over the provider's limit goes out without the challenge, and then fits."""
    payload = make(message(None, 7, envelope=sized(2_900)))

    assert b"challenge" not in payload
    assert REQUEST.encode() in payload


@pytest.mark.parametrize(
    ("make_one", "limit"),
    [(apns_payload, MAX_PAYLOAD_BYTES), (webpush_payload, MAX_WEB_PUSH_PLAINTEXT_BYTES)],
    ids=["apns", "webpush"],
)
def test_the_limit_is_used_to_the_last_byte(
    make_one: Callable[[Message], bytes], limit: int
) -> None:
    """A payload keeps its challenge up to the limit, and loses it beyond."""
    sizes: dict[int, bool] = {}
    for size in range(2_300, 2_900, 3):
        payload = make_one(message(None, 7, envelope=sized(size)))
        sizes[len(payload)] = b"challenge" in payload

    whole = [size for size, has_challenge in sizes.items() if has_challenge]
    assert limit - 8 <= max(whole) <= limit


def test_the_longest_name_fits(make: Callable[..., bytes]) -> None:
    """With the longest name there can be, 80 code points, the challenge is in."""
    name = "🦊" * 80

    payload = make(
        message(None, 7, integrator_name=name, envelope=challenge(REQUEST, integrator_name=name))
    )

    assert b"challenge" in payload
    assert len(payload) <= MAX_WEB_PUSH_PLAINTEXT_BYTES
