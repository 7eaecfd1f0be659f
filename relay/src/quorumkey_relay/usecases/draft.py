"""From a body to a request document; the kernel's constructors check the rules of §5."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from msgspec import UnsetType

from quorumkey.protocol import (
    Action,
    Approver,
    Group,
    Party,
    Policy,
    RequestDocument,
    assurance_of,
    check_expires_in,
    check_match_code,
    check_use_within,
    limits,
)

if TYPE_CHECKING:
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.usecases.commands import AskBody, GroupBody, PartyBody

T = TypeVar("T")


def draft(  # noqa: PLR0913 - what the relay adds to the body
    body: AskBody, *, integrator: Integrator, relay: str, request_id: str, nonce: str, now: int
) -> RequestDocument:
    """Return the document that ``body`` asks for; raises ``ProtocolError`` for a broken rule."""
    expires_in = check_expires_in(given(body.expires_in_seconds, limits.DEFAULT_EXPIRES_IN_SECONDS))
    use_within = check_use_within(given(body.use_within_seconds, limits.DEFAULT_USE_WITHIN_SECONDS))
    match_code = given(body.match_code, None)
    if match_code is not None:
        check_match_code(match_code, field="match_code")
    requester = given(body.requester, None)
    return RequestDocument(
        profile="approval",
        relay=relay,
        integrator=Party(integrator.id, integrator.name),
        request_id=request_id,
        nonce=nonce,
        requester=None if requester is None else party(requester),
        action=Action(
            type=body.action.type,
            description=body.action.description,
            params=given(body.action.params, {}),
            bindings=given(body.action.bindings, None),
        ),
        policy=Policy(
            required=body.required,
            reject_policy=given(body.reject_policy, "any"),
            distinct=given(body.distinct, "person"),
            min_assurance=assurance_of(given(body.min_assurance, "none")),
            match_code=match_code is not None,
            groups=tuple(_group(group) for group in body.groups),
        ),
        created_at=now,
        expires_at=now + expires_in,
        use_by=now + expires_in + use_within,
    )


def _group(group: GroupBody) -> Group:
    return Group(
        group.name,
        tuple(
            approver(one.fingerprint, one.device_public_key, given(one.approver_id, None))
            for one in group.approvers
        ),
    )


@lru_cache(maxsize=limits.PUBLIC_KEY_CACHE_KEYS)
def approver(fingerprint: str, device_public_key: str, approver_id: str | None) -> Approver:
    """Return one device; the same ones are named in request after request."""
    return Approver(fingerprint, device_public_key, approver_id)


def party(body: PartyBody) -> Party:
    """Return a person of a body; raises ``ProtocolError``."""
    return Party(body.id, given(body.name, None))


def given(value: T | UnsetType, default: T) -> T:
    """Return an optional member, or ``default`` where it is absent."""
    return default if isinstance(value, UnsetType) else value
