"""A plain HTTP interface for steering stand-ins that run in another process.

=========================  ======================================================================
``GET /counters``          the counters of each stand-in
``GET /received``          pushes, oldest first; ``channel``, ``token`` and ``after`` (a number)
                           choose among them; with ``wait_seconds`` the answer waits for the first
``GET /settings``          the variables that point a relay at the stand-ins
``GET /faults``            the faults of each stand-in
``POST /faults``           ``{"apns": {"delay_seconds": 1}}``: change faults
``POST /connections``      ``{"apns": "goaway"}`` or ``"lose"``: end every connection that stands
``POST /tokens/revoke``    take back Google's access tokens
``POST /webpush/subscriptions``  ``{"behaviour"?, "once"?, "application_server_key"?}``: a new one
``POST /reset``            forget pushes, counters and credentials; faults stay
=========================  ======================================================================
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs, urlsplit

from quorumkey_relay.standins.exchange import Reply, Request, json_object, json_reply
from quorumkey_relay.standins.faults import FaultError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from quorumkey_relay.standins.ledger import Received
    from quorumkey_relay.standins.stand import Stand
    from quorumkey_relay.standins.stands import StandIns

MAX_WAIT_SECONDS: Final = 60.0


class _UsageError(ValueError):
    """A call that cannot be meant; the message is a sentence."""


class ControlService:
    """Answers those who run tests."""

    def __init__(self, stand_ins: StandIns) -> None:
        """Know what is steered."""
        self._stand_ins = stand_ins
        self._calls: dict[tuple[str, str], Callable[[Request], Reply]] = {
            ("GET", "/counters"): self._counters,
            ("GET", "/settings"): self._settings,
            ("GET", "/faults"): self._faults,
            ("POST", "/faults"): self._change_faults,
            ("POST", "/connections"): self._end_connections,
            ("POST", "/tokens/revoke"): self._revoke,
            ("POST", "/webpush/subscriptions"): self._subscribe,
            ("POST", "/reset"): self._reset,
        }

    def answer(self, request: Request) -> Reply | Awaitable[Reply]:
        """Do what is asked."""
        path = urlsplit(request.path).path
        if (request.method, path) == ("GET", "/received"):
            return self._received(request)
        call = self._calls.get((request.method, path))
        if call is None:
            every = ", ".join(" ".join(one) for one in (("GET", "/received"), *self._calls))
            return _error(404, f"There is no {request.method} {path}; there are {every}.")
        try:
            return call(request)
        except (_UsageError, FaultError) as fault:
            return _error(400, str(fault))

    # ------------------------------------------------------------ reading

    def _counters(self, request: Request) -> Reply:
        del request
        stands = self._stand_ins.stands
        return json_reply(200, {name: one.counters.to_json() for name, one in stands.items()})

    def _settings(self, request: Request) -> Reply:
        del request
        return json_reply(200, self._stand_ins.settings())

    def _faults(self, request: Request) -> Reply:
        del request
        stands = self._stand_ins.stands
        return json_reply(200, {name: one.faults.to_json() for name, one in stands.items()})

    async def _received(self, request: Request) -> Reply:
        query = {name: texts[-1] for name, texts in parse_qs(urlsplit(request.path).query).items()}
        try:
            wait_seconds = min(float(query.get("wait_seconds", "0")), MAX_WAIT_SECONDS)
            after = int(query.get("after", "0"))
            stands = self._chosen(query.get("channel"))
        except (_UsageError, ValueError) as fault:
            return _error(400, str(fault))
        found = _found(stands, query.get("token"), after)
        if not found and wait_seconds > 0:
            try:
                async with asyncio.timeout(wait_seconds):
                    while not found:
                        await _any_change(stands)
                        found = _found(stands, query.get("token"), after)
            except TimeoutError:
                pass
        newest = max((one.number for one in found), default=after)
        return json_reply(200, {"received": [one.to_json() for one in found], "after": newest})

    # ------------------------------------------------------------ changing

    def _change_faults(self, request: Request) -> Reply:
        for name, values in _members(request.body).items():
            (stand,) = self._chosen(name)
            if not isinstance(values, dict):
                message = f"{name} must be an object of faults."
                raise _UsageError(message)
            stand.faults.change(cast("dict[str, object]", values))
        return self._faults(request)

    def _end_connections(self, request: Request) -> Reply:
        for name, how in _members(request.body).items():
            (stand,) = self._chosen(name)
            if how == "goaway":
                stand.go_away()
            elif how == "lose":
                stand.lose_connections()
            else:
                message = f"{name} must be goaway or lose."
                raise _UsageError(message)
        return self._counters(request)

    def _revoke(self, request: Request) -> Reply:
        del request
        self._stand_ins.token_endpoint.revoke()
        return json_reply(200, {})

    def _subscribe(self, request: Request) -> Reply:
        wanted = _members(request.body or b"{}")
        behaviour = wanted.get("behaviour", "ok")
        key = wanted.get("application_server_key")
        if not isinstance(behaviour, str) or not isinstance(key, (str, type(None))):
            raise _UsageError("behaviour and application_server_key must be strings.")
        try:
            subscription = self._stand_ins.webpush.subscribe(
                behaviour, once=wanted.get("once") is True, application_server_key=key
            )
        except KeyError:
            message = f"There is no behaviour {behaviour}."
            raise _UsageError(message) from None
        return json_reply(201, subscription.to_json())

    def _reset(self, request: Request) -> Reply:
        for stand in self._stand_ins.stands.values():
            stand.reset()
        return self._counters(request)

    def _chosen(self, name: str | None) -> list[Stand]:
        stands = self._stand_ins.stands
        if name is None:
            return list(stands.values())
        if name not in stands:
            message = f"There is no stand-in {name}; there are {', '.join(stands)}."
            raise _UsageError(message)
        return [stands[name]]


def _error(status: int, sentence: str) -> Reply:
    return json_reply(status, {"error": sentence})


def _members(body: bytes) -> Mapping[str, object]:
    members = json_object(body)
    if members is None:
        raise _UsageError("The body must be a JSON object.")
    return members


def _found(stands: list[Stand], token: str | None, after: int) -> list[Received]:
    pushes = (push for stand in stands for push in stand.received)
    chosen = (one for one in pushes if one.number > after and token in (None, one.token))
    return sorted(chosen, key=lambda push: push.number)


async def _any_change(stands: list[Stand]) -> None:
    """Wait until something happens at one of them."""
    waits = [asyncio.ensure_future(stand.ledger.change()) for stand in stands]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
