"""Protected methods of a service: calls that wait for other administrators, and run exactly once.

A `Guard` decides for each call: proceed, wait, or run under a claim. The decorator
`Guard.protected` and `ProtectionMiddleware` (ASGI) stand on it; `quorumkey.protection.grpc` has
the interceptor for gRPC.
"""

from __future__ import annotations

from quorumkey.client.claims import ClaimState
from quorumkey.protection._snapshot import MAX_STALENESS_SECONDS
from quorumkey.protection.asgi import ProtectionMiddleware, Route, RouteMatch
from quorumkey.protection.declarations import Caller, Method, MethodKind, Resolver, Resource
from quorumkey.protection.errors import (
    ApprovalRequired,
    NobodyCanApproveError,
    ProtectionError,
    ProtectionUnavailable,
    RequestRefused,
    ResultNotReportedError,
)
from quorumkey.protection.guard import Guard, Unreachable
from quorumkey.protection.messages import ProtobufMessage, Request, read_json
from quorumkey.protection.models import Transaction, Vote
from quorumkey.protection.trust import Roster, UnsafeTrustRelay
from quorumkey.protection.verdicts import Claim, Proceed, Run, Verdict, Wait
from quorumkey.protocol import TransactionState

__all__ = [
    "MAX_STALENESS_SECONDS",
    "ApprovalRequired",
    "Caller",
    "Claim",
    "ClaimState",
    "Guard",
    "Method",
    "MethodKind",
    "NobodyCanApproveError",
    "Proceed",
    "ProtectionError",
    "ProtectionMiddleware",
    "ProtectionUnavailable",
    "ProtobufMessage",
    "Request",
    "RequestRefused",
    "Resolver",
    "Resource",
    "ResultNotReportedError",
    "Roster",
    "Route",
    "RouteMatch",
    "Run",
    "Transaction",
    "TransactionState",
    "Unreachable",
    "UnsafeTrustRelay",
    "Verdict",
    "Vote",
    "Wait",
    "read_json",
]
