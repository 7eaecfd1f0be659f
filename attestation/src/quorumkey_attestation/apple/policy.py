"""What App Attest evidence is judged by, and the key that comes out of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.anchors import TrustAnchors

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "INVALID_CATEGORY",
    "AppAttestKey",
    "AppAttestPolicy",
    "Environment",
    "point_of",
    "version_number",
]

Environment: TypeAlias = Literal["production", "development"]
"""Apple's two App Attest environments, whose keys and receipts never mix."""

MAX_VERSION_CHARACTERS: Final = 64  # characters of a bundle version; real ones have at most 18
INVALID_CATEGORY: Final = 0  # Apple's value for an app that did not pass the system's validation


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAttestPolicy:
    """What an attestation, an assertion or a receipt has to show.

    Attributes:
        app_ids: the App IDs to accept, ``TEAMID.bundle.identifier``. An App Clip sends its full
            app's; a macOS app has its signing identifier in place of the bundle identifier.
        environment: the environment whose keys are accepted.
        categories: the values of ``apple_validation_category_01`` to accept (2 TestFlight, 3
            development, 4 App Store, 5 enterprise or ad hoc, 6 Developer ID); None accepts every
            category but 0, which is Apple's word for invalid.
        missing_extensions: whether evidence without category and bundle version is accepted, as
            every system before iOS 27 sends it.
        min_bundle_version: the lowest ``apple_bundle_version_01`` to accept, numbers separated by
            dots; None accepts any. Evidence without one is ``missing_extensions``' matter.
        anchors: the roots at which an attestation's chain may end.
        receipt_anchors: the roots at which a receipt's chain may end.
        require_macos_acl: ask for the key access policy of a Mac with System Integrity Protection
            and Full Security. No iOS device passes: set it for macOS apps alone.
        allow_any_hash_length: for tests: accept a client data hash that is not 32 bytes long.
            Apple's published samples sign the challenge itself instead of its SHA-256.

    Raises:
        TypeError: ``app_ids`` or ``categories`` is no frozenset.
        ValueError: no App ID, an empty one, category 0, or a version that is not numbers and dots.
    """

    app_ids: frozenset[str]
    environment: Environment = "production"
    categories: frozenset[int] | None = None
    missing_extensions: Literal["allow", "reject"] = "allow"
    min_bundle_version: str | None = None
    anchors: TrustAnchors = field(default_factory=TrustAnchors.apple_app_attest)
    receipt_anchors: TrustAnchors = field(default_factory=TrustAnchors.apple_receipt)
    require_macos_acl: bool = False
    allow_any_hash_length: bool = False
    app_id_by_hash: Mapping[bytes, str] = field(init=False, repr=False, compare=False)
    least_version: tuple[int, ...] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("app_ids", "categories"):
            if not isinstance(getattr(self, name), frozenset | None):
                raise TypeError(f"{name} must be a frozenset")
        if not self.app_ids or "" in self.app_ids:
            raise ValueError("app_ids must name at least one App ID, and none of them empty")
        if self.environment not in ("production", "development"):
            raise ValueError(f"there is no environment {self.environment!r}")
        if self.missing_extensions not in ("allow", "reject"):
            raise ValueError("missing_extensions is either allow or reject")
        if self.categories is not None and INVALID_CATEGORY in self.categories:
            raise ValueError("category 0 means that the app is invalid; it cannot be accepted")
        least = None
        if self.min_bundle_version is not None:
            least = version_number(self.min_bundle_version)
            if least is None:
                raise ValueError("min_bundle_version must be numbers separated by dots")
        by_hash = {hashlib.sha256(each.encode()).digest(): each for each in self.app_ids}
        object.__setattr__(self, "app_id_by_hash", MappingProxyType(by_hash))
        object.__setattr__(self, "least_version", least)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAttestKey:
    """A key that Apple attests to live in the Secure Enclave of a device that runs the app.

    Attributes:
        key_id: its 32-byte identifier, SHA-256 of the uncompressed point.
        public_key: the key, on P-256.
        app_id: the App ID it belongs to.
        environment: the environment that it was attested in.
        counter: where its counter stands: 0 after the attestation.
        receipt: the receipt that came with it, for :func:`verify_app_receipt`.
        category: ``apple_validation_category_01``, where the system sent one.
        bundle_version: ``apple_bundle_version_01``, where the system sent one.
        checks: the checks that it passed.
    """

    key_id: bytes
    public_key: ec.EllipticCurvePublicKey
    app_id: str
    environment: Environment
    counter: int = 0
    receipt: bytes = field(default=b"", repr=False)
    category: int | None = None
    bundle_version: str | None = None
    checks: tuple[str, ...] = ()

    @classmethod
    def stored(
        cls, *, key_id: bytes, public_key_point: bytes, app_id: str, environment: Environment
    ) -> AppAttestKey:
        """Return a key from what a server stored of it.

        Args:
            key_id: its 32-byte identifier.
            public_key_point: :attr:`point`, the uncompressed point of 65 bytes.
            app_id: the App ID it belongs to.
            environment: the environment that it was attested in.

        Raises:
            ValueError: the identifier is not the SHA-256 of the point, or the point is not on
                P-256.
        """
        if hashlib.sha256(public_key_point).digest() != key_id:
            raise ValueError("key_id is not the SHA-256 of public_key_point")
        return cls(
            key_id=key_id,
            public_key=ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), public_key_point
            ),
            app_id=app_id,
            environment=environment,
        )

    @property
    def point(self) -> bytes:
        """The public key as an uncompressed point of 65 bytes (SEC 1 section 2.3.3)."""
        return point_of(self.public_key)


def point_of(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as an uncompressed point (SEC 1 section 2.3.3)."""
    return public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def version_number(text: str) -> tuple[int, ...] | None:
    """Return a bundle version for comparison, without trailing zeros: ``1.10.0`` is ``(1, 10)``.

    Apple's CFBundleVersion is numbers separated by dots; None stands for anything else.
    """
    parts = text.split(".")
    if len(text) > MAX_VERSION_CHARACTERS or not all(
        part.isascii() and part.isdigit() for part in parts
    ):
        return None
    numbers = [int(part) for part in parts]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
