"""The walk from an Android key's certificate to Google's root, and what may stand where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from quorumkey_attestation.anchors import subject_public_key_info
from quorumkey_attestation.android.key_description import (
    KEY_DESCRIPTION_OID,
    read_key_description,
)
from quorumkey_attestation.android.provisioning import (
    PROVISIONING_INFO_OID,
    read_provisioning_info,
)
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.chain import (
    extensions_of,
    load_chain,
    require_issued,
    require_valid,
    resolve_anchor,
)
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.moment import require_aware

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from quorumkey_attestation.anchors import TrustAnchors
    from quorumkey_attestation.android.key_description import KeyDescription
    from quorumkey_attestation.android.provisioning import ProvisioningInfo
    from quorumkey_attestation.android.revocation import RevocationList

__all__ = ["AndroidChain", "examine_android_chain", "verify_android_chain"]

MIN_CERTIFICATES: Final = 3  # leaf, attestation key and root

_KEY_DESCRIPTION: Final = x509.ObjectIdentifier(KEY_DESCRIPTION_OID)
_PROVISIONING_INFO: Final = x509.ObjectIdentifier(PROVISIONING_INFO_OID)


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidChain:
    """A chain that leads from an attested key to a trusted root; no policy was applied.

    Attributes:
        path: the certificates, leaf first, the configured root last.
        public_key: the attested key.
        key_description: what the hardware says about the key.
        method: how the attestation key came into the device: in the ``"factory"``, the same for
            a batch of them; from Google's servers, ``"rkp"``; or ``"unknown"``.
        provisioning: what the provisioning server says about the device, if it did.
        quirks: deviations that were tolerated, in words.
        serials: the serial number of every certificate, lower-case hex, leaf first;
            that of a root that was sent, and of the configured one that took its place.
        checks: the checks that were passed.
    """

    path: tuple[x509.Certificate, ...]
    public_key: CertificatePublicKeyTypes
    key_description: KeyDescription
    method: Literal["factory", "rkp", "unknown"]
    provisioning: ProvisioningInfo | None
    quirks: tuple[str, ...]
    serials: tuple[str, ...]
    checks: tuple[str, ...]

    @property
    def public_key_info(self) -> bytes:
        """The attested key as SubjectPublicKeyInfo, in DER, as it stands in the leaf."""
        return subject_public_key_info(self.path[0].public_bytes(Encoding.DER))


def verify_android_chain(
    chain: Sequence[bytes],
    *,
    anchors: TrustAnchors,
    revocation: RevocationList | None,
    now: datetime,
) -> AndroidChain:
    """Return what a chain proves about the key in its leaf; :func:`examine_android_chain`."""
    return examine_android_chain(
        chain, anchors=anchors, revocation=revocation, now=now, audit=Audit()
    )


def examine_android_chain(
    chain: Sequence[bytes],
    *,
    anchors: TrustAnchors,
    revocation: RevocationList | None,
    now: datetime,
    audit: Audit,
) -> AndroidChain:
    """Return what a chain proves about the key in its leaf, whoever the key is good enough for.

    1. The certificates parse, and lead to a configured root, with or without it
       (:func:`quorumkey_attestation.chain.load_chain` and ``resolve_anchor``).
    2. There are at least three with the root: nobody's root attests keys itself.
    3. Exactly one certificate has a KeyDescription, and it is the leaf. One that an attested key
       signed is not believed: a key that may sign can sign a "certificate".
    4. ProvisioningInfo stands in the certificate that issued the leaf, or nowhere.
    5. Each was issued by the next (``require_issued``). Only a factory chain's batch certificate,
       which issued the leaf, need not be a CA: genuine ones of Sony are none.
    6. Validity: ``notBefore`` of every issuer below the root has passed; ``notAfter`` has not,
       unless the chain is of a factory, whose certificates outlive their dates in the devices.
       The leaf's dates are the device's own and mean nothing; the root is trusted for its key.
    7. The revocation list is there, and fresh.
    8. No certificate is on it, whatever the entry says.
    9. The leaf has a KeyDescription, and it parses; so does ProvisioningInfo, where present.
    10. The leaf's key is of a kind that can be read.

    A chain is remotely provisioned if it has ProvisioningInfo, of a factory if it has none and the
    certificate below the root is named by a serial number, as Google names those; any other is
    held to the stricter rules.

    Source: https://developer.android.com/privacy-and-security/security-key-attestation.

    Args:
        chain: the DER of each certificate, leaf first.
        anchors: the roots to trust.
        revocation: Google's list; None refuses every chain.
        now: the moment of judgement.
        audit: the trail of this verification.

    Raises:
        AttestationError: any reason from ``malformed`` to ``extension_position``.
        ValueError: ``now`` has no time zone.
    """
    require_aware(now)
    certificates = load_chain(chain, audit, least=1)
    path = resolve_anchor(chain, certificates, anchors, audit)
    audit.require(
        "android.chain/2-length",
        len(path) >= MIN_CERTIFICATES,
        Reason.BROKEN_CHAIN,
        f"The chain has fewer than {MIN_CERTIFICATES} certificates, the root included.",
    )
    found = _look_through(path)
    descriptions, provisionings = found.descriptions, found.provisionings
    _require_positions(descriptions, provisionings, audit)
    method = _method(path, provisionings)
    factory = method == "factory"
    # No KeyDescription or ProvisioningInfo stands there: steps 3 and 4, and the method.
    require_issued(
        path,
        audit,
        tolerated_non_ca=frozenset({1}) if factory else frozenset(),
        understood=frozenset({KEY_DESCRIPTION_OID}),
        anchored=len(path) > len(chain),
        encoded=chain,
    )
    for index, certificate in enumerate(path[1:-1], start=1):
        require_valid(certificate, index, audit, now=now, expiry_counts=not factory)
    serials = tuple(dict.fromkeys(each.serial_number for each in (*certificates, *path)))
    _require_unrevoked(serials, revocation, now, audit)
    if 0 not in descriptions:
        raise AttestationError(
            Reason.EXTENSION_POSITION,
            "The leaf has no KeyDescription: the key is not attested.",
            index=0,
            check="android.chain/9-description",
        )
    description = read_key_description(descriptions[0], audit)
    provisioning = read_provisioning_info(provisionings[1], audit) if 1 in provisionings else None
    return AndroidChain(
        path=tuple(path),
        public_key=_public_key(path[0]),
        key_description=description,
        method=method,
        provisioning=provisioning,
        quirks=(*_quirks(path, found, now, factory=factory), *description.quirks),
        serials=tuple(f"{serial:x}" for serial in serials),
        checks=audit.checks,
    )


class _Found(NamedTuple):
    """What the extensions of a path say, by the position of the certificate they stand in."""

    descriptions: dict[int, bytes]
    provisionings: dict[int, bytes]
    authorities: set[int]


def _look_through(path: Sequence[x509.Certificate]) -> _Found:
    found = _Found({}, {}, set())
    for index, certificate in enumerate(path):
        for extension in extensions_of(certificate, index):
            value = extension.value
            # By its exact type: these are abstract base classes, whose isinstance is a search.
            if type(value) is x509.UnrecognizedExtension:
                if value.oid == _KEY_DESCRIPTION:
                    found.descriptions[index] = value.value
                elif value.oid == _PROVISIONING_INFO:
                    found.provisionings[index] = value.value
            elif type(value) is x509.BasicConstraints and value.ca:
                found.authorities.add(index)
    return found


def _require_positions(
    descriptions: Mapping[int, bytes], provisionings: Mapping[int, bytes], audit: Audit
) -> None:
    audit.require(
        "android.chain/3-description",
        not descriptions.keys() - {0},
        Reason.EXTENSION_POSITION,
        "A KeyDescription stands in a certificate that is not the leaf.",
        index=max(descriptions, default=None),
    )
    audit.require(
        "android.chain/4-provisioning",
        not provisionings.keys() - {1},
        Reason.EXTENSION_POSITION,
        "ProvisioningInfo stands in a certificate that did not issue the leaf.",
        index=max(provisionings, default=None),
    )


def _method(
    path: Sequence[x509.Certificate], provisionings: Mapping[int, bytes]
) -> Literal["factory", "rkp", "unknown"]:
    if provisionings:
        return "rkp"
    try:
        names = path[-2].subject.get_attributes_for_oid(x509.NameOID.SERIAL_NUMBER)
    except (IndexError, ValueError, TypeError, Warning):  # a name is parsed when it is asked for
        return "unknown"
    return "factory" if names else "unknown"


def _require_unrevoked(
    serials: Sequence[int], revocation: RevocationList | None, now: datetime, audit: Audit
) -> None:
    audit.require(
        "android.chain/7-list",
        revocation is not None,
        Reason.REVOCATION_STALE,
        "There is no revocation list to look the certificates up in.",
    )
    if revocation is None:
        return
    revocation.require_fresh(now, audit)
    for index, serial in enumerate(serials):
        entry = revocation.check(serial)
        audit.require(
            "android.chain/8-revoked",
            entry is None,
            Reason.REVOKED,
            "" if entry is None else f"A certificate is on the revocation list: {entry.status}.",
            index=index,
        )


def _public_key(leaf: x509.Certificate) -> CertificatePublicKeyTypes:
    try:
        return leaf.public_key()
    except UnsupportedAlgorithm as error:
        raise AttestationError(
            Reason.UNSUPPORTED,
            "The attested key is of an algorithm that the installed cryptography cannot read.",
            index=0,
            check="android.chain/10-key",
        ) from error
    except (ValueError, TypeError, Warning) as error:
        raise AttestationError(
            Reason.MALFORMED,
            "The attested key is not valid.",
            index=0,
            check="android.chain/10-key",
        ) from error


def _quirks(
    path: Sequence[x509.Certificate], found: _Found, now: datetime, *, factory: bool
) -> Iterator[str]:
    if not factory:
        return
    for index, certificate in enumerate(path[1:-1], start=1):
        if now > certificate.not_valid_after_utc:
            yield f"certificate {index} has expired"
    if 1 not in found.authorities:
        yield "certificate 1 is not a certificate authority"
