"""The trail of one verification: every check goes through here, and is named where it stands.

A result carries the names of the checks that it passed; a refusal carries the name of the one that
failed. The test harness uses the same names to switch one check off and see that exactly the cases
made for it come through (``quorumkey-attest selftest --mutate``); no public function can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["Audit"]


class Audit:
    """Collects the checks of one verification, which may not share it with another.

    Args:
        ignored: names of checks whose failure is passed over. For the test harness alone.
    """

    __slots__ = ("_ignored", "_passed")

    def __init__(self, *, ignored: AbstractSet[str] = frozenset()) -> None:
        self._passed: dict[str, None] = {}
        self._ignored = ignored

    def require(
        self,
        check: str,
        holds: bool,  # noqa: FBT001  # the fact itself, not a switch
        reason: Reason,
        detail: str,
        *,
        index: int | None = None,
    ) -> None:
        """Record that ``check`` was made, and refuse where it does not hold.

        Args:
            check: the step's name, ``<procedure>/<step>[-<what>]``.
            holds: whether the evidence passes it.
            reason: why it is refused otherwise, for programs.
            detail: the same in a sentence, for people.
            index: the certificate it is about, counted from the leaf.

        Raises:
            AttestationError: it does not hold.
        """
        if holds:
            self._passed[check] = None
        elif check not in self._ignored:
            raise AttestationError(reason, detail, index=index, check=check)

    @property
    def checks(self) -> tuple[str, ...]:
        """The checks passed so far, each once, in the order in which they were first made."""
        return tuple(self._passed)
