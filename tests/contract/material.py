"""What stores hold, made by hand: devices, requests and what happens to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.relay.domain import play
from tests.relay.domain.play import key, person
from tests.relay.simulator import ACME, START

from quorumkey.protocol import (
    Action,
    Approver,
    Decision,
    Group,
    Kind,
    Party,
    Policy,
    PrivateKey,
    RequestDocument,
    b64encode,
    request_digest,
    sign,
)
from quorumkey_relay.domain.model import Counted, Resolved, State, Status, terms_of
from quorumkey_relay.identity.principals import ApiKey, Device, Integrator, Pairing
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.records import Delivery, EventRecord, Evidence, IdempotentAnswer, Stored
from quorumkey_relay.store.writes import (
    AdvanceRequest,
    AppendEvent,
    OpenRequest,
    PutDevice,
    PutIntegrator,
    PutPairing,
)
from quorumkey_relay.usecases.advance import advance

if TYPE_CHECKING:
    from quorumkey_relay.domain.model import Choice, Distinct, Event, RejectPolicy
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit, Write

MINT = SystemMint()
RELAY = PrivateKey.generate()


def fingerprint(name: str) -> str:
    """The fingerprint of a device."""
    return play.device(name)


def device(name: str) -> Device:
    """A device that nobody has paired yet."""
    return Device(
        fingerprint=fingerprint(name),
        public_key=key(name).public_key.compressed,
        platform="cli",
        form="native",
        assurance="none",
        enrolled_at=START,
    )


def pairing(name: str, integrator: Integrator = ACME, *, spent: bool = True) -> Pairing:
    """A pairing for a device's person; one that is not spent is still an invitation."""
    invitation = Pairing(
        pairing_id=MINT.uuid7(),
        integrator_id=integrator.id,
        approver_id=person(name),
        approver_name=name.title(),
        code_digest=hashlib.sha256(MINT.random(8)).digest(),
        created_at=START,
        expires_at=START + 600,
    )
    if not spent:
        return invitation
    return replace(
        invitation, device=fingerprint(name), enrolled_at=START + 1, enrollment=b'{"signed":1}'
    )


def admission(name: str, integrator: Integrator = ACME) -> Commit:
    """A device and its tie to an integrator."""
    tie = pairing(name, integrator)
    return (PutDevice(replace(device(name), pairings={integrator.id: tie})), PutPairing(tie))


def api_key(text: str, *, revoked_at: int | None = None) -> ApiKey:
    """An API key with this text."""
    return ApiKey(
        key_id=MINT.uuid7(),
        integrator_id=ACME.id,
        scope="integrator",
        name="first",
        digest=hashlib.sha256(text.encode()).digest(),
        created_at=START,
        revoked_at=revoked_at,
    )


def request(  # noqa: PLR0913 - the rules of a request
    *groups: str,
    required: int = 1,
    integrator: Integrator = ACME,
    reject_policy: RejectPolicy = "quorum_impossible",
    distinct: Distinct = "person",
    requester: str | None = None,
    match_code: str | None = None,
) -> Stored:
    """A request; a group is the names of its devices, divided by spaces."""
    nonce = b64encode(MINT.random(32))
    document = RequestDocument(
        profile="approval",
        relay=RELAY.public_key.fingerprint,
        integrator=Party(integrator.id, integrator.name),
        request_id=MINT.uuid7(),
        nonce=nonce,
        action=Action(type="cold_boot", description="Cold boot", params={"engine": "ENG-001"}),
        policy=Policy(
            required=required,
            reject_policy=reject_policy,
            distinct=distinct,
            min_assurance="none",
            match_code=match_code is not None,
            groups=tuple(
                Group(
                    f"Group {number}",
                    tuple(
                        Approver(fingerprint(name), key(name).public_key.base64)
                        for name in names.split()
                    ),
                )
                for number, names in enumerate(groups)
            ),
        ),
        created_at=START,
        expires_at=START + 300,
        use_by=START + 1_200,
        requester=None if requester is None else Party(requester),
    )
    payload = document.encode()
    persons = {fingerprint(name): person(name) for names in groups for name in names.split()}
    terms = terms_of(
        document, digest=request_digest(payload), persons=persons, match_code=match_code
    )
    return Stored(
        terms=terms, state=State(), document=sign(Kind.REQUEST, payload, RELAY), nonce=nonce
    )


def step(stored: Stored, *events: Event, evidence: tuple[Evidence, ...] = ()) -> tuple[Write, ...]:
    """The writes that move a request, without the event for its integrator."""
    return advance(stored, events, now=START, mint=MINT, evidence=evidence)[1][:1]


def evidence(stored: Stored, name: str, choice: Choice) -> Evidence:
    """A device's signed decision."""
    said = Decision(
        request_digest=stored.terms.digest,
        decision=choice,
        device=fingerprint(name),
        decided_at=START,
    )
    envelope = sign(Kind.DECISION, said.encode(), key(name))
    return Evidence(device=fingerprint(name), choice=choice, envelope=envelope)


def counted(stored: Stored, name: str, choice: Choice = "approve") -> tuple[Write, ...]:
    """The writes that count a device's decision, and nothing that follows from it."""
    return step(
        stored,
        Counted(fingerprint(name), choice),
        evidence=(evidence(stored, name, choice),),
    )


def ended(stored: Stored, status: Status = Status.CANCELLED, at: int = START) -> tuple[Write, ...]:
    """The writes that end a request."""
    return step(stored, Resolved(status, at))


def after(writes: tuple[Write, ...]) -> State:
    """The state that ``step``, ``counted`` or ``ended`` leads to."""
    change = writes[0]
    assert isinstance(change, AdvanceRequest)
    return change.after


def event(integrator: Integrator = ACME, *, created_at: int = START) -> EventRecord:
    """An event for an integrator."""
    return EventRecord(
        id=MINT.uuid7(),
        integrator_id=integrator.id,
        type="mpa.approved",
        subject=MINT.uuid7(),
        body=b'{"type":"mpa.approved"}',
        created_at=created_at,
    )


def happened(*events: EventRecord) -> Commit:
    """The writes that append events."""
    return tuple(AppendEvent(one) for one in events)


def delivery(stored: Stored, name: str, *, channel: str = "websocket") -> Delivery:
    """A queued message to a device."""
    return Delivery(
        id=f"{stored.terms.request_id}/{name}/{channel}",
        request_id=stored.terms.request_id,
        device=fingerprint(name),
        channel=channel,
        kind="approval_request",
        not_after=stored.terms.expires_at,
        next_at=stored.terms.created_at,
        created_at=stored.terms.created_at,
        changed_at=stored.terms.created_at,
    )


def answer(
    key: str = "key", *, path: str = "/v1/requests", text: bytes = b"{}"
) -> IdempotentAnswer:
    """A first answer under an idempotency key."""
    return IdempotentAnswer(
        integrator_id=ACME.id,
        path=path,
        key=key,
        body_digest=hashlib.sha256(b"body").digest(),
        answer=text,
        created_at=START,
    )


def envelope_bytes(text: str) -> bytes:
    """Some envelope's JSON."""
    return sign(Kind.SUCCESSION, text.encode(), RELAY).encode()


@dataclass(frozen=True)
class Furnished:
    """A store with an integrator and devices."""

    store: Store

    async def open(self, *groups: str, required: int = 1) -> Stored:
        """Commit a request and return it as the store holds it."""
        stored = request(*groups, required=required)
        await self.store.commit((OpenRequest(stored),))
        return await self.load(stored)

    async def load(self, stored: Stored) -> Stored:
        """A request as the store holds it now."""
        found = await self.store.load(stored.terms.request_id)
        assert found is not None
        return found


async def furnish(store: Store, *names: str) -> Furnished:
    """Put an integrator and devices into a store."""
    await store.commit((PutIntegrator(ACME),))
    for name in names:
        await store.commit(admission(name))
    return Furnished(store)


def pending_count(
    store: Store, device: str, *, integrator_id: str = ACME.id, profile: str = "approval"
) -> int:
    """How many pending requests name a device: ordinary ones of ACME, unless told otherwise."""
    return store.pending_count(device, integrator_id=integrator_id, profile=profile)
