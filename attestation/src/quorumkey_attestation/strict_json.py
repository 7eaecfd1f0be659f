"""JSON objects as evidence carries them: one reading, or none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quorumkey_attestation.audit import Audit

__all__ = ["parse_object"]


def parse_object(data: bytes, audit: Audit, *, what: str, step: str) -> Mapping[str, object]:
    """Return the members of the JSON object that ``data`` is (RFC 8259).

    Args:
        data: the object, in UTF-8.
        audit: the trail of this verification.
        what: what it is, for the messages: ``"payload"``.
        step: the step that it belongs to, which begins the names of the checks.

    Raises:
        AttestationError: ``malformed``: it is not UTF-8, not JSON, no object, or has a member
            twice, at whatever depth.
    """

    def members_once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
        members: dict[str, object] = {}
        for name, value in pairs:
            audit.require(
                f"{step}-duplicate",
                name not in members,
                Reason.MALFORMED,
                f"The {what} has a member twice.",
            )
            members[name] = value
        return members

    try:
        parsed: object = json.loads(data.decode(), object_pairs_hook=members_once)
    except (ValueError, RecursionError) as error:
        raise AttestationError(
            Reason.MALFORMED, f"The {what} is not JSON.", check=f"{step}-json"
        ) from error
    if not isinstance(parsed, dict):
        raise AttestationError(
            Reason.MALFORMED, f"The {what} is not a JSON object.", check=f"{step}-json"
        )
    return cast("dict[str, object]", parsed)
