"""Who did what about protected methods: events of the integrator's stream (B29).

``protected_method.*`` tells of one gated call, from ``requested`` on, and its subject is the txid;
``protection.*`` tells of the settings, the methods and the administrators, and its subject is the
integrator. They are kept for as long as requests are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

import msgspec
from msgspec import Struct

from quorumkey.protocol import format_time
from quorumkey_relay.domain.model import Counted, Resolved, Status
from quorumkey_relay.store.records import EventRecord
from quorumkey_relay.store.writes import AppendEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quorumkey.protocol import JsonValue
    from quorumkey_relay.domain.model import Event
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.records import Stored

PROFILE: Final = "protected_method"

CallKind = Literal[
    "protected_method.requested",
    "protected_method.approved",
    "protected_method.rejected",
    "protected_method.expired",
    "protected_method.cancelled",
    "protected_method.claimed",
    "protected_method.executed",
    "protected_method.failed",
    "protected_method.indeterminate",
    "protected_method.lapsed",
]
GoverningKind = Literal[
    "protection.settings_changed",
    "protection.method_added",
    "protection.method_removed",
    "protection.methods_reset",
    "protection.catalogue_registered",
    "protection.administrator_added",
    "protection.administrator_removed",
    "protection.api_key_created",
    "protection.api_key_updated",
    "protection.break_glass",
]
AuditKind = CallKind | GoverningKind

CALL_EVENTS: Final[tuple[str, ...]] = get_args(CallKind)
AUDIT_EVENTS: Final[tuple[str, ...]] = (*CALL_EVENTS, *get_args(GoverningKind))


class _Params(Struct, frozen=True):
    method: str


class _Action(Struct, frozen=True):
    params: _Params


class _Document(Struct, frozen=True):
    """The part of a request document that an event repeats."""

    action: _Action


_read = msgspec.json.Decoder(_Document).decode


def audit(
    kind: AuditKind,
    *,
    integrator_id: str,
    subject: str,
    now: int,
    mint: Mint,
    **members: JsonValue | Mapping[str, JsonValue],
) -> AppendEvent:
    """Return the write of one event, dated ``now``; ``members`` that are None are left out.

    ``subject`` is the txid, which the body repeats, or for ``protection.*`` the integrator's id.
    """
    body: dict[str, object] = {"type": kind}
    if kind in CALL_EVENTS:
        body["txid"] = subject
    body.update({name: value for name, value in members.items() if value is not None})
    body["timestamp"] = format_time(now)
    return AppendEvent(
        EventRecord(
            id=mint.uuid7(),
            integrator_id=integrator_id,
            type=kind,
            subject=subject,
            body=msgspec.json.encode(body),
            created_at=now,
        )
    )


def by_person(approver_id: str) -> Mapping[str, JsonValue]:
    """Return the member ``by`` of what a person did."""
    return {"kind": "person", "id": approver_id}


def method_of(stored: Stored) -> str:
    """Return the method that a protected method's request document names."""
    return _read(stored.document.payload).action.params.method


def follow(
    stored: Stored, events: Iterable[Event], *, now: int, mint: Mint
) -> tuple[AppendEvent, ...]:
    """Return what ``events`` of a protected method's request tell: each vote, and another end."""
    method, terms = method_of(stored), stored.terms
    told: list[AppendEvent] = []
    voter: str | None = None
    for event in events:
        if isinstance(event, Counted):
            voter = terms.seats[event.device].person
        kind = _kind(event)
        if kind is not None:
            told.append(
                audit(
                    kind,
                    integrator_id=terms.integrator_id,
                    subject=terms.request_id,
                    now=event.at if isinstance(event, Resolved) else now,
                    mint=mint,
                    method=method,
                    by=None if voter is None else by_person(voter),
                )
            )
    return tuple(told)


def _kind(event: Event) -> AuditKind | None:
    match event:
        case Counted(choice="approve"):
            return "protected_method.approved"
        case Resolved(status=Status.REJECTED):
            return "protected_method.rejected"
        case Resolved(status=Status.CANCELLED):
            return "protected_method.cancelled"
        case Resolved(status=Status.TIMEOUT):
            return "protected_method.expired"
        case _:
            return None
