"""What the browser says about a ceremony: WebAuthn Level 3, section 5.8.1, read strictly."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Final, Literal, cast

from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from quorumkey_attestation.audit import Audit

__all__ = ["MAX_BYTES", "require_client_data"]

MAX_BYTES: Final = 16_384  # bytes of clientDataJSON; browsers write about 250


def require_client_data(  # noqa: PLR0913  # what client data is compared with
    data: bytes,
    *,
    kind: Literal["webauthn.create", "webauthn.get"],
    challenge: bytes,
    origins: AbstractSet[str],
    procedure: str,
    audit: Audit,
) -> bytes:
    """Check steps 1 to 5, which both ceremonies share, and return the SHA-256 of ``data``.

    1. It is a JSON object of at most ``MAX_BYTES`` without repeated members.
    2. ``type`` is ``kind``.
    3. ``challenge`` is exactly the unpadded base64url of the one that was issued.
    4. ``origin`` is one of ``origins``.
    5. ``crossOrigin`` is absent or false, ``topOrigin`` absent, and ``tokenBinding`` absent, no
       object (as old security keys send it), or of the status ``supported``: Token Binding is used
       on no connection here (WebAuthn Level 2, section 7.1, step 10).

    Args:
        data: clientDataJSON, as the browser gave it.
        kind: the ceremony.
        challenge: the bytes that were issued.
        origins: the origins that pages may have.
        procedure: which begins the names of the checks.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``, ``challenge_mismatch`` or ``origin``.
        ValueError: ``challenge`` is empty.
    """
    if not challenge:
        raise ValueError("an empty challenge proves nothing")
    if len(data) > MAX_BYTES:
        raise AttestationError(
            Reason.MALFORMED,
            f"clientDataJSON is larger than {MAX_BYTES} bytes.",
            check=f"{procedure}/1-size",
        )
    members = parse_object(data, audit, what="clientDataJSON", step=f"{procedure}/1")
    audit.require(
        f"{procedure}/2-type",
        members.get("type") == kind,
        Reason.MALFORMED,
        f"clientDataJSON is not of type {kind}.",
    )
    expected = urlsafe_b64encode(challenge).rstrip(b"=")
    claimed = members.get("challenge")
    audit.require(
        f"{procedure}/3-challenge",
        isinstance(claimed, str)
        and hmac.compare_digest(claimed.encode(errors="replace"), expected),
        Reason.CHALLENGE,
        "The browser was given another challenge.",
    )
    origin = members.get("origin")
    audit.require(
        f"{procedure}/4-origin",
        isinstance(origin, str) and origin in origins,
        Reason.ORIGIN,
        "The page that asked has an origin that is not accepted.",
    )
    audit.require(
        f"{procedure}/5-cross-origin",
        members.get("crossOrigin", False) is False and "topOrigin" not in members,
        Reason.ORIGIN,
        "The page that asked was inside a page of another origin.",
    )
    binding = members.get("tokenBinding")
    audit.require(
        f"{procedure}/5-token-binding",
        not isinstance(binding, dict)
        or cast("dict[str, object]", binding).get("status") == "supported",
        Reason.ORIGIN,
        "The browser speaks of a Token Binding that this connection does not have.",
    )
    return hashlib.sha256(data).digest()
