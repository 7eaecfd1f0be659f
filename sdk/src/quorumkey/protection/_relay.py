"""A guard's connection to its relay, and what it verifies with what it has pinned."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from quorumkey.client._drivers import AsyncDriver
from quorumkey.client._exchange import exchange
from quorumkey.errors import (
    ProtocolError,
    ReceiptRefused,
    RefusalReason,
    RelayError,
    TransportError,
    UnexpectedAnswerError,
)
from quorumkey.protected import verify_protected_call
from quorumkey.protection.trust import UnsafeTrustRelay
from quorumkey.protocol.statements import Receipt, RequestDocument
from quorumkey.receipts import UnsafeAny

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx2

    from quorumkey.client._core import Core
    from quorumkey.client._exchange import Call, Flow
    from quorumkey.protected import VerifiedCall
    from quorumkey.protection.trust import Roster
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.protected_call import ProtectedCall

__all__ = ["Relay"]

T = TypeVar("T")
Other = TypeVar("Other")

#: A poll is answered after 0.4 s at the latest; one that takes longer than this is given up.
POLL_TIMEOUT_SECONDS: Final = 2.0


class Relay:
    """The calls of one guard; questions about calls and polls have connections of their own."""

    def __init__(
        self,
        core: Core,
        *,
        timeout_seconds: float,
        transport: httpx2.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Prepare; nothing is sent yet."""
        self._core = core
        self.closed = False
        self._once = replace(core.retry, attempts=1)
        self._driver, self._polls = (
            AsyncDriver(
                core.address,
                headers=core.headers,
                timeout_seconds=seconds,
                transport=transport,
                sleep=sleep,
            )
            for seconds in (timeout_seconds, min(timeout_seconds, POLL_TIMEOUT_SECONDS))
        )

    async def close(self) -> None:
        """Close every connection; whoever asks from now on is told so."""
        self.closed = True
        await asyncio.gather(self._driver.close(), self._polls.close())

    async def ask(self, call: Call[T]) -> T:
        """Make a call, repeating it where that is safe."""
        return await self._run(self._core.call(call))

    async def ask_or(self, call: Call[T], otherwise: Other | None) -> T | Other:
        """Make a call; where there is something else to go by, once, and else by that.

        Only a relay that does not answer, or fails itself, lets the other count: one that
        answers too much, too little or "too often" is there.
        """
        if otherwise is None:
            return await self.ask(call)
        try:
            return await self.ask_once(call)
        except UnexpectedAnswerError:
            raise
        except (TransportError, RelayError):
            return otherwise

    async def ask_once(self, call: Call[T]) -> T:
        """Make a call without repeating it."""
        return await self._run(exchange(call, self._once))

    async def poll(self, call: Call[T]) -> T:
        """Ask what is new, once and with little patience."""
        return await self._polls.run(exchange(call, self._once))

    async def prove(
        self, receipt: Envelope, call: ProtectedCall, trust: Roster | UnsafeTrustRelay
    ) -> VerifiedCall | None:
        """Check offline that exactly this call was approved by the pinned administrators.

        Returns:
            Who approved what; None where the relay is trusted unseen.

        Raises:
            ReceiptRefused: the receipt does not prove it.
            ClientError: the receipt is by an unknown key, and the relay could not be asked for
                its key changes.
        """
        if isinstance(trust, UnsafeTrustRelay):
            return None
        core = self._core
        pins = await self._run(core.trusted(receipt.keyid))
        verified = verify_protected_call(
            receipt.encode(),
            call=call,
            relay_public_keys=pins.keys_for(_created_at(receipt)),
            integrator_id=UnsafeAny() if core.integrator_id is None else core.integrator_id,
            now=core.now(),
            administrators=trust.administrators,
            required=trust.required,
            count_requestor=trust.count_requestor,
            webauthn=core.passkeys,
        )
        core.integrator_id = verified.request.integrator.id
        return verified

    async def _run(self, flow: Flow[T]) -> T:
        if self.closed:
            raise TransportError("The guard was left, so the relay is not asked any more.")
        return await self._driver.run(flow)


def _created_at(receipt: Envelope) -> int:
    """When the request was made, by an unverified word that the verification then checks.

    Raises:
        ReceiptRefused: it is no receipt.
    """
    try:
        return RequestDocument.decode(Receipt.decode(receipt.payload).request.payload).created_at
    except ProtocolError as error:
        raise ReceiptRefused(RefusalReason.MALFORMED, error.message, 1) from None
