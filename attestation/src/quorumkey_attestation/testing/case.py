"""One numbered case: evidence, what it is judged by, and what has to come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from quorumkey_attestation.errors import Reason

__all__ = ["Case", "Procedure"]

Procedure = Literal[
    "apple-attestation",
    "apple-assertion",
    "apple-receipt",
    "android",
    "webauthn-registration",
    "webauthn-assertion",
    "play",
]
"""The verification that judges a case; also what its policy file is written for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Evidence that differs from a passing control in one property.

    Attributes:
        id: its number, ``A7``; several of one number take letters, ``A5a``; a control is ``A0``.
        title: what is different, in a few words.
        procedure: what judges it.
        control: the id of the passing case it was made from; None for a control.
        reason: why it has to be refused; None where it has to be accepted.
        check: the one check that has to refuse it; None where it has to be accepted.
        has_reading: whether the evidence can be read at all with that check switched off. Without
            one, as for a length beyond the end, no other outcome exists.
        evidence: file name → content.
        settings: the policy file it is judged by, as the mapping that its TOML holds.
        at: the moment of judgement.
    """

    id: str
    title: str
    procedure: Procedure
    control: str | None = None
    reason: Reason | None = None
    check: str | None = None
    has_reading: bool = True
    evidence: Mapping[str, bytes]
    settings: Mapping[str, object]
    at: datetime
