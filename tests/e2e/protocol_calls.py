"""The calls of the protocol page and the codes of its refusals (§4 to §6, §8, §9)."""

from __future__ import annotations

#: An id that nothing has.
NO_ID = "0190a000-0000-7000-8000-00000000dead"

#: Every call: method, path, whether it takes a body.
CALLS: list[tuple[str, str, bool]] = [
    ("GET", "/v1/info", False),
    ("POST", "/v1/pairings", True),
    ("GET", f"/v1/pairings/{NO_ID}", False),
    ("POST", "/v1/requests", True),
    ("GET", "/v1/requests", False),
    ("GET", f"/v1/requests/{NO_ID}", False),
    ("POST", f"/v1/requests/{NO_ID}/cancel", False),
    ("GET", f"/v1/requests/{NO_ID}/receipt", False),
    ("GET", f"/v1/requests/{NO_ID}/deliveries", False),
    ("GET", "/v1/events", False),
    ("GET", "/v1/devices", False),
    ("GET", "/v1/devices/" + "00" * 32, False),
    ("DELETE", "/v1/devices/" + "00" * 32, False),
    ("POST", "/v1/device/pairing", True),
    ("POST", "/v1/device/challenge", False),
    ("POST", "/v1/device/enroll", True),
    ("POST", "/v1/device/session", True),
    ("PUT", "/v1/device/push", True),
    ("POST", "/v1/device/unpair", True),
    ("GET", "/v1/device/requests", False),
    ("GET", f"/v1/device/requests/{NO_ID}", False),
    ("POST", f"/v1/device/requests/{NO_ID}/ack", False),
    ("POST", f"/v1/device/requests/{NO_ID}/decision", True),
]

#: The codes of each status.
CODES: dict[int, frozenset[str]] = {
    400: frozenset(
        {
            "invalid_request",
            "invalid_json",
            "invalid_fingerprint",
            "invalid_public_key",
            "invalid_signature",
            "clock_skew",
            "wrong_code",
            "duplicate_approver",
            "attestation_rejected",
        }
    ),
    401: frozenset({"unauthorized"}),
    403: frozenset(
        {
            "forbidden",
            "attestation_required",
            "device_revoked",
            "insufficient_assurance",
            "requester_cannot_approve",
        }
    ),
    404: frozenset({"not_found", "unknown_device", "pairing_not_found"}),
    405: frozenset({"method_not_allowed"}),
    409: frozenset(
        {
            "already_decided",
            "request_completed",
            "idempotency_conflict",
            "not_completed",
            "device_conflict",
        }
    ),
    410: frozenset({"nonce_expired", "pairing_expired", "cursor_expired"}),
    413: frozenset({"payload_too_large"}),
    415: frozenset({"unsupported_media_type"}),
    429: frozenset({"rate_limited"}),
    500: frozenset({"internal_error"}),
    503: frozenset({"store_unavailable"}),
}
