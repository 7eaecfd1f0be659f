"""What is secret shows in no repr, so it reaches no traceback and no log by that way."""

from __future__ import annotations

import pytest

from quorumkey.protocol import (
    Action,
    ApnsAddress,
    Approver,
    Decision,
    Enrollment,
    FcmAddress,
    Group,
    Policy,
    PrivateKey,
    Push,
    WebPushAddress,
    b64encode,
    b64url_encode,
)
from quorumkey.receipts import VerificationPolicy

DIGEST = "a" * 64
NONCE = b64encode(bytes(32))
KEY = PrivateKey.generate().public_key
TOKEN = "c0ffee" * 10
CODE = "K7QX-2M9P-4RTV"
PUSH_KEY = b64url_encode(b"\x04" + b"canary" * 10 + b"rest")
PUSH_AUTH = b64url_encode(b"canary-canary-16")


def push(address: ApnsAddress | FcmAddress | WebPushAddress) -> Push:
    """A statement of this address."""
    return Push(relay=DIGEST, nonce=NONCE, device=DIGEST, push=address)


SECRETIVE: dict[str, tuple[object, tuple[str, ...]]] = {
    "decision": (
        Decision(
            request_digest=f"sha256:{DIGEST}",
            decision="approve",
            device=DIGEST,
            decided_at=0,
            code="918273",
        ),
        ("918273",),
    ),
    "enrollment": (
        Enrollment(
            relay=DIGEST,
            audience="https://relay.example",
            nonce=NONCE,
            pairing_code=CODE,
            device_public_key=KEY.base64,
            platform="cli",
        ),
        (CODE,),
    ),
    "apns": (push(ApnsAddress(TOKEN, "com.example", "production")), (TOKEN,)),
    "fcm": (push(FcmAddress(TOKEN)), (TOKEN,)),
    "webpush": (
        push(WebPushAddress(f"https://push.example/{TOKEN}", PUSH_KEY, PUSH_AUTH)),
        (TOKEN, PUSH_KEY, PUSH_AUTH),
    ),
    "policy": (
        VerificationPolicy(
            relay_public_keys=(KEY,),
            action=Action("cold_boot", "Cold boot"),
            policy=Policy(
                required=1, groups=(Group("Ops", (Approver(KEY.fingerprint, KEY.base64),)),)
            ),
            match_code="918273",
        ),
        ("918273",),
    ),
}


@pytest.mark.parametrize("name", SECRETIVE)
def test_a_secret_is_in_no_repr(name: str) -> None:
    """Codes and push addresses are left out."""
    value, secrets = SECRETIVE[name]

    assert [] == [secret for secret in secrets if secret in repr(value)]


def test_an_address_alone_hides_as_well() -> None:
    """Also where it is not part of a statement."""
    assert TOKEN not in repr(FcmAddress(TOKEN))
