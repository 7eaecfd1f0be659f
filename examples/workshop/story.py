"""The course of ``make demo-protected``, act by act."""

from __future__ import annotations

import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
from examples.workshop import workshop_pb2, workshop_pb2_grpc
from examples.workshop.fleet import Fleet
from examples.workshop.methods import SERVICE, declared
from examples.workshop.stagehands import Administrator, enrol, served_workshop
from grpc import aio

from quorumkey.device import visible, visible_json
from quorumkey.errors import ApiError, ReceiptRefused
from quorumkey.protected import verify_execution, verify_protected_call
from quorumkey.protection import Guard, Roster
from quorumkey.protection.protobuf import protobuf_message
from quorumkey.protocol import ProtectedCall, request_binding
from quorumkey.protocol.limits import TXID_HEADER
from quorumkey_relay.demo.process import initialise, run, served
from quorumkey_relay.demo.proof import ForgeryAcceptedError
from quorumkey_relay.demo.story import UnexpectedOutcomeError, trusting_client

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.client import AsyncClient
    from quorumkey.protected import VerifiedCall
    from quorumkey_relay.demo.process import Initialised, Serving
    from quorumkey_relay.demo.stage import Stage

METHOD: Final = "KillProcessOnHostsWithTag"
ORGANISATION: Final = "Acme Corp"
#: Who takes part: who calls, and the other administrator.
ALICE, BOB = ("alice", "Alice"), ("bob", "Bob")
_REQUEST: Final = workshop_pb2.KillProcessOnHostsWithTagRequest(tag="build", process="miner")
_OTHER: Final = workshop_pb2.KillProcessOnHostsWithTagRequest(tag="office", process="miner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What happened, for ``--json``."""

    first_txid: str
    second_txid: str
    hosts: tuple[str, ...]
    approved_by: tuple[str, ...]
    execution: str
    refused: tuple[str, ...]
    second_state: str


async def play(stage: Stage, folder: Path) -> Summary:
    """Run the whole demonstration in ``folder``.

    Raises ``RelayFailedError``, ``UnexpectedOutcomeError``, ``ForgeryAcceptedError`` or an error
    of the SDK.
    """
    data = folder / "relay"
    async with AsyncExitStack() as stack:
        stage.act("A relay of your own")
        made = await initialise(stage, data, ORGANISATION)
        serving = await stack.enter_async_context(served(stage, data))
        stage.say(f"{serving.url} serves, with its database in {data / 'relay.db'}")
        client = await stack.enter_async_context(await trusting_client(made, serving))
        stage.act("Two administrators, each with a key that never leaves their device")
        alice, bob = [
            await stack.enter_async_context(enrol(client, stage, folder, person))
            for person in (ALICE, BOB)
        ]
        await _protect(stage, data, (alice, bob))
        roster = Roster.of((alice.confirmed, bob.confirmed))
        token = secrets.token_urlsafe()
        stage.act("A service whose dangerous methods ask first")
        address = await stack.enter_async_context(
            served_workshop(stage, folder, made, serving, roster, {token: ALICE})
        )
        channel = await stack.enter_async_context(aio.insecure_channel(address))
        workshop = Workshop(stage, channel, token)
        return await _Play(stage, made, serving, client, roster, workshop, alice, bob).run()


async def _protect(stage: Stage, data: Path, administrators: tuple[Administrator, ...]) -> None:
    """Name the administrators, load the preset, turn protection on: all on the relay's host."""
    where = ("--data-dir", str(data))
    for one in administrators:
        await run(stage, "admins", "add", one.id, *where)
    await run(stage, "protection", "load", "workshop", *where)
    await run(stage, "protection", "enable", *where)
    await stage.beat()


class Workshop:
    """The service as Alice's client sees it."""

    def __init__(self, stage: Stage, channel: aio.Channel, token: str) -> None:
        """Call with this token."""
        self._stage = stage
        self._stub = workshop_pb2_grpc.WorkshopStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def kill(self, request: workshop_pb2.KillProcessOnHostsWithTagRequest) -> str | list[str]:
        """Call the protected method: the txid where it waits, else the hosts that it answers."""
        self._stage.say(f"Alice calls {METHOD}(tag={request.tag!r}, process={request.process!r})")
        try:
            answer = await self._stub.KillProcessOnHostsWithTag(request, metadata=self._metadata)
        except aio.AioRpcError as error:
            txid = dict(error.trailing_metadata()).get(TXID_HEADER)
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION or txid is None:
                raise UnexpectedOutcomeError(f"the call failed: {error.details()}") from None
            self._stage.say(f"→ FAILED_PRECONDITION, {TXID_HEADER}: {txid}", mood="rejected")
            return str(txid)
        self._stage.say(f"→ OK, ended on {', '.join(answer.hosts) or 'no host'}", mood="approved")
        return list(answer.hosts)

    async def running(self, process: str) -> list[str]:
        """Return on which hosts a process still runs; reading needs no approval."""
        hosts = self._stub.ListHosts(workshop_pb2.ListHostsRequest(), metadata=self._metadata)
        return [host.name async for host in hosts if process in host.processes]


class _Play:
    """The calls, the approval and the proof."""

    def __init__(  # noqa: PLR0913, PLR0917 - everybody on the stage
        self,
        stage: Stage,
        made: Initialised,
        serving: Serving,
        client: AsyncClient,
        roster: Roster,
        workshop: Workshop,
        alice: Administrator,
        bob: Administrator,
    ) -> None:
        self._stage = stage
        self._made = made
        self._serving = serving
        self._client = client
        self._roster = roster
        self._workshop = workshop
        self._alice = alice
        self._bob = bob

    async def run(self) -> Summary:
        first = await self._refused()
        await self._approve(first)
        hosts = await self._executed()
        second, state = await self._again(first)
        verified, execution, refused = await self._prove(first)
        return Summary(
            first_txid=first,
            second_txid=second,
            hosts=tuple(hosts),
            approved_by=verified.approvers,
            execution=execution,
            refused=refused,
            second_state=state,
        )

    async def _refused(self) -> str:
        """The call waits; asked for again, it waits under the same id, and nothing has run."""
        self._stage.act("The call waits")
        txid = await self._workshop.kill(_REQUEST)
        again = await self._workshop.kill(_REQUEST)
        if not isinstance(txid, str) or txid != again:
            raise UnexpectedOutcomeError("two identical calls do not wait as one")
        running = await self._workshop.running("miner")
        self._stage.say(f"the miner still runs on {', '.join(running)}", mood="dim")
        await self._stage.beat()
        return txid

    async def _approve(self, txid: str) -> None:
        """Alice cannot approve her own call; Bob reads what his device has checked, and does."""
        self._stage.act("Another administrator decides")
        try:
            await self._alice.device.approve(txid)
        except ApiError as error:
            self._stage.say(f"Alice signs approve → refused: {error.message}", mood="rejected")
        else:
            raise UnexpectedOutcomeError("Alice approved her own call")
        request = await self._bob.told(txid)
        document = request.document
        if document is None:  # the device would have had a problem with it
            raise AssertionError
        self._stage.say("Bob's phone shows, checked against the relay's key:")
        self._stage.row("  action", visible(document.action.description))
        for name, value in document.action.params.items():
            self._stage.row(f"  {visible(name)}", visible_json(value))
        for name, digest in (document.action.bindings or {}).items():
            self._stage.row("  binding", f"{visible(name)} {visible(digest)}")
        await self._stage.beat()
        await self._bob.device.approve(request)
        call = await self._bob.device.gated_calls().get(txid)
        self._stage.say(
            f"Bob signs approve → {call.state.value}, {call.approvals} of"
            f" {call.approvals_required} approvals of others; it has not run",
            mood="approved",
        )
        await self._stage.beat()

    async def _executed(self) -> list[str]:
        self._stage.act("The identical call, issued again, runs once")
        hosts = await self._workshop.kill(_REQUEST)
        if isinstance(hosts, str) or not hosts:
            raise UnexpectedOutcomeError("the approved call did not run")
        running = await self._workshop.running("miner")
        self._stage.say(f"the miner still runs on {', '.join(running)}", mood="dim")
        await self._stage.beat()
        return hosts

    async def _again(self, first: str) -> tuple[str, str]:
        """A third identical call opens a transaction of its own, which Alice takes back."""
        self._stage.act("And once only")
        second = await self._workshop.kill(_REQUEST)
        if not isinstance(second, str) or second == first:
            raise UnexpectedOutcomeError("an approval was used twice")
        self._stage.say("that is a new transaction: the approval is used up")
        await self._alice.device.deny(second, reason="It was done already")
        state = (await self._alice.device.gated_calls().get(second)).state.value
        self._stage.say(f"Alice signs deny for her own call → {state}", mood="rejected")
        await self._stage.beat()
        return second, state

    # ------------------------------------------------------------ the proof

    async def _prove(self, txid: str) -> tuple[VerifiedCall, str, tuple[str, ...]]:
        """Verify receipt and execution from bytes, then the receipt for two other calls."""
        self._stage.act("The receipt, without the relay")
        receipt = (await self._client.requests.receipt(txid)).encode()
        execution = await self._execution(txid)
        verified = self._verify(receipt, _call_of(_REQUEST))
        said = verify_execution(
            execution,
            relay_public_keys=self._client.relay_public_keys,
            request_digest=verified.request_digest,
        )
        self._stage.say("the receipt proves that exactly this call was approved", mood="approved")
        self._stage.row("  method", METHOD)
        self._stage.row("  caller", "Alice (alice)")
        self._stage.row("  request", request_binding(protobuf_message(_REQUEST).canonical))
        self._stage.row("  signed by", ", ".join(verified.approvers))
        self._stage.say(f"the relay's execution document says: {said.result}", mood="approved")
        await self._stage.beat()
        others = (
            ("other hosts", _call_of(_OTHER)),
            ("Bob as the caller", _call_of(_REQUEST, caller=BOB)),
        )
        refused = tuple(self._refusal(receipt, call, what) for what, call in others)
        return verified, said.result, refused

    async def _execution(self, txid: str) -> bytes:
        reader = Guard(
            self._serving.url,
            self._made.api_key,
            service=SERVICE,
            methods=declared(Fleet()),
            administrators=self._roster,
        )
        async with reader:
            claim = (await reader.transaction(txid)).claim
        if claim is None or claim.execution is None:
            raise UnexpectedOutcomeError("the relay has recorded no execution")
        return claim.execution.encode()

    def _verify(self, receipt: bytes, call: ProtectedCall) -> VerifiedCall:
        return verify_protected_call(
            receipt,
            call=call,
            relay_public_keys=self._client.relay_public_keys,
            integrator_id=self._made.integrator.id,
            now=int(time.time()),
            administrators=self._roster.administrators,
        )

    def _refusal(self, receipt: bytes, call: ProtectedCall, what: str) -> str:
        try:
            self._verify(receipt, call)
        except ReceiptRefused as refused:
            self._stage.say(
                f"the receipt for {what}: refused at step {refused.step}"
                f" ({refused.reason.value}): {refused.message}",
                mood="rejected",
            )
            return refused.reason.value
        raise ForgeryAcceptedError("a receipt that proves nothing was accepted")


def _call_of(
    request: workshop_pb2.KillProcessOnHostsWithTagRequest, *, caller: tuple[str, str] = ALICE
) -> ProtectedCall:
    message = protobuf_message(request)
    identifier, name = caller
    return ProtectedCall(
        method=METHOD,
        caller_kind="person",
        caller_id=identifier,
        caller_name=name,
        request=dict(message.view or {}),
        request_binding=request_binding(message.canonical),
    )
