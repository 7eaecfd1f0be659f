"""What all Android cases share: how one is put together, and how it is judged."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.android.verification import AndroidKey, examine_android_key
from quorumkey_attestation.evidence_files import EvidenceFile, pem_armour, read_chain
from quorumkey_attestation.expectations import expect_android
from quorumkey_attestation.policy_file import android_policy, files_of_case, revocation_list
from quorumkey_attestation.testing import android, pki
from quorumkey_attestation.testing.android_description import (
    CHALLENGE,
    PACKAGE,
    SIGNER,
    Description,
    changed,
    description,
)
from quorumkey_attestation.testing.case import Case
from quorumkey_attestation.testing.der_encoding import null

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.errors import Reason

__all__ = [
    "DEVICE_KEY",
    "SETTINGS",
    "UNKNOWN_CRITICAL",
    "UNKNOWN_OID",
    "Refusal",
    "accepted",
    "attested",
    "judge",
    "pem",
    "refused",
    "revocation_settings",
    "spki",
    "with_hardware",
    "with_software",
]

#: Names the attested key of every case that does not say otherwise.
DEVICE_KEY: Final = "android device key"

#: The policy of the controls: one app, everything else as a policy has it by itself.
SETTINGS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "packages": {PACKAGE: [SIGNER.hex()]},
        "roots": ["roots.pem"],
        "allow_test_roots": True,
    }
)

#: An extension that nobody knows, and the same in a critical form.
UNKNOWN_OID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.9999")
UNKNOWN_CRITICAL: Final = (x509.UnrecognizedExtension(UNKNOWN_OID, null()), True)


class Refusal(NamedTuple):
    """What has to come out of a case that is no control.

    Attributes:
        reason: why it is refused.
        check: the check that refuses it.
        has_reading: whether it can be read at all without that check.
    """

    reason: Reason
    check: str
    has_reading: bool = True


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key's SubjectPublicKeyInfo in DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem(certificates: Iterable[bytes]) -> bytes:
    """Return certificates in PEM armour, well-formed or not."""
    return b"".join(map(pem_armour, certificates))


def revocation_settings(fetched_at: datetime = pki.NOW) -> Mapping[str, object]:
    """Return a policy's table for a revocation list that was fetched at ``fetched_at``."""
    return {
        "file": "status.json",
        "fetched_at": fetched_at.isoformat(),
        "max_age_seconds": 172_800,  # 48 h
    }


def attested(
    encoded: Description | bytes | None = None,
    *,
    issuers: tuple[android.Issuer, ...] | None = None,
    root: pki.Authority | None = None,
    public_key: ec.EllipticCurvePublicKey | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> tuple[bytes, ...]:
    """Return the chain of the usual key, as a device hands it out.

    Args:
        encoded: its KeyDescription, by default a sound one; empty for none.
        issuers: who attested it, lowest first; by default a remotely provisioned device.
        root: what they lead to; by default the test root that stands for Google's.
        public_key: the key, where it is another one.
        extensions: what the leaf has besides, each with whether it is critical.
    """
    encoded = description() if encoded is None else encoded
    value = encoded if isinstance(encoded, bytes) else encoded.encoded()
    described = [(android.key_description_extension(value), False)] if value else []
    authorities = android.issue(android.rkp_issuers() if issuers is None else issuers, root)
    leaf = android.mint_leaf(
        public_key or pki.private_key(DEVICE_KEY).public_key(),
        authorities[0],
        [*described, *extensions],
    )
    return android.chain_of(leaf, authorities)


def with_hardware(
    changes: Mapping[int, bytes | None], base: Description | None = None
) -> Description:
    """Return a description with tags of the hardware-enforced list set, or None: left out."""
    base = base or description()
    return replace(base, hardware=changed(base.hardware, changes))


def with_software(
    changes: Mapping[int, bytes | None], base: Description | None = None
) -> Description:
    """Return a description with tags of the software-enforced list set, or None: left out."""
    base = base or description()
    return replace(base, software=changed(base.software, changes))


def accepted(  # noqa: PLR0913  # what a case consists of
    number: str,
    title: str,
    chain: Sequence[bytes],
    *,
    settings: Mapping[str, object] | None = None,
    status: bytes | None = None,
    at: datetime = pki.NOW,
    roots: Sequence[bytes] = (),
) -> Case:
    """Return a case that has to be accepted.

    Args:
        number: its id.
        title: what it is, in a few words.
        chain: the DER of each certificate, leaf first.
        settings: what its policy has besides ``SETTINGS``, or instead; None removes a setting.
        status: the revocation list; by default one that lists nothing.
        at: the moment of judgement.
        roots: the DER of the configured roots; by default the one that stands for Google's.
    """
    policy: dict[str, object] = {
        **SETTINGS,
        "expect": {
            "challenge": CHALLENGE.hex(),
            "public_key": spki(pki.private_key(DEVICE_KEY).public_key()).hex(),
        },
        "revocation": revocation_settings(at),
        **(settings or {}),
    }
    return Case(
        id=number,
        title=title,
        procedure="android",
        evidence={
            "chain.pem": pem(chain),
            "status.json": android.status_list() if status is None else status,
            "roots.pem": pem(roots or [android.google_root().der]),
        },
        settings={key: value for key, value in policy.items() if value is not None},
        at=at,
    )


def refused(  # noqa: PLR0913  # as above
    number: str,
    title: str,
    chain: Sequence[bytes],
    refusal: Refusal,
    *,
    control: str | None = None,
    settings: Mapping[str, object] | None = None,
    status: bytes | None = None,
    at: datetime = pki.NOW,
    roots: Sequence[bytes] = (),
) -> Case:
    """Return a case that one check has to refuse; the arguments are those of :func:`accepted`.

    Args:
        number: its id.
        title: what is different from the control, in a few words.
        chain: the DER of each certificate, leaf first.
        refusal: how it is refused.
        control: the id of the accepted case that it differs from in one property; by default
            the one with the number 0a.
        settings: as for :func:`accepted`.
        status: as for :func:`accepted`.
        at: as for :func:`accepted`.
        roots: as for :func:`accepted`.
    """
    case = accepted(number, title, chain, settings=settings, status=status, at=at, roots=roots)
    return replace(
        case,
        control=control or f"{number[0]}0a",
        reason=refusal.reason,
        check=refusal.check,
        has_reading=refusal.has_reading,
    )


def judge(case: Case, audit: Audit) -> AndroidKey:
    """Return what the verifier says about an Android case.

    Raises:
        AttestationError: the evidence is refused.
    """
    files = files_of_case(case.evidence)
    expected = expect_android(case.settings["expect"], case.id)
    return examine_android_key(
        read_chain([EvidenceFile("chain.pem", case.evidence["chain.pem"])]),
        challenge=expected.challenge,
        policy=android_policy(case.settings, files, where=case.id),
        revocation=revocation_list(case.settings, files, where=case.id),
        now=case.at,
        public_key=expected.public_key,
        audit=audit,
    )
