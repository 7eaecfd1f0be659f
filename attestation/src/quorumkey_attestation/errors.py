"""The one exception of this package, and the closed list of reasons it gives.

Callers branch on :attr:`AttestationError.reason`; the message is for people and may change.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["AttestationError", "Reason"]


class Reason(StrEnum):
    """Why evidence was refused."""

    MALFORMED = "malformed"
    """The evidence does not have the shape that its format prescribes."""
    UNSUPPORTED_FORMAT = "unsupported_format"
    """The evidence is of a format that this verifier was not set up to judge."""


class AttestationError(Exception):
    """Evidence was refused; nothing may be concluded from it.

    Args:
        reason: the kind of failure, for programs.
        message: one sentence, for people; it never repeats the evidence.
    """

    reason: Reason

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
