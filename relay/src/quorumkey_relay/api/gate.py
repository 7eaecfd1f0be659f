"""Who may call, and how often (PROTOCOL §11).

Bearer tokens come first and are charged to their owner. Calls without authentication are charged
to their address, and so are failures: once an address has failed too often, its further calls
that could fail again are refused before they are tried, so that guessing stays slow. A token that
is right is never refused for others' failures at the same address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from quorumkey_relay.api.address import ClientAddresses, bucket_of
from quorumkey_relay.api.answers import Headers, Refused
from quorumkey_relay.api.ratelimit import RateLimiter
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.jit.ports import NOT_SIGNED_IN
from quorumkey_relay.usecases.protection.actor import INTEGRATOR_HEADER, key_actor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.types import Scope

    from quorumkey.protocol import JsonValue
    from quorumkey_relay.api.ports import RelayPort
    from quorumkey_relay.identity.principals import ApiKey, Integrator
    from quorumkey_relay.identity.principals import Scope as KeyScope
    from quorumkey_relay.usecases.jit.ports import Person
    from quorumkey_relay.usecases.protection.actor import Actor

P_co = TypeVar("P_co", covariant=True)

#: Refusals that count as a failure: an unknown or wrong code, nonce, signature or token.
FAILURE_CODES: Final = frozenset(
    {"invalid_signature", "nonce_expired", "pairing_not_found", "unauthorized", "wrong_code"}
)

_ASK_FOR_BEARER: Final[Headers] = ((b"www-authenticate", b'Bearer realm="quorumkey"'),)
_INTEGRATOR_HEADER: Final = INTEGRATOR_HEADER.encode()
_MAX_TOKEN_BYTES: Final = 512

#: Where a browser begins to sign in a person.
SIGN_IN_PATH: Final = "/jit/sign-in"


@dataclass(frozen=True, slots=True)
class Auth(Generic[P_co]):
    """One way to be let in; ``scheme`` is its name in the OpenAPI document, if it has one.

    ``can_fail`` says that refusals of the call itself count as failures of its address;
    ``permit`` refuses who is known but may not, once the call itself is found to be well made.
    ``waits`` says that ``check`` has to be awaited, as it may have to fetch keys.
    """

    check: Callable[[Gate, Scope, Mapping[bytes, bytes]], P_co | Coroutine[Any, Any, P_co]]
    scheme: str | None = None
    can_fail: bool = False
    permit: Callable[[Gate, Mapping[bytes, bytes]], None] | None = None
    waits: bool = False


class Gate:
    """Checks tokens and counts calls."""

    def __init__(self, relay: RelayPort) -> None:
        """Take limits and trusted proxies from the relay's settings."""
        settings, monotonic = relay.settings, relay.clock.monotonic
        self._usecases = relay.usecases
        self._addresses = ClientAddresses(settings.trusted_proxies)
        self._keys = RateLimiter(per_minute=settings.rate_api_key, monotonic=monotonic)
        self._admitted: tuple[Mapping[bytes, bytes] | None, ApiKey | None] = (None, None)
        self._services = RateLimiter(per_minute=settings.rate_protection, monotonic=monotonic)
        self._calls = RateLimiter(per_minute=settings.rate_ip, monotonic=monotonic)
        self._failures = RateLimiter(per_minute=settings.rate_ip_failures, monotonic=monotonic)
        self._people = RateLimiter(per_minute=settings.rate_person, monotonic=monotonic)
        self._jit = relay.jit

    def address(self, scope: Scope) -> str:
        """Return the client's address."""
        return self._addresses.of(scope)

    def integrator(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Integrator:
        """Return whose API key the call bears."""
        return self._charged(scope, headers, self._keys)

    def service(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Integrator:
        """Return whose API key the call bears: a service that asks about every call it gets."""
        return self._charged(scope, headers, self._services)

    def _charged(
        self, scope: Scope, headers: Mapping[bytes, bytes], limiter: RateLimiter
    ) -> Integrator:
        token = _bearer(headers)
        found = self._usecases.api_key(token)
        if found is None:
            raise self._unknown_token(scope, "This API key is unknown or revoked.")
        key, integrator = found
        self._admitted = (headers, key)
        _refuse_when_limited(limiter.charge(key.key_id))
        return integrator

    def integrator_scope(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse an API key of another scope; comes after the body's own errors (§2)."""
        self._check_scope(headers, "integrator")

    def admin_scope(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse an API key of another scope than the one that says who may activate what."""
        self._check_scope(headers, "admin")

    def _check_scope(self, headers: Mapping[bytes, bytes], scope: KeyScope) -> None:
        # Between the two checks of one call nothing else runs, so this is the call's own key.
        call, key = self._admitted
        if call is not headers or key is None or key.scope != scope:
            raise Refused("forbidden", f"This API key has another scope than {scope}.")

    def device(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """Return the fingerprint of the device whose session token the call bears.

        Its limit is charged by the use case, together with its other calls.
        """
        device = self._usecases.device_of_token(_bearer(headers))
        if device is None:
            raise self._unknown_token(scope, "This session is unknown or expired; open a new one.")
        return device

    def governor(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Actor:
        """Return who governs: whose API key, of any scope, or device session the call bears."""
        token = _bearer(headers)
        named = headers.get(_INTEGRATOR_HEADER)
        integrator_id = None if named is None else named.decode("latin-1")
        found = self._usecases.api_key(token)
        if found is not None:
            key, integrator = found
            _refuse_when_limited(self._keys.charge(key.key_id))
            return _admitted(key_actor(key, integrator, integrator_id))
        device = self._usecases.device_of_token(token)
        if device is None:
            message = "This API key or session is unknown, revoked or expired."
            raise self._unknown_token(scope, message)
        return _admitted(self._usecases.protection.govern.person(device, integrator_id))

    async def person(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Person:
        """Return who calls, as an identity provider or a proxy has signed; charged to them."""
        if self._jit is None:
            raise AssertionError("calls by people are routed where people can be told apart only")
        found = await self._jit.people.identify(headers)
        if not isinstance(found, Refusal):
            _refuse_when_limited(self._people.charge(found.email))
            return found
        if found.code != "unauthorized":
            raise Refused(found.code, found.message, retry_after=found.retry_after)
        details: dict[str, JsonValue] = (
            {} if self._jit.sign_in is None else {"sign_in": SIGN_IN_PATH}
        )
        if found is NOT_SIGNED_IN and b"authorization" not in headers:
            raise Refused("unauthorized", found.message, headers=_ASK_FOR_BEARER, details=details)
        raise self._unknown_token(scope, found.message, details)

    def anyone(self, scope: Scope, _headers: Mapping[bytes, bytes]) -> None:
        """Let a call without authentication in, charged to its address."""
        bucket = bucket_of(self._addresses.of(scope))
        _refuse_when_limited(self._failures.wait_seconds(bucket))
        _refuse_when_limited(self._calls.charge(bucket))

    def failed(self, scope: Scope) -> None:
        """Note that a call of this address failed."""
        self._failures.charge(bucket_of(self._addresses.of(scope)))

    def _unknown_token(
        self, scope: Scope, message: str, details: Mapping[str, JsonValue] | None = None
    ) -> Refused:
        seconds = self._failures.charge(bucket_of(self._addresses.of(scope)))
        if seconds is not None:
            return _too_many(seconds)
        return Refused("unauthorized", message, headers=_ASK_FOR_BEARER, details=details)


def _bearer(headers: Mapping[bytes, bytes]) -> str:
    """Return the Bearer token of a call (RFC 6750 §2.1); the scheme's name has no case."""
    given = headers.get(b"authorization", b"")
    scheme, _, token = given.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or len(token) > _MAX_TOKEN_BYTES:
        raise Refused(
            "unauthorized",
            "Send the token as 'Authorization: Bearer …'.",
            headers=_ASK_FOR_BEARER,
        )
    return token.decode("latin-1")


def _admitted(actor: Actor | Refusal) -> Actor:
    if isinstance(actor, Refusal):
        raise Refused(actor.code, actor.message, retry_after=actor.retry_after)
    return actor


def _refuse_when_limited(seconds: int | None) -> None:
    if seconds is not None:
        raise _too_many(seconds)


def _too_many(seconds: int) -> Refused:
    return Refused(
        "rate_limited", f"Too many calls; try again in {seconds} s.", retry_after=seconds
    )


def _without_limit(_gate: Gate, _scope: Scope, _headers: Mapping[bytes, bytes]) -> None:
    """Let anyone in, uncounted: probes of the operator."""


API_KEY: Final[Auth[Integrator]] = Auth(Gate.integrator, "apiKey", permit=Gate.integrator_scope)
#: The same key in a bucket of its own, for calls that a busy service makes all the time.
SERVICE: Final[Auth[Integrator]] = Auth(Gate.service, "apiKey", permit=Gate.integrator_scope)
#: The key that says who may activate what: whoever has it can give out every role.
ADMIN_KEY: Final[Auth[Integrator]] = Auth(Gate.integrator, "apiKey", permit=Gate.admin_scope)
GOVERNOR: Final[Auth[Actor]] = Auth(Gate.governor, "governor")
SESSION: Final[Auth[str]] = Auth(Gate.device, "deviceSession")
PERSON: Final[Auth[Person]] = Auth(Gate.person, "person", waits=True)
ANYONE: Final[Auth[None]] = Auth(Gate.anyone, can_fail=True)
PROBE: Final[Auth[None]] = Auth(_without_limit)
