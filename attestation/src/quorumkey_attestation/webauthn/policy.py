"""What a WebAuthn credential has to be like, and what a verification returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.verification import AndroidKeyPolicy

if TYPE_CHECKING:
    from quorumkey_attestation.result import Assurance

__all__ = [
    "ALGORITHMS",
    "ES256",
    "FORMATS",
    "CredentialPublicKey",
    "WebAuthnAssertion",
    "WebAuthnKey",
    "WebAuthnPolicy",
]

CredentialPublicKey: TypeAlias = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey
"""A credential's key; an elliptic curve key on P-256 unless policy allows other algorithms."""

ES256: Final = -7
"""The COSE identifier of ECDSA with SHA-256, here on P-256 alone (RFC 9053 section 2.1)."""

ALGORITHMS: Final = frozenset({ES256, -35, -36, -8, -257})
"""The COSE algorithms a policy may allow: ES256, ES384, ES512, EdDSA (Ed25519), RS256."""

FORMATS: Final = frozenset({"none", "packed", "tpm", "android-key", "fido-u2f", "apple"})
"""The attestation statement formats judged here (WebAuthn Level 3, section 8)."""


# Who asked for the key, the browser or the system for it, says nothing about the passkey; that the
# person was verified is in the flags; and the challenge already fixes when the key was made.
_ANDROID: Final = AndroidKeyPolicy(packages=None, user_auth="any", created_within=None)


def _no_anchors() -> TrustAnchors:
    return TrustAnchors(())


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthnPolicy:
    """What a relying party accepts; the defaults are those for a key that approves requests.

    Attributes:
        rp_id: the relying party id, a host name.
        origins: the exact origins its pages may have, ``https://host[:port]``. Not empty.
        require_user_verification: whether the authenticator has to have verified the person.
        formats: the attestation statement formats that are judged; others are refused.
        hardware: ``"required"`` refuses every credential that is not proved to be bound to one
            device; ``"preferred"`` reports what was proved.
        algorithms: the COSE algorithms a credential key may have; some of ``ALGORITHMS``.
        android: what an ``android-key`` credential has to be like. None asks for a key in secure
            hardware of a device that booted a verified system with a locked boot loader, whatever
            app asked for it (the browser, or the system on its behalf). Its ``anchors`` are not
            looked at: ``android_anchors`` are.
        android_anchors: the roots of the format ``android-key``.
        apple_anchors: the roots of the format ``apple``.
        anchors: the roots of ``packed``, ``tpm`` and ``fido-u2f``. There are no built-in ones:
            while it is empty, statements of these formats are checked but prove no hardware.
        allow_backup_eligible: whether a credential that may be copied to other devices is taken.
        effective_android: ``android`` or what stands for it, with ``android_anchors``. Not an
            argument.

    Raises:
        TypeError: ``origins`` is no frozenset; in a text, parts of an origin would be found too.
        ValueError: no relying party or origin, a format or algorithm that is not judged here, or
            another word for ``hardware``.
    """

    rp_id: str
    origins: frozenset[str]
    require_user_verification: bool = True
    formats: frozenset[str] = FORMATS
    hardware: Literal["required", "preferred"] = "preferred"
    algorithms: frozenset[int] = frozenset({ES256})
    android: AndroidKeyPolicy | None = None
    android_anchors: TrustAnchors = field(default_factory=TrustAnchors.google_hardware)
    apple_anchors: TrustAnchors = field(default_factory=TrustAnchors.apple_webauthn)
    anchors: TrustAnchors = field(default_factory=_no_anchors)
    allow_backup_eligible: bool = True
    effective_android: AndroidKeyPolicy = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        android = replace(self.android or _ANDROID, anchors=self.android_anchors)
        object.__setattr__(self, "effective_android", android)
        if not isinstance(cast("object", self.origins), frozenset):
            raise TypeError("origins must be a frozenset")
        if self.hardware not in ("required", "preferred"):
            raise ValueError("hardware is either required or preferred")
        if not self.rp_id or not self.origins:
            raise ValueError("rp_id and origins must not be empty")
        if not self.formats <= FORMATS:
            raise ValueError(f"unknown formats: {sorted(self.formats - FORMATS)}")
        if not self.algorithms or not self.algorithms <= ALGORITHMS:
            raise ValueError("algorithms must be some of quorumkey_attestation.webauthn.ALGORITHMS")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthnKey:
    """A credential that was registered.

    Attributes:
        credential_id: the authenticator's name for it, 1 to 1023 bytes.
        public_key: its key.
        algorithm: the COSE algorithm it signs with.
        sign_count: the signature counter; store it for :func:`verify_webauthn_assertion`.
        format: the attestation statement format that was judged.
        aaguid: the authenticator's model, 16 bytes; all zero where it does not say. Only where
            ``attested`` is it more than a claim, and in ``fido-u2f`` never.
        user_verified: whether the authenticator verified the person.
        backup_eligible: whether the credential may be copied to other devices (flag BE).
        backed_up: whether it has been (flag BS).
        attested: whether a trusted root vouches for the authenticator.
        assurance: ``passkey_device_bound`` where ``attested`` and not ``backup_eligible``,
            otherwise ``passkey``: a synced passkey is never called bound to a device, nor is one
            that a ``tpm`` certifies but did not make itself.
        serials: for ``android-key``, the serial number of every certificate, lower-case hex, leaf
            first: look them up in every new revocation list. Otherwise empty.
        checks: the checks that were passed.
    """

    credential_id: bytes
    public_key: CredentialPublicKey
    algorithm: int
    sign_count: int
    format: str
    aaguid: bytes
    user_verified: bool
    backup_eligible: bool
    backed_up: bool
    attested: bool
    assurance: Assurance
    serials: tuple[str, ...]
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthnAssertion:
    """A signature that a registered credential made.

    Attributes:
        sign_count: the new signature counter; store it by compare-and-set. 0 where the
            authenticator keeps none.
        user_verified: whether the authenticator verified the person.
        backup_eligible: whether the credential may be copied to other devices (flag BE).
        backed_up: whether it has been (flag BS); this may change between two assertions.
        checks: the checks that were passed.
    """

    sign_count: int
    user_verified: bool
    backup_eligible: bool
    backed_up: bool
    checks: tuple[str, ...]
