"""The part of the SQLite store that just-in-time access works with: what is read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.mail import Mail
    from quorumkey_relay.domain.jit.policy import StoredPolicy
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.store.sqlite.hot import OpenRequests
    from quorumkey_relay.store.sqlite.hot_jit import Target
    from quorumkey_relay.store.sqlite.reader import Reader
    from quorumkey_relay.store.sqlite.writer import Writer


class JitStore:
    """The part of the store that holds requests for roles, activations, policies and mail."""

    _reader: Reader
    _writer: Writer
    _open: OpenRequests

    def _fresh(self) -> None:
        raise NotImplementedError

    async def access_request(self, access_request_id: str) -> AccessRequest | None:
        """Return a request for a role by id."""
        self._fresh()
        found = self._open.access.requests.get(access_request_id)
        if found is None:
            await self._writer.settled()
            found = self._reader.jit.access_request(access_request_id)
        return found

    async def access_request_of(self, request_id: str) -> AccessRequest | None:
        """Return the request for a role whose signed request has this id."""
        self._fresh()
        found = self._open.access.requests.of(request_id)
        if found is None:
            await self._writer.settled()
            found = self._reader.jit.access_request_of(request_id)
        return found

    def open_access_requests(self) -> Iterable[AccessRequest]:
        """Return the requests of which nothing has come yet; see ``Store``."""
        return self._open.access.requests

    async def access_requests(
        self,
        *,
        integrator_id: str,
        beneficiary: str | None,
        reviewer: str | None,
        before: str | None,
        limit: int,
    ) -> Sequence[AccessRequest]:
        """Return requests for roles, newest first."""
        await self._writer.settled()
        return self._reader.jit.access_requests(
            integrator_id=integrator_id,
            beneficiary=beneficiary,
            reviewer=reviewer,
            before=before,
            limit=limit,
        )

    async def activation(self, activation_id: str) -> Activation | None:
        """Return an activation by id."""
        self._fresh()
        found = self._open.access.activations.get(activation_id)
        if found is None:
            await self._writer.settled()
            found = self._reader.jit.activation(activation_id)
        return found

    async def activation_of(self, access_request_id: str) -> Activation | None:
        """Return the activation that came of a request for a role."""
        self._fresh()
        found = self._open.access.activations.of(access_request_id)
        if found is None:
            await self._writer.settled()
            found = self._reader.jit.activation_of(access_request_id)
        return found

    def open_activations(self) -> Iterable[Activation]:
        """Return the activations that something can still happen to, oldest first."""
        return self._open.access.activations

    def activations_on(self, target: Target) -> Sequence[Activation]:
        """Return the open activations of one target, oldest first."""
        return self._open.access.on_target(target)

    async def activations(
        self, *, integrator_id: str, beneficiary: str | None, before: str | None, limit: int
    ) -> Sequence[Activation]:
        """Return activations, newest first."""
        await self._writer.settled()
        return self._reader.jit.activations(
            integrator_id=integrator_id, beneficiary=beneficiary, before=before, limit=limit
        )

    def policies(self, integrator_id: str) -> Mapping[str, StoredPolicy]:
        """Return the policies that were handed to the relay, by project."""
        self._fresh()
        return self._open.access.policies(integrator_id)

    async def due_mail(self, *, now: int, limit: int) -> Sequence[Mail]:
        """Return messages that are queued and due, the longest due first."""
        await self._writer.settled()
        return self._reader.jit.due_mail(now=now, limit=limit)
