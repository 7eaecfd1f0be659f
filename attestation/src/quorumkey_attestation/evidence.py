"""The verifier of an enrolment's evidence, in each format of docs/protocol.md, section 7.

Every format binds the same two things, the nonce that the relay issued and the device's public
key; what is signed, and how, is each format's own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, cast

from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation import cbor
from quorumkey_attestation.android.key_description import SecurityLevel
from quorumkey_attestation.android.verification import verify_android_key
from quorumkey_attestation.apple.attestation import verify_app_attestation
from quorumkey_attestation.apple.receipt import verify_app_receipt
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.chain import MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES, load_chain
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.result import Assurance, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.android.revocation import RevocationList
    from quorumkey_attestation.android.verification import AndroidKeyPolicy
    from quorumkey_attestation.apple.policy import AppAttestPolicy
    from quorumkey_attestation.verifier import Expectation
    from quorumkey_attestation.webauthn import WebAuthnPolicy

__all__ = ["MEMBERS", "EvidenceVerifier", "check_form"]

MIN_CERTIFICATES: Final = 2  # certificates in an Android chain
KEY_ID_BYTES: Final = 32  # bytes of an App Attest key's identifier
MAX_OBJECT_BYTES: Final = cbor.MAX_BYTES  # bytes of an attestation object
MAX_CLIENT_DATA_BYTES: Final = 4096  # bytes of clientDataJSON; browsers write about 200

#: The members of each format, beside ``format`` itself.
MEMBERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "none": (),
        "apple-app-attest": ("key_id", "object"),
        "android-key": ("chain",),
        "webauthn": ("attestation_object", "client_data_json"),
    }
)

_LEVELS: Final[Mapping[SecurityLevel, Assurance]] = MappingProxyType(
    {
        SecurityLevel.SOFTWARE: Assurance.SOFTWARE,
        SecurityLevel.TEE: Assurance.TEE,
        SecurityLevel.STRONGBOX: Assurance.STRONGBOX,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceVerifier:
    """Judges evidence by one policy for each format; implements ``Verifier``.

    A format without a policy is ``unsupported``: what may be trusted is never guessed.

    Attributes:
        app_attest: which apps' App Attest keys count.
        android: what an Android key has to be like.
        webauthn: what a WebAuthn credential has to be like. Its algorithms do not matter here: a
            device key is on P-256, so only ES256 can be meant.
        revocation: Google's list of revoked certificates, for ``android-key``; without a fresh
            one such evidence is refused. A value: put a newer one in place with
            ``dataclasses.replace``.
        receipts: whether the receipt inside an App Attest object has to hold too. Leaving it out
            spares the extra ``receipt``.

    Raises:
        ValueError: another word for ``receipts``.
    """

    app_attest: AppAttestPolicy | None = None
    android: AndroidKeyPolicy | None = None
    webauthn: WebAuthnPolicy | None = None
    revocation: RevocationList | None = None
    receipts: Literal["required", "ignored"] = "required"

    def __post_init__(self) -> None:
        if self.receipts not in ("required", "ignored"):
            raise ValueError("receipts is either required or ignored")

    def preload(self) -> None:
        """Import what the formats need, some 60 ms that the first evidence would take otherwise.

        A missing extra is not told here but by the evidence that needs it, as ``unsupported``.
        """
        needed = {
            "asn1crypto.cms": self.app_attest is not None and self.receipts == "required",
            "quorumkey_attestation.webauthn.ceremony": self.webauthn is not None,
        }
        for module in (name for name, is_needed in needed.items() if is_needed):
            with suppress(ImportError):
                import_module(module)

    def verify(self, evidence: Mapping[str, object], expected: Expectation) -> Result:
        """Return what ``evidence`` proves about the device key.

        1. It has exactly the members of its format, each of them strict base64 (base64url for
           ``webauthn``) and of bounded size.
        2. ``apple-app-attest``: the object holds for clientDataHash = SHA-256(nonce followed by
           the device's public key), used as it is, and its receipt holds.
        3. ``android-key``: the chain holds for the challenge that is the nonce, and the leaf's key
           is the device's.
        4. ``webauthn``: the registration holds for the challenge that is the nonce, and the
           credential's key is the device's.
        5. ``none``: nothing is proved.

        Raises:
            AttestationError: the evidence proves nothing; the reason says why.
            ValueError: the expected public key is no point of P-256: the caller's own mistake.
        """
        kind = _format_of(evidence)
        if kind == "apple-app-attest":
            return self._app_attest(evidence, expected)
        if kind == "android-key":
            return self._android(evidence, expected)
        if kind == "webauthn":
            return self._webauthn(evidence, expected)
        return Result(format="none", assurance=Assurance.NONE)

    def _app_attest(self, evidence: Mapping[str, object], expected: Expectation) -> Result:
        key_id, attestation_object = _app_attest_parts(evidence)
        policy = self.app_attest
        if policy is None:
            raise _unsupported("apple-app-attest")
        now = _moment(expected)
        key = verify_app_attestation(
            attestation_object,
            key_id=key_id,
            client_data_hash=hashlib.sha256(expected.nonce + expected.device_public_key).digest(),
            policy=policy,
            now=now,
        )
        checks = key.checks
        if self.receipts == "required":
            checks += verify_app_receipt(key.receipt, key=key, policy=policy, now=now).checks
        return Result(
            format="apple-app-attest",
            assurance=Assurance.SECURE_ENCLAVE,
            checks=checks,
            app_attest_key=key,
        )

    def _android(self, evidence: Mapping[str, object], expected: Expectation) -> Result:
        chain = _chain_of(evidence)
        if self.android is None:
            raise _unsupported("android-key")
        key = verify_android_key(
            chain,
            challenge=expected.nonce,
            policy=self.android,
            revocation=self.revocation,
            now=_moment(expected),
            public_key=_device_key(expected),
        )
        return Result(
            format="android-key",
            assurance=_LEVELS[key.level],
            checks=key.checks,
            quirks=key.quirks,
            serials=key.serials,
        )

    def _webauthn(self, evidence: Mapping[str, object], expected: Expectation) -> Result:
        attestation_object, client_data_json = _webauthn_parts(evidence)
        if self.webauthn is None:
            raise _unsupported("webauthn")
        from quorumkey_attestation.webauthn import (  # noqa: PLC0415  # an extra may be missing
            verify_webauthn_registration,
        )

        key = verify_webauthn_registration(
            attestation_object,
            client_data_json=client_data_json,
            challenge=expected.nonce,
            policy=self.webauthn,
            revocation=self.revocation,
            now=_moment(expected),
        )
        audit = Audit()
        audit.require(
            "evidence/4-key",
            key.public_key == _device_key(expected),
            Reason.KEY_MISMATCH,
            "The credential has another key than the device that enrols.",
        )
        return Result(
            format="webauthn",
            assurance=key.assurance,
            checks=(*key.checks, *audit.checks),
            serials=key.serials,
        )


def check_form(evidence: Mapping[str, object]) -> None:
    """Refuse what cannot be evidence, without judging what could be.

    For a server that does not judge evidence but keeps it for others who will: members, encodings
    and sizes are those of :meth:`EvidenceVerifier.verify`, certificates parse, and an object is
    CBOR. Nothing that passes proves anything.

    Raises:
        AttestationError: ``malformed``, ``broken_chain`` (the number of certificates) or
            ``unsupported`` (another format).
    """
    kind = _format_of(evidence)
    audit = Audit()
    if kind == "apple-app-attest":
        _require_map(_app_attest_parts(evidence)[1], audit)
    elif kind == "android-key":
        load_chain(_chain_of(evidence), audit, least=MIN_CERTIFICATES)
    elif kind == "webauthn":
        attestation_object, client_data_json = _webauthn_parts(evidence)
        _require_map(attestation_object, audit)
        _require_object(client_data_json)


def _format_of(evidence: Mapping[str, object]) -> str:
    kind = evidence.get("format")
    if not isinstance(kind, str) or kind not in MEMBERS:
        raise AttestationError(
            Reason.UNSUPPORTED,
            f"The format is none of {', '.join(MEMBERS)}.",
            check="evidence/1-format",
        )
    if set(evidence) != {"format", *MEMBERS[kind]}:
        members = ", ".join(MEMBERS[kind]) or "no other member"
        raise _malformed(f"Format {kind} has, beside its name: {members}.")
    return kind


def _app_attest_parts(evidence: Mapping[str, object]) -> tuple[bytes, bytes]:
    key_id = _base64(evidence["key_id"], "key_id", most=KEY_ID_BYTES)
    if len(key_id) != KEY_ID_BYTES:
        raise _malformed(f"key_id must be {KEY_ID_BYTES} bytes.")
    return key_id, _base64(evidence["object"], "object", most=MAX_OBJECT_BYTES)


def _chain_of(evidence: Mapping[str, object]) -> list[bytes]:
    chain = evidence["chain"]
    if not isinstance(chain, list | tuple):
        raise _malformed("chain must be an array.")
    items = cast("list[object]", chain)
    if not MIN_CERTIFICATES <= len(items) <= MAX_CERTIFICATES:
        raise AttestationError(
            Reason.BROKEN_CHAIN,
            f"The chain must have {MIN_CERTIFICATES} to {MAX_CERTIFICATES} certificates.",
            check="evidence/1-count",
        )
    return [_base64(item, "chain", most=MAX_CERTIFICATE_BYTES) for item in items]


def _webauthn_parts(evidence: Mapping[str, object]) -> tuple[bytes, bytes]:
    return (
        _base64url(evidence["attestation_object"], "attestation_object", most=MAX_OBJECT_BYTES),
        _base64url(evidence["client_data_json"], "client_data_json", most=MAX_CLIENT_DATA_BYTES),
    )


def _base64(value: object, member: str, *, most: int) -> bytes:
    """Read standard base64 with padding, in its one canonical form (RFC 4648 section 4)."""
    return _decoded(value, member, most=most, altchars=b"+/", padding="")


def _base64url(value: object, member: str, *, most: int) -> bytes:
    """Read base64url without padding, in its one canonical form (RFC 4648 section 5)."""
    text = value if isinstance(value, str) else ""
    if "=" in text:
        raise _malformed(f"{member} must be base64url without padding.")
    return _decoded(value, member, most=most, altchars=b"-_", padding="=" * (-len(text) % 4))


def _decoded(value: object, member: str, *, most: int, altchars: bytes, padding: str) -> bytes:
    if not isinstance(value, str):
        raise _malformed(f"{member} must be text.")
    if len(value) > 4 * (most // 3 + 1):
        raise _malformed(f"{member} must be at most {most} bytes.")
    text = value + padding
    try:
        data = base64.b64decode(text, altchars=altchars, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed(f"{member} is not strict base64.") from None
    # The decoder passes over spare bits that are not zero, and over the other alphabet.
    if base64.b64encode(data, altchars=altchars).decode() != text:
        raise _malformed(f"{member} is not in base64's canonical form.")
    if not 0 < len(data) <= most:
        raise _malformed(f"{member} must be 1 to {most} bytes.")
    return data


def _require_map(data: bytes, audit: Audit) -> None:
    if not isinstance(cbor.decode(data, audit, what="attestation object"), dict):
        raise _malformed("The attestation object is not a map.")


def _require_object(data: bytes) -> None:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _malformed("client_data_json is not a JSON object.")


def _moment(expected: Expectation) -> datetime:
    return datetime.fromtimestamp(expected.now, UTC)


def _device_key(expected: Expectation) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), expected.device_public_key)


def _unsupported(kind: str) -> AttestationError:
    return AttestationError(
        Reason.UNSUPPORTED,
        f"Evidence of the format {kind} is not accepted here: no policy is set up for it.",
        check="evidence/1-format",
    )


def _malformed(detail: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check="evidence/1-members")
