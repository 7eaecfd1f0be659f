"""Eligibility from a file that an operator keeps: YAML, or JSON.

Either the policies of several projects, each written out or the name of a file that has it, with
the groups that they name::

    projects:
      project-1: {file: project-1.json}
      project-2:
        bindings: [{role: roles/viewer, members: [...], condition: {expression: ...}}]
    groups:
      developers@example.com: [alice@example.com, bob@example.com]

or one policy as ``gcloud projects get-iam-policy`` prints it, with a member ``project`` beside its
``bindings``. Groups that stand beside the bindings of one project count in that project alone:
whoever keeps its file says nothing about the others. The files are looked at before every answer,
so a change counts at once. A file that cannot be read makes nobody eligible: there is no answer
until it is mended.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import msgspec

from quorumkey.errors import ProtocolError
from quorumkey.protocol import strict_json
from quorumkey_relay.domain.jit.policy import MAX_POLICIES, MAX_POLICY_BYTES
from quorumkey_relay.eligibility.bindings import Binding, Bindings
from quorumkey_relay.eligibility.policy import (
    Policies,
    Policy,
    PolicyError,
    check_policy,
    check_project,
    groups_of,
)
from quorumkey_relay.usecases.jit.ports import SourceUnavailable
from quorumkey_relay.yaml_file import parse_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.domain.jit.entitlement import ActivationType, EntitlementId, Listing

_State = tuple[int, int, int, int] | None
_Kind = TypeVar("_Kind")


class _Elsewhere(Policy, frozen=True):
    """A project's policy, or the name of the file that has it."""

    file: str | None = None


class _File(msgspec.Struct, frozen=True):
    """Both forms of the file."""

    projects: dict[str, _Elsewhere] | None = None
    groups: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict[str, tuple[str, ...]])
    project: str | None = None
    bindings: tuple[Binding, ...] | None = None


class PolicyFileSource:
    """Answers from the file as it is now."""

    def __init__(self, path: Path) -> None:
        """Answer from this file; it is read when the first answer is due."""
        self._path = path
        self._reading = asyncio.Lock()
        self._states: dict[Path, _State] = {}
        self._found: Policies | PolicyError | None = None

    def check(self) -> None:
        """Read the file now; raises `PolicyError` with a sentence."""
        self._read()
        if isinstance(self._found, PolicyError):
            raise self._found

    async def projects(self, person: str) -> tuple[str, ...]:
        """Return the projects in which a person may activate something, sorted."""
        return (await self._policies()).projects(person)

    async def listing(self, person: str, project: str) -> Listing:
        """Return what a person may activate in a project, and has for a while."""
        return (await self._policies()).listing(person, project)

    async def is_eligible(
        self, person: str, entitlement: EntitlementId, activation_type: ActivationType
    ) -> bool:
        """Say whether a binding lets a person activate this, alone or with peers."""
        return (await self._policies()).is_eligible(person, entitlement, activation_type)

    async def holders(self, entitlement: EntitlementId) -> frozenset[str]:
        """Return who may activate this with peers."""
        return (await self._policies()).holders(entitlement)

    async def _policies(self) -> Policies:
        """Return what the files say, read again where one of them has changed.

        A large file takes a while, so it is read beside everything else that the relay does.
        """
        if self._is_old():
            async with self._reading:
                if self._is_old():  # nobody else has read it while this call waited
                    await asyncio.to_thread(self._read)
        if isinstance(self._found, Policies):
            return self._found
        raise SourceUnavailable(f"The policy file: {self._found}")

    def _is_old(self) -> bool:
        return self._found is None or self._states != {one: _state(one) for one in self._states}

    def _read(self) -> None:
        reading = _Reading()
        try:
            self._found = reading.policies(self._path)
        except PolicyError as error:
            self._found = error
        self._states = reading.states


class _Reading:
    """One reading of a file and of those that it names."""

    def __init__(self) -> None:
        self.states: dict[Path, _State] = {}

    def policies(self, path: Path) -> Policies:
        """Read everything; raises `PolicyError`."""
        said = self._read(path, _File)
        groups = groups_of(said.groups)
        own_groups: dict[str, dict[str, frozenset[str]]] = {}
        projects: dict[str, Bindings] = {}
        for project, policy in _by_project(path, said).items():
            check_project(project)
            found = self._elsewhere(path, project, policy)
            check_policy(found)
            own = own_groups[project] = groups_of(found.groups)
            for group in own.keys() & groups.keys():
                if own[group] != groups[group]:
                    raise PolicyError(f"The group {group} is there twice, with other members.")
            projects[project] = Bindings(project, found.bindings)
        return Policies(projects, groups, own_groups)

    def _elsewhere(self, path: Path, project: str, policy: _Elsewhere) -> Policy:
        if policy.file is None:
            return policy
        if policy.bindings or policy.groups:
            raise PolicyError(f"{project} has a file, and something else beside it.")
        return self._read(path.parent / policy.file, Policy)

    def _read(self, path: Path, kind: type[_Kind]) -> _Kind:
        self.states[path] = _state(path)  # before reading: a change in between is then seen
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_POLICY_BYTES + 1)
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else "its name is none"
            raise PolicyError(f"{path} cannot be read: {said}.") from None
        if len(raw) > MAX_POLICY_BYTES:
            raise PolicyError(f"{path} must have at most {MAX_POLICY_BYTES} bytes.")
        return _decoded(path, raw, kind)


def _decoded(path: Path, raw: bytes, kind: type[_Kind]) -> _Kind:
    try:
        if raw.lstrip()[:1] == b"{":
            found = msgspec.json.decode(raw, type=kind)
            strict_json.loads(raw, max_bytes=MAX_POLICY_BYTES)  # nothing is there twice
            return found
    except ProtocolError as error:
        raise PolicyError(f"{path}: {error.message}") from None
    except msgspec.ValidationError as error:
        raise PolicyError(f"{path} is no policy: {error}.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # YAML may begin like that too
    try:
        return msgspec.convert(parse_yaml(raw.decode()), kind)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{path} is no policy: {error}.") from None
    except UnicodeDecodeError:
        raise PolicyError(f"{path} is not UTF-8.") from None
    except ValueError as error:
        raise PolicyError(f"{path}: {error}") from None


def _by_project(path: Path, said: _File) -> dict[str, _Elsewhere]:
    if said.projects is not None and said.project is None and said.bindings is None:
        if len(said.projects) > MAX_POLICIES:
            raise PolicyError(f"{path} must have at most {MAX_POLICIES} projects.")
        return said.projects
    if said.projects is None and said.project is not None and said.bindings is not None:
        return {said.project: _Elsewhere(said.bindings)}
    raise PolicyError(f"{path} must have either projects, or project and bindings.")


def _state(path: Path) -> _State:
    """Return what changes with a file, None where there is none.

    The time of the last change (``ctime``) is not for anybody to set, and changes with the right to
    read the file too.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
