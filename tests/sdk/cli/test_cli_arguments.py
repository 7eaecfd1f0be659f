from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.sdk.relay_double import Phone

from quorumkey.cli._arguments import (
    UsageError,
    binding_of,
    group_of,
    param_of,
    party_of,
    read_input,
    template_of,
    time_of,
    write_output,
)
from quorumkey.protocol import Action, Group, Party

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quorumkey.protocol import Approver, JsonValue

ALICE, BOB = Phone("alice").approver, Phone("bob").approver
KNOWN = {approver.fingerprint: approver for approver in (ALICE, BOB)}


def find(fingerprint: str) -> Approver:
    """A paired device."""
    return KNOWN[fingerprint]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=b", ("a", "b")),
        ("a=", ("a", "")),
        ("a=b=c", ("a", "b=c")),
        ("n:=3", ("n", 3)),
        ('o:={"x":[true,null]}', ("o", {"x": [True, None]})),
        ("a:b=c", ("a:b", "c")),
    ],
)
def test_parameters(text: str, value: tuple[str, JsonValue]) -> None:
    """A parameter is a text after =, and JSON after :=."""
    assert value == param_of(text)


def test_bindings() -> None:
    """A binding is a name and a digest."""
    assert ("plan", "sha256:00") == binding_of("plan=sha256:00")


def test_people() -> None:
    """A person is an id, or an id and a name."""
    assert [Party("dana"), Party("dana", "Dana = D")] == [
        party_of(text) for text in ("dana", "dana=Dana = D")
    ]


def test_times() -> None:
    """A time is RFC 3339 in UTC."""
    assert 0 == time_of("1970-01-01T00:00:00Z")


def test_groups() -> None:
    """A group is a name and fingerprints in full; the name may hold an equals sign."""
    text = f"A = B={ALICE.fingerprint}, {BOB.fingerprint}"

    assert Group("A = B", (ALICE, BOB)) == group_of(text, find)


@pytest.mark.parametrize(
    "read",
    [
        lambda: param_of("a"),
        lambda: param_of("=b"),
        lambda: param_of(":=1"),
        lambda: param_of("a:=1.5"),
        lambda: param_of("a:={"),
        lambda: binding_of("x"),
        lambda: binding_of("=x"),
        lambda: party_of(""),
        lambda: party_of("a="),
        lambda: time_of("now"),
        lambda: group_of("Name", find),
        lambda: group_of("Name=abc", find),
        lambda: group_of(f"={ALICE.fingerprint}", find),
        lambda: template_of(b"[]"),
        lambda: template_of(b"no json"),
        lambda: template_of(b'{"odd": 1}'),
        lambda: template_of(b'{"groups": {}}'),
        lambda: template_of(b'{"groups": [1]}'),
        lambda: template_of(b'{"action": 1}'),
        lambda: template_of(b'{"required": true}'),
        lambda: template_of(b'{"required": "2"}'),
        lambda: template_of(b'{"match_code": 1}'),
        lambda: template_of(b'{"relay_public_keys": [1]}'),
        lambda: read_input("/nonexistent", max_bytes=1),
        lambda: read_input("/etc/passwd", max_bytes=1),
    ],
)
def test_other_texts_are_wrong_usage(read: Callable[[], object]) -> None:
    """What cannot be read is wrong usage, in one sentence."""
    with pytest.raises(UsageError) as caught:
        read()

    assert "\n" not in str(caught.value)


def test_a_request_file() -> None:
    """A file is a request body of the protocol, every member optional."""
    body: dict[str, JsonValue] = {
        "required": 1,
        "groups": [Group("A", (ALICE,)).to_json()],
        "action": Action("x", "X").to_json(),
        "requester": {"id": "dana"},
        "expires_in_seconds": 60,
        "use_within_seconds": 0,
        "match_code": "11",
    }
    template = template_of(json.dumps(body).encode())

    assert (1, (Group("A", (ALICE,)),), Action("x", "X"), Party("dana")) == (
        template.required,
        template.groups,
        template.action,
        template.requester,
    )
    assert {"expires_in_seconds": 60, "use_within_seconds": 0} == template.seconds
    assert {"match_code": "11"} == template.texts
    assert template_of(b"{}").action is None


def test_a_policy_file() -> None:
    """A policy file serves as a template; its nonce belongs to another request."""
    template = template_of(
        b'{"relay_public_keys": ["k"], "integrator_id": "acme", "nonce": "n", "now": "t"}'
    )

    assert (("k",), "acme") == (template.relay_public_keys, template.integrator_id)


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A file that cannot be written is wrong usage."""
    with pytest.raises(UsageError, match="cannot be written"):
        write_output(tmp_path / "none" / "file", b"")
