"""Decisions: a device's signed answer to one request (protocol section 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NotRequired, TypeAlias, TypedDict, cast

from quorumkey.protocol._members import Members, choice_of, digest_in, fingerprint_in, refuse
from quorumkey.protocol._statement import (
    Statement,
    allow,
    critical_in,
    extensions_in,
    open_payload,
)
from quorumkey.protocol.dsse import Kind
from quorumkey.protocol.encoding import check_text, check_time, format_time, parse_time
from quorumkey.protocol.limits import MAX_REASON_CHARS, MIN_REASON_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

__all__ = ["Decision", "DecisionValue", "check_match_code"]

DecisionValue: TypeAlias = Literal["approve", "deny"]

_DECISIONS: Final[Mapping[str, DecisionValue]] = MappingProxyType(
    {"approve": "approve", "deny": "deny"}
)
_MATCH_CODE: Final = re.compile(r"[0-9]{2,6}", re.ASCII)


def check_match_code(value: object, *, field: str = "code") -> str:
    """Check a match code's form, 2 to 6 ASCII digits; answers it.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    if type(value) is str and _MATCH_CODE.fullmatch(value):
        return value
    message = f"{field} must be 2 to 6 digits."
    raise refuse(message)


class _Unchecked(TypedDict):
    """A decision's members as JSON gave them; the constructor proves the types named here."""

    request_digest: str
    decision: DecisionValue
    device: str
    reason: NotRequired[str]
    code: NotRequired[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Statement):
    """A device's answer to one request.

    Attributes:
        request_digest: ``sha256:<hex>`` of the request document's bytes.
        decision: ``approve`` or ``deny``.
        device: the deciding device's fingerprint.
        decided_at: when, in epoch seconds.
        reason: a sentence for people, 1 to 500 characters, or None.
        code: the match code the person typed, or None.
    """

    KIND: ClassVar[Kind] = Kind.DECISION
    request_digest: str
    decision: DecisionValue
    device: str
    decided_at: int
    reason: str | None = None
    code: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        digest_in(self.request_digest, field="request_digest")
        choice_of(self.decision, _DECISIONS, field="decision")
        fingerprint_in(self.device, field="device")
        check_time(self.decided_at, field="decided_at")
        if self.reason is not None:
            check_text(
                self.reason, field="reason", minimum=MIN_REASON_CHARS, maximum=MAX_REASON_CHARS
            )
        if self.code is not None:
            check_match_code(self.code)
        if self.extensions is not None or self.critical is not None:
            self._check_head()

    def _members(self) -> Members:
        members: Members = {
            "request_digest": self.request_digest,
            "decision": self.decision,
            "device": self.device,
            "decided_at": format_time(self.decided_at),
        }
        if self.reason is not None:
            members["reason"] = self.reason
        if self.code is not None:
            members["code"] = self.code
        return members

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload strictly.

        Raises:
            ProtocolError: ``invalid_json``, ``payload_too_large`` or ``invalid_request``.
        """
        members = open_payload(payload, kind=cls.KIND, required=_REQUIRED, allowed=_ALLOWED)
        # A relay's hottest decoder, so each member is looked at once, by the constructor; null
        # is refused by now, so get() answers None for what is absent only.
        unchecked = cast("_Unchecked", members)
        return cls(
            request_digest=unchecked["request_digest"],
            decision=unchecked["decision"],
            device=unchecked["device"],
            decided_at=parse_time(members["decided_at"], field="decided_at"),
            reason=unchecked.get("reason"),
            code=unchecked.get("code"),
            extensions=extensions_in(members),
            critical=critical_in(members),
        )


_REQUIRED: Final = frozenset({"request_digest", "decision", "device", "decided_at"})
_ALLOWED: Final = allow(_REQUIRED, "reason", "code")
