"""Reaches the module that needs the extra ``webauthn``, or says which extra is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from quorumkey_attestation.webauthn.policy import CredentialPublicKey
    from quorumkey_attestation.webauthn.registered import Registered

__all__ = ["fault_of_statement", "read_cose_key"]

_MISSING = "WebAuthn registrations need an extra: install quorumkey-attestation[webauthn]."


def read_cose_key(encoded: bytes) -> CredentialPublicKey | None:
    """See :func:`.ceremony.read_cose_key`.

    Raises:
        AttestationError: ``unsupported``: the extra is not installed.
    """
    try:
        from quorumkey_attestation.webauthn import ceremony  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        raise AttestationError(Reason.UNSUPPORTED, _MISSING) from error
    return ceremony.read_cose_key(encoded)


def fault_of_statement(registered: Registered) -> str | None:
    """See :func:`.ceremony.fault_of_statement`; the key was read before, so the extra is there."""
    from quorumkey_attestation.webauthn import ceremony  # noqa: PLC0415  # an extra

    return ceremony.fault_of_statement(registered)
