"""Which push addresses a relay takes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey.protocol import (
    ApnsAddress,
    FcmAddress,
    NoPushAddress,
    WebPushAddress,
    b64url_encode,
)
from quorumkey_relay.delivery.push.services import ServedAddresses, service_of
from quorumkey_relay.settings import Settings

SERVICES = Settings().webpush_services
SERVED = ServedAddresses(apns_topics=frozenset({"com.example.approve"}), webpush_services=SERVICES)
POINT = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)
UNLISTED = "push.endpoint is not at a push service that this relay knows."
BAD_ENDPOINT = (
    "push.endpoint must be an https address with a host name, and without user information or"
    " fragment."
)


def browser(endpoint: str, point: bytes = POINT) -> WebPushAddress:
    """A subscription at an endpoint."""
    return WebPushAddress(endpoint, b64url_encode(point), b64url_encode(bytes(16)))


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("fcm.googleapis.com", "fcm.googleapis.com"),
        ("updates.push.services.mozilla.com", "push.services.mozilla.com"),
        ("web.push.apple.com", "push.apple.com"),
        ("wns2-par02p.notify.windows.com", "notify.windows.com"),
        ("evilpush.apple.com", None),
        ("push.apple.com.evil.example", None),
        ("apple.com", None),
        ("fcm.googleapis.com.", None),
        ("", None),
    ],
)
def test_hosts_are_compared_by_whole_labels(host: str, service: str | None) -> None:
    """A host is a service's when it is that name, or ends in a dot and that name."""
    assert service == service_of(host, SERVICES)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc",
        "https://updates.push.services.mozilla.com/wpush/v2/abc?x=1",
        "https://WEB.push.apple.com/abc",
        "https://web.push.apple.com:8443/abc",
    ],
)
def test_endpoints_of_listed_services_are_taken(endpoint: str) -> None:
    """What browsers of the listed services give is no problem."""
    assert None is SERVED.problem(browser(endpoint))


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ("https://push.example/abc", UNLISTED),
        ("https://push.example/x.push.apple.com/", UNLISTED),
        ("https://push.example/?fcm.googleapis.com", UNLISTED),
        ("https://10.0.0.1/abc", UNLISTED),
        ("https://[::1]/abc", UNLISTED),
        ("https://localhost/abc", UNLISTED),
        ("https://web.push.apple.com:22/abc", BAD_ENDPOINT),
        ("https://web.push.apple.com/abc#x", BAD_ENDPOINT),
        ("https://web.push.apple.com/a\\b", BAD_ENDPOINT),
    ],
)
def test_other_endpoints_are_refused(endpoint: str, sentence: str) -> None:
    """An endpoint anywhere else, or one that parsers could read otherwise, is refused."""
    assert sentence == SERVED.problem(browser(endpoint))


@pytest.mark.parametrize("point", [bytes(64), b"\xff" * 64], ids=["off-the-curve", "too-large"])
def test_a_browsers_key_must_be_a_point(point: bytes) -> None:
    """With a key that is none, nothing could ever be sent."""
    address = browser("https://web.push.apple.com/abc", b"\x04" + point)

    assert "push.p256dh must be a point of P-256." == SERVED.problem(address)


def test_topics_of_served_apps_are_taken() -> None:
    """An app of the list is no problem, in either environment."""
    assert None is SERVED.problem(ApnsAddress("ab" * 32, "com.example.approve", "sandbox"))


def test_other_topics_are_refused() -> None:
    """Apple would answer that the token is another app's, for each message."""
    assert "push.topic is not the bundle id of an app that this relay notifies." == SERVED.problem(
        ApnsAddress("ab" * 32, "com.example.other", "production")
    )


def test_without_apns_any_topic_is_taken() -> None:
    """A relay that may be given its key later takes the address now."""
    served = ServedAddresses.of(Settings(apns_topics=()))

    assert None is served.problem(ApnsAddress("ab" * 32, "com.example.other", "production"))


def test_other_channels_have_nothing_to_judge() -> None:
    """A registration token, and no address at all, are always taken."""
    assert [None, None] == [SERVED.problem(FcmAddress("token")), SERVED.problem(NoPushAddress())]
