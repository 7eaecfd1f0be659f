"""The cases A0 to A37: App Attest attestations, good ones first."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from quorumkey_attestation.testing.apple_attestation_cases import attestation_cases
from quorumkey_attestation.testing.apple_case import judge_attestation as judge
from quorumkey_attestation.testing.apple_chain_cases import chain_cases
from quorumkey_attestation.testing.apple_extension_cases import extension_cases

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases", "judge"]


@cache
def cases() -> tuple[Case, ...]:
    """Return every case of App Attest attestations, the controls first."""
    found = [*attestation_cases(), *chain_cases(), *extension_cases()]
    return tuple(sorted(found, key=lambda case: case.reason is not None))
