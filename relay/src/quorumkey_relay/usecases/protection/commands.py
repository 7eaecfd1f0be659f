"""Bodies of the calls about protected methods, as typed commands; unknown members are refused."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from quorumkey_relay.domain.protection import MethodKind, Permission


class CallerBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who called the service, as the service has authenticated it."""

    kind: Literal["person", "api_key"]
    id: str
    name: str | UnsetType = UNSET


class MessageBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A request as the service received it, in exactly one of three forms.

    ``json``: the relay makes the canonical JSON itself. ``protobuf`` (base64 of the deterministic
    bytes) with ``view``, what conditions and approvers see. ``digest`` with ``size`` in bytes: the
    canonical form is larger than 64 KiB and is not sent, so no condition can be evaluated.
    """

    json: Any = UNSET
    protobuf: str | UnsetType = UNSET
    view: dict[str, Any] | UnsetType = UNSET
    digest: str | UnsetType = UNSET
    size: int | UnsetType = UNSET


class CheckBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/protection/check``: may this call run?

    ``resource`` is what the method's resolver found; ``resource_failed`` says that it failed, so
    the call waits whatever the condition. ``claim_key`` is 16 to 255 printable characters, chosen
    anew for every attempt to run the call: the same key asks for a lost answer again.
    """

    method: str
    caller: CallerBody
    request: MessageBody
    claim_key: str
    resource: dict[str, Any] | UnsetType = UNSET
    resource_failed: bool = False


class ClaimBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/requests/{request_id}/claim``; ``claim_key`` as for a check."""

    claim_key: str


class ResultBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/claims/{claim_id}/result``: what became of the call."""

    result: Literal["ok", "error"]
    result_digest: str | UnsetType = UNSET


class MethodBody(Struct, frozen=True, forbid_unknown_fields=True):
    """One method of a service's catalogue."""

    name: str
    kind: MethodKind = "eligible"
    permission: Permission = "write"
    default_condition: str | UnsetType = UNSET
    resolver: bool = False


class CatalogueBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``PUT /v1/protection/catalogue``: all methods of one service; what it had before goes."""

    service: str
    methods: list[MethodBody]


class SettingsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """New protection settings; what is absent stays as it is."""

    enabled: bool | UnsetType = UNSET
    required: int | UnsetType = UNSET
    max_duration_seconds: int | UnsetType = UNSET
    execution_expiry_seconds: int | UnsetType = UNSET
    exclude_api_keys: bool | UnsetType = UNSET
    count_requestor: bool | UnsetType = UNSET
