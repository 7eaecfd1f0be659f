# What the generated workshop_pb2_grpc.py holds, typed by hand: its generator writes no types.

from grpc import aio

from examples.workshop import workshop_pb2

_Context = aio.ServicerContext

class WorkshopStub:
    KillProcessOnHostsWithTag: aio.UnaryUnaryMultiCallable[
        workshop_pb2.KillProcessOnHostsWithTagRequest,
        workshop_pb2.KillProcessOnHostsWithTagResponse,
    ]
    DeleteRule: aio.UnaryUnaryMultiCallable[
        workshop_pb2.DeleteRuleRequest, workshop_pb2.DeleteRuleResponse
    ]
    ListHosts: aio.UnaryStreamMultiCallable[workshop_pb2.ListHostsRequest, workshop_pb2.Host]
    def __init__(self, channel: aio.Channel) -> None: ...

class WorkshopServicer: ...

def add_WorkshopServicer_to_server(servicer: WorkshopServicer, server: aio.Server) -> None: ...
