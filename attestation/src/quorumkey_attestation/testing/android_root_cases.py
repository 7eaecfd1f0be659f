"""The cases of who signed an Android chain, and of its root: K1 to K7 of the project's list."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import android, pki
from quorumkey_attestation.testing.android import (
    DIGITAL_SIGNATURE,
    factory_issuers,
    google_root,
    rkp_issuers,
    software_issuers,
)
from quorumkey_attestation.testing.android_case import (
    UNKNOWN_CRITICAL,
    Refusal,
    accepted,
    attested,
    refused,
)
from quorumkey_attestation.testing.android_description import description

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases"]

_DAY: Final = timedelta(days=1)
_POSITION: Final = "android.chain/3-description"
_UNLISTED_ROOT: Final = "UNSAFE test root that nobody configures"


def cases() -> tuple[Case, ...]:
    """Return the cases in the order of their numbers."""
    return (*_links(), *_roots())


def _links() -> tuple[Case, ...]:
    rkp, factory = rkp_issuers(), factory_issuers()
    attacker = (replace(rkp[0], label="attacker"), *rkp[1:])
    kd = ((android.key_description_extension(description().encoded()), False),)
    real_leaf = replace(
        factory[0],
        subject=pki.name("Android Keystore Key"),
        label="attacker's own attested key",
        ca=None,
        key_usage=DIGITAL_SIGNATURE,
        extensions=kd,
    )
    batch = replace(factory[0], ca=False, key_usage=DIGITAL_SIGNATURE, extensions=kd)
    deep = (factory[0], replace(factory[1], ca=False))
    leaf = attested(issuers=attacker)[0]
    return (
        refused(
            "K1",
            "a leaf signed by the attacker's key under a genuine chain",
            (leaf, *attested()[1:]),
            control="K0a",
            refusal=Refusal(Reason.BROKEN_CHAIN, "chain/6-signature"),
        ),
        refused(
            "K2a",
            "a genuine attested key signs a leaf of its own making",
            attested(issuers=(real_leaf, *factory)),
            control="K0b",
            refusal=Refusal(Reason.EXTENSION_POSITION, _POSITION),
        ),
        refused(
            "K2b",
            "an issuer of a provisioned device that is no CA",
            attested(issuers=(replace(rkp[0], ca=False), *rkp[1:])),
            control="K0a",
            refusal=Refusal(Reason.NOT_CA, "chain/7-ca"),
        ),
        refused(
            "K2c",
            "an issuer without basicConstraints",
            attested(issuers=(rkp[0], replace(rkp[1], ca=None), rkp[2])),
            control="K0a",
            refusal=Refusal(Reason.NOT_CA, "chain/7-ca"),
        ),
        refused(
            "K2d",
            "a factory issuer above the batch certificate that is no CA",
            attested(issuers=deep),
            control="K0b",
            refusal=Refusal(Reason.NOT_CA, "chain/7-ca"),
        ),
        refused(
            "K2e",
            "an issuer whose key may not sign certificates",
            attested(issuers=(replace(rkp[0], key_usage=DIGITAL_SIGNATURE), *rkp[1:])),
            control="K0a",
            refusal=Refusal(Reason.NOT_CA, "chain/7-key-usage"),
        ),
        refused(
            "K3",
            "a batch certificate that is no CA and has a KeyDescription",
            attested(issuers=(batch, factory[1])),
            control="K0c",
            refusal=Refusal(Reason.EXTENSION_POSITION, _POSITION),
        ),
    )


def _roots() -> tuple[Case, ...]:
    unlisted = pki.root(_UNLISTED_ROOT)
    impostor = pki.root(android.ROOT_NAME, ec.SECP256R1())
    forged = pki.mint(
        google_root().certificate.subject,
        google_root().key.public_key(),
        impostor,
        not_before=pki.NOW - 2 * _DAY,
        not_after=pki.NOW - _DAY,
        ca=False,
        extensions=(UNKNOWN_CRITICAL,),
    )
    forged_der = pki.Authority(forged, impostor.key).der
    untrusted = Refusal(Reason.UNTRUSTED_ROOT, "chain/3-anchor")
    denied = Refusal(Reason.UNTRUSTED_ROOT, "chain/4-denied")
    no_tests = {"allow_test_roots": False}
    return (
        refused(
            "K4a",
            "a software keystore's root, on the deny list although configured",
            attested(issuers=software_issuers()),
            control="K0j",
            refusal=denied,
            settings=no_tests,
        ),
        refused(
            "K4b",
            "a software keystore's root that is not configured",
            attested(issuers=software_issuers(), root=unlisted),
            control="K0j",
            refusal=untrusted,
        ),
        refused(
            "K5a",
            "a pre-production root, on the deny list although configured",
            attested(),
            control="K0a",
            refusal=denied,
            settings=no_tests,
        ),
        refused(
            "K5b",
            "a pre-production root that is not configured",
            attested(root=unlisted),
            control="K0a",
            refusal=untrusted,
        ),
        refused(
            "K5c",
            "a root on the deny list that is left out of the chain",
            attested()[:-1],
            control="K0e",
            refusal=denied,
            settings=no_tests,
        ),
        refused(
            "K6",
            "a root with the genuine one's name and a key of its own",
            attested(root=impostor),
            control="K0a",
            refusal=untrusted,
        ),
        accepted(
            "K7a",
            "a forged root with the genuine key: nothing else in it is used",
            (*attested()[:-1], forged_der),
        ),
        refused(
            "K7b",
            "an issuer that names the subject of a forged root with the genuine key",
            _under_forged_name(),
            control="K7a",
            refusal=Refusal(Reason.BROKEN_CHAIN, "chain/6-issuer"),
        ),
    )


def _under_forged_name() -> tuple[bytes, ...]:
    rkp = rkp_issuers()
    root = google_root()
    forged_name = pki.name("Forged root")
    key = pki.private_key(rkp[2].label)
    highest = pki.mint(
        rkp[2].subject,
        key.public_key(),
        root,
        not_before=rkp[2].not_before,
        not_after=rkp[2].not_after,
        ca=True,
        key_usage=rkp[2].key_usage,
        issuer_name=forged_name,
    )
    impostor = pki.root(_UNLISTED_ROOT)
    forged = pki.mint(
        forged_name,
        root.key.public_key(),
        impostor,
        not_before=rkp[2].not_before,
        not_after=rkp[2].not_after,
        ca=True,
    )
    forged_der = pki.Authority(forged, root.key).der
    return (*attested(issuers=rkp[:2], root=pki.Authority(highest, key)), forged_der)
