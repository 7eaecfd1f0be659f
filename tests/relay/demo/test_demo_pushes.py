"""What the demonstration's providers are sent: nothing that tells what is asked."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from quorumkey.protocol import Action, ApnsAddress, FcmAddress
from quorumkey_relay.demo.phones import PhoneFailedError
from quorumkey_relay.demo.pushes import check_tells_nothing, mailbox_of, push_address_of
from quorumkey_relay.demo.scenario import Person
from quorumkey_relay.standins import Received, apns_token, fcm_token, start_stand_ins

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

ACTION = Action("cold_boot", "Cold boot engine ENG-001", {"engine_id": "ENG-001", "ok": "no"})


def received(payload: dict[str, Any]) -> Received:
    """A push with this payload."""
    return Received(
        number=1,
        at=0.0,
        channel="apns",
        token="t",
        behaviour="ok",
        collapse_id=None,
        push_type=None,
        expiration=None,
        priority=None,
        headers={},
        body=json.dumps(payload).encode(),
        accepted=True,
        reason=None,
    )


def challenge(text: str) -> dict[str, str]:
    """An envelope whose payload holds a text."""
    return {"payload": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({"aps": {"alert": {"title": "Cold boot engine ENG-001?"}}}, id="title"),
        pytest.param({"engine_id": "x"}, id="name"),
        pytest.param({"a": [{"b": "is ENG-001 cold"}]}, id="inside"),
        pytest.param({"challenge": challenge("type=cold_boot")}, id="challenge"),
        pytest.param(
            {"message": {"data": {"challenge": json.dumps(challenge("ENG-001"))}}}, id="text"
        ),
    ],
)
def test_a_push_that_tells_too_much_ends_the_demonstration(payload: dict[str, Any]) -> None:
    """A word of the action is found wherever it is in a push, encoded or not."""
    with pytest.raises(PhoneFailedError, match="the push tells the provider what is asked"):
        check_tells_nothing(received(payload), ACTION)


def test_short_words_may_be_there_by_chance() -> None:
    """A word of three letters or fewer proves nothing, and is not looked for."""
    check_tells_nothing(received({"ok": "no"}), ACTION)


def test_a_connected_phone_has_no_address() -> None:
    """Who is reached by the stream enrols without an address."""
    assert push_address_of(None) is None


async def test_each_phone_is_somebody_s(tmp_path: Path) -> None:
    """A person is reached by Apple's or Google's stand-in as the scenario says, or by none."""
    async with start_stand_ins(tmp_path) as stands:
        boxes = [
            mailbox_of(Person("a", "A"), stands, 0),
            mailbox_of(Person("b", "B", "apns"), stands, 1),
            mailbox_of(Person("c", "C", "fcm"), stands, 2),
        ]
    addresses = [push_address_of(box) for box in boxes]

    assert [
        None,
        ApnsAddress(apns_token(number=1), stands.files.apns_topic, "production"),
        FcmAddress(fcm_token(number=2)),
    ] == addresses
    assert ["Apple", "Google"] == [box.provider for box in boxes if box is not None]
