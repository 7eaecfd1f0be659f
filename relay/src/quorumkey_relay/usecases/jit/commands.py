"""Bodies of the calls of just-in-time access, as typed commands; unknown members are refused."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class SelfActivateBody(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """``POST …/roles/self-activate``; ``activation_timeout`` in minutes, else the default."""

    entitlement_ids: list[str]
    justification: str
    activation_timeout: int | UnsetType = UNSET


class AccessRequestBody(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """``POST …/roles/request``; ``peers`` are the e-mail addresses of who shall approve."""

    entitlement_id: str
    justification: str
    peers: list[str]
    activation_timeout: int | UnsetType = UNSET
