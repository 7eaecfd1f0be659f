"""Tokens and links that lead to requests for roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.identity.activation_tokens import activation_link, claims_of, obfuscated

if TYPE_CHECKING:
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.identity.activation_tokens import ActivationTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Makes them anew whenever one is asked for: a token says nothing that the request does not."""

    tokens: ActivationTokens
    public_url: str

    def token(self, request: AccessRequest) -> str:
        """Return the token for a request as links carry it."""
        return obfuscated(self.tokens.mint(claims_of(request)))

    def link(self, request: AccessRequest) -> str:
        """Return the address of the page on which a request is read and decided."""
        token = self.tokens.mint(claims_of(request))
        return activation_link(self.public_url, token, project=request.entitlement.project)
