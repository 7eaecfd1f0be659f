"""Properties of canonical requests and of what approvers are shown, over generated input."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorumkey.errors import ProtocolError, ReceiptRefused
from quorumkey.protected import verify_execution, verify_protected_call
from quorumkey.protocol import (
    Hidden,
    PrivateKey,
    ProtectedCall,
    canonical_json,
    canonical_json_of,
    json_equal,
    request_binding,
    strict_json,
)
from quorumkey.protocol.limits import MAX_PARAMS_BYTES

if TYPE_CHECKING:
    from quorumkey.protocol import Action, JsonValue

_MAX_BYTES = 1_000_000
_KEY, _OTHER_KEY = (PrivateKey.generate().public_key for _ in range(2))
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_scalars = st.none() | st.booleans() | st.integers(-(2**53 - 1), 2**53 - 1) | _texts
_values: st.SearchStrategy[JsonValue] = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=20,
)


def _reordered(value: JsonValue, draw: st.DataObject) -> JsonValue:
    """The same value with the members of every object in another order."""
    if isinstance(value, dict):
        names = draw.draw(st.permutations(sorted(value)))
        return {name: _reordered(value[name], draw) for name in names}
    if isinstance(value, list):
        return [_reordered(item, draw) for item in value]
    return value


def _action(request: JsonValue | Hidden, **members: object) -> Action:
    return ProtectedCall(
        method="KillProcess",
        caller_kind="person",
        caller_id="alice",
        request=request,
        request_binding=request_binding(
            b"" if isinstance(request, Hidden) else canonical_json(request)
        ),
        resource=cast("dict[str, JsonValue] | None", members.get("resource")),
    ).action(str(members.get("condition", "")))


@given(_values, st.data())
def test_member_order_does_not_matter(value: JsonValue, data: st.DataObject) -> None:
    """A re-ordered request is the same request, in every style that JSON may be written in."""
    other = _reordered(value, data)

    canonical = canonical_json(value)

    assert canonical == canonical_json(other)
    for text in (json.dumps(other), json.dumps(other, ensure_ascii=False, indent=1)):
        assert canonical == canonical_json_of(text.encode(), max_bytes=_MAX_BYTES)


@given(_values, _values)
def test_equal_bytes_mean_equal_values(one: JsonValue, other: JsonValue) -> None:
    """Two requests have one canonical form exactly when they are equal in type and value."""
    assert json_equal(one, other) == (canonical_json(one) == canonical_json(other))


@given(_values)
def test_canonical_form_is_its_own(value: JsonValue) -> None:
    """The canonical form reads back as the value, and is the canonical form of itself."""
    canonical = canonical_json(value)

    assert json_equal(value, strict_json.loads(canonical, max_bytes=_MAX_BYTES))
    assert canonical == canonical_json_of(canonical, max_bytes=_MAX_BYTES)


@given(_values)
def test_canonical_form_is_that_of_a_sorting_writer(value: JsonValue) -> None:
    """The standard library's writer, told to sort and to leave out white space, agrees."""
    expected = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    assert expected.encode() == canonical_json(value)


@given(_values, st.floats(), st.lists(st.integers(0, 3), max_size=4))
def test_no_float_has_a_canonical_form(value: JsonValue, number: float, path: list[int]) -> None:
    """A float is refused wherever it stands, as a value and as text, and told what to do."""
    holder: object = number
    for step in path:
        holder = {"a": holder} if step % 2 else [value, holder]

    with pytest.raises(ProtocolError, match="send it as a string"):
        canonical_json(cast("JsonValue", holder))
    with pytest.raises(ProtocolError, match="send it as a string"):
        canonical_json_of(json.dumps(holder).encode(), max_bytes=_MAX_BYTES)


@given(st.dictionaries(_texts, _scalars, min_size=1, max_size=4), st.data())
def test_no_member_stands_twice(value: dict[str, JsonValue], data: st.DataObject) -> None:
    """An object that names a member twice is refused, also where both say the same."""
    name = data.draw(st.sampled_from(sorted(value)))
    pair = f"{json.dumps(name)}:{json.dumps(value[name])}"
    text = json.dumps(value)[:-1] + f",{pair}}}"

    with pytest.raises(ProtocolError, match="same member twice"):
        canonical_json_of(text.encode(), max_bytes=_MAX_BYTES)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_into_the_canonical_reader(data: bytes) -> None:
    """Any bytes have a canonical form, which then is their own, or are refused with our error."""
    with suppress(ProtocolError):
        canonical = canonical_json_of(data, max_bytes=_MAX_BYTES)

        assert canonical == canonical_json_of(canonical, max_bytes=_MAX_BYTES)


@given(_values, st.none() | st.dictionaries(_texts, _values, max_size=4), _texts)
def test_any_call_can_be_shown(
    request: JsonValue, resource: dict[str, JsonValue] | None, condition: str
) -> None:
    """Every call with a canonical form has an action that keeps the protocol's rules for one."""
    action = _action(request, resource=resource, condition=condition)

    assert len(strict_json.dumps(dict(action.params))) <= MAX_PARAMS_BYTES
    assert (resource is None) == ("resource" not in (action.bindings or {}))


@given(_values, st.data())
def test_what_is_shown_does_not_depend_on_order(value: JsonValue, data: st.DataObject) -> None:
    """A re-ordered request is shown as the same text."""
    assert json_equal(_action(value).to_json(), _action(_reordered(value, data)).to_json())


@given(_values, _values)
def test_different_calls_are_shown_differently(one: JsonValue, other: JsonValue) -> None:
    """Two requests that are shown whole are shown alike only if they are equal."""
    shown = [dict(_action(value).params) for value in (one, other)]
    if any("truncated" in params for params in shown):
        return

    assert json_equal(one, other) == json_equal(shown[0], shown[1])


@given(st.binary() | st.text() | st.dictionaries(st.text(), _values, max_size=3))
def test_any_input_into_the_verifiers_of_calls(given_: bytes | str | dict[str, JsonValue]) -> None:
    """Whatever is given as a receipt or an execution, nothing but a refusal comes out."""
    call = ProtectedCall(
        method="KillProcess",
        caller_kind="person",
        caller_id="alice",
        request={},
        request_binding=request_binding(b"{}"),
    )
    with pytest.raises(ReceiptRefused):
        verify_protected_call(
            given_,
            call=call,
            relay_public_keys=[_KEY],
            integrator_id="acme",
            now=0,
            administrators={"alice": [_KEY], "bob": [_OTHER_KEY]},
        )
    with pytest.raises(ReceiptRefused):
        verify_execution(given_, relay_public_keys=[_KEY], request_digest=request_binding(b""))
