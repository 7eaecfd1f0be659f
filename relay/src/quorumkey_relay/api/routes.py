"""The table of routes: dispatch and the OpenAPI document are both made from it.

The routes that show the document are added by `quorumkey_relay.api.documents`.
"""

from __future__ import annotations

from typing import Any, Final

from quorumkey.protocol.limits import MAX_REQUEST_BODY_BYTES
from quorumkey_relay.api import devices, integrators, operations, queries
from quorumkey_relay.api.answers import NO_CONTENT
from quorumkey_relay.api.bodies import ENROLMENT, ENVELOPE, NO_BODY, structured
from quorumkey_relay.api.endpoint import CREATED, IDEMPOTENCY_KEY, OK, UUID, Endpoint, Header
from quorumkey_relay.api.gate import ANYONE, API_KEY, PROBE, SESSION
from quorumkey_relay.api.protection_routes import PROTECTION_ROUTES
from quorumkey_relay.api.webhook_routes import WEBHOOK_ROUTES
from quorumkey_relay.usecases import commands, views

STREAM_PATH: Final = "/v1/device/stream"

#: Rows differ in what they are given; each is checked against its own handler where it stands.
AnyEndpoint = Endpoint[Any, Any]

LAST_EVENT_ID: Final = Header(
    "Last-Event-ID",
    {"type": "string", "pattern": f"^{UUID}$"},
    "Go on after this event.",
)

_LIST: Final = (queries.LIMIT, queries.CURSOR)

INTEGRATOR_ROUTES: Final[tuple[AnyEndpoint, ...]] = (
    Endpoint(
        method="POST",
        path="/v1/requests",
        summary="Ask for an approval.",
        auth=API_KEY,
        body=structured(commands.AskBody, max_bytes=MAX_REQUEST_BODY_BYTES),
        handle=integrators.create_request,
        answer=views.RequestView,
        success=CREATED,
        headers=(IDEMPOTENCY_KEY,),
        errors=(
            "invalid_fingerprint",
            "invalid_public_key",
            "duplicate_approver",
            "unknown_device",
            "insufficient_assurance",
            "requester_cannot_approve",
            "idempotency_conflict",
        ),
    ),
    Endpoint(
        method="GET",
        path="/v1/requests",
        summary="List your requests, newest first.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.list_requests,
        answer=views.Page[views.RequestView],
        query=(queries.STATUS, *_LIST),
    ),
    Endpoint(
        method="GET",
        path="/v1/requests/{request_id}",
        summary="Read a request; wait for its end with wait_seconds.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.read_request,
        answer=views.RequestView,
        query=(queries.WAIT_SECONDS,),
    ),
    Endpoint(
        method="POST",
        path="/v1/requests/{request_id}/cancel",
        summary="Withdraw a pending request.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.cancel_request,
        answer=views.RequestView,
        errors=("request_completed",),
    ),
    Endpoint(
        method="GET",
        path="/v1/requests/{request_id}/receipt",
        summary="Fetch the receipt of a finished request.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.read_receipt,
        answer=commands.EnvelopeDocument,
        errors=("not_completed",),
    ),
    Endpoint(
        method="GET",
        path="/v1/requests/{request_id}/deliveries",
        summary="Count the deliveries of a request by group and channel.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.read_deliveries,
        answer=views.DeliveriesView,
    ),
    Endpoint(
        method="GET",
        path="/v1/events",
        summary="Follow your events as server-sent events; resume with Last-Event-ID.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.follow_events,
        answer="text/event-stream",
        headers=(LAST_EVENT_ID,),
        errors=("cursor_expired",),
    ),
    Endpoint(
        method="POST",
        path="/v1/pairings",
        summary="Make a code with which one device of an approver can enrol.",
        auth=API_KEY,
        body=structured(commands.PairingBody),
        handle=integrators.create_pairing,
        answer=views.PairingCreatedView,
        success=CREATED,
        headers=(IDEMPOTENCY_KEY,),
        errors=("failed_precondition", "idempotency_conflict"),
    ),
    Endpoint(
        method="GET",
        path="/v1/pairings/{pairing_id}",
        summary="Read a pairing and the evidence of its enrolment.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.read_pairing,
        answer=views.PairingView,
    ),
    Endpoint(
        method="GET",
        path="/v1/devices",
        summary="List your paired devices, newest first.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.list_devices,
        answer=views.Page[views.DeviceView],
        query=(queries.APPROVER_ID, *_LIST),
    ),
    Endpoint(
        method="GET",
        path="/v1/devices/{fingerprint}",
        summary="Read one of your devices.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.read_device,
        answer=views.DeviceView,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/devices/{fingerprint}",
        summary="End the pairing with one of your devices.",
        auth=API_KEY,
        body=NO_BODY,
        handle=integrators.remove_device,
        success=NO_CONTENT,
    ),
)

DEVICE_ROUTES: Final[tuple[AnyEndpoint, ...]] = (
    Endpoint(
        method="POST",
        path="/v1/device/pairing",
        summary="See what a pairing code stands for; spends nothing.",
        auth=ANYONE,
        body=structured(commands.PairingCodeBody),
        handle=devices.preview_pairing,
        answer=views.PairingPreviewView,
        errors=("pairing_not_found", "pairing_expired"),
    ),
    Endpoint(
        method="POST",
        path="/v1/device/challenge",
        summary="Take a nonce for the next envelope.",
        auth=ANYONE,
        body=NO_BODY,
        handle=devices.issue_nonce,
        answer=views.ChallengeView,
    ),
    Endpoint(
        method="POST",
        path="/v1/device/enroll",
        summary="Enrol a device; 200 when an answer that was lost is given again.",
        auth=ANYONE,
        body=ENROLMENT,
        handle=devices.enroll,
        answer=views.EnrolledView,
        success=CREATED,
        also=OK,
        errors=(
            "invalid_public_key",
            "invalid_fingerprint",
            "invalid_signature",
            "attestation_rejected",
            "attestation_required",
            "device_revoked",
            "pairing_not_found",
            "device_conflict",
            "failed_precondition",
            "nonce_expired",
            "pairing_expired",
        ),
    ),
    Endpoint(
        method="POST",
        path="/v1/device/session",
        summary="Open a session of 15 minutes that reads and acknowledges.",
        auth=ANYONE,
        body=ENVELOPE,
        handle=devices.open_session,
        answer=views.SessionView,
        errors=("invalid_signature", "invalid_public_key", "device_revoked", "nonce_expired"),
    ),
    Endpoint(
        method="POST",
        path="/v1/device/reattest",
        summary="Prove anew where this device's key lives.",
        auth=SESSION,
        body=structured(commands.ReattestBody),
        handle=devices.reattest,
        answer=views.ReattestedView,
        errors=("attestation_rejected", "attestation_required", "device_revoked", "nonce_expired"),
    ),
    Endpoint(
        method="GET",
        path="/v1/device/requests",
        summary="List the requests that wait for this device, or all, newest first.",
        auth=SESSION,
        body=NO_BODY,
        handle=devices.list_requests,
        answer=views.Page[views.DeviceRequestView],
        query=(queries.EVERYTHING, *_LIST),
    ),
    Endpoint(
        method="GET",
        path="/v1/device/requests/{request_id}",
        summary="Read a request as one of its devices.",
        auth=SESSION,
        body=NO_BODY,
        handle=devices.read_request,
        answer=views.DeviceRequestView,
    ),
    Endpoint(
        method="POST",
        path="/v1/device/requests/{request_id}/ack",
        summary="Say that the request was shown to the person.",
        auth=SESSION,
        body=NO_BODY,
        handle=devices.acknowledge,
        success=NO_CONTENT,
    ),
    Endpoint(
        method="POST",
        path="/v1/device/requests/{request_id}/decision",
        summary="Approve or deny, with a signed decision.",
        auth=ANYONE,
        body=ENVELOPE,
        handle=devices.decide,
        answer=views.DecisionView,
        errors=(
            "invalid_fingerprint",
            "invalid_signature",
            "clock_skew",
            "wrong_code",
            "device_revoked",
            "insufficient_assurance",
            "requester_cannot_approve",
            "already_decided",
            "request_completed",
        ),
    ),
    Endpoint(
        method="PUT",
        path="/v1/device/push",
        summary="Replace this device's push address, with a signed push statement.",
        auth=ANYONE,
        body=ENVELOPE,
        handle=devices.set_push,
        answer=dict[str, Any],
        errors=("invalid_signature", "invalid_fingerprint", "device_revoked", "nonce_expired"),
    ),
    Endpoint(
        method="POST",
        path="/v1/device/unpair",
        summary="End this device's pairings, with a signed unpair statement.",
        auth=ANYONE,
        body=ENVELOPE,
        handle=devices.unpair,
        success=NO_CONTENT,
        errors=("invalid_signature", "invalid_fingerprint", "device_revoked", "nonce_expired"),
    ),
    Endpoint(
        method="GET",
        path=STREAM_PATH,
        summary="WebSocket (sub-protocol quorumkey.v1): challenges and progress as they happen.",
        auth=ANYONE,
        body=NO_BODY,
        handle=devices.stream,
        answer="websocket",
    ),
)

RELAY_ROUTES: Final[tuple[AnyEndpoint, ...]] = (
    Endpoint(
        method="GET",
        path="/v1/info",
        summary="Describe this relay: its key, version and what it asks of devices.",
        auth=ANYONE,
        body=NO_BODY,
        handle=operations.info,
        answer=views.InfoView,
    ),
    Endpoint(
        method="GET",
        path="/healthz",
        summary="Is the process alive?",
        auth=PROBE,
        body=NO_BODY,
        handle=operations.healthz,
        answer=dict[str, str],
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        summary="Can the relay serve? 503 with details.problems when it cannot.",
        auth=PROBE,
        body=NO_BODY,
        handle=operations.readyz,
        answer=dict[str, str],
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        summary="Counters in the Prometheus text format.",
        auth=PROBE,
        body=NO_BODY,
        handle=operations.show_metrics,
        answer="text/plain",
        errors=("unauthorized",),
    ),
)

ROUTES: Final = (
    *INTEGRATOR_ROUTES,
    *WEBHOOK_ROUTES,
    *PROTECTION_ROUTES,
    *DEVICE_ROUTES,
    *RELAY_ROUTES,
)
