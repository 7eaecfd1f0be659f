"""A policy that was handed to the relay: the role bindings of one project, as its source wrote."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MAX_POLICY_BYTES: Final = 4_194_304
MAX_BINDINGS: Final = 50_000
MAX_POLICIES: Final = 1_000


class StoredPolicy(Struct, frozen=True, kw_only=True):
    """The IAM policy of a project as JSON, and which edition of it; ``changed_at`` in seconds."""

    integrator_id: str
    project: str
    revision: int
    document: bytes
    changed_at: int
