from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.attestation.attest_terminal import case_called, type_in
from tests.repo import tree

from quorumkey_attestation import roots
from quorumkey_attestation.android.key_description import KEY_DESCRIPTION_OID
from quorumkey_attestation.cli import section
from quorumkey_attestation.evidence_files import EvidenceFile, pem_armour, read_chain
from quorumkey_attestation.testing import pki

if TYPE_CHECKING:
    from pathlib import Path

AT = "2026-06-01T12:00:00Z"
VECTORS = tree.ROOT.parent / "shared" / "vectors"
GENUINE = (
    sorted(VECTORS.glob("android-keyattestation/**/*.pem"))
    + sorted(VECTORS.glob("apple-docs/*.cbor"))
    + sorted(VECTORS.glob("apple-docs/*.b64"))
    + sorted(VECTORS.glob("roots/*.pem"))
    + sorted(VECTORS.glob("revocation-status/*.json"))
)


def written(folder: Path, case_id: str, name: str) -> Path:
    """One file of a case's evidence."""
    path = folder / name
    path.write_bytes(case_called(case_id).evidence[name])
    return path


def shown(*arguments: str | Path) -> dict[str, dict[str, str]]:
    """The sections that `show` prints, by their titles."""
    done = type_in("show", *arguments, "--at", AT, "--json")
    assert (0, "") == (done.status, done.err)
    sections = cast("list[dict[str, object]]", done.object["sections"])
    return {str(each["title"]): cast("dict[str, str]", each["values"]) for each in sections}


def test_a_chain_is_shown_with_its_extensions(tmp_path: Path) -> None:
    """Each certificate, then the KeyDescription and the ProvisioningInfo with their places."""
    told = shown(written(tmp_path, "K0a", "chain.pem"))

    assert [
        "certificate 0 (the leaf)",
        "certificate 1",
        "certificate 2",
        "certificate 3",
        "certificate 4",
        "KeyDescription (in certificate 0)",
        "softwareEnforced: what the system says",
        "hardwareEnforced: what the hardware says",
        "ProvisioningInfo: what Google's provisioning server says (in certificate 1)",
    ] == list(told)
    assert "valid" == told["certificate 1"][f"at {AT}"]
    assert "one of this package's test roots: denied" == told["certificate 4"]["root"]
    assert "yes" == told["certificate 0 (the leaf)"]["issued by the next"]
    assert "1" == told["certificate 0 (the leaf)"]["serial"]


def test_a_key_description_is_shown_with_the_schema_s_names(tmp_path: Path) -> None:
    """Tags with number and name, enumerations with their names, dates as dates."""
    hardware = shown(written(tmp_path, "D0b", "chain.pem"))[
        "hardwareEnforced: what the hardware says"
    ]

    assert "2 (SIGN)" == hardware["1 purpose"]
    assert "3 (EC)" == hardware["2 algorithm"]
    assert "1 (P-256)" == hardware["10 ecCurve"]
    assert "0 (GENERATED)" == hardware["702 origin"]
    assert "VERIFIED" == hardware["704 rootOfTrust.verifiedBootState"]
    assert "yes" == hardware["704 rootOfTrust.deviceLocked"]
    assert hardware["504 userAuthType"].endswith(")")


def test_unknown_tags_and_quirks_are_shown(tmp_path: Path) -> None:
    """What nobody knows is shown in hex, what deviates from DER in words."""
    unknown = shown(written(tmp_path, "D20a", "chain.pem"))
    disordered = shown(written(tmp_path, "D21a", "chain.pem"))

    assert any(
        "(unknown tag)" in name for name in unknown["hardwareEnforced: what the hardware says"]
    )
    assert "not in ascending order" in disordered["KeyDescription (in certificate 0)"]["quirk 1"]


def test_every_tag_has_its_own_number(tmp_path: Path) -> None:
    """The number that stands before a name is the one the name has in the schema."""
    numbers = {
        "1 purpose",
        "2 algorithm",
        "3 keySize",
        "5 digest",
        "10 ecCurve",
        "702 origin",
        "705 osVersion",
        "706 osPatchLevel",
    }
    hardware = shown(written(tmp_path, "K0a", "chain.pem"))[
        "hardwareEnforced: what the hardware says"
    ]

    assert numbers <= set(hardware)


def test_a_key_description_by_itself_is_shown(tmp_path: Path) -> None:
    """The extension's value, without a certificate around it."""
    from cryptography import x509  # noqa: PLC0415  # only this test takes one apart

    chain = read_chain([EvidenceFile("c", case_called("D0a").evidence["chain.pem"])])
    leaf = x509.load_der_x509_certificate(chain[0])
    extension = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(KEY_DESCRIPTION_OID))
    value = cast("x509.UnrecognizedExtension", extension.value).value
    path = tmp_path / "key_description.der"
    path.write_bytes(value)

    assert "TEE" == shown(path)["KeyDescription"]["keyMintSecurityLevel"]


def test_several_files_are_a_chain(tmp_path: Path) -> None:
    """Leaf, issuers and root each in a file of its own."""
    chain = read_chain([EvidenceFile("c", case_called("K0b").evidence["chain.pem"])])
    paths = [tmp_path / f"{index}.der" for index in range(len(chain))]
    for path, der in zip(paths, chain, strict=True):
        path.write_bytes(der)

    assert "certificate 3" in shown(*paths)
    assert ["certificate 0 (the leaf)"] == list(shown(paths[3]))


def test_an_app_attest_object_is_shown(tmp_path: Path) -> None:
    """AuthData with its fields, the extensions of iOS 27 by name, the chain and the receipt."""
    told = shown(written(tmp_path, "A0a", "object.cbor"))

    assert "apple-appattest" == told["attestation object"]["format"]
    assert "0x40 (AT)" == told["authData"]["flags"]
    assert "0" == told["authData"]["counter"]
    assert "4 (App Store)" == told["authData"]["apple_validation_category_01"]
    assert "ATTEST" == told["App Attest receipt"]["6 type"]
    assert told["certificate 0 (the leaf)"]["Apple nonce"].startswith("3024a1220420")
    assert "receipt certificate 1" in told


def test_an_app_attest_assertion_is_shown(tmp_path: Path) -> None:
    """Signature, flags, counter and extensions."""
    told = shown(written(tmp_path, "S0c", "assertion.cbor"))

    assert told["App Attest assertion"]["signature"].startswith("30")
    assert "5" == told["authenticatorData"]["counter"]
    assert "apple_validation_category_01" in told["authenticatorData"]


def test_a_receipt_is_shown(tmp_path: Path) -> None:
    """Fields by number and name, then the certificates inside."""
    told = shown(written(tmp_path, "R0b", "receipt.der"))

    assert "RECEIPT" == told["App Attest receipt"]["6 type"]
    assert "17 risk metric" in told["App Attest receipt"]


def test_a_passkey_is_shown(tmp_path: Path) -> None:
    """From its attestation object, or from the browser's JSON with the client data."""
    evidence = case_called("W0j").evidence
    path = written(tmp_path, "W0j", "attestation_object.cbor")
    document = tmp_path / "credential.json"
    encoded = {
        name: base64.urlsafe_b64encode(evidence[file]).decode().rstrip("=")
        for name, file in (
            ("attestationObject", "attestation_object.cbor"),
            ("clientDataJSON", "client_data.json"),
        )
    }
    document.write_text(json.dumps({"response": encoded}), encoding="utf-8")

    assert "packed" == shown(path)["attestation object"]["format"]
    assert "signCount" in shown(path)["authData"]
    assert "webauthn.create" == shown(document)["client data"]["type"]
    assert "packed" == shown(document)["attestation object"]["format"]


@pytest.mark.parametrize("client_data", [b"no JSON", b"[]"], ids=["text", "list"])
def test_client_data_that_is_none_is_shown_as_such(tmp_path: Path, client_data: bytes) -> None:
    """An assertion with broken client data is no reason to stop."""
    parts = {"authenticatorData": "AA", "signature": "AA"}
    encoded = base64.urlsafe_b64encode(client_data).decode().rstrip("=")
    document = tmp_path / "credential.json"
    response = {**parts, "clientDataJSON": encoded}
    document.write_text(json.dumps({"response": response}), encoding="utf-8")

    assert ["client data"] == list(shown(document))


def test_an_enrolment_s_evidence_is_shown(tmp_path: Path) -> None:
    """The JSON members `object` and `chain` are shown like the files they stand for."""
    path = tmp_path / "evidence.json"
    apple = base64.b64encode(case_called("A0a").evidence["object.cbor"]).decode()
    path.write_text(json.dumps({"format": "apple-app-attest", "object": apple}), encoding="utf-8")
    assert "authData" in shown(path)

    chain = read_chain([EvidenceFile("c", case_called("K0b").evidence["chain.pem"])])
    texts = [base64.b64encode(der).decode() for der in chain]
    path.write_text(json.dumps({"format": "android-key", "chain": texts}), encoding="utf-8")
    assert "certificate 3" in shown(path)


def test_a_play_payload_is_shown(tmp_path: Path) -> None:
    """The members that are judged, by Google's names."""
    told = shown(written(tmp_path, "P0b", "payload.json"))["Play Integrity payload"]

    assert "MEETS_DEVICE_INTEGRITY" in told["deviceRecognitionVerdict"]


def test_a_token_is_opened_with_its_keys(tmp_path: Path) -> None:
    """Without both keys a token stays closed; keys that are none are told."""
    path = written(tmp_path, "P0a", "token.txt")
    expect = cast("dict[str, str]", case_called("P0a").settings["expect"])
    keys = [
        base64.b64encode(bytes.fromhex(expect[name])).decode()
        for name in ("decryption_key", "verification_key")
    ]
    options = ["--decryption-key", keys[0], "--verification-key", keys[1]]

    assert "org.quorumkey.test" == shown(path, *options)["Play Integrity payload"]["packageName"]
    assert 2 == type_in("show", path).status
    assert 2 == type_in("show", path, "--decryption-key", "AA", "--verification-key", "AA").status


def test_a_revocation_list_is_shown(tmp_path: Path) -> None:
    """How many entries, and each serial number with its state."""
    told = shown(written(tmp_path, "K9a", "status.json"))["Google's revocation list"]

    assert "SUSPENDED" in " ".join(told.values())


def test_a_vendor_s_root_is_recognised(tmp_path: Path) -> None:
    """By its key; another certificate of the same key is said to be one."""
    root = roots.load(roots.APPLE_RECEIPT)
    path = tmp_path / "root.pem"
    path.write_bytes(root.public_bytes(Encoding.PEM))

    assert (
        f"{roots.APPLE_RECEIPT.name}: recognised"
        == (shown(path)["certificate 0 (the leaf)"]["root"])
    )


def test_what_cannot_be_read_inside_is_told_where_it_stands(tmp_path: Path) -> None:
    """A certificate that is none does not hide the others."""
    good = pki.root("Quorumkey UNSAFE test root that is shown").der
    path = tmp_path / "chain.pem"
    path.write_bytes(pem_armour(b"\x30\x00") + pem_armour(good))
    told = shown(path)

    assert "cannot be read" in told["certificate 0 (the leaf)"]
    assert "subject" in told["certificate 1"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"hello world", b"{}", b"[]", b'["a.b.c.d.e"]', b"\xff\xfe", b"a.b.c.d.e"],
    ids=repr,
)
def test_what_is_no_evidence_is_status_2(tmp_path: Path, content: bytes) -> None:
    """One sentence that names the file."""
    path = tmp_path / "file"
    path.write_bytes(content)
    done = type_in("show", path)

    assert (2, "") == (done.status, done.out)
    assert str(path) in done.err


def test_a_time_without_an_offset_is_none(tmp_path: Path) -> None:
    """--at is read as `verify` reads it."""
    path = written(tmp_path, "K0a", "chain.pem")

    assert 2 == type_in("show", path, "--at", "noon").status
    assert 0 == type_in("show", path).status


def test_evidence_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    """Control characters of a name come out as escapes."""
    authority = pki.root("Quorumkey UNSAFE test \x1b[31m root")
    path = tmp_path / "root.pem"
    path.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    done = type_in("show", path)

    assert "\x1b" not in done.out
    assert "\\x1b" in done.out


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.sampled_from([b"\x30", b"\xa3", b"\xa2", b"{"]).flatmap(
            lambda start: st.binary(max_size=100).map(lambda rest: start + rest)
        ),
    )
)
def test_any_file_is_shown_or_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever a file holds, `show` has no bug."""
    path = tmp_path / "file"
    path.write_bytes(content)
    done = type_in("show", path)

    assert done.status in (0, 1, 2)
    assert "this is a bug" not in done.err


@pytest.mark.skipif(not GENUINE, reason="real evidence lies beside the repository, and does not")
@pytest.mark.parametrize("path", GENUINE, ids=lambda path: path.relative_to(VECTORS).as_posix())
def test_genuine_evidence_is_shown(path: Path) -> None:
    """Real chains, objects, roots and lists are readable; one has no KeyDescription."""
    done = type_in("show", path, "--at", AT)

    assert (0, "") == (done.status, done.err)
    assert "cannot be read" not in done.out or path.name == "p256_sha384_intermediate.pem"


def test_times_and_numbers_are_said_in_words() -> None:
    """A date that is none stays a number; an unknown value of a list is said to be one."""
    assert "1970-01-01T00:00:01Z" == section.milliseconds(1000)
    assert "no date" in section.milliseconds(10**18)
    assert "9 (unknown)" == section.named(9, {1: "one"})
