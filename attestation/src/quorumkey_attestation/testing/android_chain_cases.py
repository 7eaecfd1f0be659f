"""The cases of Android chains: K1 to K21 of the project's list, and those its checks need besides.

Each differs from a control in one property. K1 to K7, about signatures and roots, stand in
:mod:`.android_root_cases`, K8 to K11, about the revocation list, in
:mod:`.android_revocation_cases`, and K25 to K27 in :mod:`.android_provisioning_cases`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import (
    android,
    android_provisioning_cases,
    android_revocation_cases,
    android_root_cases,
    pki,
)
from quorumkey_attestation.testing.android import (
    DIGITAL_SIGNATURE,
    factory_issuers,
    google_root,
    issue,
    rkp_issuers,
    software_issuers,
)
from quorumkey_attestation.testing.android_case import (
    DEVICE_KEY,
    UNKNOWN_CRITICAL,
    UNKNOWN_OID,
    Refusal,
    accepted,
    attested,
    judge,
    refused,
)
from quorumkey_attestation.testing.android_description import description
from quorumkey_attestation.testing.der_encoding import element, explicit, octet_string, sequence
from quorumkey_attestation.testing.resigning import resign

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases", "judge"]

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_OBJECT_IDENTIFIER: Final = 0x06
_ECDSA_WITH_SHA224: Final = bytes.fromhex("2a8648ce3d040301")  # 1.2.840.10045.4.3.1


@cache
def cases() -> tuple[Case, ...]:
    """Return the controls and then the cases, in the order of their numbers."""
    return (
        *_controls(),
        *android_revocation_cases.controls(),
        *android_root_cases.cases(),
        *android_revocation_cases.cases(),
        *_validity(),
        *_order(),
        *_constraints(),
        *_positions(),
        *_more(),
        *android_provisioning_cases.cases(),
    )


def _controls() -> tuple[Case, ...]:
    rkp = rkp_issuers()
    batch, intermediate = factory_issuers()
    non_ca = (replace(batch, ca=False, key_usage=DIGITAL_SIGNATURE), intermediate)
    expired = tuple(replace(each, not_after=pki.NOW - _DAY) for each in factory_issuers())
    last_second = tuple(replace(each, not_after=pki.NOW) for each in rkp)
    first_second = tuple(replace(each, not_before=pki.NOW) for each in rkp)
    limited = (*rkp[:2], replace(rkp[2], path_length=2))
    return (
        accepted("K0a", "a remotely provisioned device, 5 certificates", attested()),
        accepted("K0b", "a factory chain, 4 certificates", attested(issuers=factory_issuers())),
        accepted(
            "K0c", "a factory chain whose batch certificate is no CA", attested(issuers=non_ca)
        ),
        accepted("K0d", "a factory chain that expired long ago", attested(issuers=expired)),
        accepted("K0e", "the root left out", attested()[:-1]),
        accepted("K0f", "a leaf that ended in 1969", _with_leaf_of_1969()),
        accepted("K0g", "issuers in the last second of their lives", attested(issuers=last_second)),
        accepted("K0h", "issuers in the first second", attested(issuers=first_second)),
        accepted("K0i", "as many issuers as pathLenConstraint allows", attested(issuers=limited)),
        accepted("K0j", "a chain of 3 certificates", attested(issuers=software_issuers())),
        accepted("K0k", "CAs that all bear the root's name", attested(issuers=_of_one_name())),
    )


def _with_leaf_of_1969() -> tuple[bytes, ...]:
    authorities = issue(rkp_issuers())
    start = android.LEAF_NOT_BEFORE
    leaf = android.mint_leaf(
        pki.private_key(DEVICE_KEY).public_key(),
        authorities[0],
        [(android.key_description_extension(description().encoded()), False)],
        not_before=start - _DAY,
        not_after=start - _SECOND,
    )
    return android.chain_of(leaf, authorities)


def _validity() -> tuple[Case, ...]:
    cases: list[Case] = []
    places = ("the attestation certificate", "the lower CA", "the upper CA")
    for number, place in enumerate(places):
        issuers = list(rkp_issuers())
        issuers[number] = replace(issuers[number], not_after=pki.NOW - _SECOND)
        cases.append(
            refused(
                f"K12{'abc'[number]}",
                f"{place} of a provisioned device expired a second ago",
                attested(issuers=tuple(issuers)),
                control="K0a",
                refusal=Refusal(Reason.EXPIRED, "chain/11-not-after"),
            )
        )
    for number, place in enumerate(places):
        issuers = list(rkp_issuers())
        issuers[number] = replace(issuers[number], not_before=pki.NOW + _SECOND)
        cases.append(
            refused(
                f"K12{'def'[number]}",
                f"{place} of a provisioned device begins in a second",
                attested(issuers=tuple(issuers)),
                control="K0a",
                refusal=Refusal(Reason.NOT_YET_VALID, "chain/10-not-before"),
            )
        )
    for number, place in enumerate(("the batch certificate", "the intermediate")):
        issuers = list(factory_issuers())
        issuers[number] = replace(issuers[number], not_before=pki.NOW + _SECOND)
        cases.append(
            refused(
                f"K13{'ab'[number]}",
                f"{place} of a factory chain begins in a second",
                attested(issuers=tuple(issuers)),
                control="K0b",
                refusal=Refusal(Reason.NOT_YET_VALID, "chain/10-not-before"),
            )
        )
    return tuple(cases)


def _of_one_name() -> tuple[android.Issuer, ...]:
    """Return issuers whose names fit in any order, so that only signatures tell the order."""
    subject = google_root().certificate.subject
    attestation, lower, upper = rkp_issuers()
    return (attestation, replace(lower, subject=subject), replace(upper, subject=subject))


def _order() -> tuple[Case, ...]:
    leaf, attestation, lower, upper, root = attested(issuers=_of_one_name())
    swapped = (leaf, attestation, upper, lower, root)
    doubled = (leaf, attestation, lower, lower, upper, root)
    missing = (leaf, attestation, upper, root)
    cases = tuple(
        refused(
            number,
            title,
            chain,
            control="K0k",
            refusal=Refusal(Reason.BROKEN_CHAIN, "chain/6-signature"),
        )
        for number, title, chain in (
            ("K14a", "two issuers swapped", swapped),
            ("K14b", "an issuer twice", doubled),
            ("K14c", "an issuer left out", missing),
        )
    )
    rkp = rkp_issuers()
    many = tuple(
        replace(rkp[2], subject=pki.name(f"Droid CA{number}"), label=f"android rkp CA{number}")
        for number in range(10, 18)
    )
    padding = x509.UnrecognizedExtension(UNKNOWN_OID, bytes(100 * 1024))
    large = (replace(rkp[0], extensions=(*rkp[0].extensions, (padding, False))), *rkp[1:])
    return (
        *cases,
        refused(
            "K15a",
            "11 certificates",
            attested(issuers=(rkp[0], *many)),
            control="K0a",
            refusal=Refusal(Reason.BROKEN_CHAIN, "chain/1-count"),
        ),
        refused(
            "K15b",
            "a certificate of 100 KiB",
            attested(issuers=large),
            control="K0a",
            refusal=Refusal(Reason.MALFORMED, "chain/1-size"),
        ),
    )


def _constraints() -> tuple[Case, ...]:
    rkp = rkp_issuers()
    attestation = replace(rkp[0], extensions=(*rkp[0].extensions, UNKNOWN_CRITICAL))
    upper = replace(rkp[2], extensions=(UNKNOWN_CRITICAL,))
    critical = Refusal(Reason.MALFORMED, "chain/9-critical")
    too_long = Refusal(Reason.BROKEN_CHAIN, "chain/8-path-length")
    factory = factory_issuers()
    return (
        refused(
            "K16a",
            "an unknown critical extension in the attestation certificate",
            attested(issuers=(attestation, *rkp[1:])),
            control="K0a",
            refusal=critical,
        ),
        refused(
            "K16b",
            "an unknown critical extension in a CA",
            attested(issuers=(*rkp[:2], upper)),
            control="K0a",
            refusal=critical,
        ),
        refused(
            "K16c",
            "an unknown critical extension in the leaf",
            attested(extensions=(UNKNOWN_CRITICAL,)),
            control="K0a",
            refusal=critical,
        ),
        refused(
            "K17a",
            "one issuer more than pathLenConstraint allows",
            attested(issuers=(*rkp[:2], replace(rkp[2], path_length=1))),
            control="K0i",
            refusal=too_long,
        ),
        refused(
            "K17b",
            "a batch certificate under an intermediate that allows no issuer below it",
            attested(issuers=(factory[0], replace(factory[1], path_length=0))),
            control="K0b",
            refusal=too_long,
        ),
    )


def _positions() -> tuple[Case, ...]:
    rkp, factory = rkp_issuers(), factory_issuers()
    provisioning = rkp[0].extensions
    moved = (replace(rkp[0], extensions=()), replace(rkp[1], extensions=provisioning), rkp[2])
    doubled = (rkp[0], replace(rkp[1], extensions=provisioning), rkp[2])
    sound = (android.key_description_extension(description().encoded()), False)
    attest_key = replace(
        factory[0],
        subject=pki.name("Android Keystore Key"),
        label="android attest key",
        extensions=(sound,),
    )
    misplaced = Refusal(Reason.EXTENSION_POSITION, "android.chain/4-provisioning")
    return (
        refused(
            "K18a",
            "ProvisioningInfo one certificate further up",
            attested(issuers=moved),
            control="K0a",
            refusal=misplaced,
        ),
        refused(
            "K18b",
            "ProvisioningInfo twice",
            attested(issuers=doubled),
            control="K0a",
            refusal=misplaced,
        ),
        refused(
            "K18c",
            "ProvisioningInfo in the leaf as well",
            attested(extensions=provisioning),
            control="K0a",
            refusal=misplaced,
        ),
        refused(
            "K19",
            "a key attested by another key of the device",
            attested(issuers=(attest_key, *factory)),
            control="K0b",
            refusal=Refusal(Reason.EXTENSION_POSITION, "android.chain/3-description"),
        ),
        refused(
            "K20",
            "the root twice",
            (*attested(), google_root().der),
            control="K0a",
            refusal=Refusal(Reason.BROKEN_CHAIN, "chain/5-anchor-last"),
        ),
        refused(
            "K21a",
            "a leaf alone, which the root itself signed",
            attested(issuers=())[:1],
            control="K0e",
            refusal=Refusal(Reason.BROKEN_CHAIN, "android.chain/2-length"),
        ),
        refused(
            "K21b",
            "a leaf that the root itself signed, and the root",
            attested(issuers=()),
            control="K0a",
            refusal=Refusal(Reason.BROKEN_CHAIN, "android.chain/2-length"),
        ),
    )


def _more() -> tuple[Case, ...]:
    rkp = rkp_issuers()
    authorities = issue(rkp)
    chain = android.chain_of(attested()[0], authorities)
    sha224 = sequence(element(_OBJECT_IDENTIFIER, _ECDSA_WITH_SHA224))
    weak = resign(chain[0], authorities[0], algorithm=sha224, digest=hashes.SHA224())
    return (
        refused(
            "K22a",
            "a leaf without a KeyDescription",
            attested(b""),
            control="K0a",
            refusal=Refusal(
                Reason.EXTENSION_POSITION, "android.chain/9-description", has_reading=False
            ),
        ),
        refused(
            "K22b",
            "two KeyDescriptions in the leaf",
            (_with_two_descriptions(chain[0], authorities[0]), *chain[1:]),
            control="K0a",
            refusal=Refusal(Reason.MALFORMED, "chain/2-parse", has_reading=False),
        ),
        refused(
            "K23",
            "a leaf signed with a hash weaker than SHA-256",
            (weak, *chain[1:]),
            control="K0a",
            refusal=Refusal(Reason.BROKEN_CHAIN, "chain/6-hash"),
        ),
        refused(
            "K24",
            "a certificate cut off in the middle",
            (*chain[:2], chain[2][:100], *chain[3:]),
            control="K0a",
            refusal=Refusal(Reason.MALFORMED, "chain/2-parse", has_reading=False),
        ),
    )


def _with_two_descriptions(leaf: bytes, issuer: pki.Authority) -> bytes:
    oid = bytes.fromhex("060a2b06010401d679020111")
    extension = sequence(oid, octet_string(description().encoded()))
    extensions = explicit(3, sequence(extension, extension))
    return resign(leaf, issuer, extensions=extensions)
