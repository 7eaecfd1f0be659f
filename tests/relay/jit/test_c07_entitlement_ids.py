"""C7: the id of an entitlement."""

from __future__ import annotations

import base64

import pytest

from quorumkey_relay.domain.jit.entitlement import (
    MAX_ENTITLEMENT_ID_CHARS,
    EntitlementError,
    EntitlementId,
)


@pytest.mark.parametrize(
    ("entitlement", "text"),
    [
        (EntitlementId("project-1", "roles/a"), "project-1:roles/a"),
        (EntitlementId("project-1", "roles/a", "a < b"), "project-1:roles/a:YSA8IGI="),
        (EntitlementId("p", "r", 'x == "é:"'), "p:r:eCA9PSAiw6k6Ig=="),
        (EntitlementId("p", "r", "???>>>"), "p:r:Pz8/Pj4+"),
    ],
    ids=["role", "limited role", "any text", "every digit"],
)
def test_c07_ids(entitlement: EntitlementId, text: str) -> None:
    """An id is project and role, and the Base64 of a condition where there is one."""
    assert text == str(entitlement)
    assert entitlement == EntitlementId.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "project-1",
        "project-1:",
        ":roles/a",
        " :roles/a",
        "project-1: ",
        "project-1:roles/a:",
        "project-1:roles/a: ",
        "project-1:roles/a:YQ==:b",
        "project-1:roles/a:YQ",
        "project-1:roles/a:YR==",
        "project-1:roles/a:_w==",
        "project-1:roles/a:/w==",
        "project-1:roles/a:Y Q==",
        "project-1:roles/a:" + base64.b64encode(b"  ").decode(),
        "project-1:" + "x" * MAX_ENTITLEMENT_ID_CHARS,
    ],
)
def test_c07_what_is_no_id(text: str) -> None:
    """One part, four parts, blank parts, and what is not the one Base64 of a text are refused."""
    with pytest.raises(EntitlementError):
        EntitlementId.parse(text)
