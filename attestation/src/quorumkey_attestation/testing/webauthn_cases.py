"""The cases W0 to W10 of the list, and those that follow: passkeys, most of them bad."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from quorumkey_attestation.testing import (
    webauthn_android_cases,
    webauthn_assertion_cases,
    webauthn_key_cases,
    webauthn_registration_cases,
    webauthn_statement_cases,
)
from quorumkey_attestation.testing.webauthn_case import judge

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases", "judge"]


@cache
def cases() -> tuple[Case, ...]:
    """Return every case of WebAuthn, controls first."""
    found = [
        *webauthn_registration_cases.cases(),
        *webauthn_key_cases.cases(),
        *webauthn_statement_cases.cases(),
        *webauthn_android_cases.cases(),
        *webauthn_assertion_cases.cases(),
    ]
    return (
        *(case for case in found if case.id.startswith("W0")),
        *(case for case in found if not case.id.startswith("W0")),
    )
