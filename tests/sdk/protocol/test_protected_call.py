from __future__ import annotations

from typing import Any

import pytest

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Action, Hidden, ProtectedCall, canonical_json, request_binding
from quorumkey.protocol.limits import MAX_PARAMS_BYTES
from quorumkey.protocol.strict_json import dumps

BINDING = request_binding(b"")


def _call(**members: Any) -> ProtectedCall:  # noqa: ANN401 - wrong ones on purpose
    every: dict[str, Any] = {
        "method": "KillProcess",
        "caller_kind": "person",
        "caller_id": "alice",
        "request": {"process": "nginx"},
        "request_binding": BINDING,
        **members,
    }
    return ProtectedCall(**every)


def test_action_of_a_call() -> None:
    """The approvers sign method, caller, condition, resource, request and the digests."""
    resource = {"tag": "global"}
    call = _call(caller_name="Alice", resource=resource)

    action = call.action('resource.tag == "global"')

    assert action == Action(
        "protected_method",
        "KillProcess, called by alice",
        {
            "method": "KillProcess",
            "caller": {"kind": "person", "id": "alice", "name": "Alice"},
            "condition": 'resource.tag == "global"',
            "resource": ['tag: "global"'],
            "request": ['process: "nginx"'],
        },
        {"request": BINDING, "resource": request_binding(canonical_json({"tag": "global"}))},
    )


def test_action_of_the_least_call() -> None:
    """Without name, condition and resource nothing is said of them."""
    action = _call(caller_kind="api_key", request={}).action()

    assert action.params == {
        "method": "KillProcess",
        "caller": {"kind": "api_key", "id": "alice"},
        "request": ["{}"],
    }
    assert {"request": BINDING} == action.bindings


@pytest.mark.parametrize(
    ("request_", "lines"),
    [
        ({"b": 1, "a": "1"}, ['a: "1"', "b: 1"]),
        ({"a": {"b": [True, None, {"c": "x"}]}}, ["a.b[0]: true", "a.b[1]: null", 'a.b[2].c: "x"']),
        ({"a": [], "b": {}}, ["a: []", "b: {}"]),
        ({"a.b": 1, "": 2, "c d": 3, "e-f": 4}, ['[""]: 2', '["a.b"]: 1', '["c d"]: 3', "e-f: 4"]),
        ([[1], 2], ["[0][0]: 1", "[1]: 2"]),
        ("text", ['"text"']),
        (None, ["null"]),
        (
            {"a": "two\nlines \u202e\u2028\x7f\u00a0"},
            ['a: "two\\nlines \\u202e\\u2028\\u007f\u00a0"'],
        ),
        ({"\u200b": "é \\u200b"}, ['["\\u200b"]: "é \\\\u200b"']),
        (Hidden(70_000), ["(not shown: 70000 bytes)"]),
    ],
    ids=[
        "types",
        "paths",
        "empty",
        "names",
        "list",
        "text",
        "null",
        "escapes",
        "escaped_names",
        "hidden",
    ],
)
def test_lines(request_: Any, lines: list[str]) -> None:  # noqa: ANN401 - JSON and Hidden
    """A value is one line a leaf, in canonical order, with nothing invisible in it."""
    assert lines == _call(request=request_).action().params["request"]


def test_resource_that_was_not_found() -> None:
    """The approvers read that the resolver found nothing, and no digest is made up."""
    action = _call(resource_failed=True).action()

    assert ["(not found)"] == action.params["resource"]
    assert {"request": BINDING} == action.bindings


def test_long_text_is_cut_and_says_so() -> None:
    """A line of more than 1000 characters ends in a mark, and the call says that it was cut."""
    action = _call(request={"a": "x" * 2_000, "b": 1}).action()
    lines = action.params["request"]
    assert isinstance(lines, list)
    first = lines[0]

    assert isinstance(first, str)
    assert (1_000, "…", ["b: 1"]) == (len(first), first[-1], lines[1:])
    assert action.params["truncated"] is True


def test_many_lines_are_counted() -> None:
    """Lines that do not fit are counted, of the resource as of the request."""
    many = {f"m{number:04}": "x" * 50 for number in range(500)}

    action = _call(request=many, resource=many).action()

    for name in ("request", "resource"):
        lines = action.params[name]
        assert isinstance(lines, list)
        assert f"(not shown: {501 - len(lines)} more lines)" == lines[-1]
    assert action.params["truncated"] is True


def test_the_largest_call() -> None:
    """Whatever is long, the parameters keep the protocol's limit and the request has its share."""
    action = _call(
        method="€" * 200,
        caller_id="€" * 128,
        caller_name="€" * 80,
        request={f"{'€' * 40}{number}": '"\\' * 100 for number in range(300)},
        resource={f"r{number}": "€€" for number in range(3_000)},
    ).action('"\\€' * 2_000)
    condition, lines = action.params["condition"], action.params["request"]

    assert len(dumps(dict(action.params))) <= MAX_PARAMS_BYTES
    assert isinstance(condition, str)
    assert isinstance(lines, list)
    assert ("…", 200, "…") == (condition[-1], len(action.description), action.description[-1])
    assert len(lines) > 1


def test_condition_on_one_line() -> None:
    """A condition of several lines is shown with its line ends written out."""
    condition = _call().action('request.a == "x"\n  || request.b \n').params["condition"]

    assert 'request.a == "x"\\u000a  || request.b' == condition


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": ""},
        {"method": "a" * 201},
        {"method": "Kill\u202e"},
        {"caller_kind": "robot"},
        {"caller_id": ""},
        {"caller_name": "a" * 81},
        {"request_binding": "a" * 64},
        {"resource": {}, "resource_failed": True},
    ],
    ids=str,
)
def test_calls_that_cannot_be(wrong: dict[str, Any]) -> None:
    """A call that breaks a rule cannot be made."""
    with pytest.raises(ProtocolError):
        _call(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"request": {"a": 1.5}}, {"resource": {"a": 1.5}}], ids=["request", "resource"]
)
def test_calls_without_canonical_form(wrong: dict[str, Any]) -> None:
    """What has no canonical form is not shown either."""
    with pytest.raises(ProtocolError, match="send it as a string"):
        _call(**wrong).action()
