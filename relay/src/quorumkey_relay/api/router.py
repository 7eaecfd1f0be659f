"""Finding the row of the table that a path and method mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from quorumkey_relay.api.answers import Headers, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from re import Pattern

    from quorumkey_relay.api.endpoint import Endpoint
    from quorumkey_relay.api.queries import Parameter
    from quorumkey_relay.observe.metrics import Metrics, RouteMetrics

#: What calls of no route are counted and logged as.
UNMATCHED: Final = "unmatched"

#: Answers whose body never ends have no HEAD.
_ENDLESS: Final = frozenset({"text/event-stream", "websocket"})


@dataclass(frozen=True, slots=True)
class Route:
    """A row with what dispatch needs of it at hand."""

    endpoint: Endpoint[Any, Any]
    parameters: Mapping[str, Parameter]
    id_patterns: tuple[Pattern[str], ...]
    metrics: RouteMetrics


@dataclass(slots=True)
class Resource:
    """One path: its methods, and the value of ``Allow``."""

    path: str
    methods: dict[str, Route] = field(default_factory=dict[str, Route])
    allow: bytes = b"OPTIONS"


class Match(NamedTuple):
    """What a call's path and method were found to mean."""

    resource: Resource | None
    route: Route | None
    path_ids: tuple[str, ...]


_NO_MATCH: Final = Match(None, None, ())


@dataclass(slots=True)
class _Node:
    """One segment of the tree of paths; ``any`` is what follows a variable segment."""

    children: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    any: _Node | None = None
    resource: Resource | None = None


class Router:
    """The table as a tree of path segments."""

    def __init__(self, endpoints: Iterable[Endpoint[Any, Any]], metrics: Metrics) -> None:
        """Bind each row to its counters."""
        self._root = _Node()
        self._static: dict[str, Resource] = {}
        self.unmatched = metrics.route("ANY", UNMATCHED)
        for endpoint in endpoints:
            self._add(endpoint, metrics)

    def find(self, path: str, method: str) -> Match:
        """Return the resource at a path, its route for the method, and its variable segments."""
        resource = self._static.get(path)
        if resource is not None:
            return Match(resource, resource.methods.get(method), ())
        node = self._root
        variable: tuple[str, ...] = ()
        for segment in path.split("/"):
            child = node.children.get(segment)
            if child is None:
                if node.any is None or not segment:
                    return _NO_MATCH
                child, variable = node.any, (*variable, segment)
            node = child
        resource = node.resource
        return Match(resource, None if resource is None else resource.methods.get(method), variable)

    def _add(self, endpoint: Endpoint[Any, Any], metrics: Metrics) -> None:
        node = self._root
        for segment in endpoint.path.split("/"):
            if segment.startswith("{"):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.children.setdefault(segment, _Node())
        resource = node.resource = node.resource or Resource(endpoint.path)
        path_ids = endpoint.path_ids
        if not path_ids:
            self._static[endpoint.path] = resource
        route = resource.methods[endpoint.method] = Route(
            endpoint,
            {parameter.name: parameter for parameter in endpoint.query},
            tuple(path_id.pattern for path_id in path_ids),
            metrics.route(endpoint.method, endpoint.path),
        )
        if endpoint.method == "GET" and endpoint.answer not in _ENDLESS:
            resource.methods["HEAD"] = route
        resource.allow = ", ".join(sorted({*resource.methods, "OPTIONS"})).encode()


def method_not_allowed(resource: Resource) -> Refused:
    """Return the refusal of a method that a path does not have (RFC 9110 §15.5.6)."""
    headers: Headers = ((b"allow", resource.allow),)
    return Refused("method_not_allowed", headers=headers)
