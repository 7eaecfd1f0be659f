"""The numbered cases of Android keys: what each is refused for, by which check, how they mint."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, cast

import pytest
from cryptography import x509

from quorumkey_attestation import AttestationError, Reason, TrustAnchors, der
from quorumkey_attestation.android.authorization_list import SecurityLevel
from quorumkey_attestation.android.key_description import parse_key_description
from quorumkey_attestation.android.revocation import RevocationList
from quorumkey_attestation.android.verification import (
    AndroidKey,
    AndroidKeyPolicy,
    verify_android_key,
)
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.testing import (
    android,
    android_app_cases,
    android_case,
    android_chain_cases,
    android_description,
    android_encoding_cases,
    android_key_cases,
    android_provisioning_cases,
    android_revocation_cases,
    android_root_cases,
    der_encoding,
    pki,
)
from quorumkey_attestation.testing.catalog import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_attestation.testing.case import Case

CASES = (*android_chain_cases.cases(), *android_key_cases.cases())
ACCEPTED = tuple(case for case in CASES if case.reason is None)
REFUSED = tuple(case for case in CASES if case.reason is not None)
CHECKS = frozenset(case.check for case in REFUSED if case.check is not None)


def judged(case: Case, *ignored: str) -> AndroidKey:
    """Return what the verifier says about a case with some checks ignored."""
    return android_case.judge(case, Audit(ignored=frozenset(ignored)))


def verified(chain: Sequence[bytes], *, now: datetime = pki.NOW) -> AndroidKey:
    """Return what the public function says about a chain under the controls' policy."""
    return verify_android_key(
        chain,
        challenge=android_description.CHALLENGE,
        policy=AndroidKeyPolicy(
            packages={android_description.PACKAGE: frozenset({android_description.SIGNER})},
            anchors=TrustAnchors((android.google_root().certificate,), allow_test_roots=True),
        ),
        revocation=RevocationList.from_json(android.status_list(), fetched_at=now),
        now=now,
    )


def refusal(chain: Sequence[bytes]) -> AttestationError:
    """Return how the public function refuses a chain."""
    with pytest.raises(AttestationError) as refused:
        verified(chain)
    return refused.value


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_every_refused_case_names_an_accepted_one_as_its_control(case: Case) -> None:
    """What a case differs from in one property is a case that is accepted."""
    assert case.control in {each.id for each in ACCEPTED}


def test_every_check_that_a_control_passes_has_a_case() -> None:
    """Whatever check is made on sound evidence, some case is refused by it."""
    made = {check for case in ACCEPTED for check in judged(case).checks}

    assert frozenset[str]() == made - CHECKS


def test_few_cases_are_without_another_reading() -> None:
    """The checks that can only refuse are those of form, and one that asks for a KeyDescription."""
    structural = {case.reason for case in REFUSED if not case.has_reading}

    assert {Reason.MALFORMED, Reason.EXTENSION_POSITION} == structural


@pytest.mark.parametrize(("letter", "last"), [("K", 27), ("D", 33)])
def test_no_number_is_left_out(letter: str, last: int) -> None:
    """The numbers of each letter follow one another from the controls' 0, and so do variants."""
    numbers = [number_of(case.id) for case in CASES if case.id.startswith(letter)]
    counted = [number for number, _ in groupby(numbers, key=lambda parts: parts[1])]
    variants = {
        number: "".join(parts[2] for parts in numbers if parts[1] == number) for number in counted
    }

    assert list(range(last + 1)) == counted
    assert all(found in ("", "abcdefghijklm"[: len(found)]) for found in variants.values())


def test_cases_are_minted_the_same_every_time() -> None:
    """Minting again, from nothing, gives the same bytes and settings."""
    first = {case.id: case for case in CASES}
    android_chain_cases.cases.cache_clear()
    android_key_cases.cases.cache_clear()
    android.issue.cache_clear()
    android.google_root.cache_clear()
    again = (*android_chain_cases.cases(), *android_key_cases.cases())

    assert first == {case.id: case for case in again}


def test_every_module_of_cases_is_collected() -> None:
    """The two modules that the catalog asks hold the cases of all the others."""
    ids = {case.id for case in CASES}
    parts = (
        android_root_cases.cases(),
        android_revocation_cases.controls(),
        android_revocation_cases.cases(),
        android_provisioning_cases.cases(),
        android_app_cases.controls(),
        android_app_cases.cases(),
        android_encoding_cases.cases(),
        android_encoding_cases.later_cases(),
    )

    assert {case.id for part in parts for case in part} <= ids


def test_an_attested_keys_own_leaf_is_refused_under_a_provisioned_device() -> None:
    """The forgery in full, where several checks stand against it, is refused too (K2)."""
    extension = (
        android.key_description_extension(android_description.description().encoded()),
        False,
    )
    genuine = android.Issuer(
        subject=pki.name("Android Keystore Key"),
        not_before=pki.NOW - timedelta(days=1),
        not_after=pki.NOW + timedelta(days=1),
        label="attacker's own attested key",
        ca=None,
        key_usage=android.DIGITAL_SIGNATURE,
        extensions=(extension,),
    )
    error = refusal(android_case.attested(issuers=(genuine, *android.rkp_issuers())))

    assert Reason.EXTENSION_POSITION is error.reason


@pytest.mark.parametrize("order", [(0, 1, 3, 2, 4), (0, 2, 1, 3, 4), (4, 3, 2, 1, 0)], ids=str)
def test_certificates_with_names_of_their_own_are_refused_in_another_order(
    order: tuple[int, ...],
) -> None:
    """Whatever two certificates change places, the chain is refused (K14)."""
    chain = android_case.attested()

    assert refusal([chain[index] for index in order]).reason in {
        Reason.BROKEN_CHAIN,
        Reason.UNTRUSTED_ROOT,
        Reason.EXTENSION_POSITION,
    }


def test_no_certificate_at_all_is_refused() -> None:
    """An empty chain is a broken one (K21)."""
    assert Reason.BROKEN_CHAIN is refusal([]).reason


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 2**63 - 1, -1, -128, -129])
def test_a_written_integer_is_the_one_that_is_read(value: int) -> None:
    """The strict reader takes what the writer of integers gives, on both sides of each length."""
    content = der.Reader(der_encoding.integer(value), "").read(der.INTEGER).content

    assert value == der.decode_integer(content, "")


@pytest.mark.parametrize("number", [0, 30, 31, 127, 128, 724, 16_383, 16_384])
@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65_536])
def test_a_written_tag_and_length_are_those_that_are_read(number: int, size: int) -> None:
    """The strict reader takes every tag and length that the writer gives in its shortest form."""
    content = der_encoding.octet_string(bytes(size))
    read = der.Reader(der_encoding.explicit(number, content), "").read()

    assert (number, content) == (der.context_number(read.tag), read.content)


@pytest.mark.parametrize("version", android_description.KEYMINT_VERSIONS)
def test_a_minted_description_says_what_it_was_told(version: int) -> None:
    """The parser reads from each version of the schema what was written into it."""
    minted = android_description.description(version=version, level=SecurityLevel.STRONGBOX)
    parsed = parse_key_description(minted.encoded())

    assert (version, SecurityLevel.STRONGBOX) == (
        parsed.attestation_version,
        parsed.security_level,
    )
    assert tuple(tag for tag, _ in minted.hardware) == parsed.hardware_enforced.tags
    assert tuple(tag for tag, _ in minted.software) == parsed.software_enforced.tags
    assert {} == dict(parsed.hardware_enforced.unknown)
    assert () == parsed.quirks


@pytest.mark.parametrize("level", [SecurityLevel.TEE, SecurityLevel.STRONGBOX])
def test_a_software_device_gets_evidence_that_verifies(level: SecurityLevel) -> None:
    """Evidence for a nonce and a key, made years later, is what enrolment takes."""
    now = datetime(2031, 12, 31, 23, 59, 59, tzinfo=UTC)
    key = pki.private_key("software device").public_key()
    evidence = android.android_evidence(
        b"\x07" * 32,
        key,
        package="com.example.app",
        signer_digest=b"\x01" * 32,
        level=level,
        now=now,
    )
    member = cast("dict[str, object]", json.loads(json.dumps(evidence)))
    chain = cast("list[str]", member["chain"])
    result = verify_android_key(
        [base64.b64decode(each, validate=True) for each in chain],
        challenge=b"\x07" * 32,
        policy=AndroidKeyPolicy(
            packages={"com.example.app": frozenset({b"\x01" * 32})},
            min_level=level,
            provisioning="rkp",
            anchors=TrustAnchors((android.google_root().certificate,), allow_test_roots=True),
        ),
        revocation=RevocationList.from_json(android.status_list(), fetched_at=now),
        now=now,
        public_key=key,
    )

    assert {"format", "chain"} == member.keys()
    assert "android-key" == member["format"]
    assert (level, key) == (result.level, result.public_key)


def test_the_test_root_is_denied_unless_test_roots_are_allowed() -> None:
    """Whoever configures the test root and no more trusts nothing."""
    anchors = TrustAnchors((android.google_root().certificate,))

    assert all(anchors.denies(spki) for spki in anchors.spki)
    assert android.google_root().certificate.subject == x509.Name.from_rfc4514_string(
        f"CN={android.ROOT_NAME}"
    )
