"""Tests of quorumkey_attestation.android.key_description and .authorization_list."""

from __future__ import annotations

from base64 import b64decode
from contextlib import suppress
from dataclasses import replace
from typing import Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation.android_material import TESTDATA, as_sidecar, needs_vectors, sidecar

from quorumkey_attestation.android.authorization_list import (
    MAX_UNKNOWN_TAGS,
    AuthorizationList,
    KeyOrigin,
    SecurityLevel,
    VerifiedBootState,
    read_authorization_list,
)
from quorumkey_attestation.android.key_description import parse_key_description
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing.android_description import (
    CHALLENGE,
    KEYMINT_VERSIONS,
    PACKAGE,
    SIGNER,
    Authorizations,
    application_id,
    changed,
    description,
    root_of_trust,
)
from quorumkey_attestation.testing.der_encoding import (
    boolean,
    declared,
    element,
    enumerated,
    explicit,
    integer,
    nested,
    null,
    octet_string,
    sequence,
    set_of,
    with_long_length,
)


def read(*entries: tuple[int, bytes]) -> AuthorizationList:
    """The list with these tags, read."""
    content = b"".join(explicit(tag, value) for tag, value in entries)
    return read_authorization_list(content, "hardwareEnforced", Audit())


def refused(*entries: tuple[int, bytes]) -> AttestationError:
    """Why the list with these tags is refused."""
    with pytest.raises(AttestationError) as caught:
        read(*entries)
    assert Reason.MALFORMED is caught.value.reason
    return caught.value


@pytest.mark.parametrize("version", KEYMINT_VERSIONS)
def test_versions(version: int) -> None:
    """Every version of the schema parses, and says what was written."""
    parsed = parse_key_description(description(version=version).encoded())

    assert version == parsed.attestation_version
    assert KEYMINT_VERSIONS[version] == parsed.keymint_version
    assert SecurityLevel.TEE is parsed.security_level
    assert CHALLENGE == parsed.attestation_challenge
    assert () == parsed.quirks


def test_version_that_is_not_known_yet() -> None:
    """A version later than 500 is read by the same schema."""
    later = replace(description(version=500), version=600, keymint_version=600)

    assert 600 == parse_key_description(later.encoded()).attestation_version


def test_boot_hash_is_optional() -> None:
    """A RootOfTrust of version 2 has no verifiedBootHash."""
    root = parse_key_description(description(version=2).encoded()).hardware_enforced.root_of_trust

    assert root is not None
    assert root.verified_boot_hash is None


NUMBERS: Final = {
    2: "algorithm", 3: "key_size", 8: "min_mac_length", 10: "ec_curve", 11: "ml_dsa_variant",
    200: "rsa_public_exponent", 400: "active_date_time", 401: "origination_expire_date_time",
    402: "usage_expire_date_time", 405: "usage_count_limit", 504: "user_auth_type",
    505: "auth_timeout", 701: "creation_date_time", 702: "origin", 705: "os_version",
    706: "os_patch_level", 718: "vendor_patch_level", 719: "boot_patch_level",
}  # fmt: skip  # a table, read by its rows
SETS: Final = {1: "purpose", 4: "block_mode", 5: "digest", 6: "padding", 203: "mgf_digest"}
FLAGS: Final = {
    7: "caller_nonce", 303: "rollback_resistance", 305: "early_boot_only", 503: "no_auth_required",
    506: "allow_while_on_body", 507: "trusted_user_presence_required",
    508: "trusted_confirmation_required", 509: "unlocked_device_required", 600: "all_applications",
    703: "rollback_resistant", 720: "device_unique_attestation",
}  # fmt: skip  # as above
OCTETS: Final = {
    601: "application_id", 710: "attestation_id_brand", 711: "attestation_id_device",
    712: "attestation_id_product", 713: "attestation_id_serial", 714: "attestation_id_imei",
    715: "attestation_id_meid", 716: "attestation_id_manufacturer", 717: "attestation_id_model",
    723: "attestation_id_second_imei", 724: "module_hash",
}  # fmt: skip  # as above


@pytest.mark.parametrize(("tag", "name"), NUMBERS.items())
def test_number(tag: int, name: str) -> None:
    """A tag of one number is read as that number, up to 64 bits without a sign."""
    assert (1 << 64) - 1 == getattr(read((tag, integer((1 << 64) - 1))), name)


@pytest.mark.parametrize(("tag", "name"), SETS.items())
def test_set(tag: int, name: str) -> None:
    """A tag of a set is read as its numbers, in the order in which they stand there."""
    assert (3, 2) == getattr(read((tag, element(0x31, integer(3) + integer(2)))), name)


@pytest.mark.parametrize(("tag", "name"), FLAGS.items())
def test_flag(tag: int, name: str) -> None:
    """A tag of NULL is read as True, and as False where it is absent."""
    assert getattr(read((tag, null())), name) is True
    assert getattr(read(), name) is False


@pytest.mark.parametrize(("tag", "name"), OCTETS.items())
def test_octets(tag: int, name: str) -> None:
    """A tag of octets is read as they are."""
    assert b"\xff\x00" == getattr(read((tag, octet_string(b"\xff\x00"))), name)


@pytest.mark.parametrize("value", [integer(7), set_of([integer(7)])], ids=["one", "set"])
def test_secure_id(value: bytes) -> None:
    """A secure user id is read alone or in a set, since no schema says which."""
    assert (7,) == read((502, value)).user_secure_id


def test_application_id() -> None:
    """An AttestationApplicationId is read with its packages and the digests of its signers."""
    encoded = application_id({PACKAGE: 42, "com.example.other": 1 << 40}, [SIGNER])

    application = read((709, octet_string(encoded))).attestation_application_id

    assert application is not None
    assert {PACKAGE: 42, "com.example.other": 1 << 40} == {
        package.name: package.version for package in application.packages
    }
    assert frozenset({SIGNER}) == application.signature_digests


def test_system_without_signatures() -> None:
    """The system's own attestations name no signer at all."""
    encoded = application_id({"AndroidSystem": 1}, [])

    application = read((709, octet_string(encoded))).attestation_application_id

    assert application is not None
    assert frozenset() == application.signature_digests


@pytest.mark.parametrize("tag", [9, 30, 31, 127, 128, 999, 16_384, (1 << 28) - 1])
def test_unknown_tag_is_kept(tag: int) -> None:
    """A tag that no schema has is kept as it is, whatever the form of its number."""
    parsed = read((tag, sequence(octet_string(b"new"))))

    assert {tag: sequence(octet_string(b"new"))} == dict(parsed.unknown)
    assert (tag,) == parsed.tags


def test_unknown_tag_is_kept_beside_known_ones() -> None:
    """A tag from the future changes nothing about those that are known."""
    parsed = read((702, integer(0)), (999, null()))

    assert KeyOrigin.GENERATED == parsed.origin
    assert {999: null()} == dict(parsed.unknown)


def test_tags_out_of_order() -> None:
    """Tags out of order are read all the same, and reported."""
    encoded = description()
    hardware: Authorizations = tuple(reversed(encoded.hardware))

    parsed = parse_key_description(replace(encoded, hardware=hardware).encoded())

    assert not parsed.tags_in_order
    assert ("hardwareEnforced: the tags are not in ascending order",) == parsed.quirks
    assert KeyOrigin.GENERATED == parsed.hardware_enforced.origin


@pytest.mark.parametrize("octet", [0x01, 0x7F, 0xFE])
def test_true_that_is_not_der(octet: int) -> None:
    """A TRUE that is not 0xFF is TRUE, and reported."""
    parsed = read((704, root_of_trust(true=octet)))

    assert parsed.root_of_trust is not None
    assert parsed.root_of_trust.device_locked
    assert not parsed.der_booleans


def test_quirk_of_a_boolean_names_the_list() -> None:
    """The report of a TRUE that is not DER says in which list it stands."""
    hardware = changed(description().hardware, {704: root_of_trust(true=1)})

    parsed = parse_key_description(replace(description(), hardware=hardware).encoded())

    assert not parsed.der_booleans
    assert any(quirk.startswith("hardwareEnforced: deviceLocked") for quirk in parsed.quirks)


@pytest.mark.parametrize("state", VerifiedBootState)
def test_boot_states(state: VerifiedBootState) -> None:
    """Every verified boot state that the schema has is read."""
    root = read((704, root_of_trust(state=state))).root_of_trust

    assert root is not None
    assert state is root.verified_boot_state


MALFORMED: Final = {
    "number-twice-in-a-tag": (2, integer(1) + integer(1)),
    "number-with-other-tag": (2, octet_string(b"\x01")),
    "number-empty": (2, element(0x02, b"")),
    "number-not-shortest": (2, element(0x02, b"\x00\x01")),
    "number-beyond-64-bits": (2, integer(1 << 72)),
    "empty-tag": (2, b""),
    "null-with-content": (503, element(0x05, b"\x00")),
    "flag-as-boolean": (503, boolean(value=True)),
    "set-of-octets": (1, set_of([octet_string(b"\x02")])),
    "sequence-for-set": (1, sequence(integer(2))),
    "boot-state-unknown": (704, root_of_trust(state=4)),
    "boot-state-as-integer": (
        704,
        sequence(octet_string(b""), boolean(value=True), integer(0), octet_string(b"")),
    ),
    "boolean-of-two-octets": (
        704,
        sequence(octet_string(b""), element(0x01, b"\xff\xff"), enumerated(0)),
    ),
    "root-with-fifth-member": (704, root_of_trust()[:-34] + octet_string(b"") * 2),
    "root-cut-off": (704, sequence(octet_string(b""))),
    "application-not-in-octets": (709, application_id({PACKAGE: 1}, [SIGNER])),
    "application-trailing": (
        709,
        octet_string(application_id({PACKAGE: 1}, [SIGNER]) + null()),
    ),
    "package-not-text": (
        709,
        octet_string(sequence(set_of([sequence(octet_string(b"\xff"), integer(1))]), set_of([]))),
    ),
    "package-without-version": (
        709,
        octet_string(sequence(set_of([sequence(octet_string(b"a"))]), set_of([]))),
    ),
    "length-not-shortest": (2, with_long_length(0x02, b"\x01", 1)),
    "length-beyond-the-end": (724, declared(0x04, (1 << 31) - 1, b"")),
    "unknown-not-der": (999, b"\x04\x05"),
    "unknown-too-deep": (999, nested(1000)),
}


@pytest.mark.parametrize("entry", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(entry: tuple[int, bytes]) -> None:
    """A tag whose content is not what the schema says is malformed."""
    assert refused(entry).check is not None


def test_duplicate_tag() -> None:
    """A tag that stands there twice is malformed, known or not."""
    for tag in (2, 999):
        assert "android.list/1-duplicate" == refused((tag, integer(1)), (tag, integer(1))).check


def test_too_many_unknown_tags() -> None:
    """More unknown tags than any future schema will have are refused."""
    most = [(1000 + number, null()) for number in range(MAX_UNKNOWN_TAGS)]

    assert MAX_UNKNOWN_TAGS == len(read(*most).unknown)
    assert "android.list/3-unknown" == refused(*most, (2000, null())).check


def test_element_without_a_tag_of_its_own() -> None:
    """An element that is not [n] EXPLICIT is malformed."""
    with pytest.raises(AttestationError) as caught:
        read_authorization_list(integer(1), "hardwareEnforced", Audit())

    assert "android.list/1-tag" == caught.value.check


def test_nine_elements() -> None:
    """A KeyDescription with a ninth element is malformed."""
    with pytest.raises(AttestationError) as caught:
        parse_key_description(replace(description(), more=null()).encoded())

    assert (Reason.MALFORMED, "der/5-trailing") == (caught.value.reason, caught.value.check)


def test_seven_elements() -> None:
    """A KeyDescription without its hardware-enforced list is malformed."""
    with pytest.raises(AttestationError) as caught:
        parse_key_description(
            sequence(
                integer(3),
                enumerated(1),
                integer(4),
                enumerated(1),
                octet_string(b""),
                octet_string(b""),
                sequence(),
            )
        )

    assert Reason.MALFORMED is caught.value.reason


def test_octets_after_the_description() -> None:
    """Octets after the KeyDescription are malformed."""
    with pytest.raises(AttestationError) as caught:
        parse_key_description(description().encoded() + b"\x00")

    assert "der/5-trailing" == caught.value.check


@pytest.mark.parametrize("level", [-1, 3, 100])
def test_unknown_level(level: int) -> None:
    """A security level that the schema does not have is malformed, for nothing ranks it."""
    with pytest.raises(AttestationError) as caught:
        parse_key_description(replace(description(), keymint_level=level).encoded())

    assert "android.description/2-level" == caught.value.check


@given(st.binary(max_size=512))
def test_any_octets(data: bytes) -> None:
    """Any octets give a KeyDescription or a refusal, and no other exception."""
    with suppress(AttestationError):
        parse_key_description(data)


@given(st.data())
def test_any_edit(data: st.DataObject) -> None:
    """Any edit of a sound KeyDescription gives a KeyDescription or a refusal."""
    encoded = bytearray(description().encoded())
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with suppress(AttestationError):
        parse_key_description(bytes(encoded))


_NAMES: Final = {"purposes": 1, "blockModes": 4, "digests": 5, "paddings": 6} | {
    "rsaOaepMgfDigests": 203, "algorithms": 2,
}  # fmt: skip  # as above


@needs_vectors
@pytest.mark.parametrize("which", ["softwareEnforced", "hardwareEnforced"])
def test_complete_list(which: str) -> None:
    """A list with every field of android/keyattestation's complete example reads as it says."""
    wanted = cast("dict[str, object]", sidecar(TESTDATA / "complete_authlist.json")[which])
    tags = {_camel(name): tag for table in (NUMBERS, FLAGS, OCTETS) for tag, name in table.items()}
    tags |= _NAMES | {"rootOfTrust": 704, "attestationApplicationId": 709}

    parsed = read(*sorted((tags[name], _encoded(name, value)) for name, value in wanted.items()))

    assert wanted == as_sidecar(parsed)


def _camel(name: str) -> str:
    first, *words = name.split("_")
    return first + "".join(word.capitalize() for word in words)


def _encoded(name: str, value: object) -> bytes:
    if value is True:
        return null()
    if isinstance(value, list):
        return set_of(integer(int(each)) for each in cast("list[str]", value))
    if isinstance(value, dict):
        return _encoded_fields(name, cast("dict[str, object]", value))
    text = cast("str", value)
    if name == "origin":
        return integer(KeyOrigin[text])
    if name.startswith("attestationId"):
        return octet_string(text.encode())
    return octet_string(b64decode(text)) if name == "moduleHash" else integer(int(text))


def _encoded_fields(name: str, fields: dict[str, object]) -> bytes:
    if name == "rootOfTrust":
        return root_of_trust(
            boot_key=b64decode(cast("str", fields["verifiedBootKey"])),
            locked=cast("bool", fields["deviceLocked"]),
            state=VerifiedBootState[cast("str", fields["verifiedBootState"])],
            boot_hash=b64decode(cast("str", fields["verifiedBootHash"])),
        )
    packages = cast("list[dict[str, str]]", fields["packages"])
    return octet_string(
        application_id(
            {package["name"]: int(package["version"]) for package in packages},
            [b64decode(each) for each in cast("list[str]", fields["signatures"])],
        )
    )
