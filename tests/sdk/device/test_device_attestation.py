from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.device.phones import Desk
from tests.sdk.relay_double import answer, body_of, failure

from quorumkey.device import Reattested
from quorumkey.errors import InvalidRequestError, UnexpectedAnswerError
from quorumkey.protocol import Enrollment, b64encode, parse_envelope

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.device import AttestationChallenge
    from quorumkey.protocol import JsonValue

ENROLL = "POST /v1/device/enroll"
REATTEST = "POST /v1/device/reattest"


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


# ------------------------------------------------------------------ later


def proved(desk: Desk, fingerprint: str) -> None:
    """Have the relay answer the next evidence."""
    desk.relay.script(REATTEST, answer({"fingerprint": fingerprint, "assurance": "strongbox"}))


def test_new_evidence_is_sent_under_a_session(desk: Desk) -> None:
    """It is made for a new nonce and this device's key, and the level is answered."""
    phone = desk.enroll()
    proved(desk, phone.approver.fingerprint)
    asked: list[JsonValue] = []

    def attest(challenge: AttestationChallenge) -> JsonValue:
        asked.append(challenge.to_json())
        return {"format": "none"}

    done = desk.use(lambda device: device.reattest(attest))

    (call,) = [call for call in desk.relay.calls if call.url.path.endswith("reattest")]
    body = body_of(call)
    assert [{"nonce": body["nonce"], "device_public_key": phone.key.public_key.base64}] == asked
    assert {"format": "none"} == body["attestation"]
    assert call.headers["authorization"].startswith("Bearer ")
    assert Reattested(fingerprint=phone.approver.fingerprint, assurance="strongbox") == done


def test_an_answer_that_got_lost_is_followed_by_new_evidence(desk: Desk) -> None:
    """A nonce is spent at its first presentation here, too."""
    phone = desk.enroll()
    desk.relay.script(REATTEST, httpx2.ReadError("lost"))
    proved(desk, phone.approver.fingerprint)

    desk.use(lambda device: device.reattest(about))

    nonces = [body_of(c)["nonce"] for c in desk.relay.calls if c.url.path.endswith("reattest")]
    assert 2 == len(set(map(str, nonces)))


def test_an_answer_about_another_key(desk: Desk) -> None:
    """It is not taken for this device's level."""
    desk.enroll()
    proved(desk, "0" * 64)

    with pytest.raises(UnexpectedAnswerError):
        desk.use(lambda device: device.reattest(about))


def test_evidence_that_is_rejected(desk: Desk) -> None:
    """The refusal is raised with its reason, at the first attempt."""
    desk.enroll()
    desk.relay.script(REATTEST, failure(400, "attestation_rejected", reason="counter"))

    with pytest.raises(InvalidRequestError) as refusal:
        desk.use(lambda device: device.reattest(about))

    assert ("attestation_rejected", {"reason": "counter"}) == (
        refusal.value.code,
        refusal.value.details,
    )
    assert 1 == desk.relay.seen().count(REATTEST)
