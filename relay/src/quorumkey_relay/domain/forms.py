"""What differs between the three forms of approval, as policy: one engine runs them all.

Approval requests, protected methods and just-in-time access share document, decisions, tally and
receipts. A rule that is not the same in all of them reads a field of its `Form`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Executor = Literal["integrator", "reissue", "builtin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The policy of one profile.

    ``requester_denial``: what a denial by the requester's own device does to a request: it counts
    as anybody's, or takes the request back. ``withdrawable``: an approval may be taken back by a
    denial until it is claimed. ``voters``: whether the paired devices may vote, or only those of
    people who are administrators at that moment. ``executor``: who acts on an approval: the
    integrator by itself, the caller that issues its call again, or the relay.
    ``disclosure``: whether who decided is told by group or by person. ``integrator_cancels``:
    whether an API key may take a pending request back. The requester never votes.
    """

    requester_denial: Literal["counts", "cancels"] = "counts"
    withdrawable: bool = False
    voters: Literal["paired", "administrators"] = "paired"
    executor: Executor = "integrator"
    disclosure: Literal["group", "person"] = "group"
    integrator_cancels: bool = True


FORMS: Final[Mapping[str, Form]] = MappingProxyType(
    {
        "approval": Form(),
        "protected_method": Form(
            requester_denial="cancels",
            withdrawable=True,
            voters="administrators",
            executor="reissue",
            disclosure="person",
            integrator_cancels=False,
        ),
        "jit_access": Form(executor="builtin", disclosure="person"),
    }
)
