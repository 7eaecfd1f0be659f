"""What a target is handed proves to it, without the relay, who approved what for which time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from tests.relay.jit.desk import ALICE, BOB, BUG, CAROL, PROJECT, ROLE, Desk
from tests.relay.jit.desk import desk as open_desk
from tests.relay.simulator import ACME

from quorumkey.errors import ReceiptRefused, RefusalReason
from quorumkey.jit import VerifiedActivation, verify_activation
from quorumkey.protocol import RoleActivation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

pytestmark = pytest.mark.anyio

MINUTES = 30
SECONDS = MINUTES * 60


def signing_desk(
    folder: Path, window_from: Literal["request", "approval"], required: int = 1
) -> AbstractAsyncContextManager[Desk]:
    """A desk whose reviewers sign."""
    return open_desk(folder, approval="device", window_from=window_from, required=required)


def verified(
    desk: Desk, receipt: bytes | None, *, start: int | None, required: int = 1
) -> VerifiedActivation:
    """Verify as a target does that knows the keys of Bob and Carol."""
    assert receipt is not None
    now = desk.sim.clock.now()
    return verify_activation(
        receipt,
        activation=RoleActivation(
            beneficiary=ALICE.email,
            project=PROJECT,
            role=ROLE,
            justification=BUG,
            duration_seconds=SECONDS,
            start=start,
        ),
        relay_public_keys=[desk.sim.relay.keys.current(now).public_key],
        integrator_id=ACME.id,
        now=now,
        reviewers={person: [device.key.public_key] for person, device in desk.devices.items()},
        required=required,
    )


@pytest.fixture
async def from_approval(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Desk]:
    """The time begins with the last of two approvals."""
    del anyio_backend
    async with signing_desk(tmp_path, "approval", required=2) as opened:
        await opened.equip(BOB, CAROL)
        yield opened


async def test_the_receipt_says_from_when(signing: Desk) -> None:
    """Where the request begins the time, the receipt proves the moments that are granted."""
    view = await signing.ask(BOB)
    signing.sim.clock.advance(60)
    await signing.vote(view)
    (granted,), (receipt,) = signing.target.grants, signing.target.receipts

    proof = verified(signing, receipt, start=granted.start)

    assert ((BOB.email,), granted.start, granted.end, granted.request_id) == (
        proof.approvers,
        proof.start,
        proof.end,
        proof.request_id,
    )
    with pytest.raises(ReceiptRefused) as caught:
        verified(signing, receipt, start=None)
    assert caught.value.reason is RefusalReason.ACTION_MISMATCH


async def test_the_receipt_says_when_the_approval_was(from_approval: Desk) -> None:
    """Where the last approval begins the time, what is granted is what the receipt proves."""
    view = await from_approval.ask(BOB, CAROL)
    from_approval.sim.clock.advance(60)
    await from_approval.vote(view, CAROL)
    from_approval.sim.clock.advance(60)
    await from_approval.vote(view, BOB)
    (granted,), (receipt,) = from_approval.target.grants, from_approval.target.receipts

    proof = verified(from_approval, receipt, start=None, required=2)

    assert {BOB.email, CAROL.email} == {*proof.approvers}
    assert (granted.start, granted.end) == (proof.start, proof.end)
    assert proof.start == proof.completed_at
    assert SECONDS == proof.end - proof.start


async def test_one_of_two_is_no_proof_of_two(signing: Desk) -> None:
    """A target that wants two does not take what one approved."""
    view = await signing.ask(BOB, CAROL)
    await signing.vote(view)
    (granted,), (receipt,) = signing.target.grants, signing.target.receipts

    with pytest.raises(ReceiptRefused) as caught:
        verified(signing, receipt, start=granted.start, required=2)
    assert caught.value.reason is RefusalReason.POLICY_MISMATCH
