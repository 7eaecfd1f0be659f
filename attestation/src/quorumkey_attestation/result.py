"""What a verification can conclude: an assurance level, and the evidence format behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.apple.policy import AppAttestKey

__all__ = ["Assurance", "Format", "Result"]

Format = Literal["none", "apple-app-attest", "android-key", "webauthn"]
"""The evidence formats of an enrolment (docs/protocol.md, section 7)."""


class Assurance(StrEnum):
    """Where a device key has been proved to live (docs/protocol.md, "Assurance").

    Two levels of one rank are equally strong; a floor admits its own rank and every higher one.
    """

    NONE = "none"
    SOFTWARE = "software"
    PASSKEY = "passkey"
    TEE = "tee"
    PASSKEY_DEVICE_BOUND = "passkey_device_bound"
    SECURE_ENCLAVE = "secure_enclave"
    STRONGBOX = "strongbox"

    @property
    def rank(self) -> int:
        """The strength of this level, 0 (nothing proved) to 4."""
        return _RANKS[self]

    def meets(self, floor: Assurance) -> bool:
        """Say whether a key of this level may be used where ``floor`` is asked for."""
        return self.rank >= floor.rank


_RANKS: Final[Mapping[Assurance, int]] = MappingProxyType(
    {
        Assurance.NONE: 0,
        Assurance.SOFTWARE: 1,
        Assurance.PASSKEY: 2,
        Assurance.TEE: 3,
        Assurance.PASSKEY_DEVICE_BOUND: 3,
        Assurance.SECURE_ENCLAVE: 4,
        Assurance.STRONGBOX: 4,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What accepted evidence proves about one device key, and what to store of it.

    Attributes:
        format: the evidence format that was judged.
        assurance: the level that it proves, never more.
        checks: the checks that were passed, by name.
        quirks: deviations of genuine devices that were tolerated, in words.
        serials: the serial number of every certificate that a revocation list could name,
            lower-case hex, leaf first: look them up in each new list.
        app_attest_key: the App Attest key that vouches for the device key. Bind it to this one
            device, keep its counter by compare-and-set, and keep its receipt.
    """

    format: Format
    assurance: Assurance
    checks: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()
    app_attest_key: AppAttestKey | None = None
