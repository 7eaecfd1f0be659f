from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.device.phones import SECRET, Desk
from tests.sdk.relay_double import CODE, INTEGRATOR, URL, answer, body_of, failure

from quorumkey.device import (
    KeyFileError,
    NotPairedError,
    RelayMismatchError,
    SoftwareDevice,
)
from quorumkey.errors import (
    ConflictError,
    GoneError,
    InvalidRequestError,
    PermissionDeniedError,
    TransportError,
    UnexpectedAnswerError,
)
from quorumkey.protocol import (
    Enrollment,
    PrivateKey,
    Unpair,
    pairing_binding,
    parse_envelope,
    pictogram,
    verify_statement,
)

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import JsonValue

ENROLL = "POST /v1/device/enroll"
CHALLENGE = "POST /v1/device/challenge"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A device that is not paired yet."""
    return Desk(tmp_path / "home")


def test_a_preview_spends_nothing(desk: Desk) -> None:
    """A preview tells who wants to pair and leaves nothing behind."""
    preview = desk.use(lambda device: device.preview(desk.link))

    assert (INTEGRATOR, "Alice", desk.relay.fingerprint) == (
        preview.integrator,
        preview.approver_name,
        preview.relay,
    )
    assert ["POST /v1/device/pairing"] == desk.relay.seen()
    assert not desk.home.exists()


def test_enrolment_signs_what_the_protocol_says(desk: Desk) -> None:
    """The enrolment is signed by the new key for this relay, origin and code, and bound."""
    phone = desk.enroll()
    body = body_of(desk.relay.calls[-1])
    key = phone.key.public_key
    enrollment = verify_statement(parse_envelope(body["envelope"]), Enrollment, key=key).statement

    assert {"envelope"} == body.keys()
    assert (desk.relay.fingerprint, URL, CODE, key.base64, "cli") == (
        enrollment.relay,
        enrollment.audience,
        enrollment.pairing_code,
        enrollment.device_public_key,
        enrollment.platform,
    )
    expected = pairing_binding(SECRET, desk.relay.fingerprint, key.compressed)
    assert expected == enrollment.binding


def test_who_the_device_is(desk: Desk) -> None:
    """After enrolment the device knows its fingerprint, its relay and its integrator."""
    phone = desk.enroll()
    identity = desk.device().identity

    assert (phone.approver.fingerprint, desk.relay.fingerprint, URL, (INTEGRATOR,)) == (
        identity.fingerprint,
        identity.relay,
        identity.relay_url,
        identity.integrators,
    )
    assert pictogram(phone.approver.fingerprint) == identity.pictogram


def test_a_typed_code_is_not_bound(desk: Desk) -> None:
    """A device that was typed a code pins the relay that answers and has no binding."""
    desk.use(lambda device: device.enroll("7Q4M-2XKD-90FZ"), relay_url=URL)
    enrollment = Enrollment.decode(
        parse_envelope(body_of(desk.relay.calls[-1])["envelope"]).payload
    )

    assert enrollment.binding is None
    assert desk.relay.fingerprint == desk.device().identity.relay


def test_the_link_names_the_relay(desk: Desk) -> None:
    """Where another relay answers than the link names, nothing is sent to it."""
    link = desk.link
    desk.relay.key = PrivateKey.generate()

    with pytest.raises(RelayMismatchError):
        desk.use(lambda device: device.enroll(link))

    assert ENROLL not in desk.relay.seen()
    assert not desk.home.exists()


def test_the_relay_does_not_change_in_between(desk: Desk) -> None:
    """The relay that gives the nonce must be the one that was previewed."""
    other = PrivateKey.generate().public_key
    nonce: dict[str, JsonValue] = {
        **desk.relay.nonce(),
        "relay": other.fingerprint,
        "relay_public_key": other.base64,
    }
    desk.relay.script(CHALLENGE, answer(nonce))

    with pytest.raises(RelayMismatchError):
        desk.use(lambda device: device.enroll("7Q4M-2XKD-90FZ"), relay_url=URL)

    assert ENROLL not in desk.relay.seen()


def test_a_relay_that_is_known_must_be_the_same(desk: Desk) -> None:
    """At a known address only the pinned relay, or its successor, is enrolled with again."""
    desk.enroll()
    desk.relay.key = PrivateKey.generate()

    with pytest.raises(RelayMismatchError, match="not the one"):
        desk.use(lambda device: device.enroll(desk.link))

    assert 1 == desk.relay.seen().count(ENROLL)


def test_a_successor_is_the_same_relay(desk: Desk) -> None:
    """After a proper key change the device enrols again, with the same key."""
    phone = desk.enroll()
    desk.relay.succeed(not_before=desk.relay.now)
    desk.use(lambda device: device.enroll(desk.link))
    identity = desk.device().identity

    assert (phone.approver.fingerprint, desk.relay.fingerprint) == (
        identity.fingerprint,
        identity.relay,
    )
    assert (INTEGRATOR,) == identity.integrators


def test_each_relay_gets_a_key_of_its_own(desk: Desk, tmp_path: Path) -> None:
    """Two relays see two keys, and the device asks which relay is meant."""
    first = desk.enroll().approver.fingerprint
    other = Desk(tmp_path / "home")
    other_url = "https://other.example.com"
    other.use(lambda device: device.enroll("7Q4M-2XKD-90FZ"), relay_url=other_url)
    fingerprints = {identity.fingerprint for identity in desk.device().identities()}

    assert 2 == len(fingerprints)
    assert first in fingerprints
    assert first == desk.device(URL).identity.fingerprint
    with pytest.raises(NotPairedError, match="several"):
        _ = desk.device().identity


def test_a_lost_answer_is_asked_for_again(desk: Desk) -> None:
    """After a lost answer the same key and code go out with a new nonce."""
    desk.relay.script(ENROLL, httpx2.ReadError("x"), failure(410, "nonce_expired"))
    desk.enroll()
    sent = [
        Enrollment.decode(parse_envelope(body_of(call)["envelope"]).payload)
        for call in desk.relay.calls
        if call.url.path.endswith("enroll")
    ]

    assert 3 == len({enrollment.nonce for enrollment in sent})
    assert 1 == len({enrollment.device_public_key for enrollment in sent})
    assert 2 == len(desk.clock.slept)


def test_the_key_survives_a_failed_enrolment(desk: Desk) -> None:
    """The key is on disk before it is sent, so a second try enrols the same key."""
    desk.relay.script(ENROLL, *(httpx2.ReadError("x") for _ in range(4)))
    with pytest.raises(TransportError):
        desk.use(lambda device: device.enroll(desk.link))
    assert [] == desk.device().identities()
    desk.enroll()
    keys = {
        json.loads(parse_envelope(body_of(call)["envelope"]).payload)["device_public_key"]
        for call in desk.relay.calls
        if call.url.path.endswith("enroll")
    }

    assert 1 == len(keys)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (failure(410, "pairing_expired"), GoneError),
        (failure(409, "device_conflict"), ConflictError),
        (failure(403, "attestation_required"), PermissionDeniedError),
        (httpx2.Response(200), UnexpectedAnswerError),
    ],
)
def test_a_refused_enrolment_pairs_nothing(
    desk: Desk, reply: httpx2.Response, kind: type[Exception]
) -> None:
    """A refusal is raised at once and leaves the device unpaired."""
    desk.relay.script(ENROLL, reply)

    with pytest.raises(kind):
        desk.use(lambda device: device.enroll(desk.link))

    assert 1 == desk.relay.seen().count(ENROLL)
    assert [] == desk.device().identities()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"fingerprint": "0" * 64}, UnexpectedAnswerError),
        ({"relay_public_key": PrivateKey.generate().public_key.base64}, RelayMismatchError),
        ({"integrator": {"id": "evil", "name": "Evil"}}, UnexpectedAnswerError),
    ],
)
def test_the_answer_must_fit(
    desk: Desk, change: dict[str, JsonValue], kind: type[Exception]
) -> None:
    """An answer about another key, relay or integrator pairs nothing."""

    def lie(request: httpx2.Request) -> httpx2.Response:
        keyid = parse_envelope(body_of(request)["envelope"]).keyid
        return answer({**desk.relay.enrolled(keyid), **change}, 201)

    desk.relay.script(ENROLL, lie)

    with pytest.raises(kind):
        desk.use(lambda device: device.enroll(desk.link))

    assert [] == desk.device().identities()


def test_a_revoked_key_is_replaced(desk: Desk) -> None:
    """Where the key was revoked and no pairing is left, a new key enrols; the old one is kept."""
    first = desk.enroll().approver.fingerprint
    desk.use(lambda device: device.unpair())
    desk.relay.script(ENROLL, failure(403, "device_revoked"))
    desk.use(lambda device: device.enroll(desk.link))
    (folder,) = (desk.home / "relays").iterdir()

    assert first != desk.device().identity.fingerprint
    assert (folder / f"key-{first}.pem").exists()


def test_a_revoked_key_with_pairings_is_named(desk: Desk) -> None:
    """While the device believes to be paired, a revoked key is the person's to decide on."""
    desk.enroll()
    desk.relay.script(ENROLL, failure(403, "device_revoked"))

    with pytest.raises(PermissionDeniedError):
        desk.use(lambda device: device.enroll(desk.link))


# ------------------------------------------------------------------ unpairing


def test_unpairing_is_signed(desk: Desk) -> None:
    """Unpairing is signed with a fresh nonce, for one integrator or for all."""
    phone = desk.enroll()
    desk.use(lambda device: device.unpair("acme"))
    body = body_of(desk.relay.calls[-1])
    statement = verify_statement(
        parse_envelope(body["envelope"]), Unpair, key=phone.key.public_key
    ).statement

    assert ("acme", desk.relay.fingerprint) == (statement.integrator_id, statement.relay)
    assert () == desk.device().identity.integrators


@pytest.mark.parametrize("code", ["device_revoked", "not_found"])
def test_a_pairing_that_has_ended_is_ended(desk: Desk, code: str) -> None:
    """Where the relay knows no such pairing any more, the device forgets it too."""
    desk.enroll()
    status = {"device_revoked": 403, "not_found": 404}[code]
    desk.relay.script("POST /v1/device/unpair", httpx2.ReadError("x"), failure(status, code))
    desk.use(lambda device: device.unpair())

    assert () == desk.device().identity.integrators


def test_a_refused_unpairing_keeps_the_pairing(desk: Desk) -> None:
    """Where the relay refuses, the device stays paired."""
    desk.enroll()
    desk.relay.script("POST /v1/device/unpair", failure(400, "invalid_request"))

    with pytest.raises(InvalidRequestError):
        desk.use(lambda device: device.unpair())

    assert (INTEGRATOR,) == desk.device().identity.integrators


def test_unpairing_from_a_stranger(desk: Desk) -> None:
    """An integrator that the device is not paired with cannot be left."""
    desk.enroll()

    with pytest.raises(NotPairedError):
        desk.use(lambda device: device.unpair("other"))


def test_after_unpairing_nothing_is_asked(desk: Desk) -> None:
    """A device without a pairing says so without calling the relay."""
    desk.enroll()
    desk.use(lambda device: device.unpair())
    before = len(desk.relay.calls)

    with pytest.raises(NotPairedError, match="any more"):
        desk.use(lambda device: device.pending())

    assert before == len(desk.relay.calls)


# ------------------------------------------------------------------ the home folder


def test_an_empty_home(tmp_path: Path) -> None:
    """A device without a home is nobody."""
    device = SoftwareDevice(tmp_path / "none")

    assert [] == device.identities()
    with pytest.raises(NotPairedError, match="pairing link"):
        _ = device.identity
    with pytest.raises(NotPairedError, match=r"relay\.example\.com"):
        _ = SoftwareDevice(tmp_path / "none", relay_url=URL).identity


def relay_file(desk: Desk) -> Path:
    """The file that remembers the relay."""
    (path,) = (desk.home / "relays").glob("*/relay.json")
    return path


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"v":1,"url":"x","pins":[{"public_key":"AA=="}],"integrators":[]}']
)
def test_a_damaged_home_is_named(desk: Desk, data: bytes) -> None:
    """A home file with something else in it stops the device."""
    desk.enroll()
    relay_file(desk).write_bytes(data)

    with pytest.raises(KeyFileError, match="damaged"):
        desk.device().identities()


def test_a_shared_home_is_refused(desk: Desk) -> None:
    """A home that other users may enter is not used."""
    desk.enroll()
    desk.home.chmod(0o755)

    with pytest.raises(KeyFileError, match="chmod 700"):
        desk.device().identities()


def test_a_missing_key_is_named(desk: Desk) -> None:
    """A pairing without its key file is an error that names the file."""
    desk.enroll()
    relay_file(desk).with_name("key.pem").unlink()

    with pytest.raises(KeyFileError, match=r"key\.pem is missing"):
        _ = desk.device().identity


def test_key_changes_are_remembered(desk: Desk) -> None:
    """What was pinned, and when it was replaced, is read back from the home."""
    desk.enroll()
    desk.relay.succeed(not_before=desk.relay.now + 10)
    desk.use(lambda device: device.enroll(desk.link))
    record = json.loads(relay_file(desk).read_bytes())

    assert [desk.relay.now + 10, None] == [pin["retired_at"] for pin in record["pins"]]
    assert 1 == len(desk.device().identities())
