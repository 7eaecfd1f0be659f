"""Tests of quorumkey_attestation.android.provisioning."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorumkey_attestation.android.provisioning import ProvisioningInfo, read_provisioning_info
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing.cbor_encoding import encode, encode_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.testing.cbor_encoding import Encodable


def read(members: Mapping[int | str, Encodable]) -> ProvisioningInfo:
    """The ProvisioningInfo with these members."""
    return read_provisioning_info(encode_pairs(members.items()), Audit())


def test_current_form() -> None:
    """The number of certificates, the entity under 4 and whether it is lost are read."""
    info = read({1: 2, 4: "STRONG_BOX", 6: False})

    assert (
        ProvisioningInfo(certificates_issued=2, validated_entity="STRONG_BOX", lost_device=False)
        == info
    )


def test_older_form() -> None:
    """In an older certificate the entity stands under 3."""
    assert "TEE" == read({1: 64, 3: "TEE"}).validated_entity


def test_both_forms() -> None:
    """Where both stand there the newer one counts, and the older is kept as unknown."""
    info = read({3: "Google", 4: "TEE"})

    assert "TEE" == info.validated_entity
    assert {3: "Google"} == dict(info.unknown)


def test_unknown_members_are_kept() -> None:
    """What no version has yet is kept as it is."""
    info = read({1: 1, 2: True, 99: b"new", "name": [1]})

    assert {2: True, 99: b"new", "name": [1]} == dict(info.unknown)


def test_empty() -> None:
    """A map without members says nothing, and is well-formed."""
    assert ProvisioningInfo() == read({})


@pytest.mark.parametrize(
    ("members", "check"),
    [
        ({1: "2"}, "android.provisioning/2-type"),
        ({1: True}, "android.provisioning/2-type"),
        ({4: 1}, "android.provisioning/2-type"),
        ({6: 1}, "android.provisioning/2-type"),
    ],
    ids=["text-for-number", "bool-for-number", "number-for-entity", "number-for-lost"],
)
def test_wrong_type(members: Mapping[int | str, Encodable], check: str) -> None:
    """A known member of another type is malformed."""
    with pytest.raises(AttestationError) as caught:
        read(members)

    assert (Reason.MALFORMED, check) == (caught.value.reason, caught.value.check)


def test_no_map() -> None:
    """CBOR that is no map is malformed."""
    with pytest.raises(AttestationError) as caught:
        read_provisioning_info(encode([1]), Audit())

    assert "android.provisioning/1-map" == caught.value.check


@given(st.binary(max_size=64))
def test_any_octets(data: bytes) -> None:
    """Any octets give a ProvisioningInfo or a refusal, and no other exception."""
    with suppress(AttestationError):
        read_provisioning_info(data, Audit())
