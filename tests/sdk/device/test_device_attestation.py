from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.device.phones import Desk
from tests.sdk.relay_double import body_of

from quorumkey.protocol import Enrollment, b64encode, parse_envelope

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.device import AttestationChallenge
    from quorumkey.protocol import JsonValue

ENROLL = "POST /v1/device/enroll"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A device that is not paired yet."""
    return Desk(tmp_path / "home")


def enrolled(desk: Desk) -> list[tuple[Enrollment, JsonValue]]:
    """What every enrolment said, with its evidence."""
    bodies = [body_of(call) for call in desk.relay.calls if call.url.path.endswith("enroll")]
    return [
        (Enrollment.decode(parse_envelope(body["envelope"]).payload), body.get("attestation"))
        for body in bodies
    ]


def about(challenge: AttestationChallenge) -> JsonValue:
    """Evidence that repeats what it was asked to be about."""
    return {"format": "android-key", "chain": [str(challenge.to_json())]}


def test_evidence_is_about_the_enrollment(desk: Desk) -> None:
    """It is made for the nonce and the key that the enrollment names, and sent beside it."""
    desk.use(lambda device: device.enroll(desk.link, attest=about))

    ((said, evidence),) = enrolled(desk)
    question = {"nonce": said.nonce, "device_public_key": said.device_public_key}
    assert {"format": "android-key", "chain": [str(question)]} == evidence


def test_without_a_maker_no_evidence_is_sent(desk: Desk) -> None:
    """The member is absent."""
    desk.use(lambda device: device.enroll(desk.link))

    assert [None] == [evidence for _, evidence in enrolled(desk)]


def test_each_attempt_has_evidence_of_its_own(desk: Desk) -> None:
    """A nonce is spent once, so an attempt that got lost is followed by one with new evidence."""
    desk.relay.script(ENROLL, httpx2.ReadError("lost"))
    nonces: list[str] = []

    def attest(challenge: AttestationChallenge) -> JsonValue:
        nonces.append(b64encode(challenge.nonce))
        return {"format": "none"}

    desk.use(lambda device: device.enroll(desk.link, attest=attest))

    assert nonces == [said.nonce for said, _ in enrolled(desk)]
    assert 2 == len(set(nonces))


def test_what_the_maker_raises_is_raised(desk: Desk) -> None:
    """Nothing is enrolled where no evidence could be made."""

    def fail(challenge: AttestationChallenge) -> JsonValue:
        del challenge
        raise RuntimeError("no hardware")

    with pytest.raises(RuntimeError, match="no hardware"):
        desk.use(lambda device: device.enroll(desk.link, attest=fail))

    assert ENROLL not in desk.relay.seen()
    assert [] == desk.device().identities()
