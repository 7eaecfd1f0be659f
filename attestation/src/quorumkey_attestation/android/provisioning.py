"""The ProvisioningInfo that Google's servers put into a remotely provisioned attestation key."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey_attestation import cbor
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.cbor import CborKey, CborValue

__all__ = ["PROVISIONING_INFO_OID", "ProvisioningInfo", "read_provisioning_info"]

PROVISIONING_INFO_OID: Final = "1.3.6.1.4.1.11129.2.1.30"

_ISSUED: Final = 1
_OLD_ENTITY: Final = 3
_ENTITY: Final = 4
_LOST: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningInfo:
    """What Google's provisioning server knows about the device.

    Attributes:
        certificates_issued: attestation certificates issued to the device in the last 30 days.
        validated_entity: the hardware that was checked, ``"TEE"`` or ``"STRONG_BOX"``; in older
            certificates what stands under key 3, such as the maker, ``"Google"``.
        lost_device: whether its owner has reported it lost.
        unknown: every member that is not known here.
    """

    certificates_issued: int | None = None
    validated_entity: str | None = None
    lost_device: bool | None = None
    unknown: Mapping[CborKey, CborValue] = field(default_factory=lambda: MappingProxyType({}))


def read_provisioning_info(value: bytes, audit: Audit) -> ProvisioningInfo:
    """Return the ProvisioningInfo that an extension's value holds.

    1. The value is one CBOR map (:func:`quorumkey_attestation.cbor.decode`).
    2. A member that is known has the type it should have. Everything else is kept as it is.

    Source: https://source.android.com/docs/security/features/keystore/attestation,
    "Provisioning information extension"; key 3 is what older certificates have instead of 4.

    Args:
        value: the extension's value (OID 1.3.6.1.4.1.11129.2.1.30).
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``.
    """
    members = cbor.decode(value, audit, what="ProvisioningInfo")
    if not isinstance(members, dict):
        raise _malformed("ProvisioningInfo is not a map.", "1-map")
    unknown = dict(members)
    issued = unknown.pop(_ISSUED, None)
    if issued is not None and (isinstance(issued, bool) or not isinstance(issued, int)):
        raise _malformed("ProvisioningInfo: the number of certificates is no number.", "2-type")
    entity = unknown.pop(_ENTITY, None)
    if entity is None and isinstance(members.get(_OLD_ENTITY), str):
        entity = unknown.pop(_OLD_ENTITY)
    if entity is not None and not isinstance(entity, str):
        raise _malformed("ProvisioningInfo: the validated entity is no text.", "2-type")
    lost = unknown.pop(_LOST, None)
    if lost is not None and not isinstance(lost, bool):
        raise _malformed("ProvisioningInfo: lost or not is neither true nor false.", "2-type")
    return ProvisioningInfo(
        certificates_issued=issued,
        validated_entity=entity,
        lost_device=lost,
        unknown=MappingProxyType(unknown),
    )


def _malformed(detail: str, step: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check=f"android.provisioning/{step}")
