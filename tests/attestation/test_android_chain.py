"""Tests of quorumkey_attestation.android.chain."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation.android_material import (
    TESTDATA,
    chain_in,
    moment,
    needs_vectors,
    no_revocations,
    snapshot,
    trusted,
)

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.chain import (
    AndroidChain,
    examine_android_chain,
    verify_android_chain,
)
from quorumkey_attestation.android.revocation import RevocationEntry, RevocationList
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.android import (
    DIGITAL_SIGNATURE,
    factory_issuers,
    google_root,
    issue,
    key_description_extension,
    rkp_issuers,
    software_issuers,
)
from quorumkey_attestation.testing.android_case import DEVICE_KEY, attested
from quorumkey_attestation.testing.android_description import description
from quorumkey_attestation.testing.der_encoding import element, sequence
from quorumkey_attestation.testing.resigning import resign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_attestation.testing.android import Issuer

SECOND: Final = timedelta(seconds=1)
DAY: Final = timedelta(days=1)


def walk(
    chain: Sequence[bytes], now: datetime = pki.NOW, revocation: RevocationList | None = None
) -> AndroidChain:
    """The chain under the test root, with a fresh list."""
    return verify_android_chain(
        chain, anchors=trusted(), revocation=revocation or no_revocations(now), now=now
    )


def refused(
    chain: Sequence[bytes], now: datetime = pki.NOW, revocation: RevocationList | None = None
) -> tuple[Reason, str | None]:
    """Why the chain is refused, and by which check."""
    with pytest.raises(AttestationError) as caught:
        walk(chain, now, revocation)
    return caught.value.reason, caught.value.check


def with_description(issuer: Issuer) -> Issuer:
    """An issuer whose certificate has a KeyDescription of its own."""
    extension = key_description_extension(description().encoded())
    return replace(issuer, extensions=(*issuer.extensions, (extension, False)))


def test_provisioned() -> None:
    """A remotely provisioned device's chain of 5 gives the key and what Google knows."""
    walked = walk(attested())

    assert ("rkp", 5, ()) == (walked.method, len(walked.path), walked.quirks)
    assert walked.provisioning is not None
    assert "TEE" == walked.provisioning.validated_entity
    assert pki.private_key(DEVICE_KEY).public_key() == walked.public_key


def test_factory() -> None:
    """A factory's chain of 4 gives the key, and no provisioning information."""
    walked = walk(attested(issuers=factory_issuers()))

    assert ("factory", 4, None) == (walked.method, len(walked.path), walked.provisioning)


def test_public_key_info() -> None:
    """The attested key is also handed out as the DER in the leaf."""
    key = pki.private_key(DEVICE_KEY).public_key()

    expected = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert expected == walk(attested()).public_key_info


def test_serials() -> None:
    """The serial number of every certificate is handed out in hexadecimal, the root's included."""
    chain = attested()
    expected = [f"{x509.load_der_x509_certificate(der).serial_number:x}" for der in chain]

    assert expected == list(walk(chain).serials)
    assert expected == list(walk(chain[:-1]).serials)


def test_serials_of_a_reissued_root() -> None:
    """Of a root that was issued twice both serial numbers count: that sent and that configured."""
    chain = attested()
    configured = google_root().certificate
    reissued = pki.mint(
        configured.subject,
        google_root().key.public_key(),
        google_root(),
        not_before=pki.NOW,
        not_after=pki.NOW + DAY,
        serial=0xC0FFEE,
        ca=True,
    )

    walked = walk([*chain[:-1], reissued.public_bytes(Encoding.DER)])

    assert configured == walked.path[-1]
    assert ("c0ffee", f"{configured.serial_number:x}") == walked.serials[-2:]
    listed = RevocationList({0xC0FFEE: RevocationEntry("REVOKED")}, pki.NOW)
    assert (
        Reason.REVOKED
        is refused([*chain[:-1], reissued.public_bytes(Encoding.DER)], revocation=listed)[0]
    )


def test_expired_factory_chain() -> None:
    """A factory's chain is walked long after its end, which is told."""
    expired = tuple(replace(each, not_after=pki.NOW - DAY) for each in factory_issuers())

    assert ("certificate 1 has expired", "certificate 2 has expired") == walk(
        attested(issuers=expired)
    ).quirks


def test_batch_certificate_that_is_no_authority() -> None:
    """A factory's batch certificate may be no CA, which is told: genuine ones are none."""
    batch, above = factory_issuers()
    plain = replace(batch, ca=False, key_usage=DIGITAL_SIGNATURE)

    assert ("certificate 1 is not a certificate authority",) == walk(
        attested(issuers=(plain, above))
    ).quirks


def test_like_the_sony() -> None:
    """The Xperia 10 III: batch certificate no CA, all issuers expired before the key was made."""
    batch, above = (replace(each, not_after=pki.NOW - 90 * DAY) for each in factory_issuers())
    plain = replace(batch, ca=False, key_usage=DIGITAL_SIGNATURE)

    walked = walk(attested(issuers=(plain, above)))

    assert ("factory", 3) == (walked.method, len(walked.quirks))


def test_batch_certificate_without_constraints() -> None:
    """A batch certificate without basicConstraints counts as one that is no CA."""
    batch, above = factory_issuers()

    walked = walk(attested(issuers=(replace(batch, ca=None), above)))

    assert ("certificate 1 is not a certificate authority",) == walked.quirks


def test_intermediate_that_is_no_authority() -> None:
    """The certificate above a factory's batch certificate has to be a CA."""
    batch, above = factory_issuers()

    assert (Reason.NOT_CA, "chain/7-ca") == refused(
        attested(issuers=(batch, replace(above, ca=False)))
    )


def test_provisioned_issuer_that_is_no_authority() -> None:
    """A provisioned attestation certificate has to be a CA."""
    first, *above = rkp_issuers()

    assert (Reason.NOT_CA, "chain/7-ca") == refused(
        attested(issuers=(replace(first, ca=False), *above))
    )


def test_chain_of_neither_kind() -> None:
    """A chain whose issuers bear no serial number is held to the strict rules."""
    (issuer,) = software_issuers()

    assert "unknown" == walk(attested(issuers=(issuer,))).method
    assert Reason.NOT_CA is refused(attested(issuers=(replace(issuer, ca=False),)))[0]
    expired = replace(issuer, not_after=pki.NOW - SECOND)
    assert Reason.EXPIRED is refused(attested(issuers=(expired,)))[0]


@pytest.mark.parametrize("issuers", [factory_issuers(), rkp_issuers()], ids=["factory", "rkp"])
def test_extended_chain(issuers: tuple[Issuer, ...]) -> None:
    """A leaf that a genuine attested key has signed is refused, whatever flags that key has."""
    for ca in (True, False):
        attacker = with_description(
            replace(issuers[0], subject=pki.name("Android Keystore Key"), ca=ca, extensions=())
        )
        reason, check = refused(attested(issuers=(replace(attacker, label="spy"), *issuers)))

        assert Reason.EXTENSION_POSITION is reason
        assert check in {"android.chain/3-description", "android.chain/4-provisioning"}


def test_description_in_the_batch_certificate() -> None:
    """The tolerance for a batch certificate is none for one that has a KeyDescription."""
    batch, above = factory_issuers()
    attacker = with_description(replace(batch, ca=False, key_usage=DIGITAL_SIGNATURE))

    assert (Reason.EXTENSION_POSITION, "android.chain/3-description") == refused(
        attested(issuers=(attacker, above))
    )


def test_no_description() -> None:
    """A leaf without a KeyDescription proves nothing."""
    assert (Reason.EXTENSION_POSITION, "android.chain/9-description") == refused(attested(b""))


def test_critical_description() -> None:
    """A KeyDescription may be critical: it is looked at."""
    extension = key_description_extension(description().encoded())

    assert "rkp" == walk(attested(b"", extensions=[(extension, True)])).method


@pytest.mark.parametrize(
    ("public_key_info", "expected"),
    [
        # Of an algorithm that nobody has.
        (
            sequence(sequence(element(0x06, b"\x2a\x03")), element(0x03, bytes(5))).hex(),
            Reason.UNSUPPORTED,
        ),
        # A point that is not on P-256.
        (
            "3059301306072a8648ce3d020106082a8648ce3d030107034200 04" + "00" * 64,
            Reason.MALFORMED,
        ),
    ],
    ids=["unknown-algorithm", "not-on-the-curve"],
)
def test_key_that_cannot_be_read(public_key_info: str, expected: Reason) -> None:
    """A genuine leaf whose key cannot be read is refused, and no other exception leaves."""
    chain = attested()
    (issuer, *_) = issue(rkp_issuers())
    leaf = resign(chain[0], issuer, public_key_info=bytes.fromhex(public_key_info))

    assert (expected, "android.chain/10-key") == refused([leaf, *chain[1:]])


def test_issuer_whose_name_cannot_be_read() -> None:
    """An issuer's name that is no text makes the chain one of neither kind, and is no bug."""
    batch, above = factory_issuers()
    chain = list(attested(issuers=(batch, above)))
    number = b"\x1017a3c0ffee5b2a4d"
    start = chain[2].index(number)
    assert chain[2][start - 1] in {0x0C, 0x13}
    # A BIT STRING, which is read only when the name is asked for.
    chain[2] = chain[2][: start - 1] + b"\x03\x10\x00" + chain[2][start + 2 :]

    assert Reason.BROKEN_CHAIN is refused(chain)[0]


def test_ignoring_the_missing_list() -> None:
    """The harness may switch off the check for a list; the walk goes on without one."""
    audit = Audit(ignored={"android.chain/7-list"})

    walked = examine_android_chain(
        attested(), anchors=trusted(), revocation=None, now=pki.NOW, audit=audit
    )

    assert "android.chain/8-revoked" not in walked.checks


def test_no_list() -> None:
    """Without a revocation list no chain is accepted."""
    with pytest.raises(AttestationError) as caught:
        verify_android_chain(attested(), anchors=trusted(), revocation=None, now=pki.NOW)

    assert Reason.REVOCATION_STALE is caught.value.reason


def test_rootless_chain_of_another_root() -> None:
    """Without its root a chain is trusted only if a configured root signed its end."""
    other = pki.root("Quorumkey UNSAFE test other root")

    assert (Reason.UNTRUSTED_ROOT, "chain/3-anchor") == refused(attested(root=other)[:-1])


def test_callers_moment_without_a_time_zone() -> None:
    """A moment without a time zone is the caller's own mistake."""
    with pytest.raises(ValueError, match="time zone"):
        verify_android_chain(
            attested(),
            anchors=trusted(),
            revocation=no_revocations(),
            now=pki.NOW.replace(tzinfo=None),
        )


@given(st.lists(st.binary(max_size=64), max_size=11))
def test_any_octets(chain: list[bytes]) -> None:
    """Any octets for certificates give a refusal, and no other exception."""
    with pytest.raises(AttestationError):
        walk(chain)


@cache
def genuine() -> tuple[tuple[bytes, ...], datetime]:
    """A genuine chain of 5, and its moment."""
    path = TESTDATA / "caiman" / "sdk36" / "TEE_EC_RKP.pem"
    return tuple(chain_in(path)), moment("2025-09-26T15:31:30")


@cache
def genuine_verdict() -> AndroidChain:
    """What the genuine chain proves."""
    chain, now = genuine()
    return verify_android_chain(
        chain, anchors=TrustAnchors.google_hardware(), revocation=snapshot(now), now=now
    )


@needs_vectors
@given(st.data())
def test_any_flipped_bit(data: st.DataObject) -> None:
    """A bit flipped anywhere in a genuine chain is refused, or proves the very same."""
    chain, now = genuine()
    index = data.draw(st.integers(0, len(chain) - 1))
    edited = bytearray(chain[index])
    edited[data.draw(st.integers(0, len(edited) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = [*chain[:index], bytes(edited), *chain[index + 1 :]]

    with suppress(AttestationError):
        walked = verify_android_chain(
            changed, anchors=TrustAnchors.google_hardware(), revocation=snapshot(now), now=now
        )
        assert genuine_verdict().key_description == walked.key_description
        assert genuine_verdict().public_key == walked.public_key


@given(st.data())
def test_any_edit(data: st.DataObject) -> None:
    """Octets replaced, cut out or put in anywhere give a refusal or the very same proof."""
    chain = list(attested(issuers=factory_issuers()))
    index = data.draw(st.integers(0, len(chain) - 1))
    der = chain[index]
    start = data.draw(st.integers(0, len(der)))
    end = data.draw(st.integers(start, min(start + 8, len(der))))
    chain[index] = der[:start] + data.draw(st.binary(max_size=8)) + der[end:]

    with suppress(AttestationError):
        assert pki.private_key(DEVICE_KEY).public_key() == walk(chain).public_key
