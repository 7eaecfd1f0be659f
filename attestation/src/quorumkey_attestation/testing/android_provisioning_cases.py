"""The cases of how an attestation key came into its device: K25 to K27."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import android
from quorumkey_attestation.testing.android import factory_issuers, rkp_issuers
from quorumkey_attestation.testing.android_case import Refusal, attested, refused
from quorumkey_attestation.testing.cbor_encoding import (
    Encoded,
    encode,
    encode_pairs,
    encode_tagged,
)

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases"]


def cases() -> tuple[Case, ...]:
    """Return the cases in the order of their numbers."""
    return (
        refused(
            "K25",
            "a factory chain where only remotely provisioned devices are allowed",
            attested(issuers=factory_issuers()),
            control="K0b",
            refusal=Refusal(Reason.VERDICT, "android.key/6-method"),
            settings={"provisioning": "rkp"},
        ),
        refused(
            "K26",
            "a device that was reported lost",
            attested(issuers=_provisioned(encode({1: 2, 6: True}))),
            control="K0a",
            refusal=Refusal(Reason.VERDICT, "android.key/6-lost"),
        ),
        *_infos(),
    )


def _provisioned(info: bytes) -> tuple[android.Issuer, ...]:
    """Return the issuers of a device with ``info`` for its ProvisioningInfo."""
    attestation, *above = rkp_issuers()
    extension = android.provisioning_extension(info)
    return (replace(attestation, extensions=((extension, False),)), *above)


def _infos() -> tuple[Case, ...]:
    sound = encode({1: 2, 4: "TEE"})
    no_map, entity = "android.provisioning/1-map", "android.provisioning/2-type"
    return tuple(
        refused(
            number,
            f"a ProvisioningInfo {title}",
            attested(issuers=_provisioned(info)),
            Refusal(Reason.MALFORMED, check, has_reading=check not in {no_map, entity}),
        )
        for number, title, info, check in (
            ("K27a", "whose entity is a number", encode({1: 2, 4: 1}), entity),
            ("K27b", "with an octet after it", sound + b"\0", "cbor/6-trailing"),
            ("K27c", "with a member twice", encode_pairs([(1, 2), (1, 2)]), "cbor/5-duplicate"),
            ("K27d", "with a tag", encode({1: Encoded(encode_tagged(0, 2))}), "cbor/4-tag"),
            ("K27e", "with a 2 in two octets", b"\xa1\x01\x18\x02", "cbor/3-shortest"),
            ("K27f", "that is a list", encode([1, 2]), no_map),
        )
    )
