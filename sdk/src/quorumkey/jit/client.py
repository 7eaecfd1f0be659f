"""A person's side of just-in-time access: what they may activate, asking peers, deciding, ending.

`JitClient` blocks, `AsyncJitClient` is awaited; both have the same surface. Who calls says an ID
token of the company's identity provider. Where reviewers approve on their devices, the decision on
`AccessRequest.request_id` is signed by the software device (`quorumkey.device`) or a phone; no
call of these clients can approve then.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final, TypeVar

from quorumkey.client._drivers import DEFAULT_TIMEOUT_SECONDS, AsyncDriver, SyncDriver
from quorumkey.client._exchange import RetryPolicy, exchange
from quorumkey.client.address import RelayAddress
from quorumkey.errors import ConfigurationError
from quorumkey.jit import _calls
from quorumkey.jit.models import (
    AccessRequest,
    AccessStatus,
    ActivationType,
    ActiveRole,
    ApprovalMode,
    Entitlement,
    JitPolicy,
    RequestedRole,
    Roles,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    import httpx2

    from quorumkey.client._exchange import Call, Flow
    from quorumkey.client.models import Page

__all__ = [
    "TOKEN_VARIABLE",
    "AccessRequest",
    "AccessStatus",
    "ActivationType",
    "ActiveRole",
    "ApprovalMode",
    "AsyncJitClient",
    "Entitlement",
    "JitClient",
    "JitPolicy",
    "RequestedRole",
    "Roles",
]

T = TypeVar("T")

TOKEN_VARIABLE: Final = "QUORUMKEY_JIT_TOKEN"  # noqa: S105 - the variable's name, no secret
_URL_VARIABLE: Final = "QUORUMKEY_URL"
_MAX_TOKEN_CHARS: Final = 16_384
#: No page of another site can send it (`docs/jit-access.md`).
_HEADERS: Final = {"x-jitaccess": "1"}


class _Core:
    """What both clients know."""

    def __init__(
        self,
        url: str | None,
        token: str | Callable[[], str] | None,
        retry: RetryPolicy | None,
        http_hosts: Iterable[str],
    ) -> None:
        url = url if url is not None else os.environ.get(_URL_VARIABLE)
        token = token if token is not None else os.environ.get(TOKEN_VARIABLE)
        if not url:
            raise ConfigurationError(
                f"The relay's address is missing: give it or set {_URL_VARIABLE}."
            )
        if not token:
            raise ConfigurationError(f"The ID token is missing: give it or set {TOKEN_VARIABLE}.")
        self.address = RelayAddress.parse(url, http_hosts=tuple(http_hosts))
        self._retry = retry or RetryPolicy()
        self._token = token

    def call(self, call: Call[T]) -> Flow[T]:
        """One call as the person, repeated where that is safe."""
        token = self._token if isinstance(self._token, str) else self._token()
        if not (0 < len(token) <= _MAX_TOKEN_CHARS and token.isascii() and token.isprintable()):
            raise ConfigurationError("The ID token must be one line of printable ASCII.")
        return exchange(call.with_headers(("authorization", f"Bearer {token}")), self._retry)


class JitClient:
    """A person's connection to a relay; close it, or use it with ``with``.

    Every method raises `ClientError` where the relay refuses or does not answer: what is not the
    person's is `PermissionDeniedError` with one text, whether or not it exists.

    Args:
        url: the relay's address; default: the variable ``QUORUMKEY_URL``.
        token: an ID token of the identity provider, or what gives a fresh one before each call;
            default: the variable ``QUORUMKEY_JIT_TOKEN``.
        timeout_seconds: how long one call may take.
        retry: how often and how fast a call is repeated, where repeating it is safe.
        http_hosts: host names that may be called without TLS, in development only.
        transport: carries the HTTP calls; default: the network.
        sleep: waits so many seconds.

    Raises:
        ConfigurationError: a setting is missing or unusable.
    """

    def __init__(  # noqa: PLR0913 - a client's settings
        self,
        url: str | None = None,
        token: str | Callable[[], str] | None = None,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        retry: RetryPolicy | None = None,
        http_hosts: Iterable[str] = (),
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._core = _Core(url, token, retry, http_hosts)
        self._driver = SyncDriver(
            self._core.address,
            headers=_HEADERS,
            timeout_seconds=timeout_seconds,
            transport=transport,
            sleep=sleep,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._driver.close()

    def policy(self) -> JitPolicy:
        """Who calls, and the rules that a request has to keep."""
        return self._run(_calls.get_policy())

    def projects(self) -> tuple[str, ...]:
        """The projects in which the person may activate something."""
        return self._run(_calls.list_projects())

    def roles(self, project: str) -> Roles:
        """What the person may activate in a project."""
        return self._run(_calls.list_roles(project))

    def peers(self, project: str, entitlement_id: str) -> tuple[str, ...]:
        """Who may approve a role for the person, by e-mail address."""
        return self._run(_calls.list_peers(project, entitlement_id))

    def activate(
        self,
        project: str,
        entitlement_ids: Iterable[str],
        *,
        justification: str,
        minutes: int | None = None,
    ) -> AccessRequest:
        """Activate roles alone."""
        return self._run(_calls.activate(project, entitlement_ids, justification, minutes))

    def request(
        self,
        project: str,
        entitlement_id: str,
        *,
        justification: str,
        peers: Iterable[str],
        minutes: int | None = None,
    ) -> AccessRequest:
        """Ask peers for a role."""
        return self._run(_calls.request(project, entitlement_id, justification, peers, minutes))

    def get(self, activation: str) -> AccessRequest:
        """Read a request that the person made or is asked to approve.

        Args:
            activation: the token of a link, as `AccessRequest.activation` has it.
        """
        return self._run(_calls.get_request(activation))

    def approve(self, activation: str) -> AccessRequest:
        """Approve a request by this call; where devices decide, it is refused."""
        return self._run(_calls.act_on_request(activation))

    def deny(self, activation: str) -> AccessRequest:
        """Deny a request by this call; where devices decide, it is refused."""
        return self._run(_calls.act_on_request(activation, "deny"))

    def withdraw(self, activation: str) -> AccessRequest:
        """Take back a request of the person's own."""
        return self._run(_calls.act_on_request(activation, "withdraw"))

    def reviews(self) -> Iterator[AccessRequest]:
        """Yield the requests that the person is asked to approve, newest first."""
        return self._pages(_calls.list_reviews)

    def requests(self) -> Iterator[AccessRequest]:
        """Yield the person's own requests, newest first."""
        return self._pages(_calls.list_requests)

    def activations(self) -> Iterator[ActiveRole]:
        """Yield the roles that the person has, or had, newest first."""
        return self._pages(_calls.list_activations)

    def revoke(self, activation_id: str) -> ActiveRole:
        """End access before its time: the person's own, or what they were asked to approve."""
        return self._run(_calls.revoke(activation_id))

    def _pages(self, list_page: Callable[[str | None], Call[Page[T]]]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = self._run(list_page(cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def _run(self, call: Call[T]) -> T:
        return self._driver.run(self._core.call(call))


class AsyncJitClient:
    """The awaited client; see `JitClient`."""

    def __init__(  # noqa: PLR0913 - a client's settings
        self,
        url: str | None = None,
        token: str | Callable[[], str] | None = None,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        retry: RetryPolicy | None = None,
        http_hosts: Iterable[str] = (),
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._core = _Core(url, token, retry, http_hosts)
        self._driver = AsyncDriver(
            self._core.address,
            headers=_HEADERS,
            timeout_seconds=timeout_seconds,
            transport=transport,
            sleep=sleep,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._driver.close()

    async def policy(self) -> JitPolicy:
        """Who calls, and the rules that a request has to keep."""
        return await self._run(_calls.get_policy())

    async def projects(self) -> tuple[str, ...]:
        """The projects in which the person may activate something."""
        return await self._run(_calls.list_projects())

    async def roles(self, project: str) -> Roles:
        """What the person may activate in a project."""
        return await self._run(_calls.list_roles(project))

    async def peers(self, project: str, entitlement_id: str) -> tuple[str, ...]:
        """Who may approve a role for the person, by e-mail address."""
        return await self._run(_calls.list_peers(project, entitlement_id))

    async def activate(
        self,
        project: str,
        entitlement_ids: Iterable[str],
        *,
        justification: str,
        minutes: int | None = None,
    ) -> AccessRequest:
        """Activate roles alone."""
        return await self._run(_calls.activate(project, entitlement_ids, justification, minutes))

    async def request(
        self,
        project: str,
        entitlement_id: str,
        *,
        justification: str,
        peers: Iterable[str],
        minutes: int | None = None,
    ) -> AccessRequest:
        """Ask peers for a role."""
        return await self._run(
            _calls.request(project, entitlement_id, justification, peers, minutes)
        )

    async def get(self, activation: str) -> AccessRequest:
        """Read a request; see `JitClient.get`."""
        return await self._run(_calls.get_request(activation))

    async def approve(self, activation: str) -> AccessRequest:
        """Approve a request by this call; where devices decide, it is refused."""
        return await self._run(_calls.act_on_request(activation))

    async def deny(self, activation: str) -> AccessRequest:
        """Deny a request by this call; where devices decide, it is refused."""
        return await self._run(_calls.act_on_request(activation, "deny"))

    async def withdraw(self, activation: str) -> AccessRequest:
        """Take back a request of the person's own."""
        return await self._run(_calls.act_on_request(activation, "withdraw"))

    def reviews(self) -> AsyncIterator[AccessRequest]:
        """Yield the requests that the person is asked to approve, newest first."""
        return self._pages(_calls.list_reviews)

    def requests(self) -> AsyncIterator[AccessRequest]:
        """Yield the person's own requests, newest first."""
        return self._pages(_calls.list_requests)

    def activations(self) -> AsyncIterator[ActiveRole]:
        """Yield the roles that the person has, or had, newest first."""
        return self._pages(_calls.list_activations)

    async def revoke(self, activation_id: str) -> ActiveRole:
        """End access before its time: the person's own, or what they were asked to approve."""
        return await self._run(_calls.revoke(activation_id))

    async def _pages(self, list_page: Callable[[str | None], Call[Page[T]]]) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            page = await self._run(list_page(cursor))
            for each in page.data:
                yield each
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _run(self, call: Call[T]) -> T:
        return await self._driver.run(self._core.call(call))
