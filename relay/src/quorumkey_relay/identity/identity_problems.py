"""What cannot be meant in the settings of identity, a sentence each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from quorumkey_relay.identity.published import is_trustworthy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quorumkey_relay.jit_settings import IdentitySettings, OidcSettings, ProxySettings

_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
#: What bears something else, or what anybody may write.
_TAKEN: Final = frozenset({"authorization", "cookie", "x-goog-authenticated-user-email"})


def identity_problems(settings: IdentitySettings) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong."""
    if settings.oidc is None and settings.proxy is None:
        yield "identity must have oidc, proxy or both."
    if settings.oidc is not None:
        yield from _of_oidc(settings.oidc)
    if settings.proxy is not None:
        yield from _of_proxy(settings.proxy)


def _of_oidc(oidc: OidcSettings) -> Iterator[str]:
    if not oidc.audiences:
        yield "identity.oidc.audiences must name at least one client id."
    if not oidc.algorithms:
        yield "identity.oidc.algorithms must name at least one."
    if not is_trustworthy(oidc.issuer):
        yield "identity.oidc.issuer must be an https address."
    if oidc.jwks_url is not None and not is_trustworthy(oidc.jwks_url):
        yield "identity.oidc.jwks_url must be an https address."
    if oidc.client_secret_file is not None and oidc.client_id is None:
        yield "identity.oidc.client_secret_file needs client_id beside it."


def _of_proxy(proxy: ProxySettings) -> Iterator[str]:
    if not proxy.algorithms:
        yield "identity.proxy.algorithms must name at least one."
    if not is_trustworthy(proxy.jwks_url):
        yield "identity.proxy.jwks_url must be an https address."
    name = proxy.header.lower()
    if _HEADER_NAME.fullmatch(name) is None or name in _TAKEN:
        yield "identity.proxy.header must be the name of the header that the proxy signs."
