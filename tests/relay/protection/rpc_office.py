"""A served relay that is governed over RPC, by a stock Connect client."""

from __future__ import annotations

import hashlib
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from connectrpc.client import ConnectClient, ResponseMetadata
from connectrpc.errors import ConnectError
from google.protobuf.json_format import MessageToDict, ParseDict
from tests.relay.api.harness import API_KEY, INTEGRATOR, House, house
from tests.relay.protection.rpc_messages import info_of
from tests.relay.protection.workshop import METHODS
from tests.relay.simulator import START

from quorumkey_relay.domain.protection import Protection, ProtectionSettings
from quorumkey_relay.identity.principals import ApiKey
from quorumkey_relay.store.writes import PutApiKey, PutProtection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from google.protobuf.message import Message
    from tests.relay.simulator import ManualClock, SimDevice

    from quorumkey.protocol import DecisionValue, Envelope

ADMIN_KEY: Final = "qk_test_" + "3c" * 32
ADMIN_KEY_ID: Final = "0190a000-0000-7000-8000-00000000ad31"
#: Who calls by the API keys, beside people by their ids.
KEYS: Final = {"admin-key": ADMIN_KEY, "integrator-key": API_KEY}


@dataclass(frozen=True)
class Reply:
    """What a call answered, by the .proto's own field names, and the transaction it ran under."""

    said: dict[str, Any]
    txid: str | None


@dataclass(frozen=True)
class Refused:
    """What a call was refused for: Connect's code, the relay's own, and the transaction."""

    code: str
    error: str | None
    message: str
    txid: str | None


@dataclass
class Office:
    """The relay, its people's devices, and the client."""

    house: House
    client: ConnectClient
    devices: dict[str, SimDevice] = field(default_factory=dict[str, "SimDevice"])
    sessions: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    @property
    def clock(self) -> ManualClock:
        """The relay's clock."""
        return self.house.clock

    @property
    def protection(self) -> Protection:
        """The integrator's protection."""
        found = self.house.relay.store.directory.protection(INTEGRATOR.id)
        assert found is not None
        return found

    async def headers(self, by: str) -> dict[str, str]:
        """The headers of a caller: a person's session, or an API key."""
        if by in KEYS:
            return {"Authorization": f"Bearer {KEYS[by]}"}
        if by not in self.sessions:
            self.sessions[by] = await self.house.session(self.devices[by])
        return self.sessions[by]

    async def call(
        self, method: str, message: Mapping[str, object] | None = None, *, by: str = "alice"
    ) -> Reply:
        """Call a method; raises ``ConnectError``."""
        with ResponseMetadata() as metadata:
            said = await self._call(method, message or {}, by)
            return Reply(said, metadata.headers().get("x-mpa-txid"))

    async def _call(self, method: str, message: Mapping[str, object], by: str) -> dict[str, Any]:
        info = info_of(method)
        answer = await self.client.execute_unary(
            request=ParseDict(dict(message), info.input()),
            method=info,
            headers=await self.headers(by),
        )
        said: dict[str, Any] = MessageToDict(
            cast("Message", answer),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        return said

    async def refused(
        self, method: str, message: Mapping[str, object] | None = None, *, by: str = "alice"
    ) -> Refused:
        """Call a method that is refused."""
        with ResponseMetadata() as metadata:
            try:
                said = await self._call(method, message or {}, by)
            except ConnectError as error:
                headers = metadata.headers()
                return Refused(
                    error.code.value,
                    headers.get("x-quorumkey-error"),
                    error.message,
                    headers.get("x-mpa-txid"),
                )
        message_text = f"{method} was not refused: {said}"
        raise AssertionError(message_text)

    async def gated(
        self, method: str, message: Mapping[str, object] | None = None, *, by: str = "alice"
    ) -> str:
        """The transaction that a call waits for."""
        refused = await self.refused(method, message, by=by)
        assert (refused.code, refused.error) == ("failed_precondition", "approval_required")
        assert refused.txid is not None
        return refused.txid

    async def approved(
        self,
        method: str,
        message: Mapping[str, object] | None = None,
        *,
        by: str = "alice",
        others: tuple[str, ...] = ("bob",),
    ) -> Reply:
        """Call a method, have others approve it, and call it again."""
        txid = await self.gated(method, message, by=by)
        for other in others:
            await self.resolve(other, txid)
        reply = await self.call(method, message, by=by)
        assert reply.txid == txid
        return reply

    async def enable(self, **settings: object) -> None:
        """Switch protection on."""
        await self.call("SetMultipartyApprovalSettings", {"enabled": True, **settings})

    async def envelope(self, person: str, txid: str, decision: DecisionValue) -> Envelope:
        """A decision that a person's device has signed."""
        stored = await self.house.relay.store.load(txid)
        assert stored is not None
        return self.devices[person].decision(stored.terms.digest, decision, at=self.clock.now())

    async def resolution(self, person: str, txid: str, decision: str) -> dict[str, object]:
        """The message by which a person resolves a call."""
        signed: DecisionValue = "approve" if decision == "approve" else "deny"
        envelope = await self.envelope(person, txid, signed)
        return {"txid": txid, "decision": decision, "envelope": envelope.to_json()}

    async def resolve(self, person: str, txid: str, decision: str = "approve") -> dict[str, Any]:
        """A person resolves a call; what is told of it then."""
        reply = await self.call(
            "ResolveMultipartyApprovalRequest",
            await self.resolution(person, txid, decision),
            by=person,
        )
        request: dict[str, Any] = reply.said["request"]
        return request

    async def state(self, txid: str, *, by: str = "alice") -> str:
        """Where a call stands."""
        reply = await self.call("GetMultipartyApprovalRequest", {"txid": txid}, by=by)
        return str(reply.said["request"]["state"])

    async def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The bodies of the events of a type, or of all."""
        found = await self.house.relay.store.events(
            integrator_id=INTEGRATOR.id, after=None, limit=10_000
        )
        assert found is not None
        return [json.loads(event.body) for event in found if kind in (None, event.type)]

    async def person(self, name: str, *, administrator: bool = False) -> None:
        """A person with a device, as an administrator or not."""
        self.devices[name] = await self.house.device(name)
        if administrator:
            await self.put(administrators=(*self.protection.administrators, name))

    async def put(self, *, administrators: tuple[str, ...]) -> None:
        """Have others be administrators, without asking whether the rules allow it."""
        before = self.protection
        after = Protection(
            integrator_id=before.integrator_id,
            revision=before.revision + 1,
            settings=before.settings,
            methods=before.methods,
            protected=before.protected,
            seeded=before.seeded,
            administrators=administrators,
        )
        await self.house.relay.store.commit((PutProtection(before, after),))


def admin_key() -> PutApiKey:
    """An API key that governs."""
    return PutApiKey(
        ApiKey(
            key_id=ADMIN_KEY_ID,
            integrator_id=INTEGRATOR.id,
            scope="admin",
            name="governs",
            digest=hashlib.sha256(ADMIN_KEY.encode()).digest(),
            created_at=START,
        )
    )


@asynccontextmanager
async def office(
    data_dir: Path, *people: str, clock: ManualClock | None = None, **settings: object
) -> AsyncGenerator[Office, None]:
    """A relay whose administrators are alice, bob and carol; protection is off."""
    async with house(data_dir, clock, **settings) as running:
        opened = Office(running, ConnectClient(running.url, proto_json=True))
        protection = Protection(
            integrator_id=INTEGRATOR.id,
            revision=1,
            settings=ProtectionSettings(),
            methods={method.name: method for method in METHODS},
            protected={METHODS[0].name: ""},
            seeded=(METHODS[0].name,),
        )
        await running.relay.store.commit((PutProtection(None, protection), admin_key()))
        for person in people or ("alice", "bob", "carol"):
            await opened.person(person, administrator=True)
        yield opened
