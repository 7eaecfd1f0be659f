"""What the sources ask of Google: the calls, and no more of the answers than is needed.

Rules: the REST references of Cloud Asset Inventory (``analyzeIamPolicy``, ``searchAllResources``,
``effectiveIamPolicies.batchGet``) and Cloud Identity (``groups.lookup``, ``groups.memberships``) at
cloud.google.com. Whatever keeps an answer away is `SourceUnavailable`.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from quorumkey_relay.delivery.google.access_token import TokenRefused, TokenUnavailable
from quorumkey_relay.delivery.transport import TransportFailed
from quorumkey_relay.eligibility.bindings import Binding
from quorumkey_relay.identity.email_address import email_address
from quorumkey_relay.usecases.jit.ports import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from quorumkey_relay.delivery.transport import Answer

#: How long Google looks at policies at most, and how long its answer may take.
ANALYSIS_SECONDS: Final = 20
TIMEOUT_SECONDS: Final = 25.0
#: Of ``effectiveIamPolicies.batchGet``.
BATCH: Final = 20
PAGE: Final = 500
MAX_PAGES: Final = 40
CALLS_AT_ONCE: Final = 4

PROJECT: Final = "//cloudresourcemanager.googleapis.com/projects/"
_PROJECTS: Final = "cloudresourcemanager.googleapis.com/Project"
_GROUPS: Final = "'cloudidentity.googleapis.com/groups.discussion_forum' in labels"
_DENIED: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)

_Kind = TypeVar("_Kind")


class Google(Protocol):
    """Calls as one service account."""

    async def get(self, url: str, *, timeout_seconds: float) -> Answer:
        """GET what is at an address, with the account's authorization."""
        ...


class _Reads(msgspec.Struct, frozen=True, rename="camel"):
    """A part of an answer; Google leaves empty members out, and adds new ones."""


class Evaluation(_Reads, frozen=True):
    """Whether a condition holds: ``TRUE``, ``FALSE``, or ``CONDITIONAL`` where nobody can tell."""

    evaluation_value: str = ""


class Resource(_Reads, frozen=True):
    """A resource by its full name."""

    full_resource_name: str = ""


class AccessList(_Reads, frozen=True):
    """On which resources a binding counts, and whether its condition holds there."""

    resources: tuple[Resource, ...] = ()
    condition_evaluation: Evaluation = Evaluation()


class Identity(_Reads, frozen=True):
    """Somebody, as ``user:alice@example.com``."""

    name: str = ""


class IdentityList(_Reads, frozen=True):
    """Whom a binding names, groups unfolded."""

    identities: tuple[Identity, ...] = ()


class Analyzed(_Reads, frozen=True):
    """A binding that matches what was asked."""

    iam_binding: Binding = Binding()
    access_control_lists: tuple[AccessList, ...] = ()
    identity_list: IdentityList = IdentityList()


class Analysis(_Reads, frozen=True):
    """What matches, and whether Google looked everywhere."""

    analysis_results: tuple[Analyzed, ...] = ()
    fully_explored: bool = False


class _Analyzed(_Reads, frozen=True):
    main_analysis: Analysis = Analysis()


class _Bindings(_Reads, frozen=True):
    bindings: tuple[Binding, ...] = ()


class _Attached(_Reads, frozen=True):
    policy: _Bindings = _Bindings()


class _Effective(_Reads, frozen=True):
    full_resource_name: str = ""
    policies: tuple[_Attached, ...] = ()


class _EffectivePolicies(_Reads, frozen=True):
    policy_results: tuple[_Effective, ...] = ()


class _Page(_Reads, frozen=True):
    next_page_token: str = ""


class _Found(_Reads, frozen=True):
    name: str = ""


class _Resources(_Page, frozen=True):
    results: tuple[_Found, ...] = ()


class _Key(_Reads, frozen=True):
    id: str = ""


class _Member(_Reads, frozen=True):
    preferred_member_key: _Key = _Key()
    type: str = ""


class _Members(_Page, frozen=True):
    memberships: tuple[_Member, ...] = ()


class _Relation(_Reads, frozen=True):
    group_key: _Key = _Key()


class _Relations(_Page, frozen=True):
    memberships: tuple[_Relation, ...] = ()


class GoogleRest:
    """The calls, under one organization, folder or project; four at once at most."""

    def __init__(self, api: Google, *, scope: str, asset_url: str, groups_url: str) -> None:
        """Ask about ``scope``, such as ``organizations/123``; the urls have no slash at the end."""
        self._api = api
        self._assets = f"{asset_url.rstrip('/')}/v1/{quote(scope)}"
        self._groups = f"{groups_url.rstrip('/')}/v1/groups"
        self._places = asyncio.Semaphore(CALLS_AT_ONCE)

    async def analyze(self, **selectors: str) -> Analysis:
        """Ask which bindings match; a name is that of the query with ``_`` for its dots."""
        query = {f"analysisQuery.{name.replace('_', '.')}": of for name, of in selectors.items()}
        url = f"{self._assets}:analyzeIamPolicy"
        found = await self._get(
            url, {**query, "executionTimeout": f"{ANALYSIS_SECONDS}s"}, _Analyzed
        )
        return found.main_analysis

    async def projects(self) -> Sequence[str]:
        """Return the ids of all projects in the scope."""
        url = f"{self._assets}:searchAllResources"
        query = {"assetTypes": _PROJECTS, "pageSize": str(PAGE)}
        return [
            found.name.removeprefix(PROJECT)
            async for page in self._pages(url, query, _Resources)
            for found in page.results
            if found.name.startswith(PROJECT)
        ]

    async def policies(self, projects: Sequence[str]) -> dict[str, tuple[Binding, ...]]:
        """Return the bindings that count in each project, those of its ancestors too.

        A project that Google does not know has none.
        """
        batches = [projects[at : at + BATCH] for at in range(0, len(projects), BATCH)]
        found: dict[str, tuple[Binding, ...]] = {}
        for policies in await asyncio.gather(*map(self._batch, batches)):
            found |= policies
        return found

    async def groups_with(self, person: str) -> frozenset[str]:
        """Return the groups, by address, that have a person as a direct member.

        There are none where Google denies the look-up.
        """
        address = person.replace("\\", r"\\").replace("'", r"\'")
        query = {"query": f"member_key_id == '{address}' && {_GROUPS}", "pageSize": str(PAGE)}
        url = f"{self._groups}/-/memberships:searchDirectGroups"
        try:
            groups = [
                email_address(found.group_key.id)
                async for page in self._pages(url, query, _Relations)
                for found in page.memberships
            ]
        except _Denied:
            return frozenset()
        return frozenset(group for group in groups if group is not None)

    async def members(self, group: str) -> frozenset[str]:
        """Return the people, by address, who are direct members of a group; as `groups_with`."""
        try:
            found = await self._get(f"{self._groups}:lookup", {"groupKey.id": group}, _Found)
            kind, _, number = found.name.partition("/")
            if kind != "groups" or not number.isalnum():
                raise SourceUnavailable("Cloud Identity gave a group no name.")
            url = f"{self._groups}/{number}/memberships"
            addresses = [
                email_address(member.preferred_member_key.id)
                async for page in self._pages(url, {"pageSize": str(PAGE)}, _Members)
                for member in page.memberships
                if member.type == "USER"
            ]
        except _Denied:
            return frozenset()
        return frozenset(address for address in addresses if address is not None)

    async def _batch(self, projects: Sequence[str]) -> dict[str, tuple[Binding, ...]]:
        url = f"{self._assets}/effectiveIamPolicies:batchGet"
        query = [("names", f"{PROJECT}{project}") for project in projects]
        try:
            found = await self._get(url, query, _EffectivePolicies)
        except _Denied as denied:
            if denied.status != HTTPStatus.NOT_FOUND:
                raise
            # Google found a project a moment ago that is not there any more; the others are.
            return {} if len(projects) == 1 else await self._one_by_one(projects)
        return {
            one.full_resource_name.removeprefix(PROJECT): tuple(
                binding for attached in one.policies for binding in attached.policy.bindings
            )
            for one in found.policy_results
        }

    async def _one_by_one(self, projects: Sequence[str]) -> dict[str, tuple[Binding, ...]]:
        found = await asyncio.gather(*(self._batch([project]) for project in projects))
        return {project: bindings for one in found for project, bindings in one.items()}

    async def _pages(
        self, url: str, query: dict[str, str], kind: type[_KindOfPage]
    ) -> AsyncIterator[_KindOfPage]:
        token = ""
        for _ in range(MAX_PAGES):
            page = await self._get(url, {**query, **({"pageToken": token} if token else {})}, kind)
            yield page
            token = page.next_page_token
            if not token:
                return
        raise SourceUnavailable(f"Google's answer has more than {MAX_PAGES} pages.")

    async def _get(
        self, url: str, query: dict[str, str] | list[tuple[str, str]], kind: type[_Kind]
    ) -> _Kind:
        async with self._places:
            try:
                answer = await self._api.get(
                    f"{url}?{urlencode(query)}", timeout_seconds=TIMEOUT_SECONDS
                )
            except TransportFailed as error:
                raise SourceUnavailable(f"Google cannot be reached ({error.reason}).") from None
            except TokenUnavailable:
                raise SourceUnavailable("Google gives out no access tokens now.") from None
            except TokenRefused as error:
                raise SourceUnavailable(
                    f"Google gives this service account no access token ({error.reason})."
                ) from None
        if answer.status in _DENIED:
            raise _Denied(answer.status)
        if answer.status != HTTPStatus.OK:
            raise SourceUnavailable(f"Google answers with status {answer.status}.")
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise SourceUnavailable("Google's answer cannot be read.") from None


_KindOfPage = TypeVar("_KindOfPage", bound=_Page)


class _Denied(SourceUnavailable):
    """Google does not let this account see something, or there is no such thing."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Google answers with status {status}.")
        self.status = status
