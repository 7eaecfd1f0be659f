"""The example as a gRPC service; all that protection asks for is one interceptor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from examples.workshop import workshop_pb2, workshop_pb2_grpc
from grpc import aio

from quorumkey.protection.grpc import ProtectionInterceptor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from examples.workshop.callers import Callers
    from examples.workshop.fleet import Fleet

    from quorumkey.protection import Caller, Guard
    from quorumkey.protection.grpc import Context


class Workshop(workshop_pb2_grpc.WorkshopServicer):
    """The methods, none of which knows that it is protected."""

    def __init__(self, fleet: Fleet) -> None:
        """Administer this fleet."""
        self._fleet = fleet

    async def KillProcessOnHostsWithTag(  # noqa: N802 - the generated code names the methods
        self, request: workshop_pb2.KillProcessOnHostsWithTagRequest, _context: Context
    ) -> workshop_pb2.KillProcessOnHostsWithTagResponse:
        """End a process wherever it runs on a host with a tag."""
        hosts = self._fleet.kill(request.tag, request.process)
        return workshop_pb2.KillProcessOnHostsWithTagResponse(hosts=hosts)

    async def DeleteRule(  # noqa: N802 - as above
        self, request: workshop_pb2.DeleteRuleRequest, context: Context
    ) -> workshop_pb2.DeleteRuleResponse:
        """Forget a rule."""
        try:
            self._fleet.delete_rule(request.rule_id)
        except KeyError:
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no such rule.")
        return workshop_pb2.DeleteRuleResponse()

    async def ListHosts(  # noqa: N802 - as above
        self, _request: workshop_pb2.ListHostsRequest, _context: Context
    ) -> AsyncGenerator[workshop_pb2.Host]:
        """List the hosts, with what runs on them."""
        for host in self._fleet.hosts.values():
            yield workshop_pb2.Host(name=host.name, tags=host.tags, processes=host.processes)


def make_server(fleet: Fleet, guard: Guard, callers: Callers) -> aio.Server:
    """Return a server that is not started yet; the guard must be open while it runs."""

    def caller_of(details: grpc.HandlerCallDetails, _context: Context) -> Caller | None:
        metadata = dict(details.invocation_metadata)
        return callers.of(str(metadata.get("authorization", "")))

    server = aio.server(interceptors=(ProtectionInterceptor(guard, caller_of),))
    workshop_pb2_grpc.add_WorkshopServicer_to_server(Workshop(fleet), server)
    return server
