"""Reading a decoded payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from quorumkey_attestation import AttestationError, Reason
from quorumkey_attestation.play_integrity import IntegrityPayload
from quorumkey_attestation.testing import pki, play

if TYPE_CHECKING:
    from quorumkey_attestation.testing.play import Json


def read(value: object) -> IntegrityPayload:
    """Read Python values as a payload."""
    return IntegrityPayload.from_json(cast("dict[str, object]", value))


def request(**members: Json) -> dict[str, Json]:
    """Return a payload of a request alone."""
    return {"requestDetails": {"timestampMillis": "0", **members}}


def test_every_part_is_read() -> None:
    """The control's payload comes out as it went in."""
    payload = read(play.payload())

    assert (play.PACKAGE, play.NONCE, None) == (
        payload.request.package,
        payload.request.nonce,
        payload.request.request_hash,
    )
    assert pki.NOW == payload.request.timestamp
    assert ("PLAY_RECOGNIZED", play.PACKAGE, 42, "LICENSED") == (
        payload.app.recognition,
        payload.app.package,
        payload.app.version_code,
        payload.app.licensing,
    )
    assert frozenset({play.base64url(play.CERTIFICATE_DIGEST)}) == payload.app.certificate_digests
    assert (36, 1, frozenset[str]()) == (
        payload.device.sdk_version,
        payload.device.activity_level,
        payload.device.recall_bits,
    )
    assert frozenset({"KNOWN_INSTALLED", "UNKNOWN_INSTALLED"}) == payload.environment.access_risks
    assert "NO_ISSUES" == payload.environment.play_protect
    assert not payload.is_test


def test_the_answer_of_google_s_server_may_be_given_whole() -> None:
    """The payload inside ``tokenPayloadExternal`` is the same one."""
    assert read(play.payload()) == read({"tokenPayloadExternal": play.payload()})


def test_bytes_and_values_are_read_alike() -> None:
    """JSON text and what it parses to give one payload."""
    assert read(play.payload()) == IntegrityPayload.from_json(play.encode_json(play.payload()))


def test_numbers_may_be_numbers_or_strings() -> None:
    """Google writes 64-bit integers as strings; a plain number is the same."""
    assert read(request(timestampMillis=17)) == read(request(timestampMillis="17"))


def test_what_is_absent_is_not_evaluated() -> None:
    """A payload may say nothing but when it was made; nothing is made up for the rest."""
    payload = read(request())

    assert payload.app.recognition is None
    assert frozenset() == payload.app.certificate_digests | payload.device.labels
    assert payload.device.recall_bits is None


def test_unknown_members_and_levels_are_passed_over() -> None:
    """What Google adds later does no harm; an unknown activity level is none."""
    more: dict[str, Json] = {
        **request(newMember=[1]),
        "newPart": {},
        "deviceIntegrity": {"recentDeviceActivity": {"deviceActivityLevel": "LEVEL_9"}},
    }

    assert read(request()) == read(more)


@pytest.mark.parametrize(
    ("payload", "check"),
    [
        (b"", "1-json"),
        (b"\xff", "1-json"),
        (b"[]", "1-json"),
        (b"[" * 30_000, "1-json"),
        (b"9" * 5_000, "1-json"),
        (b" " * 40_000, "1-size"),
        (b'{"a":1,"a":1}', "1-duplicate"),
        (b"{}", "2-request"),
        (b'{"requestDetails":{}}', "2-timestamp"),
        (b'{"requestDetails":{"timestampMillis":-1}}', "2-timestamp"),
        (b'{"requestDetails":{"timestampMillis":"9999999999999999999"}}', "2-timestamp"),
        (b'{"requestDetails":{"timestampMillis":true}}', "3-type"),
        (b'{"requestDetails":{"timestampMillis":1.5}}', "3-type"),
        (b'{"requestDetails":{"timestampMillis":"1 "}}', "3-type"),
        (b'{"requestDetails":null}', "3-type"),
        (b'{"requestDetails":[]}', "3-type"),
        (b'{"tokenPayloadExternal":1}', "3-type"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_payload_is_refused(payload: bytes, check: str) -> None:
    """Any other bytes are malformed."""
    with pytest.raises(AttestationError) as refused:
        IntegrityPayload.from_json(payload)

    assert (Reason.MALFORMED, f"play.payload/{check}") == (
        refused.value.reason,
        refused.value.check,
    )


@pytest.mark.parametrize("value", [[], "requestDetails", 1, None], ids=repr)
def test_python_values_that_are_no_object_are_refused(value: object) -> None:
    """What a JSON reader made of another text is malformed as well."""
    with pytest.raises(AttestationError) as refused:
        read(value)

    assert Reason.MALFORMED is refused.value.reason


@pytest.mark.parametrize(
    ("part", "check"),
    [
        ({"appIntegrity": {"appRecognitionVerdict": ["PLAY_RECOGNIZED"]}}, "3-type"),
        ({"appIntegrity": {"packageName": None}}, "3-type"),
        ({"appIntegrity": {"versionCode": "0x2A"}}, "3-type"),
        ({"appIntegrity": {"certificateSha256Digest": "abc"}}, "4-list"),
        ({"deviceIntegrity": {"deviceRecognitionVerdict": [1]}}, "3-type"),
        ({"deviceIntegrity": {"deviceRecognitionVerdict": ["x"] * 65}}, "4-length"),
        ({"deviceIntegrity": {"deviceAttributes": []}}, "3-type"),
        ({"deviceIntegrity": {"deviceRecall": {"values": {"bitFirst": "true"}}}}, "3-type"),
        ({"environmentDetails": {"appAccessRiskVerdict": []}}, "3-type"),
        ({"testingDetails": {"isTestingResponse": "false"}}, "3-type"),
    ],
    ids=[
        "recognition is a list",
        "package is null",
        "version in hex",
        "digests are a text",
        "a label is a number",
        "too many labels",
        "attributes are a list",
        "a bit is a text",
        "risks are a list",
        "testing is a text",
    ],
)
def test_a_member_of_another_type_is_refused(part: dict[str, Json], check: str) -> None:
    """No member is bent into the type that it should have."""
    with pytest.raises(AttestationError) as refused:
        read({**request(), **part})

    assert f"play.payload/{check}" == refused.value.check
