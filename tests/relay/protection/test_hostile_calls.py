"""Calls that are made to deceive or to break: they wait, and are shown for what they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.relay.protection.workshop import KILL, TAGGED

from quorumkey.protocol import check_params, limits
from quorumkey_relay.domain.transactions import Caller
from quorumkey_relay.identity.principals import Integrator
from quorumkey_relay.usecases.protection.commands import CallerBody
from quorumkey_relay.usecases.protection.gate import GatedCall
from quorumkey_relay.usecases.protection.message import message_of
from quorumkey_relay.usecases.protection.open import protected_call_of

if TYPE_CHECKING:
    from tests.relay.protection.workshop import Workshop

    from quorumkey.protocol import JsonValue

ANYBODY = Integrator("0190a000-0000-7000-8000-000000000001", "Acme Corp")

WHOLE = st.integers(-limits.MAX_SAFE_INTEGER, limits.MAX_SAFE_INTEGER)
WIDE = "\U0001f600"
#: Any code point that UTF-8 can write, hostile ones more often.
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n\u202e\u200b\x00 '))
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | WHOLE | TEXT | st.text("x", min_size=300, max_size=3_000),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXT, inner, max_size=8),
    max_leaves=60,
)
RESOURCES = st.none() | st.dictionaries(TEXT, VALUES, max_size=5)


def shown(
    request: JsonValue, resource: dict[str, JsonValue] | None = None, condition: str = ""
) -> dict[str, JsonValue]:
    """The params of a call that the gate would take."""
    call = GatedCall(
        integrator=ANYBODY,
        method="M" * limits.MAX_METHOD_NAME_CHARS,
        caller=Caller("person", WIDE * limits.MAX_ID_CHARS, WIDE * limits.MAX_NAME_CHARS),
        message=message_of(request),
        claim_key="k" * limits.MIN_CLAIM_KEY_CHARS,
        resource=resource,
    )
    action = protected_call_of(call).action(condition)
    check_params(action.params)
    return dict(action.params)


@given(
    request=VALUES, resource=st.none() | st.dictionaries(TEXT, VALUES, max_size=5), condition=TEXT
)
def test_whatever_is_sent_can_be_shown(
    request: JsonValue, resource: dict[str, JsonValue] | None, condition: str
) -> None:
    """Any request, resource and condition has a rendering inside the limits of the params."""
    params = shown(request, resource, condition)

    assert params["request"]


@given(one=VALUES, other=VALUES)
def test_what_is_shown_in_full_tells_requests_apart(one: JsonValue, other: JsonValue) -> None:
    """Two requests that are shown alike, and in full, are one request."""
    first, second = shown(one), shown(other)
    if "truncated" not in first and first == second:
        assert message_of(one).digest == message_of(other).digest


LARGE = {
    "many_members": {f"name_{number:05d}": "x" * 40 for number in range(1_000)},
    "one_text": {"text": "y" * 65_000},
    "many_items": {"list": list(range(10_000))},
    "long_names": {f"{number}" + "n" * 2_000: 1 for number in range(30)},
    "wide_characters": {"text": "\U0001f600" * 16_000},
    "escapes": {"text": '"\\' * 16_000},
}


@pytest.mark.parametrize("request_", LARGE.values(), ids=LARGE)
def test_large_requests_are_cut_and_say_so(request_: dict[str, JsonValue]) -> None:
    """What does not fit is left out visibly, and ``truncated`` says it."""
    params = shown(request_, dict(request_), "x" * 2_048)

    assert params["truncated"] is True
    assert len(json.dumps(params, ensure_ascii=False).encode()) <= 2 * limits.MAX_PARAMS_BYTES


def test_a_value_cannot_look_like_another_line() -> None:
    """Line breaks, quotes and colons in texts and names stay inside their quotes."""
    forged = shown({"note": 'x"\nforce: true', 'a": 1\nforce': True, "force": False})
    lines = forged["request"]

    assert isinstance(lines, list)
    assert lines.count("force: false") == 1
    assert "force: true" not in lines
    assert len(lines) == 3


def test_deep_requests_are_shown() -> None:
    """As deep as a body may be, every value is reached."""
    value: JsonValue = "bottom"
    for _ in range(limits.MAX_JSON_DEPTH - 1):
        value = {"d": value}
    params = shown(value)

    assert '"bottom"' in str(params["request"])


@pytest.mark.anyio
async def test_hostile_caller_waits_like_any_other(shop: Workshop) -> None:
    """Names at the limits of length open a request that can be signed."""
    caller = CallerBody("person", "\u0416" * limits.MAX_ID_CHARS, "\u0416" * limits.MAX_NAME_CHARS)
    view = await shop.waits(shop.body(request={"text": "\u202e" * 10_000}, caller=caller))
    document = await shop.document(view.txid)

    assert document["requester"]["id"] == caller.id
    assert "\u202e" not in json.dumps(document, ensure_ascii=False)


@pytest.mark.anyio
async def test_largest_request_is_shown_truncated(shop: Workshop) -> None:
    """A request of 64 KiB waits, is shown as truncated, and is matched when issued again."""
    room = limits.MAX_REQUEST_VIEW_BYTES - len(json.dumps({"t": ""}, separators=(",", ":")))
    body = shop.body(request={"t": "z" * room})
    txid = await shop.approved("bob", body=body)
    params = (await shop.document(txid))["action"]["params"]

    assert params["truncated"] is True
    assert (await shop.runs(body)).claim.txid == txid
    assert (await shop.why_not(shop.body(request={"t": "z" * (room + 1)}))).code == (
        "invalid_request"
    )


@pytest.mark.anyio
async def test_condition_is_shown_as_it_is(shop: Workshop) -> None:
    """A condition over several lines is shown escaped, and signed."""
    await shop.protect(KILL, 'request.tag ==\n  "staging"')
    document = await shop.document((await shop.waits(shop.body(request=TAGGED))).txid)

    assert document["action"]["params"]["condition"] == 'request.tag ==\\u000a  "staging"'
