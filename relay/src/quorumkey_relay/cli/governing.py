"""Changing who governs protected methods, and how, from the relay's own host.

While protection is off, whoever has the data folder sets it up. While it is on, a change needs the
approval of administrators, which the API asks for; here it is refused, but for an operator who
breaks the glass, with a reason that everybody reads afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from quorumkey.protocol import check_text
from quorumkey.protocol.limits import MAX_REASON_CHARS, MIN_REASON_CHARS
from quorumkey_relay.cli.access import integrator_of
from quorumkey_relay.cli.options import own, said_each_time
from quorumkey_relay.cli.output import Refused, say_error
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.domain import protection_rules
from quorumkey_relay.domain.protection import Protection
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.writes import PutProtection
from quorumkey_relay.usecases.protection.audit import audit
from quorumkey_relay.usecases.protection.votes import able_administrators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quorumkey.protocol import JsonValue
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.store.sqlite.admin import AdminStore
    from quorumkey_relay.store.writes import AppendEvent
    from quorumkey_relay.usecases.protection.audit import GoverningKind

BreakGlassOption = Annotated[
    str | None,
    said_each_time(
        "break_glass",
        "REASON",
        "Do it although protection is on, without approval; the reason is told to everybody.",
    ),
]
WhoseOption = Annotated[
    str | None, own("integrator", "ID", "The integrator's id; not needed where there is only one.")
]

#: Who did it, as events say it: whoever may write to the data folder.
OPERATOR: Final[Mapping[str, JsonValue]] = {"kind": "operator", "id": "host"}

_ATTEMPTS: Final = 5


class Told(NamedTuple):
    """The event that tells of a change: its kind and members."""

    kind: GoverningKind
    members: Mapping[str, JsonValue | Mapping[str, JsonValue]]


class Changed(NamedTuple):
    """A protection after a command; ``changed`` is False where there was nothing to do."""

    protection: Protection
    changed: bool


class PairedDevices:
    """Who has which devices, as the data folder says it."""

    def __init__(self, store: AdminStore) -> None:
        """Read them once."""
        usable = {
            device.fingerprint: device
            for _, device in store.read.devices()
            if device.revoked_at is None
        }
        self._devices: dict[tuple[str, str], list[Device]] = {}
        self._names: dict[tuple[str, str], str | None] = {}
        for tie in store.read.current_pairings(SystemClock().now()):
            device = usable.get(tie.device or "")
            if device is not None and tie.ended_at is None:
                person = (tie.integrator_id, tie.approver_id)
                self._devices.setdefault(person, []).append(device)
                self._names[person] = tie.approver_name

    def devices_of(self, integrator_id: str, approver_id: str) -> Sequence[Device]:
        """Return the unrevoked devices that are paired for an approver."""
        return self._devices.get((integrator_id, approver_id), ())

    def name_of(self, integrator_id: str, approver_id: str) -> str | None:
        """Return an approver's name, as their newest pairing has it."""
        return self._names.get((integrator_id, approver_id))


def chosen(store: AdminStore, integrator_id: str | None) -> str:
    """Return the id of the integrator that a command is about.

    Raises ``Refused`` where there is none with this id, or several to choose from.
    """
    if integrator_id is not None:
        return integrator_of(store, integrator_id).id
    found = store.read.integrators()
    if len(found) == 1:
        return found[0].id
    message = (
        "there are several integrators; name one with --integrator, see:"
        " quorumkey-relay integrators list"
        if found
        else "there is no integrator yet; make one with: quorumkey-relay integrators create"
    )
    raise Refused(message)


def protection_of(store: AdminStore, integrator_id: str) -> Protection:
    """Return an integrator's protection, as it is where nothing was ever said about it."""
    found = store.read.protection.protection(integrator_id)
    return Protection(integrator_id=integrator_id) if found is None else found


def able(store: AdminStore, protection: Protection) -> int:
    """Return how many administrators can approve now."""
    return able_administrators(PairedDevices(store), protection)


def counts_of(protection: Protection) -> dict[str, int]:
    """Return how many methods there are, and how many of them are protected."""
    found = protection_rules.listed(protection)
    return {"methods": len(found), "protected": sum(one.protected for one in found)}


def check_reason(break_glass: str | None) -> None:
    """Refuse a reason that tells nobody anything; raises ``ProtocolError``."""
    if break_glass is not None:
        check_text(
            break_glass,
            field="--break-glass",
            minimum=MIN_REASON_CHARS,
            maximum=MAX_REASON_CHARS,
        )


def change(
    store: AdminStore,
    integrator_id: str,
    rule: Callable[[Protection], Protection | Refusal],
    tell: Callable[[Protection, Protection], Told],
    *,
    break_glass: str | None,
) -> Changed:
    """Change a protection by ``rule``, with the events that tell of it, in one commit.

    Raises ``Refused`` where the rule refuses, or protection is on and the glass whole, and
    ``ProtocolError`` for a reason that tells nobody anything.
    """
    check_reason(break_glass)
    for _ in range(_ATTEMPTS):
        known = store.read.protection.protection(integrator_id)
        before = Protection(integrator_id=integrator_id) if known is None else known
        after = rule(before)
        if isinstance(after, Refusal):
            raise Refused(after.message)
        if after is before:
            return Changed(before, changed=False)
        broken = glass(before, break_glass)
        try:
            store.commit(
                PutProtection(known, after),
                *events_of(integrator_id, tell(before, after), broken=broken),
            )
        except Conflict:
            continue  # a serving relay was faster; look again at what it made of it
        warn(broken)
        return Changed(after, changed=True)
    message = "others are changing the protection at the same time; try again"
    raise Refused(message)


def events_of(integrator_id: str, told: Told, *, broken: str | None) -> list[AppendEvent]:
    """Return what tells of a change; that the glass was broken for it comes first."""
    every = [told]
    if broken is not None:
        every.insert(0, Told("protection.break_glass", {"reason": broken}))
    now, mint = SystemClock().now(), SystemMint()
    return [
        audit(
            one.kind,
            integrator_id=integrator_id,
            subject=integrator_id,
            now=now,
            mint=mint,
            by=OPERATOR,
            **one.members,
        )
        for one in every
    ]


def warn(broken: str | None) -> None:
    """Say on standard error that the glass was broken, where it was."""
    if broken is not None:
        say_error("changed without approval while protection is on; this is in the audit log")


def glass(before: Protection, break_glass: str | None) -> str | None:
    """Return the reason for going round the approval, None where none is needed.

    Raises ``Refused`` where protection is on and no reason is given.
    """
    if not before.settings.enabled:
        return None
    if break_glass is None:
        message = (
            "protection is on, so this needs approval: ask for it by the API, or give"
            " --break-glass REASON, which everybody is told"
        )
        raise Refused(message)
    return break_glass
