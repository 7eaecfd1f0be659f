"""Assurance levels and their order (protocol section 4.6)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from quorumkey.protocol._members import choice_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ASSURANCE_RANK", "Assurance", "admits", "assurance_of", "check_assurance"]

Assurance: TypeAlias = Literal[
    "none",
    "software",
    "passkey",
    "tee",
    "passkey_device_bound",
    "secure_enclave",
    "strongbox",
]

#: What an attestation proved about a key, by rank; two levels may share a rank.
ASSURANCE_RANK: Final[Mapping[Assurance, int]] = MappingProxyType(
    {
        "none": 0,
        "software": 1,
        "passkey": 2,
        "tee": 3,
        "passkey_device_bound": 3,
        "secure_enclave": 4,
        "strongbox": 4,
    }
)
_LEVELS: Final[Mapping[str, Assurance]] = MappingProxyType({name: name for name in ASSURANCE_RANK})


def assurance_of(level: object, *, field: str = "min_assurance") -> Assurance:
    """Check that `level` is one of the levels; answers it.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    return choice_of(level, _LEVELS, field=field)


def check_assurance(level: object, *, field: str = "min_assurance") -> int:
    """The rank of `level`.

    Raises:
        ProtocolError: ``invalid_request``; not one of the levels.
    """
    return ASSURANCE_RANK[assurance_of(level, field=field)]


def admits(level: str, floor: str) -> bool:
    """Whether a key of `level` reaches `floor`: its own rank and every higher one do.

    Raises:
        ProtocolError: ``invalid_request``; one of the two is no level.
    """
    return check_assurance(level, field="assurance") >= check_assurance(floor)
