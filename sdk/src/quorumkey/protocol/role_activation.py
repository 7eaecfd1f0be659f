"""What the reviewers of a role activation are shown and sign: one text for every activation.

The relay writes it into the request document, and whoever grants the role writes it again and
compares (`quorumkey.jit`). A relay that shows a harmless role and grants another one is found out
by that, so nothing here may depend on anything but the activation itself.

The time is part of the text. Where it begins with the request, it is shown as two moments::

    "start": "2026-04-24T10:30:00Z", "end": "2026-04-24T11:30:00Z"

and where it begins with the last approval, which nobody knows yet, as its length::

    "start": "with the last approval", "duration": "60 minutes"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey.protocol._members import id_in, integer_of, refuse
from quorumkey.protocol.action import Action
from quorumkey.protocol.canonical import request_binding
from quorumkey.protocol.encoding import check_text, check_time, cut_text, escape_text, format_time
from quorumkey.protocol.limits import (
    MAX_CONDITION_CHARS,
    MAX_DESCRIPTION_CHARS,
    MAX_JUSTIFICATION_CHARS,
    MAX_PROJECT_CHARS,
    MAX_ROLE_CHARS,
)
from quorumkey.protocol.strict_json import dumps

if TYPE_CHECKING:
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["ACTION_TYPE", "RoleActivation"]

#: ``action.type`` of every role activation.
ACTION_TYPE: Final = "jit_access"

#: What is shown of a condition, as compact JSON; the digest of the whole is signed beside it.
_MAX_CONDITION_BYTES: Final = 4_096
_SECONDS_A_MINUTE: Final = 60
_WITH_THE_APPROVAL: Final = "with the last approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleActivation:
    """A role that a person asks their peers for.

    Attributes:
        beneficiary: the person's approver id, which is their e-mail address in lower case.
        project: where the role counts.
        role: its name.
        justification: the person's reason.
        duration_seconds: how long they have the role.
        condition: what limits the role to some resources, in CEL; empty where nothing does.
        start: when the time begins, in epoch seconds; None where the last approval begins it.
    """

    beneficiary: str
    project: str
    role: str
    justification: str
    duration_seconds: int
    condition: str = ""
    start: int | None = None

    def __post_init__(self) -> None:
        """Check every member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        if id_in(self.beneficiary, field="beneficiary") != self.beneficiary.lower():
            # In another case it would be one of their own peers.
            message = "beneficiary must be in lower case."
            raise refuse(message)
        check_text(self.project, field="project", minimum=1, maximum=MAX_PROJECT_CHARS)
        check_text(self.role, field="role", minimum=1, maximum=MAX_ROLE_CHARS)
        check_text(
            self.justification, field="justification", minimum=1, maximum=MAX_JUSTIFICATION_CHARS
        )
        if integer_of(self.duration_seconds, field="duration_seconds") < 1:
            message = "duration_seconds must be at least 1."
            raise refuse(message)
        if self.start is not None:
            check_time(self.start, field="start")
            check_time(self.start + self.duration_seconds, field="end")
        _check_condition(self.condition)

    @property
    def end(self) -> int | None:
        """The first second after the time, or None where the last approval begins it."""
        return None if self.start is None else self.start + self.duration_seconds

    def action(self) -> Action:
        """The action that the reviewers sign."""
        params: dict[str, JsonValue] = {
            "beneficiary": self.beneficiary,
            "project": self.project,
            "role": self.role,
        }
        if self.condition:
            params["resource_condition"] = _shown(self.condition)
        params["justification"] = self.justification
        params |= self._time()
        description = (
            f"Activate {self.role} on {self.project} for {self.beneficiary}: {self.justification}"
        )
        return Action(
            ACTION_TYPE,
            cut_text(description, MAX_DESCRIPTION_CHARS),
            params,
            # The condition is what may be shown cut, or with its unseen characters escaped.
            {"condition": request_binding(self.condition.encode())} if self.condition else None,
        )

    def _time(self) -> dict[str, JsonValue]:
        if self.start is not None:
            end = self.start + self.duration_seconds
            return {"start": format_time(self.start), "end": format_time(end)}
        return {"start": _WITH_THE_APPROVAL, "duration": _length(self.duration_seconds)}


def _length(seconds: int) -> str:
    """Whole minutes where it is some, else seconds."""
    minutes, rest = divmod(seconds, _SECONDS_A_MINUTE)
    number, unit = (seconds, "second") if rest else (minutes, "minute")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _check_condition(condition: object) -> None:
    if type(condition) is not str or len(condition) > MAX_CONDITION_CHARS:
        message = f"condition must be a string of at most {MAX_CONDITION_CHARS} characters."
        raise refuse(message)
    try:
        condition.encode()
    except UnicodeEncodeError:
        message = "condition must be Unicode text."
        raise refuse(message) from None
    if condition and not condition.strip():
        message = "condition must be empty or say something."
        raise refuse(message)


def _shown(condition: str) -> str:
    """The condition on one line, cut with a mark where it is too long to be shown whole."""
    shown = escape_text(condition.strip())
    while len(dumps(shown)) > _MAX_CONDITION_BYTES:
        shown = cut_text(shown, len(shown) * 3 // 4)
    return shown
