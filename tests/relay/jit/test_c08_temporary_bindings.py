"""C8: which bindings are temporary, and how long they hold."""

from __future__ import annotations

import pytest

from quorumkey_relay.domain.jit.entitlement import EntitlementId, TemporaryAccess
from quorumkey_relay.eligibility.bindings import Binding, Bindings, Expression
from quorumkey_relay.eligibility.condition import TEMPORARY_TITLE, Temporary, read_temporary

START, END = 1_767_225_600, 1_767_229_200
FROM = 'request.time >= timestamp("2026-01-01T00:00:00Z")'
UNTIL = 'request.time < timestamp("2026-01-01T01:00:00Z")'
WINDOW = f"({FROM} && {UNTIL})"


@pytest.mark.parametrize(
    ("expression", "limit"),
    [
        (WINDOW, ""),
        (f"{WINDOW} && (resource.name == 'a')", 'resource.name == "a"'),
        (f"a<b && {WINDOW} && c", "a < b && c"),
        (f"({FROM}\r\n&&\t{UNTIL} )", ""),
        (WINDOW.replace('"', "'"), ""),
        (WINDOW.replace("Z", ".250Z"), ""),
        (WINDOW.replace("T00", "T02").replace("T01", "T03").replace("Z", "+02:00"), ""),
    ],
    ids=["alone", "with a limit", "between limits", "layout", "quotes", "fractions", "offset"],
)
def test_c08_temporary(expression: str, limit: str) -> None:
    """The time in brackets says from when until when; the other clauses limit the role."""
    assert Temporary(START, END, limit) == read_temporary("JIT access activation", expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "true",
        f"{FROM} && {UNTIL}",
        f"({UNTIL} && {FROM})",
        f"({FROM})",
        f"({FROM} && {UNTIL} && a)",
        f"{WINDOW} || a",
        f"!{WINDOW}",
        f"({WINDOW.replace('>=', '>')})",
        f"({WINDOW.replace('<', '<=')})",
        WINDOW.replace("request.time", "request.when"),
        WINDOW.replace("timestamp", "duration"),
        WINDOW.replace("timestamp(", "x.timestamp("),
        WINDOW.replace("2026-01-01T00", "2026-13-01T00"),
        WINDOW.replace("00Z", "00"),
        WINDOW.replace("T0", " 0"),
        f"{WINDOW} && [1].all(x, x > 0)",
        f"{WINDOW} &&",
        f"{WINDOW}\0",
    ],
)
def test_c08_any_other_condition(expression: str) -> None:
    """Whatever else stands there is no time, and the binding is left aside."""
    assert read_temporary(TEMPORARY_TITLE, expression) is None


@pytest.mark.parametrize(
    "title", [None, "", "jit access activation", "JIT access activation ", "x"]
)
def test_c08_any_other_title(title: str | None) -> None:
    """Only the exact title makes a binding temporary."""
    assert read_temporary(title, WINDOW) is None


def test_c08_listed_as_active() -> None:
    """What a temporary binding gives is listed for those whom it names, eligible or not."""
    members = ("user:Alice@example.com",)
    found = Bindings(
        "project-1",
        [
            Binding("roles/b", members, Expression(f"{WINDOW} && a", TEMPORARY_TITLE)),
            Binding("roles/a", members, Expression(WINDOW, TEMPORARY_TITLE)),
            Binding("roles/a", members, Expression(WINDOW, "something else")),
            Binding("roles/a", members),
        ],
    )

    assert (
        TemporaryAccess(EntitlementId("project-1", "roles/a"), START, END),
        TemporaryAccess(EntitlementId("project-1", "roles/b", "a"), START, END),
    ) == found.listing(["user:alice@example.com"]).active
    assert () == found.listing(["user:bob@example.com"]).active
    assert () == found.listing(["user:alice@example.com"]).entitlements
