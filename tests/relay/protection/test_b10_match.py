"""B10, B11: which calls are the same call."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.protection.workshop import ALICE, BOB, KEY, KILL

from quorumkey.errors import ProtocolError
from quorumkey.protocol import request_binding, strict_json
from quorumkey_relay.domain.transactions import Caller
from quorumkey_relay.usecases.protection.commands import CallerBody, CheckBody, MessageBody
from quorumkey_relay.usecases.protection.message import match_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.relay.protection.workshop import Workshop

pytestmark = pytest.mark.anyio

REQUEST = {"rule": {"tag": "global", "ids": [1, 2]}, "note": "é"}

OTHERS: dict[str, Callable[[Workshop], CheckBody]] = {
    "other_caller": lambda shop: shop.body("CreateRule", REQUEST, caller=BOB),
    "api_key_of_that_id": lambda shop: shop.body(
        "CreateRule", REQUEST, caller=CallerBody("api_key", "alice")
    ),
    "other_method": lambda shop: shop.body(KILL, REQUEST),
    "changed_byte": lambda shop: shop.body("CreateRule", REQUEST | {"note": "è"}),
    "other_unicode_form": lambda shop: shop.body("CreateRule", REQUEST | {"note": "e\u0301"}),
    "field_more": lambda shop: shop.body("CreateRule", REQUEST | {"force": False}),
    "field_less": lambda shop: shop.body("CreateRule", {"rule": REQUEST["rule"]}),
    "list_reordered": lambda shop: shop.body(
        "CreateRule", REQUEST | {"rule": {"tag": "global", "ids": [2, 1]}}
    ),
    "number_as_text": lambda shop: shop.body(
        "CreateRule", REQUEST | {"rule": {"tag": "global", "ids": ["1", 2]}}
    ),
    "with_a_resource": lambda shop: shop.body("CreateRule", REQUEST, resource={"id": 1}),
    "resource_not_found": lambda shop: shop.body("CreateRule", REQUEST, resource_failed=True),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_b10_another_call_does_not_match(
    shop: Workshop, other: Callable[[Workshop], CheckBody]
) -> None:
    """Another caller, method, byte or field: the approval of the first is not touched."""
    await shop.protect("CreateRule")
    txid = await shop.approved("bob", "carol", body=shop.body("CreateRule", REQUEST, caller=KEY))
    first = await shop.approved("carol", body=shop.body("CreateRule", REQUEST))
    found = await shop.waits(other(shop))

    assert found.txid not in {txid, first}
    assert (await shop.read(first)).state == "approved"


async def test_b10_callers_name_is_no_part_of_the_match(shop: Workshop) -> None:
    """A caller who was renamed meanwhile is the same caller."""
    txid = await shop.approved("bob")
    renamed = CallerBody("person", "alice", "Alice B.")

    assert (await shop.runs(shop.body(caller=renamed))).claim.txid == txid


async def test_b10_other_resource_does_not_match(shop: Workshop) -> None:
    """What the call acts on was signed too: once it has changed, the call waits anew."""
    await shop.protect("DeleteRule")
    before = shop.body("DeleteRule", {"id": 7}, resource={"tag": "global", "owner": "x"})
    after = shop.body("DeleteRule", {"id": 7}, resource={"tag": "global", "owner": "y"})
    txid = await shop.approved("bob", body=before)

    assert (await shop.waits(after)).txid != txid
    assert (await shop.runs(before)).claim.txid == txid


async def test_b11_reordered_members_match(shop: Workshop) -> None:
    """The same JSON in another order, with other white space and escapes, is the same call."""
    await shop.protect("CreateRule")
    txid = await shop.approved("bob", body=shop.body("CreateRule", REQUEST))
    text = '{ "note": "\\u00e9",\n "rule": {"ids": [1, 2], "tag": "gl\\u006fbal"} }'
    again = strict_json.loads(text.encode(), max_bytes=1_000)

    assert (await shop.runs(shop.body("CreateRule", again))).claim.txid == txid


async def test_b11_protobuf_matches_by_its_bytes(shop: Workshop) -> None:
    """A protobuf request is its deterministic bytes, whatever is shown of it."""
    await shop.protect("CreateRule")
    encoded = base64.b64encode(b"\x0a\x06global").decode()
    one = MessageBody(protobuf=encoded, view={"tag": "global"})
    again = MessageBody(protobuf=encoded, view={"tag": "global", "defaulted": 0})
    other = MessageBody(
        protobuf=base64.b64encode(b"\x0a\x05local").decode(), view={"tag": "global"}
    )
    txid = await shop.approved("bob", body=shop.body("CreateRule", message=one))

    assert (await shop.waits(shop.body("CreateRule", message=other))).txid != txid
    assert (await shop.runs(shop.body("CreateRule", message=again))).claim.txid == txid


async def test_b11_digest_form_matches(shop: Workshop) -> None:
    """A request that is too large to send is known by its digest."""
    digest = request_binding(b"x" * 70_000)
    message = MessageBody(digest=digest, size=70_000)
    txid = await shop.approved("bob", body=shop.body(message=message))
    params = (await shop.document(txid))["action"]["params"]

    assert params["request"] == ["(not shown: 70000 bytes)"]
    assert (await shop.runs(shop.body(message=message))).claim.txid == txid


DIGEST = "sha256:" + "0f" * 32

MALFORMED: dict[str, tuple[MessageBody, str]] = {
    "none": (MessageBody(), "exactly"),
    "two_forms": (MessageBody(json={}, digest=DIGEST, size=1), "one of"),
    "protobuf_without_view": (MessageBody(protobuf="AAAA"), "view"),
    "json_with_view": (MessageBody(json={}, view={}), "view"),
    "digest_without_size": (MessageBody(digest=DIGEST), "size"),
    "json_with_size": (MessageBody(json={}, size=2), "size"),
    "size_below_zero": (MessageBody(digest=DIGEST, size=-1), "bytes"),
    "digest_upper_case": (MessageBody(digest=DIGEST.upper(), size=1), "hex"),
    "digest_short": (MessageBody(digest=DIGEST[:-1], size=1), "hex"),
    "base64_without_padding": (MessageBody(protobuf="AAA", view={}), "base64"),
    "base64_url_safe": (MessageBody(protobuf="_w==", view={}), "base64"),
    "json_too_large": (MessageBody(json={"text": "x" * 65_536}), "65536"),
    "view_too_large": (MessageBody(protobuf="", view={"text": "x" * 65_536}), "65536"),
    "protobuf_too_large": (
        MessageBody(protobuf=base64.b64encode(b"x" * 65_537).decode(), view={}),
        "65536",
    ),
}


@pytest.mark.parametrize(("message", "says"), MALFORMED.values(), ids=MALFORMED)
async def test_b11_malformed_requests_are_refused_and_told_why(
    shop: Workshop, message: MessageBody, says: str
) -> None:
    """What has no one spelling is refused, and nothing is opened."""
    refusal = await shop.why_not(shop.body(message=message))

    assert refusal.code == "invalid_request"
    assert says in refusal.message or "one of" in refusal.message
    assert list(shop.sim.store.open_transactions()) == []


NUMBERS = ["1.5", "1.0", "1e3", "-0", "9007199254740993", "NaN"]


@pytest.mark.parametrize("number", NUMBERS)
def test_b11_other_numbers_have_no_one_spelling(number: str) -> None:
    """A float, an exponent, minus zero: what programs do not write alike is refused."""
    with pytest.raises(ProtocolError):
        strict_json.loads(f'{{"n": {number}}}'.encode(), max_bytes=1_000)


def test_b11_duplicate_keys_are_refused() -> None:
    """Two members of one name could be read in two ways."""
    with pytest.raises(ProtocolError, match="twice"):
        strict_json.loads(b'{"a": 1, "a": 2}', max_bytes=1_000)


def test_b10_parts_of_the_key_cannot_run_into_each_other() -> None:
    """Text that moves from one part of a call to the next makes another call."""
    parts: list[tuple[str, Any]] = [
        ("ab", Caller("person", "c")),
        ("a", Caller("person", "bc")),
        ("abperson", Caller("person", "c")),
    ]
    keys = {match_key(method, caller, DIGEST, "") for method, caller in parts}
    keys |= {match_key("ab", Caller("person", "c"), DIGEST, DIGEST)}
    keys |= {match_key("ab", Caller("person", "c"), DIGEST, "failed")}

    assert len(keys) == 5
    assert json.dumps(ALICE.id) == '"alice"'
