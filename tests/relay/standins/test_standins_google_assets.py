"""The stand-in of Cloud Asset Inventory and Cloud Identity refuses what Google refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

import pytest

from quorumkey_relay.standins.exchange import Caller, Reply, Request
from quorumkey_relay.standins.google_assets import SCOPE, GoogleAssets

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey_relay.standins.google_cloud import GoogleCloud


class Cloud:
    """What the stand-in needs of the one beside it."""

    projects = ("project-1",)

    def __init__(self) -> None:
        self.routes: list[Callable[[Request], Reply | None]] = []

    def serve_also(self, route: Callable[[Request], Reply | None]) -> None:
        """Take the route."""
        self.routes.append(route)

    def ask(
        self, path: str, query: dict[str, str | list[str]], method: str = "GET"
    ) -> Reply | None:
        """Ask the one route."""
        text = f"{path}?{urlencode(query, doseq=True)}"
        return self.routes[0](Request(Caller(1), method, text, {}, b""))


@pytest.fixture
def cloud() -> Cloud:
    """The routes, with one group."""
    opened = Cloud()
    assets = GoogleAssets(cast("GoogleCloud", opened), lambda: 0.0)
    assets.groups = {"team@example.com": ["alice@example.com"]}
    return opened


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (f"/v1/{SCOPE}:analyzeIamPolicy", {"executionTimeout": "1s"}),
        (f"/v1/{SCOPE}:analyzeIamPolicy", {"analysisQuery.unknown": "1"}),
        (f"/v1/{SCOPE}:searchAllResources", {"assetTypes": "storage.googleapis.com/Bucket"}),
        (f"/v1/{SCOPE}/effectiveIamPolicies:batchGet", {"names": ["x"] * 21}),
        ("/v1/groups/-/memberships:searchDirectGroups", {"query": "member_key_id == 'a'"}),
        ("/v1/groups:lookup", {"groupKey.id": "a", "more": "b"}),
    ],
    ids=["no selector", "unknown", "other assets", "many names", "no label", "more"],
)
def test_google_assets_refuses(cloud: Cloud, path: str, query: dict[str, str | list[str]]) -> None:
    """A call that Google would refuse is refused."""
    reply = cloud.ask(path, query)

    assert reply is not None
    assert 400 == reply.status


def test_google_assets_leaves_other_paths(cloud: Cloud) -> None:
    """What is not there is left to others."""
    assert cloud.ask("/v1/other", {"a": "b"}) is None
    assert cloud.ask("/v1/groups:lookup", {"groupKey.id": "team@example.com"}, "POST") is None
