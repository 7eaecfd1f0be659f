"""Many who ask for the same policy at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.domain.jit.policy import StoredPolicy
from quorumkey_relay.eligibility import stored
from quorumkey_relay.eligibility.policy import read_policy
from quorumkey_relay.eligibility.stored import StoredPolicySource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.eligibility.policy import Policy

pytestmark = pytest.mark.anyio

ALICE = "alice@example.com"
DOCUMENT = b"""{"bindings": [{"role": "roles/viewer", "members": ["user:alice@example.com"],
  "condition": {"expression": "has({}.jitAccessConstraint)"}}]}"""


class OnePolicy:
    """A store with one policy."""

    def policies(self, integrator_id: str) -> Mapping[str, StoredPolicy]:
        """What was handed in."""
        assert integrator_id == "mine"
        return {"project-1": POLICY}


POLICY = StoredPolicy(
    integrator_id="mine", project="project-1", revision=1, document=DOCUMENT, changed_at=0
)


async def test_a_policy_is_read_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask while a large policy is being read, one thread reads it, once."""
    read: list[bytes] = []

    def counted(document: bytes) -> Policy:
        read.append(document)
        return read_policy(document)

    monkeypatch.setattr(stored, "read_policy", counted)
    source = StoredPolicySource(OnePolicy(), "mine")

    answers = await asyncio.gather(*(source.projects(ALICE) for _ in range(20)))

    assert [("project-1",)] * 20 == answers
    assert [DOCUMENT] == read
