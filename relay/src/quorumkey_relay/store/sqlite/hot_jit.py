"""What the SQLite store holds in memory of just-in-time access."""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from quorumkey_relay.domain.jit.activation import Activation
from quorumkey_relay.domain.jit.request import AccessRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from quorumkey_relay.domain.jit.policy import StoredPolicy
    from quorumkey_relay.store.sqlite.jit_reader import JitReader

# What is looked at, or changed, just after the end is judged without a read.
RECENT_ACCESS: Final = 2_048

Kept = TypeVar("Kept", AccessRequest, Activation)
Target = tuple[str, str, str, str]


class Hot(Generic[Kept]):
    """What something can still happen to, and the last few that ended, by two names each.

    The second name is that of what it belongs to, where it belongs to anything.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._open: dict[str, Kept] = {}
        self._recent: OrderedDict[str, Kept] = OrderedDict()
        self._by_owner: dict[str, str] = {}
        self._owner: dict[str, str] = {}

    def __iter__(self) -> Iterator[Kept]:
        """Iterate over what is open, oldest first."""
        return iter(list(self._open.values()))

    def get(self, name: str) -> Kept | None:
        """Return what is open or ended not long ago."""
        return self._open.get(name) or self._recent.get(name)

    def of(self, owner: str) -> Kept | None:
        """Return what belongs to ``owner``, where ``get`` would return it."""
        name = self._by_owner.get(owner)
        return None if name is None else self.get(name)

    def put(self, name: str, kept: Kept, *, owner: str | None) -> None:
        """Take a new or changed one."""
        if owner is not None:
            self._by_owner[owner] = name
            self._owner[name] = owner
        if kept.is_open:
            self._open[name] = kept
            return
        self._open.pop(name, None)
        self._recent[name] = kept
        self._recent.move_to_end(name)
        while len(self._recent) > RECENT_ACCESS:
            self.forget((next(iter(self._recent)),))

    def forget(self, names: Collection[str]) -> None:
        """Forget what ended."""
        for name in names:
            self._recent.pop(name, None)
            owner = self._owner.pop(name, None)
            if owner is not None:
                del self._by_owner[owner]


class AccessMemory:
    """Requests for roles, activations, and the policies that were handed to the relay."""

    def __init__(self) -> None:
        """Start empty."""
        self.requests: Hot[AccessRequest] = Hot()
        self.activations: Hot[Activation] = Hot()
        self._on_target: dict[Target, dict[str, Activation]] = {}
        self._policies: dict[str, dict[str, StoredPolicy]] = {}

    def read_all(self, reader: JitReader) -> None:
        """Take what the disk holds."""
        for request in reader.open_access_requests():
            self.put_request(request)
        for activation in reader.open_activations():
            self.put_activation(activation)
        for policy in reader.policies():
            self.put_policy(policy)

    def put_request(self, request: AccessRequest) -> None:
        """Take a new or changed request for a role."""
        self.requests.put(request.id, request, owner=request.request_id)

    def put_activation(self, activation: Activation) -> None:
        """Take a new or changed activation."""
        name = activation.activation_id
        self.activations.put(name, activation, owner=activation.access_request)
        same = self._on_target.setdefault(activation.target, {})
        if activation.is_open:
            same[name] = activation
        else:
            same.pop(name, None)
        if not same:
            del self._on_target[activation.target]

    def on_target(self, target: Target) -> Sequence[Activation]:
        """Return the open activations of a target, oldest first."""
        return tuple(self._on_target.get(target, {}).values())

    def policies(self, integrator_id: str) -> Mapping[str, StoredPolicy]:
        """Return an integrator's policies by project."""
        return MappingProxyType(self._policies.get(integrator_id, {}))

    def put_policy(self, policy: StoredPolicy) -> None:
        """Take a new or changed policy."""
        self._policies.setdefault(policy.integrator_id, {})[policy.project] = policy

    def drop_policy(self, policy: StoredPolicy) -> None:
        """Forget a policy."""
        self._policies.get(policy.integrator_id, {}).pop(policy.project, None)
