"""Granting by an endpoint of the operator's: signed, idempotent, with confirmation (C9)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.delivery.receiver import answer, receiving
from tests.relay.executors.parts import ACTIVATION, ALICE, BOB, END, PROJECT, ROLE, activation
from tests.relay.simulator import START, ManualClock

from quorumkey.errors import ProtocolError
from quorumkey.jit import read_call
from quorumkey.protocol.webhook import generate_secret
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.executors.webhook import WebhookExecutor
from quorumkey_relay.usecases.jit.ports import GrantFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.relay.delivery.receiver import Received, Receiver

pytestmark = pytest.mark.anyio

SECRET = generate_secret(bytes(range(32)))
DONE = answer(200, body=b'{"status":"done"}')
RECEIPT = b'{"v":1,"payload":"eyJ9"}'


class Target:
    """The endpoint, the executor that calls it, and their clock."""

    def __init__(self, receiver: Receiver, egress: Egress, clock: ManualClock) -> None:
        self.receiver, self.egress, self.clock = receiver, egress, clock
        self.executor = self.executed()

    def executed(
        self, *, expires_by_itself: bool = False, url: str | None = None, timeout_seconds: int = 10
    ) -> WebhookExecutor:
        """The executor with other settings."""
        return WebhookExecutor(
            name="hook",
            url=url or self.receiver.url,
            secret=SECRET,
            expires_by_itself=expires_by_itself,
            timeout_seconds=timeout_seconds,
            egress=self.egress,
            clock=self.clock,
        )

    @property
    def only(self) -> Received:
        """The one call that has come."""
        (received,) = self.receiver.received
        return received


@pytest.fixture
async def target(anyio_backend: object) -> AsyncGenerator[Target, None]:
    """An endpoint that confirms everything."""
    del anyio_backend
    clock = ManualClock()
    egress = Egress(clock=clock, unsafe_hosts=frozenset({"localhost"}))
    async with receiving() as receiver:
        receiver.answers = [DONE]
        yield Target(receiver, egress, clock)
        await egress.close()


async def failure(target: Target, given: bytes) -> GrantFailed:
    """What an answer means for a grant."""
    target.receiver.answers = [given]
    with pytest.raises(GrantFailed) as caught:
        await target.executor.grant(ACTIVATION, None)
    return caught.value


async def test_c09_what_an_endpoint_is_asked(target: Target) -> None:
    """Person, role, window, reason, approvers and the receipt are all in the call."""
    await target.executor.grant(activation(request_id="r-1", access_request="mpa-1"), RECEIPT)

    body: dict[str, Any] = json.loads(target.only.body)
    assert {
        "type": "jit.grant",
        "activation": {
            "id": ACTIVATION.activation_id,
            "beneficiary": ALICE,
            "entitlement": f"{PROJECT}:{ROLE}",
            "project": PROJECT,
            "role": ROLE,
            "condition": "",
            "justification": "BUG-12345",
            "approvers": [BOB],
            "start": START,
            "end": END,
            "access_request": "mpa-1",
            "request_id": "r-1",
            "revoked_by": None,
        },
        "receipt": json.loads(RECEIPT),
    } == body


async def test_a_resource_condition_goes_along(target: Target) -> None:
    """What the role is limited to is there in clear, and in the entitlement's id."""
    limited = activation(condition="resource.name == 'a'")

    await target.executor.grant(limited, None)

    said = json.loads(target.only.body)["activation"]
    assert ("resource.name == 'a'", str(limited.entitlement)) == (
        said["condition"],
        said["entitlement"],
    )


async def test_the_sdk_reads_the_call(target: Target) -> None:
    """The receiver's helper finds signature, kind and activation good, at the time of the call."""
    target.clock.advance(7)
    await target.executor.grant(ACTIVATION, RECEIPT)

    call = read_call(target.only.headers, target.only.body, SECRET, START + 7)

    assert (f"{ACTIVATION.activation_id}:grant", "jit.grant") == (call.webhook_id, call.kind)
    assert (ALICE, ROLE, END) == (
        call.activation.beneficiary,
        call.activation.role,
        call.activation.end,
    )
    assert call.receipt == json.loads(RECEIPT)


async def test_the_end_is_a_call_of_its_own(target: Target) -> None:
    """It says who ended it, and carries no receipt."""
    await target.executor.revoke(activation(revoked_by=BOB))

    call = read_call(target.only.headers, target.only.body, SECRET, START)
    assert (f"{ACTIVATION.activation_id}:revoke", "jit.revoke", BOB, None) == (
        call.webhook_id,
        call.kind,
        call.activation.revoked_by,
        call.receipt,
    )


async def test_c11_granting_twice_is_the_same_call_twice(target: Target) -> None:
    """Id and body are the same, whenever it is tried, so that an endpoint does it once."""
    await target.executor.grant(ACTIVATION, RECEIPT)
    target.clock.advance(60)
    await target.executor.grant(ACTIVATION, RECEIPT)

    first, second = target.receiver.received
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


async def test_another_secret_does_not_fit(target: Target) -> None:
    """The signature is made with the executor's secret."""
    await target.executor.grant(ACTIVATION, None)

    with pytest.raises(ProtocolError):
        read_call(target.only.headers, target.only.body, generate_secret(bytes(32)), START)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_a_refusal_is_final(target: Target, status: int) -> None:
    """4xx says no, whatever the body says."""
    failed = await failure(target, answer(status, body=b'{"status":"done"}'))

    assert (True, True) == (failed.is_final, f"{status}" in failed.message)


@pytest.mark.parametrize("status", [202, 204, 302, 408, 409, 425, 429, 500, 502, 503])
async def test_anything_else_is_asked_again(target: Target, status: int) -> None:
    """Not yet, not now, an outage and a redirect confirm nothing."""
    assert not (await failure(target, answer(status, "location: /elsewhere"))).is_final


@pytest.mark.parametrize(
    "body",
    [b"", b"ok", b'{"status":"Done"}', b'{"status":1}', b'["done"]', b"\xff", b"[" * 65_536],
    ids=["empty", "text", "capital", "number", "list", "bytes", "deep"],
)
async def test_200_alone_confirms_nothing(target: Target, body: bytes) -> None:
    """A page of some middle box is not taken for the endpoint's word."""
    assert not (await failure(target, answer(200, body=body))).is_final


async def test_members_of_later_days_do_not_matter(target: Target) -> None:
    """A confirmation may say more."""
    target.receiver.answers = [answer(200, body=b'{"status":"done","at":1}')]

    await target.executor.grant(ACTIVATION, None)

    assert 1 == len(target.receiver.received)


async def test_a_redirect_is_not_followed(target: Target) -> None:
    """The call with its receipt goes to the address of the settings and nowhere else."""
    await failure(target, answer(307, f"location: {target.receiver.url}"))

    assert 1 == len(target.receiver.received)


async def test_an_endpoint_that_does_not_answer_in_time(target: Target) -> None:
    """After its time nobody knows what became of it, and it is tried again."""
    release = target.receiver.held(DONE)

    with pytest.raises(GrantFailed) as caught:
        await target.executed(timeout_seconds=1).grant(ACTIVATION, None)

    release.set()
    assert (False, "timeout") == (caught.value.is_final, caught.value.message[-8:-1])


async def test_an_address_inside_is_not_called(target: Target) -> None:
    """The egress guard stands before this endpoint as before all others."""
    executor = target.executed(url="https://127.0.0.1:8443/hook")

    with pytest.raises(GrantFailed) as caught:
        await executor.grant(ACTIVATION, None)

    assert caught.value.is_final
    assert "c4n4ry" not in caught.value.message


async def test_a_message_names_no_secret(target: Target) -> None:
    """What stands in the endpoint's address is not repeated to operators."""
    failed = await failure(target, answer(500))

    assert "c4n4ry" not in failed.message


async def test_a_secret_that_is_none_is_refused(target: Target) -> None:
    """A relay does not start with a secret that cannot sign."""
    with pytest.raises(ProtocolError):
        WebhookExecutor(
            name="hook",
            url=target.receiver.url,
            secret="whsec_short",
            expires_by_itself=False,
            timeout_seconds=10,
            egress=target.egress,
            clock=target.clock,
        )


@pytest.mark.parametrize(("expires_by_itself", "word"), [(True, "by itself"), (False, "take it")])
async def test_who_ends_it_is_said(target: Target, expires_by_itself: bool, word: str) -> None:  # noqa: FBT001 - a column
    """The setting decides, and the description says it."""
    executor = target.executed(expires_by_itself=expires_by_itself)

    assert ("hook", expires_by_itself) == (executor.name, executor.expires_by_itself)
    assert word in executor.description
    await executor.close()
