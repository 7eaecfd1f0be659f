"""What a caller of `quorumkey.receipts.verify_receipt` expects, in the kernel's own types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from quorumkey.errors import ProtocolError
from quorumkey.protocol import (
    Action,
    Group,
    Party,
    PasskeyPolicy,
    Policy,
    PublicKey,
    b64encode,
    check_match_code,
    check_time,
)
from quorumkey.protocol._members import id_in, nonce_in
from quorumkey.protocol.limits import MAX_JSON_DEPTH

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from quorumkey.protocol import JsonValue

__all__ = ["Expectation", "UnsafeAny", "expect", "relying_party", "roster", "trusted_relay_keys"]


@dataclass(frozen=True, slots=True)
class UnsafeAny:
    """In place of an expectation: any value is accepted.

    For auditors who lack the value. A receipt of another request then passes for this one.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The arguments of `verify_receipt`, checked and in one form each.

    Attributes:
        relay_keys: the trusted relay keys by fingerprint; at least one.
        integrator_id: the caller's own id.
        nonce: the nonce of the caller's request, base64.
        now: epoch seconds.
        action: what was to be approved.
        policy: who had to approve it.
        requester: who asked for it, or None.
        match_code: the code the approvers had to type, or None.
        passkeys: the relying party for passkey signatures, or None to refuse them.
    """

    relay_keys: Mapping[str, PublicKey]
    integrator_id: str | UnsafeAny
    nonce: str | UnsafeAny
    now: int | UnsafeAny
    action: Action
    policy: Policy
    requester: Party | None
    match_code: str | None = field(repr=False)
    passkeys: PasskeyPolicy | None


def plain_json(value: object, *, depth: int = 0) -> JsonValue:
    """Copy a caller's value into the types JSON has: mappings, lists, tuples, enums are taken.

    Raises:
        ProtocolError: ``invalid_request``; something in it is no JSON of the protocol.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if depth > MAX_JSON_DEPTH:
        raise ProtocolError("invalid_request", f"A value is nested deeper than {MAX_JSON_DEPTH}.")
    if isinstance(value, Mapping):
        members: dict[str, JsonValue] = {}
        for name, item in cast("Mapping[object, object]", value).items():
            if not isinstance(name, str):
                raise ProtocolError("invalid_request", "The names of a mapping must be strings.")
            members[str(name)] = plain_json(item, depth=depth + 1)
        return members
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[object]", value)
        return [plain_json(item, depth=depth + 1) for item in items]
    raise ProtocolError("invalid_request", f"A {type(value).__name__} has no form in JSON here.")


def trusted_relay_keys(keys: Iterable[PublicKey | str]) -> dict[str, PublicKey]:
    """Load the relay keys that a caller trusts, by fingerprint; at least one.

    Raises:
        ProtocolError: ``invalid_request`` or ``invalid_public_key``.
    """
    loaded = [
        key if isinstance(key, PublicKey) else PublicKey.from_base64(key, field="relay_public_keys")
        for key in keys
    ]
    if not loaded:
        raise ProtocolError("invalid_request", "relay_public_keys is empty: no relay is trusted.")
    return {key.fingerprint: key for key in loaded}


def roster(
    people: Mapping[str, Collection[PublicKey | str]], *, field: str
) -> tuple[dict[str, PublicKey], dict[str, str]]:
    """The keys of some people's devices, and whose each is, by fingerprint.

    Args:
        people: the public keys of each, by approver id.
        field: what the caller calls them.

    Raises:
        ProtocolError: a key is none, or two people's own.
    """
    keys: dict[str, PublicKey] = {}
    persons: dict[str, str] = {}
    for person, devices in people.items():
        id_in(person, field=field)
        for device in devices:
            key = device if isinstance(device, PublicKey) else PublicKey.from_base64(device)
            if persons.setdefault(key.fingerprint, person) != person:
                message = f"A key stands under two {field}."
                raise ProtocolError("invalid_request", message)
            keys[key.fingerprint] = key
    return keys, persons


def _nonce(nonce: str | bytes | UnsafeAny) -> str | UnsafeAny:
    if isinstance(nonce, UnsafeAny):
        return nonce
    return nonce_in(b64encode(nonce) if isinstance(nonce, bytes) else nonce)


def relying_party(
    webauthn: PasskeyPolicy | Mapping[str, object] | None,
) -> PasskeyPolicy | None:
    """Put the relying party whose passkeys count into one form.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    if webauthn is None or isinstance(webauthn, PasskeyPolicy):
        return webauthn
    return PasskeyPolicy.from_json(plain_json(webauthn))


def expect(  # noqa: PLR0913 - the expectations of section 8, one argument each
    *,
    relay_public_keys: Iterable[PublicKey | str],
    integrator_id: str | UnsafeAny,
    nonce: str | bytes | UnsafeAny,
    now: int | UnsafeAny,
    action: Action | Mapping[str, object],
    required: int,
    groups: Sequence[Group | Mapping[str, object]],
    reject_policy: str,
    distinct: str,
    min_assurance: str,
    requester: Party | Mapping[str, object] | None,
    match_code: str | None,
    webauthn: PasskeyPolicy | Mapping[str, object] | None,
) -> Expectation:
    """Check a caller's expectations and put them into one form.

    Raises:
        ProtocolError: one of them is none that a request could meet.
    """
    return Expectation(
        relay_keys=trusted_relay_keys(relay_public_keys),
        integrator_id=integrator_id
        if isinstance(integrator_id, UnsafeAny)
        else id_in(integrator_id, field="integrator_id"),
        nonce=_nonce(nonce),
        now=now if isinstance(now, UnsafeAny) else check_time(now, field="now"),
        action=action if isinstance(action, Action) else Action.from_json(plain_json(action)),
        policy=Policy.of(
            required=required,
            groups=tuple(
                group if isinstance(group, Group) else Group.from_json(plain_json(group))
                for group in groups
            ),
            reject_policy=reject_policy,
            distinct=distinct,
            min_assurance=min_assurance,
            match_code=match_code is not None,
        ),
        requester=requester
        if requester is None or isinstance(requester, Party)
        else Party.from_json(plain_json(requester), field="requester"),
        match_code=None if match_code is None else check_match_code(match_code, field="match_code"),
        passkeys=relying_party(webauthn),
    )
