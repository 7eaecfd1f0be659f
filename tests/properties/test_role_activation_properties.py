"""What reviewers sign is one text for one activation, whatever the activation is."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Action, RoleActivation, json_equal
from quorumkey.protocol.limits import MAX_CONDITION_CHARS

_TIMES = st.none() | st.integers(0, 4_000_000_000)
_TEXTS = st.text(min_size=1, max_size=60)


@st.composite
def activations(draw: st.DrawFn) -> RoleActivation:
    """Any activation that can be made."""
    shown = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
    return RoleActivation(
        beneficiary=draw(shown.map(str.lower)),
        project=draw(shown),
        role=draw(shown),
        justification=draw(shown),
        duration_seconds=draw(st.integers(1, 86_400)),
        condition=draw(st.just("") | shown | st.text("\"'é\n ", max_size=50).map("x{}".format)),
        start=draw(_TIMES),
    )


@given(activations())
def test_an_action_of_every_activation(activation: RoleActivation) -> None:
    """Every activation has a text that a request document takes, and it is read back as it is."""
    action = activation.action()

    assert action == Action.from_json(action.to_json())
    assert action.to_json() == replace(activation).action().to_json()


@given(activations(), activations())
def test_two_activations_have_two_texts(one: RoleActivation, other: RoleActivation) -> None:
    """Equal texts are of equal activations."""
    is_same = json_equal(one.action().to_json(), other.action().to_json())

    assert (one == other) is is_same


@given(activations(), st.sampled_from([*RoleActivation.__dataclass_fields__]), st.data())
def test_no_member_can_change_unseen(
    activation: RoleActivation, name: str, data: st.DataObject
) -> None:
    """A change of any one member is a change of the text."""
    value: Any = asdict(activation)[name]
    strategies: dict[str, st.SearchStrategy[object]] = {
        "start": _TIMES,
        "duration_seconds": st.integers(1, 100_000),
        "condition": st.text(max_size=MAX_CONDITION_CHARS),
    }
    changed: Any = data.draw(strategies.get(name, _TEXTS).filter(lambda new: new != value))
    try:
        other = replace(activation, **{name: changed})
    except ProtocolError:
        return

    assert not json_equal(activation.action().to_json(), other.action().to_json())
