"""Ask M of N groups of people to approve a sensitive action, and verify their answer offline.

The names below are the integrator's side. Beside them stand `quorumkey.receipts` (verify offline),
`quorumkey.device` (the software device), `quorumkey.errors` and `quorumkey.protocol` (the kernel).

A name is loaded when it is first used, so that whoever needs the kernel alone, as the relay does,
does not load an HTTP client with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from quorumkey.client import (
        Approved,
        AsyncClient,
        Client,
        ConfirmedDevice,
        CreatedRequest,
        NotApproved,
        Pairing,
        Status,
        group,
        parse_webhook,
    )
    from quorumkey.errors import ClientError, ProtocolError, QuorumkeyError, ReceiptRefused
    from quorumkey.protocol import Action, Approver, Group, Party, PasskeyPolicy, PublicKey
    from quorumkey.receipts import (
        UnsafeAny,
        VerificationPolicy,
        VerifiedReceipt,
        load_policy,
        verify_receipt,
    )

__all__ = [
    "Action",
    "Approved",
    "Approver",
    "AsyncClient",
    "Client",
    "ClientError",
    "ConfirmedDevice",
    "CreatedRequest",
    "Group",
    "NotApproved",
    "Pairing",
    "Party",
    "PasskeyPolicy",
    "ProtocolError",
    "PublicKey",
    "QuorumkeyError",
    "ReceiptRefused",
    "Status",
    "UnsafeAny",
    "VerificationPolicy",
    "VerifiedReceipt",
    "group",
    "load_policy",
    "parse_webhook",
    "verify_receipt",
]

_MODULES: Final = (
    "quorumkey.protocol",
    "quorumkey.errors",
    "quorumkey.receipts",
    "quorumkey.client",
)


def __getattr__(name: str) -> object:
    """Load a public name from the module that defines it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next(module for module in map(import_module, _MODULES) if name in module.__all__)
    value: object = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
