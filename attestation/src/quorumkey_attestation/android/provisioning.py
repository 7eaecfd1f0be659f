"""The ProvisioningInfo that Google's servers put into a remotely provisioned attestation key."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.cbor import CborKey, CborValue

__all__ = ["PROVISIONING_INFO_OID", "ProvisioningInfo", "read_provisioning_info"]

PROVISIONING_INFO_OID: Final = "1.3.6.1.4.1.11129.2.1.30"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningInfo:
    """What Google's provisioning server knows about the device.

    Attributes:
        certificates_issued: attestation certificates issued to the device in the last 30 days.
        validated_entity: the hardware that was checked: ``"TEE"`` or ``"STRONG_BOX"``.
        lost_device: whether its owner has reported it lost.
        unknown: every member that is not known here.
    """

    certificates_issued: int | None = None
    validated_entity: str | None = None
    lost_device: bool | None = None
    unknown: Mapping[CborKey, CborValue] = field(default_factory=lambda: MappingProxyType({}))


def read_provisioning_info(der: bytes, audit: Audit) -> ProvisioningInfo:
    """Return the ProvisioningInfo in the CBOR of an extension's value."""
    raise NotImplementedError
