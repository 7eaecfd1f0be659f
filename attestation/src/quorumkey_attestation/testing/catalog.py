"""Every numbered case of this package, with what judges it, in one list.

The numbers are those of the project's list of negative cases: A App Attest attestation, S its
assertion, R its receipt, K Android chain, D KeyDescription, P Play Integrity, W WebAuthn,
E encoding. A case that a check needs and the list lacks continues after the last number of its
letter; a control has the number 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey_attestation.testing import (
    android_chain_cases,
    android_key_cases,
    apple_assertion_cases,
    apple_cases,
    apple_receipt_cases,
    encoding_cases,
    play_cases,
    webauthn_cases,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.testing.case import Case

__all__ = ["EXTRAS", "NUMBERS", "WITHOUT_CASE", "Entry", "entries", "missing_extras", "number_of"]


class _CasesModule(Protocol):
    """What a module of cases has to offer."""

    def cases(self) -> tuple[Case, ...]:
        """Return the cases, controls first."""
        ...

    def judge(self, case: Case, audit: Audit) -> object:
        """Judge one of them; raises AttestationError."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A case, and the module that judges it."""

    case: Case
    _module: _CasesModule

    def judge(self, audit: Audit) -> object:
        """Judge the case on a given trail.

        Raises:
            AttestationError: it is refused.
        """
        return self._module.judge(self.case, audit)


#: How far the list of negative cases goes, by its letter.
NUMBERS: Final[Mapping[str, int]] = MappingProxyType(
    {"A": 23, "S": 10, "R": 8, "K": 21, "D": 25, "P": 17, "W": 10, "E": 12}
)

#: Checks that no case is refused by, and why there can be none.
WITHOUT_CASE: Final[Mapping[str, str]] = MappingProxyType({})

#: The modules that judging needs beyond ``cryptography``, with the extra each one comes from.
EXTRAS: Final[Mapping[str, str]] = MappingProxyType(
    {"asn1crypto": "receipt", "webauthn": "webauthn"}
)

_MODULES: Final[tuple[_CasesModule, ...]] = (
    apple_cases,
    apple_assertion_cases,
    apple_receipt_cases,
    android_chain_cases,
    android_key_cases,
    play_cases,
    webauthn_cases,
    encoding_cases,
)


def entries() -> tuple[Entry, ...]:
    """Return every case, controls of a module first.

    Raises:
        ValueError: two cases have one id.
    """
    found: dict[str, Entry] = {}
    for module in _MODULES:
        for case in module.cases():
            if case.id in found:
                raise ValueError(f"two cases are called {case.id}")
            found[case.id] = Entry(case, module)
    return tuple(found.values())


def missing_extras() -> tuple[str, ...]:
    """Return the extras without which some cases cannot be judged and which are not installed."""
    return tuple(sorted(extra for module, extra in EXTRAS.items() if find_spec(module) is None))


def number_of(case_id: str) -> tuple[str, int, str]:
    """Return the letter, the number and the variant of an id: ``("S", 3, "b")`` for ``S3b``.

    Raises:
        ValueError: it is no id.
    """
    parts = re.fullmatch(r"([A-Z])(\d+)([a-z]*)", case_id)
    if parts is None:
        raise ValueError(f"{case_id!r} is no id of a case")
    return parts[1], int(parts[2]), parts[3]
