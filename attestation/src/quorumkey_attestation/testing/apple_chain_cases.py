"""The cases A13 to A17 and A30 to A37: what is wrong with an App Attest chain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.apple_case import attestation_case, base_attestation
from quorumkey_attestation.testing.apple_certificates import (
    INTERMEDIATE_NAME,
    NOT_AFTER,
    NOT_BEFORE,
    app_attest_authority,
    app_attest_root,
    key_usage,
)
from quorumkey_attestation.testing.cbor_encoding import encode
from quorumkey_attestation.testing.webauthn_certificates import webauthn_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from quorumkey_attestation.testing.apple import Attestation
    from quorumkey_attestation.testing.case import Case

__all__ = ["chain_cases"]

_SECOND: Final = timedelta(seconds=1)
_UNKNOWN: Final = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.2.840.113635.100.8.99"), b"\x05\x00"
)
_TOO_LARGE: Final = 8192  # bytes of one extension: the leaf is larger


def chain_cases() -> list[Case]:
    """Return the attestations whose chain is wrong, controls first."""
    return [*_validity_cases(), *_anchor_cases(), *_issuer_cases(), *_shape_cases()]


def _intermediate(  # noqa: PLR0913  # the fields of a certificate
    *,
    name: str = INTERMEDIATE_NAME,
    label: str = INTERMEDIATE_NAME,
    issuer: pki.Authority | None = None,
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_AFTER,
    ca: bool | None = True,
    usage: x509.KeyUsage | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> pki.Authority:
    """Return an intermediate that differs from Apple's in what is given."""
    key = pki.private_key(label)
    certificate = pki.mint(
        name,
        key.public_key(),
        issuer or app_attest_root(),
        not_before=not_before,
        not_after=not_after,
        ca=ca,
        path_length=0 if ca else None,
        key_usage=usage,
        extensions=extensions,
    )
    return pki.Authority(certificate, key)


def _below(issuer: pki.Authority) -> Attestation:
    """Return the control's attestation with another issuer, which is sent along."""
    return replace(base_attestation(), issuer=issuer, chain=(issuer.der,))


def _validity_cases() -> list[Case]:
    base = base_attestation()
    at_once = replace(base, not_before=pki.NOW, not_after=pki.NOW)
    expired = Reason.EXPIRED, "chain/11-not-after"
    early = Reason.NOT_YET_VALID, "chain/10-not-before"
    before, after = pki.NOW - _SECOND, pki.NOW + _SECOND
    return [
        attestation_case("A0i", "in the one second in which the leaf is valid", at_once),
        attestation_case(
            "A13a", "a leaf that expired 1 s ago", replace(base, not_after=before), *expired
        ),
        attestation_case(
            "A13b", "a leaf that is valid in 1 s", replace(base, not_before=after), *early
        ),
        attestation_case(
            "A13c",
            "an intermediate that expired 1 s ago",
            _below(_intermediate(not_after=before)),
            *expired,
        ),
        attestation_case(
            "A13d",
            "an intermediate that is valid in 1 s",
            _below(_intermediate(not_before=after)),
            *early,
        ),
    ]


def _anchor_cases() -> list[Case]:
    root = app_attest_root()
    forged_root = pki.Authority(root.certificate, pki.private_key("forged root", ec.SECP384R1()))
    forger = pki.private_key(INTERMEDIATE_NAME)
    itself = pki.Authority(app_attest_authority().certificate, forger)
    anchor = Reason.UNTRUSTED_ROOT, "chain/3-anchor"
    return [
        attestation_case(
            "A14a",
            "under a forged root of the same name",
            _below(_intermediate(issuer=forged_root)),
            *anchor,
        ),
        attestation_case(
            "A14b",
            "under a self-signed intermediate of the same name",
            _below(_intermediate(issuer=itself)),
            *anchor,
        ),
        attestation_case(
            "A14c",
            "a self-signed leaf of the same name, sent as its own issuer",
            _self_issued(),
            *anchor,
        ),
        attestation_case(
            "A15",
            "under the root for passkeys",
            _below(_intermediate(issuer=webauthn_root())),
            *anchor,
        ),
        attestation_case(
            "A30",
            "under a test root, where those are not allowed",
            base_attestation(),
            Reason.UNTRUSTED_ROOT,
            "chain/4-denied",
            settings={"allow_test_roots": False},
        ),
    ]


def _self_issued() -> Attestation:
    """Return an attestation whose leaf is signed by its own key, with a twin as its issuer."""
    base = base_attestation()
    key = pki.private_key(base.label)
    name = pki.name(base.key_id.hex())
    twin = pki.mint(
        name,
        key.public_key(),
        pki.Authority(app_attest_authority().certificate, key),
        issuer_name=name,
        not_before=NOT_BEFORE,
        not_after=NOT_AFTER,
        ca=True,
    )
    return _below(pki.Authority(twin, key))


def _issuer_cases() -> list[Case]:
    base = base_attestation()
    authority = app_attest_authority()
    stranger = _intermediate(name="Quorumkey UNSAFE test App Attest CA 2")
    thief = pki.Authority(authority.certificate, pki.private_key("thief"))
    return [
        attestation_case(
            "A16a",
            "an intermediate that is no CA",
            _below(_intermediate(ca=False, usage=key_usage(issues=True))),
            Reason.NOT_CA,
            "chain/7-ca",
        ),
        attestation_case(
            "A16b",
            "an intermediate that may not sign certificates",
            _below(_intermediate(usage=key_usage(issues=False))),
            Reason.NOT_CA,
            "chain/7-key-usage",
        ),
        attestation_case(
            "A16c",
            "another key's certificate as the issuer",
            _below(_intermediate(name="another key", label="another key", ca=None)),
            Reason.NOT_CA,
            "chain/7-ca",
        ),
        attestation_case(
            "A31",
            "a leaf that names another issuer",
            replace(base, issuer=stranger),
            Reason.BROKEN_CHAIN,
            "chain/6-issuer",
        ),
        attestation_case(
            "A32",
            "a leaf that the intermediate did not sign",
            replace(base, issuer=thief),
            Reason.BROKEN_CHAIN,
            "chain/6-signature",
        ),
        attestation_case(
            "A33a",
            "a critical extension of the leaf that nobody knows",
            replace(base, leaf_extensions=((_UNKNOWN, True),)),
            Reason.MALFORMED,
            "chain/9-critical",
        ),
        attestation_case(
            "A33b",
            "a critical extension of the intermediate that nobody knows",
            _below(_intermediate(extensions=[(_UNKNOWN, True)])),
            Reason.MALFORMED,
            "chain/9-critical",
        ),
    ]


def _shape_cases() -> list[Case]:
    base = base_attestation()
    root, authority = app_attest_root(), app_attest_authority()
    length = Reason.BROKEN_CHAIN, "apple.attestation/1-length"
    large = x509.UnrecognizedExtension(_UNKNOWN.oid, bytes(_TOO_LARGE))
    other_curve = pki.private_key("on another curve", ec.SECP384R1()).public_key()
    return [
        attestation_case(
            "A17a", "the root sent along", replace(base, chain=(authority.der, root.der)), *length
        ),
        attestation_case(
            "A17b",
            "leaf and intermediate swapped",
            _swapped(),
            Reason.BROKEN_CHAIN,
            "apple.attestation/1-leaf",
            has_reading=False,
        ),
        attestation_case("A17c", "no intermediate", replace(base, issuer=root, chain=()), *length),
        attestation_case(
            "A17d",
            "the root in place of the intermediate",
            replace(base, issuer=root, chain=(root.der,)),
            Reason.BROKEN_CHAIN,
            "apple.attestation/1-issuer",
        ),
        attestation_case(
            "A34",
            "a leaf that is a CA",
            replace(base, leaf_is_authority=True),
            Reason.BROKEN_CHAIN,
            "apple.attestation/1-leaf",
        ),
        attestation_case(
            "A35",
            "a leaf of more than 8 KiB",
            replace(base, leaf_extensions=((large, False),)),
            Reason.MALFORMED,
            "chain/1-size",
        ),
        attestation_case(
            "A36",
            "an intermediate that is cut off",
            replace(base, chain=(authority.der[:-1],)),
            Reason.MALFORMED,
            "chain/2-parse",
            has_reading=False,
        ),
        attestation_case(
            "A37",
            "a key on P-384",
            replace(base, leaf_key=other_curve),
            Reason.ALGORITHM,
            "apple.attestation/5-algorithm",
            has_reading=False,
        ),
    ]


def _swapped() -> bytes:
    base = base_attestation()
    members = base.members
    return encode(
        {
            **members,
            "attStmt": {"x5c": [app_attest_authority().der, base.leaf], "receipt": base.receipt},
        }
    )
