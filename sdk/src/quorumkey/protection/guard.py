"""The guard of a service's protected methods."""

from __future__ import annotations

import asyncio
import logging
from functools import wraps
from typing import TYPE_CHECKING, Final, Literal, ParamSpec, TypeAlias, TypeVar

from quorumkey.client._core import Core
from quorumkey.client._exchange import RetryPolicy
from quorumkey.errors import (
    ClientError,
    ConfigurationError,
    RateLimitedError,
    ReceiptRefused,
    RelayError,
    TransportError,
)
from quorumkey.protection import _calls
from quorumkey.protection._attempts import Attempts, Spent
from quorumkey.protection._follow import Follower
from quorumkey.protection._question import Question, refusal_of
from quorumkey.protection._relay import Relay
from quorumkey.protection._reports import Reports
from quorumkey.protection.declarations import by_name
from quorumkey.protection.errors import ProtectionUnavailable
from quorumkey.protection.models import ProceedAnswer, WaitAnswer
from quorumkey.protection.verdicts import Claim, Proceed, Run, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
    from types import TracebackType
    from typing import Self

    import httpx2

    from quorumkey.client._core import ClientPorts
    from quorumkey.protection.declarations import Caller, Method, Resource
    from quorumkey.protection.messages import Request
    from quorumkey.protection.models import CheckAnswer, RunAnswer, Transaction
    from quorumkey.protection.trust import Roster, UnsafeTrustRelay
    from quorumkey.protection.verdicts import Verdict
    from quorumkey.protocol.dsse import PasskeyPolicy
    from quorumkey.protocol.keys import PublicKey
    from quorumkey.protocol.protected_call import ProtectedCall

__all__ = ["Guard", "Unreachable"]

P = ParamSpec("P")
T = TypeVar("T")

#: What happens to calls of eligible methods while the relay cannot be reached; see `Guard`.
Unreachable: TypeAlias = Literal["refuse", "last_known"]

_LOG: Final = logging.getLogger("quorumkey.protection")
_TIMEOUT_SECONDS: Final = 5.0
_ATTEMPTS: Final = 3
#: The longest that an approval can be used: open for a day, and a day to execute it.
_LONGEST_USE_SECONDS: Final = 172_800
_PASSING: Final = (TransportError, RelayError, RateLimitedError)
_NEVER: Final = Proceed("unprotected")


class Guard:
    """Lets calls of a service's methods run, or wait for the approval of other administrators.

    Use it with ``async with`` for as long as the service serves: entering registers the methods,
    and from then on the guard hears of every change of the protection. One guard belongs to one
    event loop and may be used by all of its tasks.

    **How old may what it knows be?** Calls that proceed whatever they carry (protection switched
    off, an excluded API key, a method that is not protected) are decided here, from a snapshot
    of the protection, without asking the relay. A snapshot decides for one second after the
    question for it was *sent* (`MAX_STALENESS_SECONDS`); the relay answers that question at once
    when something has changed and within 0.4 seconds when not. So a change is obeyed at the
    latest one second after the relay has answered for it, and mostly within milliseconds (one by
    the command line on its host 0.25 seconds later). Every other call is asked about: conditions,
    approvals and claims are never cached.

    **When the relay cannot be reached** and the snapshot is older than that, methods that can
    never be protected (``permission="read"``, ``kind="ineligible"``) proceed, and every other
    call raises `ProtectionUnavailable`. With ``unreachable="last_known"`` a method that was
    unprotected when the relay was last heard proceeds too, however long ago that was; one that is
    always protected, or was protected then, never does, nor does any once it is known that
    something has changed. A relay that answers oddly, or that it was asked too often, is there.

    **What runs once.** A claim is taken at the relay before the handler runs, and an approval is
    used up by it even if the handler fails or the process dies. When the answer to a claim is
    lost, the identical call asks for the same claim again. No approval runs twice under one guard,
    whatever the relay says. The request is verified offline before it runs; see `Roster`.

    Args:
        url: the relay's address; default: the variable ``QUORUMKEY_URL``.
        api_key: default: the variable ``QUORUMKEY_API_KEY``.
        service: the service's name; its catalogue replaces the one it registered before.
        methods: every method of the service that can be protected, and others as it likes.
        administrators: the pinned keys of the administrators' devices, or `UnsafeTrustRelay`.
        unreachable: ``refuse`` or ``last_known``; see above.
        relay_public_keys: the relay keys to trust (base64 or loaded). Without them, the key that
            the relay names first is trusted by this guard from then on.
        integrator_id: the service's integrator. Without it the first verified approval names it.
        passkeys: the relying party whose passkeys count; without it none does.
        timeout_seconds: how long the relay may be silent in a call; the whole takes four times
            as long at most.
        retry: how often and how fast a call is repeated.
        http_hosts: host names that may be called without TLS, in development only.
        transport: carries the HTTP calls; default: the network.
        sleep: waits so many seconds.
        ports: clock and randomness.

    Raises:
        ConfigurationError: a setting or a method is missing or unusable.
    """

    def __init__(  # noqa: PLR0913 - a guard's settings
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        service: str,
        methods: Iterable[Method],
        administrators: Roster | UnsafeTrustRelay,
        unreachable: Unreachable = "refuse",
        relay_public_keys: Iterable[PublicKey | str] | None = None,
        integrator_id: str | None = None,
        passkeys: PasskeyPolicy | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        retry: RetryPolicy | None = None,
        http_hosts: Iterable[str] = (),
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        ports: ClientPorts | None = None,
    ) -> None:
        core = Core.make(
            url,
            api_key,
            relay_public_keys=relay_public_keys,
            integrator_id=integrator_id,
            passkeys=passkeys,
            retry=retry or RetryPolicy(attempts=_ATTEMPTS),
            ports=ports,
            http_hosts=http_hosts,
        )
        self.administrators = administrators
        self._methods = by_name(methods)
        self._unreachable = unreachable
        self._now = core.now
        self._monotonic = core.ports.monotonic
        self._relay = Relay(core, timeout_seconds=timeout_seconds, transport=transport, sleep=sleep)
        self._follower = Follower(
            self._relay, service, self._methods, monotonic=self._monotonic, sleep=sleep
        )
        self._cache = self._follower.cache
        self._reports = Reports(self._relay, now=core.now, sleep=sleep)
        self._attempts = Attempts(monotonic=self._monotonic, random_bytes=core.ports.random_bytes)
        self._spent = Spent()
        self._open = False

    async def __aenter__(self) -> Self:
        """Register the methods and begin to follow the protection.

        A relay that cannot be reached does not keep the service from starting; see the class.

        Raises:
            ApiError: the relay refuses the methods, or the API key.
            ConfigurationError: the guard was entered before.
        """
        await self._follower.start()
        self._open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        await self._follower.stop()
        await self._reports.close()
        await self._relay.close()

    # ------------------------------------------------------------ what is known without asking

    @property
    def revision(self) -> int | None:
        """The revision of the protection that is known; None before the relay was heard."""
        return self._cache.revision

    async def reach(self, revision: int) -> None:
        """Wait until the guard knows this revision of the protection, or a later one."""
        await self._follower.reach(revision)

    def declares(self, method: str) -> bool:
        """Whether this guard was given a method of this name."""
        return method in self._methods

    def local(self, method: str, caller: Caller) -> Proceed | None:
        """Say that a call proceeds whatever it carries; None: it has to be checked.

        Raises:
            ConfigurationError: the method is not declared.
        """
        declared = self._methods.get(method)
        if declared is None:
            raise ConfigurationError(f"The method {method} is not declared in this guard.")
        if not declared.protectable:
            return _NEVER
        return self._cache.decide(declared, caller, self._monotonic())

    def may_wait(self, method: str, caller: Caller) -> bool:
        """Whether a call has to be checked; false too for a method that is not declared.

        For adapters that spare themselves reading a request which proceeds in any case.
        """
        return method in self._methods and self.local(method, caller) is None

    # ------------------------------------------------------------ checking and running

    async def check(
        self, method: str, caller: Caller, request: Request, *, resource: Resource | None = None
    ) -> Verdict:
        """Ask whether a call may run.

        Args:
            method: the declared method.
            caller: who calls, as the service has authenticated them.
            request: everything that decides what the call does: a JSON value without floats, or
                a `ProtobufMessage`. It is looked at only where the call can have to wait.
            resource: what the call acts on; without it the method's resolver is asked.

        Returns:
            `Proceed`: run it. `Wait`: do not, and tell the caller the txid. `Run`: run it once,
            now, inside ``async with verdict.claim``.

        Raises:
            ConfigurationError: the method is not declared, or the guard is not entered.
            RequestRefused: the request has no single spelling; the text says what to change.
            ProtectionUnavailable: the relay could not be asked: the call must not run.
            NobodyCanApproveError: too few administrators could approve it.
            ReceiptRefused: the relay's proof of the approval does not hold; the approval is used
                up, and recorded as failed.
        """
        verdict = self.local(method, caller)
        if verdict is not None:
            return verdict
        return await self._ask(self._methods[method], caller, request, resource)

    async def run(
        self,
        method: str,
        caller: Caller,
        request: Request,
        handler: Callable[[], Awaitable[T]],
        *,
        resource: Resource | None = None,
    ) -> T:
        """Check a call, run it where it may run, and record what came of it.

        Raises:
            ApprovalRequired: it waits; its ``txid`` is for the caller.
            QuorumkeyError: as `check`.
        """
        verdict = await self.check(method, caller, request, resource=resource)
        if isinstance(verdict, Wait):
            raise verdict.error()
        if isinstance(verdict, Proceed):
            return await handler()
        async with verdict.claim:
            return await handler()

    def protected(
        self,
        method: str,
        *,
        caller: Callable[P, Caller],
        request: Callable[P, Request],
        resource: Callable[P, Resource | None] | None = None,
    ) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
        """Decorate a coroutine function that is a protected method; it runs as by `run`.

        Args:
            method: the declared method.
            caller: who calls, from the function's own arguments.
            request: the request, likewise; everything that decides what the call does.
            resource: what it acts on, likewise; without it the method's resolver is asked.

        Raises:
            ConfigurationError: the method is not declared.
        """
        if method not in self._methods:
            raise ConfigurationError(f"The method {method} is not declared in this guard.")

        def decorate(handler: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
            @wraps(handler)
            async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
                who = caller(*args, **kwargs)
                if self.local(method, who) is not None:
                    return await handler(*args, **kwargs)
                return await self.run(
                    method,
                    who,
                    request(*args, **kwargs),
                    lambda: handler(*args, **kwargs),
                    resource=None if resource is None else resource(*args, **kwargs),
                )

            return guarded

        return decorate

    # ------------------------------------------------------------ looking at transactions

    async def transaction(self, txid: str) -> Transaction:
        """How a gated call stands, by the relay's word.

        Raises:
            NotFoundError: there is none.
        """
        return await self._relay.ask(_calls.get_transaction(txid))

    async def transactions(self, *, limit: int | None = None) -> AsyncGenerator[Transaction]:
        """Yield this integrator's gated calls, newest first; pages are fetched as needed."""
        cursor: str | None = None
        while True:
            page = await self._relay.ask(_calls.list_transactions(limit=limit, cursor=cursor))
            for item in page.data:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    # ------------------------------------------------------------ asking the relay

    async def _ask(
        self, method: Method, caller: Caller, request: Request, resource: Resource | None
    ) -> Verdict:
        if not self._open:
            raise ConfigurationError("The guard is not entered; use it with async with.")
        question = await Question.prepare(method, caller, request, resource)
        key = self._attempts.take(question.identity)
        lenient = self._cache.last_known(method) if self._unreachable == "last_known" else None
        call = _calls.check(question.body(key))
        try:
            answer = await self._relay.ask_or(call, lenient)
            if isinstance(answer, Proceed):
                return answer
            return await self._verdict(answer, question)
        except _PASSING as error:
            self._attempts.lose(question.identity, key)
            raise ProtectionUnavailable(
                f"{method.name} did not run, because the relay could not be asked: {error}"
            ) from error
        except asyncio.CancelledError:
            self._attempts.lose(question.identity, key)
            raise
        except ClientError as error:
            raise refusal_of(method, error) from error

    async def _verdict(self, answer: CheckAnswer, question: Question) -> Verdict:
        self._cache.hear(answer.revision, self._monotonic())
        if isinstance(answer, ProceedAnswer):
            method = question.method
            if self._cache.denies(answer, method, question.caller):
                raise ProtectionUnavailable(
                    f"{method.name} did not run: the relay says {answer.reason}, which cannot be."
                )
            return Proceed(answer.reason)
        if isinstance(answer, WaitAnswer):
            return Wait(answer.transaction)
        return await self._approved(answer, question.call)

    async def _approved(self, answer: RunAnswer, call: ProtectedCall) -> Run:
        claim, txid = answer.claim, answer.transaction.txid
        try:
            approval = await self._relay.prove(answer.receipt, call, self.administrators)
        except ReceiptRefused as error:
            _LOG.error("%s (%s) did not run: %s", call.method, txid, error)
            self._reports.report_later(claim, "error")
            raise
        proven = txid if approval is None else approval.request_id
        if not txid == claim.txid == proven:
            raise ProtectionUnavailable(
                f"{call.method} did not run: the relay's claim {claim.claim_id} is on another call."
            )
        now = self._now()
        use_by = now + _LONGEST_USE_SECONDS if approval is None else approval.use_by
        if not self._spent.spend(txid, use_by=use_by, now=now):
            raise ProtectionUnavailable(
                f"{call.method} did not run: {txid} has run here already, and the relay gave it "
                "out again."
            )
        return Run(
            claim=Claim(claim, self._reports), transaction=answer.transaction, approval=approval
        )
