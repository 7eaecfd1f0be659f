"""What may become of a protection: pure functions, each from one `Protection` to the next.

Rules (the numbers are those of the protected methods' behaviours):

* At least two approvers are required (B3); protection is not enabled, and no more approvers are
  asked for, than administrators can approve (B4). Nothing ever lowers that by itself (B30).
* What is always protected stays so, without a condition (B20). Methods that only read, and those
  that their service declared ineligible, cannot be protected (B23).
* A default is protected once, when it is first registered; one that was removed stays removed
  until the list is reset (B21, B24).
* While protection is on, registering a catalogue takes no protection away.

A function that finds nothing to change returns the very value that it was given: there is then
nothing to store.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from msgspec.structs import replace

from quorumkey.errors import ProtocolError
from quorumkey.protocol import check_text, limits
from quorumkey_relay.domain.protection import (
    GOVERNING_METHODS,
    MAX_DURATION_SECONDS,
    MAX_METHODS,
    MAX_SERVICE_NAME_CHARS,
    MIN_DURATION_SECONDS,
    MIN_REQUIRED_APPROVERS,
    RELAY_SERVICE,
    Mark,
    Method,
    Protection,
    ProtectionSettings,
)
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    #: Why a condition cannot be used, as a sentence; None where it can.
    CheckCondition = Callable[[str], str | None]

#: A request names each administrator as a group of their devices, and has room for so many.
MAX_ADMINISTRATORS: Final = limits.MAX_GROUPS_PROTECTED_METHOD

_NAME: Final = re.compile(r"[!-~]+")
T = TypeVar("T")


class Listed(NamedTuple):
    """One method, and how it is protected (B22); ``mark`` is None where it is not.

    ``method.kind`` is as it is shown: a default that was removed is ``eligible``. ``drifted`` says
    that a default's condition is not the registered one.
    """

    method: Method
    protected: bool
    condition: str
    mark: Mark | None
    drifted: bool


# Settings


def set_settings(  # noqa: PLR0913 - the settings
    protection: Protection,
    *,
    able: int,
    enabled: bool | None = None,
    required: int | None = None,
    max_duration_seconds: int | None = None,
    execution_expiry_seconds: int | None = None,
    exclude_api_keys: bool | None = None,
    count_requestor: bool | None = None,
) -> Protection | Refusal:
    """Change settings; None leaves one as it is.

    ``able`` is how many administrators can approve now. Durations are in seconds.
    """
    before = protection.settings
    after = ProtectionSettings(
        enabled=_given(enabled, before.enabled),
        required=_given(required, before.required),
        max_duration_seconds=_given(max_duration_seconds, before.max_duration_seconds),
        execution_expiry_seconds=_given(execution_expiry_seconds, before.execution_expiry_seconds),
        exclude_api_keys=_given(exclude_api_keys, before.exclude_api_keys),
        count_requestor=_given(count_requestor, before.count_requestor),
    )
    refused = _check_bounds(after)
    if refused is not None:
        return refused
    needed = administrators_needed(after)
    is_stricter = needed > administrators_needed(before)
    if (is_stricter or (after.enabled and not before.enabled)) and able < needed:
        return too_few(needed, able)
    return _changed(protection, settings=after)


def disable(protection: Protection) -> Protection:
    """Turn protection off; every other setting stays as it is (B25)."""
    return _changed(protection, settings=replace(protection.settings, enabled=False))


def administrators_needed(settings: ProtectionSettings) -> int:
    """Return how many administrators have to be able to approve for nobody to be locked out.

    Where who asks is not counted, one administrator's call needs ``required`` others (B32).
    """
    return settings.required if settings.count_requestor else settings.required + 1


def _check_bounds(settings: ProtectionSettings) -> Refusal | None:
    if not MIN_REQUIRED_APPROVERS <= settings.required <= MAX_ADMINISTRATORS:
        return _invalid(f"required: from {MIN_REQUIRED_APPROVERS} to {MAX_ADMINISTRATORS}.")
    for name, seconds in (
        ("max_duration_seconds", settings.max_duration_seconds),
        ("execution_expiry_seconds", settings.execution_expiry_seconds),
    ):
        if not MIN_DURATION_SECONDS <= seconds <= MAX_DURATION_SECONDS:
            bounds = f"from {MIN_DURATION_SECONDS} to {MAX_DURATION_SECONDS} seconds"
            return _invalid(f"{name}: {bounds}.")
    return None


# Protected methods


def add_method(
    protection: Protection, name: str, condition: str, check: CheckCondition
) -> Protection | Refusal:
    """Protect a method, under a condition or, where that is empty, for every call (B18).

    One that is protected already gets the new condition.
    """
    method = protection.method(name)
    if method is None:
        return _unknown(name)
    if method.kind == "always":
        if condition:
            return _invalid(f"{name} is always protected and takes no condition.")
        return protection
    if not is_eligible(method):
        reason = "is ineligible" if method.kind == "ineligible" else "only reads"
        return _invalid(f"{name} {reason} and cannot be protected.")
    fault = check(condition) if condition else None
    if fault is not None:
        return _invalid(f"condition: {fault}")
    return _changed(protection, protected={**protection.protected, name: condition})


def remove_method(protection: Protection, name: str) -> Protection | Refusal:
    """Take the protection of a default or custom method away."""
    method = protection.method(name)
    if method is None:
        return _unknown(name)
    if method.kind == "always":
        return _invalid(f"{name} is always protected.")
    if name not in protection.protected:
        return Refusal("not_found", f"{name} is not protected.")
    others = {one: condition for one, condition in protection.protected.items() if one != name}
    return _changed(protection, protected=others)


def reset_methods(protection: Protection) -> Protection:
    """Protect what the services registered as default, as they did, and nothing else (B24)."""
    methods = protection.methods.values()
    defaults = {one.name: one.default_condition for one in methods if one.kind == "default"}
    return _changed(protection, protected=defaults, seeded=tuple(sorted(defaults)))


def listed(protection: Protection) -> list[Listed]:
    """Return every method, by name, those of the relay first."""
    own = [
        Listed(method, protected=True, condition="", mark="always", drifted=False)
        for name in GOVERNING_METHODS
        if (method := protection.method(name)) is not None
    ]
    return own + [_listed(protection, name) for name in sorted(protection.methods)]


def is_eligible(method: Method) -> bool:
    """Say whether a method may be protected: it changes something, and was not excepted (B23)."""
    return method.permission == "write" and method.kind != "ineligible"


def _listed(protection: Protection, name: str) -> Listed:
    method = protection.methods[name]
    if method.kind == "always":
        return Listed(method, protected=True, condition="", mark="always", drifted=False)
    condition = protection.protected.get(name)
    if condition is None:
        shown = replace(method, kind="eligible") if method.kind == "default" else method
        return Listed(shown, protected=False, condition="", mark=None, drifted=False)
    if method.kind == "default":
        drifted = condition != method.default_condition
        return Listed(method, protected=True, condition=condition, mark="default", drifted=drifted)
    return Listed(method, protected=True, condition=condition, mark="custom", drifted=False)


# Catalogue


def register(
    protection: Protection, service: str, methods: Iterable[Method], check: CheckCondition
) -> Protection | Refusal:
    """Take in all methods of one service; those that it had before and has no more go.

    Defaults that are new are protected. While protection is on, nothing that is protected may go,
    become ineligible, or cease to be always protected.
    """
    offered = tuple(replace(method, service=service) for method in methods)
    refused = _check_catalogue(protection, service, offered, check)
    if refused is not None:
        return refused
    new = {method.name: method for method in offered}
    others = {
        name: method for name, method in protection.methods.items() if method.service != service
    }
    catalogue = others | new
    gone = [name for name in protection.protected if not _may_stay(catalogue.get(name))]
    if protection.settings.enabled:
        refused = _check_nothing_lost(protection, service, new, gone)
        if refused is not None:
            return refused
    protected = {name: text for name, text in protection.protected.items() if name not in gone}
    defaults = sorted(name for name, method in new.items() if method.kind == "default")
    for name in defaults:
        if name not in protection.seeded:
            protected.setdefault(name, new[name].default_condition)
    seeded = (set(protection.seeded) & set(catalogue)) | set(defaults)
    return _changed(
        protection, methods=catalogue, protected=protected, seeded=tuple(sorted(seeded))
    )


def _may_stay(method: Method | None) -> bool:
    """Say whether a method may be on the list of those that are protected by choice."""
    return method is not None and method.kind != "always" and is_eligible(method)


def _check_nothing_lost(
    protection: Protection, service: str, new: Mapping[str, Method], gone: Iterable[str]
) -> Refusal | None:
    weaker = {name for name in gone if name not in new or new[name].kind != "always"}
    weaker |= {
        name
        for name, method in protection.methods.items()
        if method.service == service
        and method.kind == "always"
        and (name not in new or new[name].kind != "always")
    }
    if not weaker:
        return None
    return Refusal(
        "failed_precondition",
        f"{min(weaker)} is protected, and this catalogue would end that while protection is on. "
        "Remove it from the protected methods first, or disable protection.",
    )


def _check_catalogue(
    protection: Protection, service: str, methods: tuple[Method, ...], check: CheckCondition
) -> Refusal | None:
    if not _is_name(service, MAX_SERVICE_NAME_CHARS):
        return _invalid(f"service: {_name_rule(MAX_SERVICE_NAME_CHARS)}")
    if service == RELAY_SERVICE:
        return _invalid(f"service: {RELAY_SERVICE} is the relay itself.")
    others = sum(method.service != service for method in protection.methods.values())
    if others + len(methods) > MAX_METHODS:
        return _invalid(f"methods: all services together have at most {MAX_METHODS}.")
    seen: set[str] = set()
    for method in methods:
        refused = _check_method(protection, method, check)
        if refused is not None:
            return refused
        if method.name in seen:
            return _invalid(f"methods: {method.name} is named twice.")
        seen.add(method.name)
    return None


def _check_method(protection: Protection, method: Method, check: CheckCondition) -> Refusal | None:
    name = method.name
    if not _is_name(name, limits.MAX_METHOD_NAME_CHARS):
        return _invalid(f"methods: name: {_name_rule(limits.MAX_METHOD_NAME_CHARS)}")
    if name in GOVERNING_METHODS:
        return _invalid(f"methods: {name} is a method of the relay itself.")
    known = protection.methods.get(name)
    if known is not None and known.service != method.service:
        message = f"methods: {name} is registered by the service {known.service}."
        return Refusal("failed_precondition", message)
    if method.permission == "read" and method.kind in {"always", "default"}:
        return _invalid(f"methods: {name} only reads, so it cannot be {method.kind}.")
    if method.default_condition and method.kind != "default":
        return _invalid(f"methods: {name}: only the kind default has a default_condition.")
    fault = check(method.default_condition) if method.default_condition else None
    return None if fault is None else _invalid(f"methods: {name}: default_condition: {fault}")


def _is_name(text: str, maximum: int) -> bool:
    return len(text) <= maximum and _NAME.fullmatch(text) is not None


def _name_rule(maximum: int) -> str:
    return f"1 to {maximum} printable ASCII characters without spaces."


# Administrators


def add_administrator(protection: Protection, approver_id: str) -> Protection | Refusal:
    """Name an approver an administrator."""
    try:
        check_text(
            approver_id,
            field="approver_id",
            minimum=limits.MIN_ID_CHARS,
            maximum=limits.MAX_ID_CHARS,
        )
    except ProtocolError as error:
        return _invalid(error.message)
    if protection.is_administrator(approver_id):
        return protection
    if len(protection.administrators) >= MAX_ADMINISTRATORS:
        message = f"There are {MAX_ADMINISTRATORS} administrators already; remove one first."
        return Refusal("failed_precondition", message)
    return _changed(protection, administrators=(*protection.administrators, approver_id))


def remove_administrator(
    protection: Protection, approver_id: str, *, able_after: int, may_fall_short: bool = False
) -> Protection | Refusal:
    """Take the role of an administrator away.

    ``able_after`` is how many could still approve. While protection is on, fewer than are needed
    would lock everybody out; only the operator of the host may let that happen, by
    ``may_fall_short``.
    """
    if not protection.is_administrator(approver_id):
        return Refusal("not_found", f"{approver_id} is not an administrator.")
    needed = administrators_needed(protection.settings)
    if protection.settings.enabled and able_after < needed and not may_fall_short:
        return too_few(needed, able_after)
    remaining = tuple(one for one in protection.administrators if one != approver_id)
    return _changed(protection, administrators=remaining)


# Parts


def _changed(  # noqa: PLR0913 - what a protection is made of
    protection: Protection,
    *,
    settings: ProtectionSettings | None = None,
    methods: dict[str, Method] | None = None,
    protected: dict[str, str] | None = None,
    seeded: tuple[str, ...] | None = None,
    administrators: tuple[str, ...] | None = None,
) -> Protection:
    """Return the protection with what is given, one revision on, or itself where that is equal."""
    same = replace(
        protection,
        settings=_given(settings, protection.settings),
        methods=_given(methods, protection.methods),
        protected=_given(protected, protection.protected),
        seeded=_given(seeded, protection.seeded),
        administrators=_given(administrators, protection.administrators),
    )
    return protection if same == protection else replace(same, revision=protection.revision + 1)


def _given(value: T | None, default: T) -> T:
    return default if value is None else value


def too_few(needed: int, able: int) -> Refusal:
    """Return the refusal where fewer administrators can approve than are needed."""
    return Refusal(
        "failed_precondition",
        f"This needs {needed} administrators who can approve on a paired device; there are {able}.",
        {"needed": needed, "administrators": able},
    )


def _invalid(message: str) -> Refusal:
    return Refusal("invalid_request", message)


def _unknown(name: str) -> Refusal:
    shown = ascii(name[: limits.MAX_METHOD_NAME_CHARS])
    return Refusal("not_found", f"No service has registered a method {shown}.")
