"""Cloud Asset Inventory and Cloud Identity beside the stand-in of Google Cloud.

Rules: the REST references of ``analyzeIamPolicy``, ``effectiveIamPolicies.batchGet`` and
``searchAllResources`` (Cloud Asset Inventory), and of ``groups.lookup``,
``groups.memberships.list`` and ``groups.memberships.searchDirectGroups`` (Cloud Identity).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

from quorumkey_relay.standins.exchange import Reply, Request, json_reply
from quorumkey_relay.standins.google_policy import holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from quorumkey_relay.standins.google_cloud import GoogleCloud

SCOPE: Final = "organizations/1"

_RESOURCE: Final = "//cloudresourcemanager.googleapis.com/"
_PROJECT: Final = f"{_RESOURCE}projects/"
_MAX_NAMES: Final = 20
_SELECTORS: Final = frozenset(
    f"analysisQuery.{name}"
    for name in (
        "identitySelector.identity",
        "resourceSelector.fullResourceName",
        "accessSelector.roles",
        "options.expandGroups",
        "options.expandResources",
    )
)
_PAGING: Final = frozenset(("pageSize", "pageToken"))
_DIRECT: Final = re.compile(
    r"member_key_id == '((?:[^'\\]|\\.)+)'"
    r" && 'cloudidentity\.googleapis\.com/groups\.discussion_forum' in labels"
)

_Query = dict[str, list[str]]
_Binding = dict[str, object]


class _RefusedError(Exception):
    """A call that Google refuses."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class AssetFaults:
    """What is wrong: the next answers' statuses, each used up, and what stays so.

    Attributes:
        statuses: the next calls are answered with these.
        bodies: the next calls are answered 200 with these.
        denied_groups: groups, by address, that the caller may not look up.
        denies_searches: whether the caller may not search for the groups of a person.
        partly_explored: whether an analysis says that it did not look everywhere.
    """

    statuses: list[int] = field(default_factory=list[int])
    bodies: list[bytes] = field(default_factory=list[bytes])
    denied_groups: set[str] = field(default_factory=set[str])
    denies_searches: bool = False
    partly_explored: bool = False


class GoogleAssets:
    """An organization with the projects of a `GoogleCloud`, and groups."""

    def __init__(self, cloud: GoogleCloud, now: Callable[[], float]) -> None:
        """Answer beside ``cloud``; ``now`` is the clock that conditions are judged by."""
        self.faults = AssetFaults()
        #: Bindings of the organization, which count in every project.
        self.inherited: list[_Binding] = []
        #: Members of groups by address, groups inside groups too.
        self.groups: dict[str, list[str]] = {}
        #: The path of every call, in order.
        self.calls: list[str] = []
        #: The most that one page of an answer has.
        self.page = 500
        self._cloud = cloud
        self._now = now
        cloud.serve_also(self._route)

    def _route(self, request: Request) -> Reply | None:
        parts = urlsplit(request.path)
        path = unquote(parts.path)
        methods: dict[str, Callable[[_Query], object]] = {
            f"/v1/{SCOPE}:analyzeIamPolicy": self._analyze,
            f"/v1/{SCOPE}:searchAllResources": self._search,
            f"/v1/{SCOPE}/effectiveIamPolicies:batchGet": self._effective,
            "/v1/groups:lookup": self._look_up,
            "/v1/groups/-/memberships:searchDirectGroups": self._direct_groups,
            **{f"/v1/{_name(one)}/memberships": self._members(one) for one in self.groups},
        }
        method = methods.get(path)
        if method is None or request.method != "GET":
            return None
        self.calls.append(path)
        if self.faults.statuses:
            return _error(self.faults.statuses.pop(0), "A fault that was asked for.")
        if self.faults.bodies:
            return Reply(HTTPStatus.OK, body=self.faults.bodies.pop(0), is_trusted=True)
        try:
            found = method(parse_qs(parts.query, strict_parsing=True))
        except _RefusedError as refused:
            return _error(refused.status, str(refused))
        return json_reply(HTTPStatus.OK, found, is_trusted=True)

    # ------------------------------------------------------------ policies

    def _analyze(self, query: _Query) -> object:
        _check(query, _SELECTORS | {"executionTimeout"})
        if not query.keys() & {one for one in _SELECTORS if "elector" in one}:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "At least one selector must be set.")
        identity = query.get("analysisQuery.identitySelector.identity", [None])[0]
        resource = query.get("analysisQuery.resourceSelector.fullResourceName", [None])[0]
        roles = query.get("analysisQuery.accessSelector.roles")
        expands = query.get("analysisQuery.options.expandGroups") == ["true"]
        results = [
            _without_empty(
                {
                    "attachedResourceFullName": attached,
                    "iamBinding": binding,
                    "accessControlLists": [
                        {
                            "resources": [{"fullResourceName": one} for one in resources],
                            "accesses": [{"role": binding["role"]}],
                            **self._evaluated(binding),
                        }
                    ],
                    "identityList": {"identities": [{"name": one} for one in sorted(people)]},
                    "fullyExplored": True,
                }
            )
            for attached, resources, binding in self._attached(resource)
            if roles is None or binding["role"] in roles
            for people in [self._identities(binding, identity, expands=expands)]
            if people
        ]
        is_whole = not self.faults.partly_explored
        analysis = {"analysisResults": results, "fullyExplored": is_whole}
        return {"mainAnalysis": _without_empty(analysis), "fullyExplored": is_whole}

    def _attached(self, wanted: str | None) -> Iterable[tuple[str, Sequence[str], _Binding]]:
        """Yield where a binding is, the resources on which it counts, and the binding."""
        projects = [f"{_PROJECT}{project}" for project in self._cloud.projects]
        if wanted is not None:
            projects = [one for one in projects if one == wanted]
        for project in projects:
            for binding in self._cloud.bindings(project.removeprefix(_PROJECT)):
                yield project, [project], binding
        if projects:
            for binding in self.inherited:
                yield f"{_RESOURCE}{SCOPE}", projects, binding

    def _identities(
        self, binding: _Binding, identity: str | None, *, expands: bool
    ) -> frozenset[str]:
        """Return whom a binding names, or the one that is asked for if it names them."""
        members = frozenset(cast("list[str]", binding["members"]))
        if identity is not None:
            return frozenset({identity}) & self._unfolded(members)
        return self._unfolded(members) if expands else members

    def _unfolded(self, members: frozenset[str]) -> frozenset[str]:
        found: set[str] = set()
        waiting = list(members)
        while waiting:
            member = waiting.pop()
            if member not in found:
                found.add(member)
                waiting += [
                    f"{'group' if one in self.groups else 'user'}:{one}"
                    for one in self.groups.get(member.removeprefix("group:"), ())
                ]
        return frozenset(found)

    def _evaluated(self, binding: _Binding) -> dict[str, object]:
        condition = cast("Mapping[str, str] | None", binding.get("condition"))
        if condition is None:
            return {}
        text = condition["expression"]
        if "{}" in text or "resource." in text:
            value = "CONDITIONAL"
        else:
            value = "TRUE" if holds(text, self._now()) else "FALSE"
        return {"conditionEvaluation": {"evaluationValue": value}}

    def _effective(self, query: _Query) -> object:
        _check(query, frozenset({"names"}))
        names = query["names"]
        if len(names) > _MAX_NAMES:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, f"At most {_MAX_NAMES} names.")
        if any(name.removeprefix(_PROJECT) not in self._cloud.projects for name in names):
            raise _RefusedError(HTTPStatus.NOT_FOUND, "A resource does not exist.")
        return {
            "policyResults": [
                {
                    "fullResourceName": name,
                    "policies": [
                        {
                            "attachedResource": name,
                            "policy": self._cloud.policy(name.removeprefix(_PROJECT)),
                        },
                        {
                            "attachedResource": f"{_RESOURCE}{SCOPE}",
                            "policy": _without_empty({"bindings": self.inherited}),
                        },
                    ],
                }
                for name in names
            ]
        }

    def _search(self, query: _Query) -> object:
        _check(query, _PAGING | {"assetTypes"})
        if query["assetTypes"] != ["cloudresourcemanager.googleapis.com/Project"]:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "Only projects are here.")
        found = [{"name": f"{_PROJECT}{project}"} for project in self._cloud.projects]
        return self._paged(query, "results", found)

    # ------------------------------------------------------------ groups

    def _look_up(self, query: _Query) -> object:
        _check(query, frozenset({"groupKey.id"}))
        group = query["groupKey.id"][0]
        if group not in self.groups or group in self.faults.denied_groups:
            # Google does not tell a group that is not there from one that is not shown.
            raise _RefusedError(HTTPStatus.FORBIDDEN, "The caller does not have permission.")
        return {"name": _name(group)}

    def _members(self, group: str) -> Callable[[_Query], object]:
        def listed(query: _Query) -> object:
            _check(query, _PAGING)
            found = [
                {
                    "name": f"{_name(group)}/memberships/{number}",
                    "preferredMemberKey": {"id": member},
                    "roles": [{"name": "MEMBER"}],
                    "type": "GROUP" if member in self.groups else "USER",
                }
                for number, member in enumerate(self.groups[group], 1)
            ]
            return self._paged(query, "memberships", found)

        return listed

    def _direct_groups(self, query: _Query) -> object:
        _check(query, _PAGING | {"query"})
        asked = _DIRECT.fullmatch(query["query"][0])
        if asked is None:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "The query has no member and no label.")
        if self.faults.denies_searches:
            raise _RefusedError(HTTPStatus.FORBIDDEN, "The caller does not have permission.")
        member = re.sub(r"\\(.)", r"\1", asked[1])
        found = [
            {"group": _name(group), "groupKey": {"id": group}}
            for group, members in self.groups.items()
            if member in members
        ]
        return self._paged(query, "memberships", found)

    def _paged(self, query: _Query, name: str, found: Sequence[object]) -> object:
        size = min(int(query.get("pageSize", ["50"])[0]), self.page)
        start = int(query.get("pageToken", ["0"])[0])
        rest = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        return {**_without_empty({name: list(found[start : start + size])}), **rest}


def _name(group: str) -> str:
    return f"groups/{hashlib.sha256(group.encode()).hexdigest()[:15]}"


def _check(query: _Query, known: frozenset[str]) -> None:
    for name in query:
        if name not in known:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, f"Unknown name {name!r}.")


def _without_empty(members: Mapping[str, object]) -> dict[str, object]:
    """Leave out what JSON of a protobuf message leaves out."""
    return {name: value for name, value in members.items() if value not in ([], {}, False, "")}


def _error(status: int, message: str) -> Reply:
    return json_reply(status, {"error": {"code": status, "message": message}})
