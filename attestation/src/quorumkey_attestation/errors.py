"""The one exception of this package, and the closed list of reasons it gives.

Callers branch on :attr:`AttestationError.reason`; the texts are for people and may change.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["AttestationError", "Reason"]


class Reason(StrEnum):
    """Why evidence was refused; :mod:`quorumkey_attestation.explain` says what to do about it."""

    MALFORMED = "malformed"
    """The evidence does not have the shape that its format prescribes."""
    UNTRUSTED_ROOT = "untrusted_root"
    """The chain ends at no configured trust anchor, or at one that is denied."""
    BROKEN_CHAIN = "broken_chain"
    """A certificate was not issued by the next one, or the chain has the wrong length or order."""
    NOT_CA = "not_ca"
    """A certificate that issued another one may not issue certificates."""
    EXPIRED = "expired"
    """A certificate, or a receipt, is past its end."""
    NOT_YET_VALID = "not_yet_valid"
    """A certificate, or a receipt, has not begun to be valid."""
    REVOKED = "revoked"
    """A certificate of the chain is on the vendor's revocation list, in whatever state."""
    REVOCATION_STALE = "revocation_stale"
    """The revocation list is missing, or older than its greatest age."""
    CHALLENGE = "challenge_mismatch"
    """The evidence was made for another challenge."""
    NONCE = "nonce_mismatch"
    """The evidence does not cover the challenge and data that came with it."""
    KEY_MISMATCH = "key_mismatch"
    """The evidence is about another key."""
    APP_ID = "app_id_mismatch"
    """The evidence comes from another app, or from the app signed by somebody else."""
    COUNTER = "counter"
    """A counter did not grow, or is not where it has to start."""
    ENVIRONMENT = "environment"
    """The evidence belongs to another environment: development instead of production, or back."""
    SIGNATURE = "bad_signature"
    """A signature does not verify."""
    LEVEL = "security_level"
    """The key lives in weaker hardware than policy asks for, or in none."""
    BOOT_STATE = "boot_state"
    """The device did not boot a verified system with a locked boot loader."""
    ORIGIN = "origin"
    """The key was not generated in the hardware, or a page of another origin asked for it."""
    PURPOSE = "purpose"
    """The key may be used for something else than signing."""
    USER_AUTH = "user_auth"
    """The key can be used without the user authenticating as policy asks."""
    PATCH = "patch_level"
    """The system's security patch is too old, or its date is impossible."""
    EXTENSION_POSITION = "extension_position"
    """An attestation extension stands in a certificate where it cannot be trusted."""
    TIMESTAMP = "timestamp"
    """The evidence is too old, or comes from the future."""
    VERDICT = "verdict"
    """The vendor's own verdict about app or device is not the one policy asks for."""
    ALGORITHM = "algorithm"
    """A key or signature is of an algorithm that policy does not allow."""
    UNSUPPORTED = "unsupported"
    """The evidence is of a kind that this version, or this set-up, cannot judge."""


class AttestationError(Exception):
    """Evidence was refused; nothing may be concluded from it.

    Args:
        reason: the kind of failure, for programs.
        detail: one sentence, for people; it never repeats a secret.
        index: the certificate it is about, counted from the leaf, which is 0.
        check: the step that refused, as in the verifier's docstring: ``"apple.attestation/9"``.
    """

    reason: Reason
    detail: str
    index: int | None
    check: str | None

    def __init__(
        self, reason: Reason, detail: str, *, index: int | None = None, check: str | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.index = index
        self.check = check
