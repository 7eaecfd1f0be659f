"""Policies that an API key of scope admin puts: taken as they are, and counting at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.jit.desk import JIT, PROJECT, Surroundings, desk
from tests.relay.simulator import ACME, UMBRELLA, granted, refused, shown

from quorumkey_relay.domain.jit.policy import MAX_POLICY_BYTES
from quorumkey_relay.domain.refusal import NOT_FOUND
from quorumkey_relay.eligibility.stored import StoredPolicySource
from quorumkey_relay.usecases.jit import policies as cases
from quorumkey_relay.usecases.jit.policies import NOT_BY_API, TOO_MANY, RolePolicies
from quorumkey_relay.usecases.read import BAD_CURSOR

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.relay.jit.desk import Desk

pytestmark = pytest.mark.anyio


def policy(*names: str) -> bytes:
    """A policy by which these may activate a role alone."""
    binding = {
        "role": "roles/browser",
        "members": [f"user:{name}@example.com" for name in names],
        "condition": {"title": "eligible", "expression": JIT},
    }
    return json.dumps({"bindings": [binding], "etag": "BwX", "version": 3}).encode()


@pytest.fixture
async def office(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Desk, None]:
    """A relay that takes its policies through the API."""
    del anyio_backend
    async with desk(tmp_path, Surroundings(takes_policies=True)) as opened:
        yield opened


@pytest.fixture
def policies(office: Desk) -> RolePolicies:
    """What an API key of scope admin calls."""
    return office.cases.policies


async def test_jit_a_policy_counts_at_once(office: Desk, policies: RolePolicies) -> None:
    """And nobody is eligible any more once it is removed."""
    source = StoredPolicySource(office.sim.store, ACME.id)
    seen = [await source.projects("alice@example.com")]
    await granted(policies.put(ACME, PROJECT, policy("alice")))
    seen.append(await source.projects("alice@example.com"))
    await granted(policies.put(ACME, PROJECT, policy("bob")))
    seen.append(await source.projects("alice@example.com"))
    await policies.remove(ACME, PROJECT)
    seen.append(await source.projects("bob@example.com"))

    assert [(), (PROJECT,), (), ()] == seen


async def test_jit_a_policy_is_read_as_it_was_put(policies: RolePolicies) -> None:
    """Byte for byte, with what Google's tools print beside the bindings."""
    put = shown(await granted(policies.put(ACME, PROJECT, policy("alice"))))

    assert (
        {
            "project": PROJECT,
            "revision": 1,
            "size_bytes": len(policy("alice")),
            "changed_at": "2027-01-15T08:00:00Z",
        },
        policy("alice"),
    ) == (put, await granted(policies.read(ACME, PROJECT)))


async def test_jit_the_same_policy_again_changes_nothing(
    office: Desk, policies: RolePolicies
) -> None:
    """Another one is another revision."""
    await granted(policies.put(ACME, PROJECT, policy("alice")))
    office.sim.clock.advance(60)
    same = await granted(policies.put(ACME, PROJECT, policy("alice")))
    other = await granted(policies.put(ACME, PROJECT, policy("bob")))

    assert (1, "2027-01-15T08:00:00Z", 2, "2027-01-15T08:01:00Z") == (
        same.revision,
        same.changed_at,
        other.revision,
        other.changed_at,
    )


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{", b'{"bindings": 1}', b'{"bindings": [{"role": 1}]}', b" " * MAX_POLICY_BYTES],
    ids=["nothing", "a list", "no JSON", "no bindings", "no role", "too large"],
)
async def test_jit_what_is_no_policy_is_refused(policies: RolePolicies, document: bytes) -> None:
    """The one that was there goes on counting."""
    await granted(policies.put(ACME, PROJECT, policy("alice")))
    answer = await refused(policies.put(ACME, PROJECT, document + b" "))

    assert ("invalid_request", policy("alice")) == (
        answer.code,
        await granted(policies.read(ACME, PROJECT)),
    )


@pytest.mark.parametrize("project", ["", "a:b", "x" * 129], ids=["empty", "colon", "long"])
async def test_jit_a_project_that_cannot_be_one_is_refused(
    policies: RolePolicies, project: str
) -> None:
    """No entitlement could name it."""
    answer = await refused(policies.put(ACME, project, policy("alice")))

    assert "invalid_request" == answer.code


async def test_jit_what_is_not_there_is_not_found(policies: RolePolicies) -> None:
    """Neither read nor removed."""
    assert [NOT_FOUND, NOT_FOUND] == [
        await refused(policies.read(ACME, PROJECT)),
        await refused(policies.remove(ACME, PROJECT)),
    ]


async def test_jit_policies_are_listed_by_project(policies: RolePolicies) -> None:
    """Page by page; a cursor that is none is refused."""
    for project in ("b", "a", "c"):
        await granted(policies.put(ACME, project, policy("alice")))
    first = await granted(policies.list(ACME, limit=2, cursor=None))
    second = await granted(policies.list(ACME, limit=2, cursor=first.next_cursor))
    bad = await refused(policies.list(ACME, limit=2, cursor="z"))

    assert (["a", "b"], "b", ["c"], None, BAD_CURSOR) == (
        [one.project for one in first.data],
        first.next_cursor,
        [one.project for one in second.data],
        second.next_cursor,
        bad,
    )


async def test_jit_another_integrator_finds_nothing(policies: RolePolicies) -> None:
    """Policies belong to the one whose devices approve roles."""
    await granted(policies.put(ACME, PROJECT, policy("alice")))
    calls: list[Any] = [
        policies.put(UMBRELLA, PROJECT, policy("eve")),
        policies.read(UMBRELLA, PROJECT),
        policies.remove(UMBRELLA, PROJECT),
        policies.list(UMBRELLA, limit=1, cursor=None),
    ]

    assert [NOT_FOUND] * 4 == [await refused(call) for call in calls]


async def test_jit_a_relay_that_reads_a_file_takes_no_policies(desk: Desk) -> None:
    """What was put would count for nothing, so it is refused."""
    answer = await refused(desk.cases.policies.put(ACME, PROJECT, policy("alice")))

    assert NOT_BY_API == answer


async def test_jit_there_are_so_many_policies(
    policies: RolePolicies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more project is refused; one that is there may still change."""
    monkeypatch.setattr(cases, "MAX_POLICIES", 1)
    await granted(policies.put(ACME, "a", policy("alice")))
    answer = await refused(policies.put(ACME, "b", policy("alice")))
    changed = await granted(policies.put(ACME, "a", policy("bob")))

    assert (TOO_MANY, 2) == (answer, changed.revision)
