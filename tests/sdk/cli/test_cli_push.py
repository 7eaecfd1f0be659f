from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.cli.terminal import Done, type_in
from tests.sdk.relay_double import body_of

from quorumkey.protocol import FcmAddress, NoPushAddress, Push, PushAddress, parse_envelope

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sdk.device.phones import Desk

    from quorumkey.protocol import JsonValue

CALL = "PUT /v1/device/push"
FCM = '{"channel": "fcm", "token": "abc"}'


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A device whose relay takes an address."""
    desk.relay.script(CALL, httpx2.Response(200, content=b"{}"))
    return desk


def device(desk: Desk, command: str, *arguments: str | Path, stdin: str = "") -> Done:
    """Type a command of this device."""
    return type_in("device", command, *arguments, "--home", desk.home, stdin=stdin)


def told(desk: Desk, member: str) -> PushAddress:
    """The address in the envelope that the relay was sent last."""
    return Push.decode(parse_envelope(body_of(desk.relay.calls[-1])[member]).payload).push


def test_an_address_from_the_command_line(desk: Desk) -> None:
    """The address is sent as it was given, and only its channel is printed."""
    desk.enroll()
    done = device(desk, "push", FCM)

    assert (0, "This device is woken through fcm.\n") == (done.status, done.out)
    assert FcmAddress("abc") == told(desk, "envelope")


def test_an_address_from_a_pipe(desk: Desk) -> None:
    """With - the address is read from standard input, so that no list of processes shows it."""
    desk.enroll()
    done = device(desk, "push", "-", "--json", stdin=FCM + "\n")

    assert {"channel": "fcm"} == done.object
    assert FcmAddress("abc") == told(desk, "envelope")


def test_no_address(desk: Desk) -> None:
    """None ends being woken."""
    desk.enroll()
    done = device(desk, "push", "none")

    assert done.out.startswith("This device is not woken any more")
    assert NoPushAddress() == told(desk, "envelope")


@pytest.mark.parametrize("address", ["fcm", "{}", '{"channel": "fcm"}', '{"channel": "sms"}'])
def test_what_is_no_address(desk: Desk, address: str) -> None:
    """Anything else is wrong usage, and nothing is sent."""
    done = device(desk, "push", address)

    assert (2, "", []) == (done.status, done.out, desk.relay.calls)
    assert "The push address is not usable" in done.err


def test_enrolling_with_an_address(desk: Desk) -> None:
    """--push brings the address with the enrolment."""
    done = device(desk, "enroll", desk.link, "--yes", "--push", FCM)

    assert 0 == done.status
    assert FcmAddress("abc") == told(desk, "push")


def payload(desk: Desk, **more: JsonValue) -> str:
    """A push that leads to the request of this device."""
    phone = desk.enroll()
    stored = desk.relay.ask(phone)
    challenge = desk.relay.challenge(stored, phone.approver.fingerprint)
    return json.dumps(
        {
            "type": "approval_request",
            "request_id": stored.document.request_id,
            "challenge": json.dumps(challenge.to_json()),
            **more,
        }
    )


def test_opening_a_push(desk: Desk, tmp_path: Path) -> None:
    """What a push leads to is shown as any request, as text and as JSON."""
    file = tmp_path / "payload.json"
    file.write_text(payload(desk))
    text, as_json = device(desk, "open", file), device(desk, "open", file, "--json")

    assert (0, 0) == (text.status, as_json.status)
    assert "Action      Cold boot engine ENG-001\n" in text.out
    assert "approval_request" == as_json.object["type"]
    request = as_json.object["request"]
    assert isinstance(request, dict)
    assert request["can_approve"]


def test_an_opened_push_is_acknowledged(desk: Desk) -> None:
    """Once it is shown the relay is told, as by an app, so that its log says acknowledged."""
    pushed = payload(desk)
    request_id = json.loads(pushed)["request_id"]
    device(desk, "open", "-", stdin=pushed)

    assert f"POST /v1/device/requests/{request_id}/ack" == desk.relay.seen()[-1]


def test_opening_a_withdrawal(desk: Desk) -> None:
    """A push that withdraws a request says so."""
    withdrawn = payload(desk, type="request_resolved")
    request_id = json.loads(withdrawn)["request_id"]

    assert f"Withdrawn: {request_id} has ended.\n" == device(desk, "open", "-", stdin=withdrawn).out
    assert {"type": "request_resolved", "request_id": request_id} == device(
        desk, "open", "-", "--json", stdin=withdrawn
    ).object


def test_a_push_whose_request_may_not_be_approved(desk: Desk) -> None:
    """A push whose request fails a check is shown, and ends with 1."""
    pushed = payload(desk)
    desk.relay.now += 10_000
    done = device(desk, "open", "-", stdin=pushed)

    assert 1 == done.status
    assert "Do not approve: " in done.out


def test_what_is_no_push(desk: Desk) -> None:
    """Something else than a push is refused in one sentence."""
    desk.enroll()
    done = device(desk, "open", "-", stdin="{}")

    assert (1, "") == (done.status, done.out)
    assert "This push is not usable" in done.err
