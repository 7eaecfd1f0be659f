"""The guard around every call to an address that an integrator or a device supplied (§10).

A URL is read once and strictly (`egress_url`), every address of its host must belong to the public
internet (`public_addresses`), and the connection goes to an address that was judged, whatever the
name means by then; TLS still asks for a certificate of that name. No redirect is followed, no
proxy is asked, and only the beginning of an answer is read.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace
from ipaddress import ip_address
from socket import EAI_AGAIN, gaierror
from typing import TYPE_CHECKING, Final

from quorumkey_relay.delivery.egress_url import EgressRefused, Target, read_url
from quorumkey_relay.delivery.pinned_clients import PinnedClients
from quorumkey_relay.delivery.public_addresses import refusal_of
from quorumkey_relay.delivery.resolver import Resolve, SystemResolver
from quorumkey_relay.delivery.transport import TransportFailed, pinned_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.pinned_clients import Connect
    from quorumkey_relay.delivery.transport import Answer, HttpClient

__all__ = ["Egress", "EgressRefused"]

LOOKUP_SECONDS: Final = 5.0
#: How long the addresses of a host, or that they are refused, are not asked for again.
ADDRESSES_FRESH_SECONDS: Final = 30.0
FAILED_LOOKUP_SECONDS: Final = 5.0
#: For so long after they were judged addresses are called while their name's servers, or the
#: resolver, give no answer at all (RFC 8767, section 5), and how long one is waited for then. Who
#: keeps the resolver busy with names that nobody answers for silences no other host.
STALE_ADDRESSES_SECONDS: Final = 3_600.0
LOOKUP_BESIDE_STALE_SECONDS: Final = 1.8
MAX_KNOWN_HOSTS: Final = 4_096
#: How many of a host's addresses are tried for one call; all of them are judged.
MAX_TRIED_ADDRESSES: Final = 4


@dataclass(frozen=True, slots=True)
class _Addresses:
    """What is known of a host: addresses that may be called, or why none may."""

    until: float  # of the monotonic clock
    may_call: tuple[str, ...] = ()
    stale_until: float = 0.0  # beyond ``until``, where there is no answer
    refused: str | None = None
    is_known: bool = True


class Egress:
    """Calls URLs that others supplied; one for a relay.

    ``unsafe_hosts`` may be called by plain http, on any port, at any address (development).
    ``roots`` are PEM certificates that count beside the public ones.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        unsafe_hosts: frozenset[str] = frozenset(),
        roots: bytes | None = None,
        resolve: Resolve | None = None,
        connect: Connect = pinned_client,
    ) -> None:
        """Start without connections."""
        self._clock = clock
        self._unsafe_hosts = unsafe_hosts
        self._resolve = SystemResolver() if resolve is None else resolve
        self._clients = PinnedClients(connect, roots)
        self._known: OrderedDict[str, _Addresses] = OrderedDict()
        self._lookups: dict[str, asyncio.Task[_Addresses]] = {}

    def check_url(self, url: str) -> None:
        """Refuse what no lookup can make good: wrong forms, and addresses that are not public.

        Raises ``EgressRefused``.
        """
        target = read_url(url, self._unsafe_hosts)
        if target.literal is not None:
            self._judge(target.host, (target.host,))

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """POST ``body``; the answer may be any HTTP status, and its body is cut.

        ``timeout_seconds`` is for everything: lookup, connecting, sending and reading.
        Raises ``EgressRefused``, or ``TransportFailed`` for whatever a network can do.
        """
        target = read_url(url, self._unsafe_hosts)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        addresses = await self._addresses(target, timeout_seconds)
        failed = TransportFailed("unreachable", processed=False)
        for address in addresses[:MAX_TRIED_ADDRESSES]:
            if loop.time() >= deadline:
                raise TransportFailed("timeout", processed=False)
            client = await self._client(target, address, deadline)
            remaining = deadline - loop.time()
            try:
                return await client.post(
                    target.url, headers=headers, body=body, timeout_seconds=remaining
                )
            except TransportFailed as error:
                if error.processed is not False or error.reason == "broken":
                    raise
                failed = error  # no connection came about: the next address may answer
                self._put_last(target.host, address)
        raise failed

    async def close(self) -> None:
        """Close every connection; calls under way fail."""
        for lookup in self._lookups.values():
            lookup.cancel()
        await asyncio.gather(self._clients.close(), *self._lookups.values(), return_exceptions=True)

    async def _client(self, target: Target, address: str, deadline: float) -> HttpClient:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._clients.get(target.host, target.port, address)
        except TimeoutError:
            raise TransportFailed("timeout", processed=False) from None

    # Addresses

    async def _addresses(self, target: Target, timeout_seconds: float) -> tuple[str, ...]:
        if target.literal is not None:
            return self._judge(target.host, (target.host,))
        known = self._known.get(target.host)
        if known is None or self._clock.monotonic() >= known.until:
            known = await self._renewed(target.host, known, timeout_seconds)
        if known.refused is not None:
            raise EgressRefused(known.refused)
        if not known.is_known:
            raise TransportFailed("unreachable", processed=False)
        return known.may_call

    async def _renewed(
        self, host: str, known: _Addresses | None, timeout_seconds: float
    ) -> _Addresses:
        """Look a host up; while no answer comes, go on with what was judged before."""
        if known is None or self._clock.monotonic() >= known.stale_until:
            return await self._look_up(host, min(timeout_seconds, LOOKUP_SECONDS))
        try:
            return await self._look_up(host, min(timeout_seconds, LOOKUP_BESIDE_STALE_SECONDS))
        except TransportFailed:
            return known

    async def _look_up(self, host: str, timeout_seconds: float) -> _Addresses:
        """Join the lookup of a host that is under way, or begin one."""
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = self._lookups[host] = asyncio.create_task(self._ask(host))
            lookup.add_done_callback(lambda _: self._lookups.pop(host, None))
        try:
            async with asyncio.timeout(timeout_seconds):
                return await asyncio.shield(lookup)
        except TimeoutError:
            raise TransportFailed("timeout", processed=False) from None

    async def _ask(self, host: str) -> _Addresses:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = tuple(await self._resolve(host))
            now = self._clock.monotonic()
            known = _Addresses(
                now + ADDRESSES_FRESH_SECONDS,
                self._judge(host, found),
                now + STALE_ADDRESSES_SECONDS,
            )
        except EgressRefused as refused:
            known = _Addresses(
                self._clock.monotonic() + ADDRESSES_FRESH_SECONDS, refused=refused.reason
            )
        except (OSError, ValueError) as error:  # no answer in time is an OSError too
            known = self._without(host, error)
        self._known[host] = known
        self._known.move_to_end(host)
        while len(self._known) > MAX_KNOWN_HOSTS:
            self._known.popitem(last=False)
        return known

    def _without(self, host: str, error: Exception) -> _Addresses:
        """Return what is known of a host after a lookup without addresses."""
        now, last = self._clock.monotonic(), self._known.get(host)
        until = now + FAILED_LOOKUP_SECONDS
        is_silence = isinstance(error, TimeoutError) or (
            isinstance(error, gaierror) and error.errno == EAI_AGAIN
        )
        if is_silence and last is not None and now < last.stale_until:
            return replace(last, until=until)
        return _Addresses(until, is_known=False)

    def _put_last(self, host: str, address: str) -> None:
        """Have an address that did not answer tried after the host's others."""
        known = self._known.get(host)
        if known is not None and address in known.may_call:
            others = tuple(one for one in known.may_call if one != address)
            self._known[host] = replace(known, may_call=(*others, address))

    def _judge(self, host: str, found: tuple[str, ...]) -> tuple[str, ...]:
        """Return the addresses in one spelling; raises ``EgressRefused`` if one is not public."""
        if not found:
            raise OSError(host)
        addresses = tuple(ip_address(text) for text in found)
        if host not in self._unsafe_hosts:
            for address in addresses:
                reason = refusal_of(address)
                if reason is not None:
                    raise EgressRefused(reason)
        return tuple(str(address) for address in addresses)
