"""Every number of the protocol, named, with its unit.

Source of each: the protocol's section named beside it. Limits marked "ours" are not in the
protocol's text; they bound what a verifier reads.
"""

from __future__ import annotations

from typing import Final

# Bodies and JSON (sections 2, 7 and 9).
MAX_BODY_BYTES: Final = 65_536
MAX_REQUEST_BODY_BYTES: Final = 262_144
MAX_FRAME_BYTES: Final = 65_536
MAX_JSON_DEPTH: Final = 32
MAX_SAFE_INTEGER: Final = 2**53 - 1

# Signed payloads (ours). A request document repeats a body of at most 256 KiB and adds ids; a
# receipt holds it and up to 200 decisions, each twice in base64.
MAX_STATEMENT_BYTES: Final = 65_536
MAX_REQUEST_DOCUMENT_BYTES: Final = 393_216
MAX_RECEIPT_PAYLOAD_BYTES: Final = 3_145_728
MAX_RECEIPT_BYTES: Final = 4_259_840
MAX_POLICY_FILE_BYTES: Final = 393_216

# Encodings and keys (section 2).
NONCE_BYTES: Final = 32
DIGEST_BYTES: Final = 32
COMPRESSED_KEY_BYTES: Final = 33
FINGERPRINT_CHARS: Final = 64
MIN_SIGNATURE_BYTES: Final = 8
MAX_SIGNATURE_BYTES: Final = 72
PICTOGRAM_SYMBOLS: Final = 5

# Loaded public keys kept for reuse (ours): one takes some 20 µs to make and 1.3 kB to keep.
PUBLIC_KEY_CACHE_KEYS: Final = 16_384

# Text people see, in code points (section 2).
MIN_NAME_CHARS: Final = 1
MAX_NAME_CHARS: Final = 80
MIN_ID_CHARS: Final = 1
MAX_ID_CHARS: Final = 128
MIN_PARAM_KEY_CHARS: Final = 1
MAX_PARAM_KEY_CHARS: Final = 64
MIN_DESCRIPTION_CHARS: Final = 1
MAX_DESCRIPTION_CHARS: Final = 200
MIN_REASON_CHARS: Final = 1
MAX_REASON_CHARS: Final = 500  # ours

# Envelopes (section 3).
MAX_PAYLOAD_TYPE_CHARS: Final = 128  # ours
MAX_AUTHENTICATOR_DATA_BYTES: Final = 4_096  # ours
MAX_CLIENT_DATA_JSON_BYTES: Final = 8_192  # ours
AUTHENTICATOR_DATA_BYTES: Final = 37  # WebAuthn Level 3, section 6.1, without extensions
MAX_ORIGIN_CHARS: Final = 300  # ours: "https://" + 253 host characters + ":65535", with room
MAX_PORT: Final = 65_535
MAX_EXTENSION_NAMES: Final = 32  # ours

# Pairing (section 4).
PAIRING_CODE_CHARS: Final = 12
PAIRING_CODE_GROUP_CHARS: Final = 4
PAIRING_SECRET_BYTES: Final = 32
BINDING_BYTES: Final = 32
MIN_PAIRING_SECONDS: Final = 60
MAX_PAIRING_SECONDS: Final = 3_600
DEFAULT_PAIRING_SECONDS: Final = 600
NONCE_LIFE_SECONDS: Final = 300

# Push addresses (section 4; the bounds are ours).
MAX_APNS_TOKEN_CHARS: Final = 200
MAX_APNS_TOPIC_CHARS: Final = 155
MAX_FCM_TOKEN_CHARS: Final = 4_096
MAX_ENDPOINT_CHARS: Final = 2_048
WEB_PUSH_KEY_BYTES: Final = 65
WEB_PUSH_AUTH_BYTES: Final = 16

# Requests (section 5).
MIN_REQUIRED: Final = 1
MIN_GROUPS: Final = 1
MAX_GROUPS: Final = 50
MAX_GROUPS_PROTECTED_METHOD: Final = 200
MIN_GROUP_APPROVERS: Final = 1
MAX_GROUP_APPROVERS: Final = 50
MAX_APPROVERS: Final = 200
MIN_EXPIRES_IN_SECONDS: Final = 60
MAX_EXPIRES_IN_SECONDS: Final = 900
DEFAULT_EXPIRES_IN_SECONDS: Final = 300
MAX_EXPIRES_IN_SECONDS_PROTECTED_METHOD: Final = 86_400
MAX_EXPIRES_IN_SECONDS_JIT_ACCESS: Final = 7_200
MIN_USE_WITHIN_SECONDS: Final = 0
MAX_USE_WITHIN_SECONDS: Final = 86_400
DEFAULT_USE_WITHIN_SECONDS: Final = 900
MAX_ACTION_TYPE_CHARS: Final = 64
MAX_PARAMS_DEPTH: Final = 5
MAX_PARAMS_BYTES: Final = 8_192
MAX_BINDINGS: Final = 8
MAX_BINDING_NAME_CHARS: Final = 32
MIN_MATCH_CODE_DIGITS: Final = 2
MAX_MATCH_CODE_DIGITS: Final = 6
MATCH_CODE_ATTEMPTS: Final = 3
MAX_PENDING_PER_DEVICE: Final = 20
MIN_IDEMPOTENCY_KEY_CHARS: Final = 1
MAX_IDEMPOTENCY_KEY_CHARS: Final = 255
IDEMPOTENCY_SECONDS: Final = 86_400
CLOCK_SKEW_SECONDS: Final = 300

# Protected methods (ours, but for the canonical request's).
MAX_METHOD_NAME_CHARS: Final = 200
MAX_REQUEST_VIEW_BYTES: Final = 65_536  # what conditions and approvers see of a call
MAX_CHECK_BODY_BYTES: Final = 262_144
MIN_CLAIM_KEY_CHARS: Final = 16
MAX_CLAIM_KEY_CHARS: Final = 255
TXID_HEADER: Final = "x-mpa-txid"

# Just-in-time access (ours).
MAX_PROJECT_CHARS: Final = 128
MAX_ROLE_CHARS: Final = 256
MAX_CONDITION_CHARS: Final = 3_072  # in base64 it fills an entitlement id
MAX_JUSTIFICATION_CHARS: Final = 99

# Reading and lists (sections 2 and 5).
MAX_WAIT_SECONDS: Final = 60
MIN_LIST_LIMIT: Final = 1
MAX_LIST_LIMIT: Final = 100
DEFAULT_LIST_LIMIT: Final = 20

# Devices' API and sockets (sections 6 and 7).
SESSION_SECONDS: Final = 900
AUTH_WITHIN_SECONDS: Final = 10
PING_SECONDS: Final = 25
MIN_RECONNECT_SECONDS: Final = 1
MAX_RECONNECT_SECONDS: Final = 30

# Webhooks (section 10 and the Standard Webhooks specification).
WEBHOOK_TOLERANCE_SECONDS: Final = 300
WEBHOOK_SECRET_BYTES: Final = 32
MIN_WEBHOOK_SECRET_BYTES: Final = 24
MAX_WEBHOOK_SECRET_BYTES: Final = 64
MAX_WEBHOOK_SIGNATURES: Final = 16  # ours
WEBHOOK_ROTATION_SECONDS: Final = 86_400
