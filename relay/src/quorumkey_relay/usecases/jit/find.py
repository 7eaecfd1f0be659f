"""From a token to the request that it points to, for those alone who are named in it (C25)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from quorumkey.errors import ProtocolError
from quorumkey_relay.domain.jit.request import FORBIDDEN, AccessRequest
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.activation_tokens import TokenRefused
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import PutAccessRequest

if TYPE_CHECKING:
    from quorumkey_relay.identity.activation_tokens import ActivationClaims, ActivationTokens
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.jit.audit import Trail
    from quorumkey_relay.usecases.jit.ports import JitRules, Person
    from quorumkey_relay.usecases.jit.signed import OpenSignedRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class FindRequest:
    """Reads tokens. One and the same refusal answers everybody who is not a party.

    A token proves what was asked, and the store says what came of it since. Where tokens are
    stateless, one whose request the store does not know is believed while its time lasts: the
    request is made again under its id, by the first party that comes with it.
    """

    store: Store
    tokens: ActivationTokens
    rules: JitRules
    open_signed: OpenSignedRequest

    async def __call__(
        self, person: Person, token: str, trail: Trail, now: int, *, to_read: bool = False
    ) -> AccessRequest | Refusal:
        """Return the request that a token leads to; ``person`` is a party to it.

        A token whose time is over leads nowhere, save ``to_read`` what came of the request.
        """
        try:
            claims = self.tokens.read(token, now=now, may_be_over=to_read)
        except TokenRefused as refused:
            trail.about(reason=refused.reason)
            return FORBIDDEN
        if person.email != claims.beneficiary and person.email not in claims.reviewers:
            return FORBIDDEN
        request = await self.store.access_request(claims.id)
        if request is None:
            if not self.rules.is_stateless or now >= claims.expires_at:
                return FORBIDDEN
            made = await self._made_again(claims, now)
            if isinstance(made, Refusal):
                return made
            request = made
        if request.integrator_id != self.rules.integrator_id or not claims.agrees_with(request):
            return FORBIDDEN
        trail.about_request(request)
        return request

    async def _made_again(self, claims: ActivationClaims, now: int) -> AccessRequest | Refusal:
        """Return the request that a token describes, which was lost with the store."""
        rules = self.rules
        request = AccessRequest(
            id=claims.id,
            integrator_id=rules.integrator_id,
            beneficiary=claims.beneficiary,
            entitlement=claims.entitlement,
            reviewers=claims.reviewers,
            required=rules.required,
            reject_policy=rules.reject_policy,
            justification=claims.justification,
            window_from=rules.window_from,
            start=claims.start,
            duration_seconds=claims.end - claims.start,
            created_at=claims.issued_at,
            expires_at=claims.expires_at,
            approval=rules.approval,
        )
        signed: Commit = ()
        if request.approval == "device":
            try:
                opened = self.open_signed(request, needed=request.required, now=now)
            except ProtocolError as error:  # such as: less than a minute is left
                return Refusal(error.code, error.message)
            if isinstance(opened, Refusal):
                return opened
            request_id, signed = opened
            request = replace(request, request_id=request_id)
        try:
            await self.store.commit((*signed, PutAccessRequest(None, request)))
        except Conflict:
            known = await self.store.access_request(request.id)
            if known is None:
                raise StoreUnavailable(request.id) from None
            return known
        return request
