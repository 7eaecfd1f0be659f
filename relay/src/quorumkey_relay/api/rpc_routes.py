"""The methods of the governing service, as ``proto/quorumkey/mpa/v1/mpa.proto`` describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import Struct, UnsetType

from quorumkey.errors import ProtocolError
from quorumkey.protocol import parse_envelope
from quorumkey_relay.api.answers import JSON_HEADERS, Answer
from quorumkey_relay.api.endpoint import OK, Endpoint
from quorumkey_relay.api.gate import GOVERNOR
from quorumkey_relay.api.rpc import CONNECT, SERVICE_PREFIX, txid_headers
from quorumkey_relay.api.rpc_json import envelope_of, message, written
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.protection.commands import SettingsBody
from quorumkey_relay.usecases.protection.govern_commands import (
    AdministratorBody,
    CreateKeyBody,
    EmptyBody,
    ListBody,
    MethodNameBody,
    ProtectBody,
    ResolveBody,
    TxidBody,
    UpdateKeyBody,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.api.endpoint import Call, Result
    from quorumkey_relay.api.rpc_ports import GovernedPort, GovernPort
    from quorumkey_relay.usecases.protection.actor import Actor

B = TypeVar("B", bound=Struct)

Read = Struct | Refusal


def _read(
    name: str, kind: type[B], ask: Callable[[GovernPort, Actor, B], Awaitable[Read]]
) -> Endpoint[Actor, B]:
    """Return a method that changes nothing the gate is for."""

    async def handle(call: Call[Actor, B]) -> Result:
        view = await ask(call.relay.usecases.protection.govern, call.principal, call.body)
        return view if isinstance(view, Refusal) else _answer(view, None)

    return _method(name, kind, handle)


def _change(
    name: str,
    kind: type[B],
    ask: Callable[[GovernPort, Actor, B], Awaitable[GovernedPort[Struct] | Refusal]],
) -> Endpoint[Actor, B]:
    """Return a method that waits for approval while protection is on."""

    async def handle(call: Call[Actor, B]) -> Result:
        done = await ask(call.relay.usecases.protection.govern, call.principal, call.body)
        return done if isinstance(done, Refusal) else _answer(done.view, done.txid)

    return _method(name, kind, handle)


def _method(
    name: str, kind: type[B], handle: Callable[[Call[Actor, B]], Awaitable[Result]]
) -> Endpoint[Actor, B]:
    return Endpoint(
        method="POST",
        path=SERVICE_PREFIX + name,
        summary=name,
        auth=GOVERNOR,
        body=message(kind),
        handle=handle,
        dialect=CONNECT,
    )


def _answer(view: Struct, txid: str | None) -> Answer:
    return Answer(OK, written(view), (*JSON_HEADERS, *txid_headers(txid)))


async def _resolve(govern: GovernPort, actor: Actor, body: ResolveBody) -> Read:
    if isinstance(body.decision, UnsetType) or isinstance(body.envelope, UnsetType):
        message = "Give the decision and the envelope that a device has signed."
        raise ProtocolError("invalid_request", message)
    envelope = parse_envelope(envelope_of(body.envelope))
    return await govern.requests.resolve(actor, body.txid, body.decision, envelope)


#: Rows differ in what they are given; each is checked against its own handler where it stands.
RPC_ROUTES: Final[tuple[Endpoint[Any, Any], ...]] = (
    _read("GetMultipartyApprovalSettings", EmptyBody, lambda g, a, _: g.settings.read(a)),
    _change("SetMultipartyApprovalSettings", SettingsBody, lambda g, a, b: g.settings.set(a, b)),
    _change("DisableMultipartyApproval", EmptyBody, lambda g, a, _: g.settings.disable(a)),
    _read(
        "ListMultipartyApprovalRequestsForSession",
        ListBody,
        lambda g, a, b: g.requests.list(a, b),
    ),
    _read("GetMultipartyApprovalRequest", TxidBody, lambda g, a, b: g.requests.read(a, b.txid)),
    _read("ResolveMultipartyApprovalRequest", ResolveBody, _resolve),
    _read("ListMPAProtectedMethods", EmptyBody, lambda g, a, _: g.methods.list(a)),
    _change("AddMPAProtectedMethod", ProtectBody, lambda g, a, b: g.methods.add(a, b)),
    _change("RemoveMPAProtectedMethod", MethodNameBody, lambda g, a, b: g.methods.remove(a, b)),
    _change("ResetMPAProtectedMethods", EmptyBody, lambda g, a, _: g.methods.reset(a)),
    _change("CreateAPIKey", CreateKeyBody, lambda g, a, b: g.keys.create(a, b)),
    _change("UpdateAPIKey", UpdateKeyBody, lambda g, a, b: g.keys.update(a, b)),
    _read("ListAPIKeys", EmptyBody, lambda g, a, _: g.keys.list(a)),
    _read("ListAdministrators", EmptyBody, lambda g, a, _: g.administrators.list(a)),
    _change("AddAdministrator", AdministratorBody, lambda g, a, b: g.administrators.add(a, b)),
    _change(
        "RemoveAdministrator", AdministratorBody, lambda g, a, b: g.administrators.remove(a, b)
    ),
)
