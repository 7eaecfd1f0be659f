"""An assertion by an App Attest key (Apple, "Validating apps that connect to your server")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from quorumkey_attestation.apple.policy import AppAttestKey, AppAttestPolicy

__all__ = ["AppAssertion", "examine_app_assertion", "verify_app_assertion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAssertion:
    """An assertion that was accepted.

    Attributes:
        counter: the new value of the key's counter, to be stored by compare-and-set.
        category: ``apple_validation_category_01``, where the system sent one.
        bundle_version: ``apple_bundle_version_01``, where the system sent one.
        checks: the checks that it passed.
    """

    counter: int
    category: int | None
    bundle_version: str | None
    checks: tuple[str, ...]


def verify_app_assertion(  # noqa: PLR0913  # what the server knows, by name
    obj: bytes,
    *,
    client_data: bytes,
    key: AppAttestKey,
    last_counter: int,
    policy: AppAttestPolicy,
    challenge: bytes | None = None,
) -> AppAssertion:
    """Return what ``obj`` asserts."""
    return examine_app_assertion(
        obj,
        client_data=client_data,
        key=key,
        last_counter=last_counter,
        policy=policy,
        challenge=challenge,
        audit=Audit(),
    )


def examine_app_assertion(  # noqa: PLR0913  # as above
    obj: bytes,
    *,
    client_data: bytes,
    key: AppAttestKey,
    last_counter: int,
    policy: AppAttestPolicy,
    challenge: bytes | None = None,
    audit: Audit,
) -> AppAssertion:
    """Do what :func:`verify_app_assertion` does, and leave the trail in ``audit``."""
    raise AttestationError(Reason.UNSUPPORTED, "Not there yet.")
