from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.device.phones import Desk
from tests.sdk.relay_double import Phone, Stored, body_of

from quorumkey.device import (
    NotPairedError,
    RelayMismatchError,
    RequestArrived,
    RequestWithdrawn,
)
from quorumkey.device.pushes import read_push
from quorumkey.errors import ProtocolError
from quorumkey.protocol import (
    ApnsAddress,
    FcmAddress,
    NoPushAddress,
    PrivateKey,
    Push,
    PushAddress,
    WebPushAddress,
    b64encode,
    b64url_encode,
    parse_envelope,
    verify_statement,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quorumkey.protocol import Envelope, JsonValue

ID = "01a1fb5c-6c3d-7e5c-95cc-52144387310f"
PUSH = "PUT /v1/device/push"
OK = httpx2.Response(200, content=b"{}")
APNS = ApnsAddress("00ff", "com.example.approver", "sandbox")
FCM = FcmAddress("token:of-a-phone")
WEB_PUSH = WebPushAddress(
    "https://push.example.com/x", b64url_encode(b"\x04" + bytes(64)), b64url_encode(bytes(16))
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A device that is not paired yet."""
    return Desk(tmp_path / "home")


def said(envelope: JsonValue, phone: Phone) -> Push:
    """The push statement of an envelope, checked under the phone's key."""
    return verify_statement(parse_envelope(envelope), Push, key=phone.key.public_key).statement


# ------------------------------------------------------------------ the address


@pytest.mark.parametrize(
    "address", [NoPushAddress(), APNS, FCM, WEB_PUSH], ids=lambda address: address.channel
)
def test_an_address_is_signed_by_the_device(desk: Desk, address: PushAddress) -> None:
    """A new address is a push statement with a fresh nonce of the pinned relay."""
    phone = desk.enroll()
    desk.relay.script(PUSH, OK)

    desk.use(lambda device: device.set_push(address))

    statement = said(body_of(desk.relay.calls[-1])["envelope"], phone)
    assert (desk.relay.fingerprint, phone.approver.fingerprint, address) == (
        statement.relay,
        statement.device,
        statement.push,
    )
    assert PUSH == desk.relay.seen()[-1]


def test_an_enrolment_brings_the_address(desk: Desk) -> None:
    """An address given at enrolment is signed with the enrollment's own nonce."""
    desk.use(lambda device: device.enroll(desk.link, push=FCM))
    body = body_of(desk.relay.calls[-1])
    phone = Phone("alice")
    (folder,) = (desk.home / "relays").iterdir()
    phone.key = PrivateKey.from_pem((folder / "key.pem").read_bytes())
    enrollment = json.loads(parse_envelope(body["envelope"]).payload)

    statement = said(body["push"], phone)
    assert (enrollment["nonce"], FCM) == (statement.nonce, statement.push)


def test_each_attempt_has_a_nonce_of_its_own(desk: Desk) -> None:
    """An address whose answer was lost is sent again with another nonce."""
    phone = desk.enroll()
    desk.relay.script(PUSH, httpx2.ReadError("x"), OK)

    desk.use(lambda device: device.set_push(APNS))

    sent = [call for call in desk.relay.calls if call.method == "PUT"]
    nonces = {said(body_of(call)["envelope"], phone).nonce for call in sent}
    assert 2 == len(nonces)


def test_a_device_that_is_not_paired_has_no_address(desk: Desk) -> None:
    """Without a pairing there is nobody to tell."""
    with pytest.raises(NotPairedError):
        desk.use(lambda device: device.set_push(APNS))


# ------------------------------------------------------------------ what arrives


def apns(request_id: str, challenge: Envelope | None) -> dict[str, JsonValue]:
    """A payload as an iPhone app gets it."""
    payload: dict[str, JsonValue] = {
        "aps": {"alert": {"title": "Acme Corp is requesting approval"}, "mutable-content": 1},
        "type": "approval_request",
        "request_id": request_id,
    }
    if challenge is not None:
        payload["challenge"] = challenge.to_json()
    return payload


def fcm(request_id: str, challenge: Envelope | None) -> dict[str, JsonValue]:
    """A message's data as an Android app gets it: strings only."""
    payload: dict[str, JsonValue] = {
        "type": "approval_request",
        "request_id": request_id,
        "title": "Acme Corp is requesting approval",
    }
    if challenge is not None:
        payload["challenge"] = json.dumps(challenge.to_json())
    return payload


def web_push(request_id: str, challenge: Envelope | None) -> bytes:
    """A message's body as a browser decrypts it."""
    payload = apns(request_id, challenge)
    payload["title"] = payload.pop("aps")
    return json.dumps(payload).encode()


FORMS = pytest.mark.parametrize("form", [apns, fcm, web_push])


def asked(desk: Desk) -> tuple[Stored, Envelope]:
    """A paired device, a request for it, and the challenge that leads to it."""
    phone = desk.enroll()
    stored = desk.relay.ask(phone)
    return stored, desk.relay.challenge(stored, phone.approver.fingerprint)


def opened(desk: Desk, payload: dict[str, JsonValue] | bytes) -> RequestArrived | RequestWithdrawn:
    """What the device makes of a push."""
    return desk.use(lambda device: device.open_push(payload))


@FORMS
def test_a_push_leads_to_its_request(
    desk: Desk, form: Callable[[str, Envelope | None], dict[str, JsonValue] | bytes]
) -> None:
    """A push on any channel is opened to a request that was fetched and checked."""
    stored, challenge = asked(desk)

    event = opened(desk, form(stored.document.request_id, challenge))

    assert isinstance(event, RequestArrived)
    assert (stored.document.request_id, True) == (
        event.request.request_id,
        event.request.can_approve,
    )


@FORMS
def test_a_push_without_room_for_the_challenge(
    desk: Desk, form: Callable[[str, Envelope | None], dict[str, JsonValue] | bytes]
) -> None:
    """A push with nothing but the id is opened too, with the challenge that is fetched."""
    stored, _ = asked(desk)

    event = opened(desk, form(stored.document.request_id, None))

    assert isinstance(event, RequestArrived)
    assert event.request.can_approve


def test_a_withdrawal_fetches_nothing(desk: Desk) -> None:
    """A push that withdraws a request answers its id, and the relay is not asked."""
    stored, _ = asked(desk)
    before = len(desk.relay.calls)

    event = opened(
        desk, {"type": "request_resolved", "request_id": stored.document.request_id, "aps": {}}
    )

    assert RequestWithdrawn(stored.document.request_id) == event
    assert before == len(desk.relay.calls)


def test_a_challenge_of_another_relay(desk: Desk) -> None:
    """A push whose challenge another key signed is refused before the request is fetched."""
    stored, _ = asked(desk)
    device = stored.document.policy.groups[0].approvers[0].fingerprint
    own, desk.relay.key = desk.relay.key, PrivateKey.generate()
    forged = desk.relay.challenge(stored, device)
    desk.relay.key = own

    with pytest.raises(RelayMismatchError):
        opened(desk, apns(stored.document.request_id, forged))

    assert not [call for call in desk.relay.seen() if call.startswith("GET /v1/device/requests")]


def test_a_challenge_for_another_device(desk: Desk) -> None:
    """A push whose challenge names another device is refused."""
    stored, _ = asked(desk)
    other = desk.relay.challenge(stored, Phone("bob").approver.fingerprint)

    with pytest.raises(ProtocolError, match="not for this device"):
        opened(desk, apns(stored.document.request_id, other))


def test_a_challenge_for_another_request(desk: Desk) -> None:
    """A push whose id and challenge disagree is refused."""
    stored, challenge = asked(desk)
    last = stored.document.request_id[-1]
    other = stored.document.request_id[:-1] + ("0" if last != "0" else "1")

    with pytest.raises(ProtocolError, match="another request"):
        opened(desk, apns(other, challenge))


def test_a_challenge_for_another_text(desk: Desk) -> None:
    """Where the fetched request is not the one that the challenge names, Approve is not offered."""
    phone = desk.enroll()
    stored = desk.relay.ask(phone)
    challenge = desk.relay.challenge(stored, phone.approver.fingerprint)
    nonce = b64encode(bytes(range(32)))
    desk.relay.ask(phone, change={"request_id": stored.document.request_id, "nonce": nonce})

    event = opened(desk, fcm(stored.document.request_id, challenge))

    assert isinstance(event, RequestArrived)
    assert "The challenge is for another request." == event.request.problem


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"type": "approval_request"}, id="no id"),
        pytest.param({"type": "approval_request", "request_id": "../info"}, id="no uuid"),
        pytest.param({"type": "news", "request_id": "{id}"}, id="unknown type"),
        pytest.param({"type": 1, "request_id": "{id}"}, id="type is no text"),
        pytest.param(
            {"type": "approval_request", "request_id": "{id}", "challenge": "{"}, id="broken JSON"
        ),
        pytest.param(
            {"type": "approval_request", "request_id": "{id}", "challenge": {}}, id="no envelope"
        ),
        pytest.param(
            {"type": "approval_request", "request_id": "{id}", "challenge": '"\ud800"'},
            id="no Unicode",
        ),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"\xff", id="no JSON"),
        pytest.param(b'{"a":"' + b"x" * 4_096 + b'"}', id="too large"),
    ],
)
def test_what_is_no_push(desk: Desk, payload: dict[str, JsonValue] | bytes) -> None:
    """Anything else is refused, and the relay is asked nothing."""
    stored, _ = asked(desk)
    before = len(desk.relay.calls)
    if isinstance(payload, dict) and payload.get("request_id") == "{id}":
        payload = {**payload, "request_id": stored.document.request_id}

    with pytest.raises(ProtocolError):
        opened(desk, payload)

    assert before == len(desk.relay.calls)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.dictionaries(
    st.sampled_from(["type", "request_id", "challenge", "aps", "title"]),
    JSON | st.sampled_from(["approval_request", "request_resolved", ID, "{}"]),
)


@given(MEMBERS | st.binary(max_size=64))
def test_any_push_is_read_or_refused(payload: dict[str, JsonValue] | bytes) -> None:
    """Whatever somebody pushes is a push of the protocol or a ProtocolError."""
    try:
        content = read_push(payload)
    except ProtocolError:
        return
    assert ID == content.request_id
