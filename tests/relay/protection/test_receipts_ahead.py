"""The receipt of an approved call is signed when it is approved, not when it is claimed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ACME
from tests.relay.simulator import granted

from quorumkey.protocol import PrivateKey, parse_envelope, strict_json
from quorumkey_relay.identity.files import write_private
from quorumkey_relay.identity.relaykeys import key_path
from quorumkey_relay.usecases.protection import receipts
from quorumkey_relay.usecases.read import receipt_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.store.records import Evidence, Stored
    from quorumkey_relay.usecases.protection.views import RunView

pytestmark = pytest.mark.anyio


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests whose receipts were signed, each time."""
    signed: list[str] = []

    def count(stored: Stored, evidence: Sequence[Evidence], *, keys: RelayKeys, now: int) -> bytes:
        receipt = receipt_of(stored, evidence, keys=keys, now=now)
        signed.append(stored.terms.request_id)
        return receipt

    monkeypatch.setattr(receipts, "receipt_of", count)
    return signed


def _signer(run: RunView) -> str:
    return parse_envelope(strict_json.loads(bytes(run.receipt), max_bytes=1_000_000)).keyid


async def _turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_an_approval_has_its_receipt_before_it_is_claimed(
    shop: Workshop, made: list[str]
) -> None:
    """It is signed once, and the claim is answered with what anybody else reads."""
    txid = await shop.approved("bob")
    await _turns()
    assert made == [txid]

    run = await shop.runs()
    assert made == [txid]
    read = shop.sim.use.read_receipt(integrator_id=ACME.id, request_id=txid)
    assert bytes(run.receipt) == await granted(read)


async def test_a_rejection_has_no_receipt_made_ahead(shop: Workshop, made: list[str]) -> None:
    """Nothing is signed for a call that nobody can claim."""
    await granted(shop.vote("bob", (await shop.waits()).txid, "deny"))
    await _turns()
    assert made == []


async def test_another_key_of_the_relay_signs_anew(
    shop: Workshop, made: list[str], tmp_path: Path
) -> None:
    """A receipt of before the succession is not handed out after it."""
    txid = await shop.approved("bob")
    await _turns()
    following = PrivateKey.generate()
    name = following.public_key.fingerprint
    write_private(key_path(tmp_path, name), following.to_pem())
    shop.sim.relay.keys.take_successions(tmp_path, [(b"", name, 0)])

    assert _signer(await shop.runs()) == name
    assert made == [txid, txid]


async def test_an_approval_counts_while_the_relays_key_is_missing(
    shop: Workshop, made: list[str], tmp_path: Path
) -> None:
    """The vote is taken; the receipt is signed once the key is there and the call is claimed."""
    txid = (await shop.waits()).txid
    shop.sim.relay.keys.take_successions(tmp_path, [(b"", "0" * 64, 0)])
    await granted(shop.vote("bob", txid))
    await _turns()
    assert made == []

    shop.sim.relay.keys.take_successions(tmp_path, [])
    await shop.runs()
    assert made == [txid]


async def test_the_oldest_receipt_goes_first(
    shop: Workshop, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only so many are kept; one that is not is signed again when its call is claimed."""
    monkeypatch.setattr(receipts, "RECENT_RECEIPTS", 1)
    first = shop.body()
    older = await shop.approved("bob", body=first)
    newer = await shop.approved("bob", body=shop.body(request={"tag": "production"}))
    await _turns()
    assert made == [older, newer]

    await shop.runs(first)
    assert made == [older, newer, older]
