"""What an Android key may be used for, and on what device it lives (schema versions 1 to 500).

Source: https://source.android.com/docs/security/features/keystore/attestation, "Schema".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey_attestation import der
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey_attestation.audit import Audit

__all__ = [
    "ApplicationId",
    "ApplicationPackage",
    "AuthorizationList",
    "KeyOrigin",
    "KeyPurpose",
    "RootOfTrust",
    "SecurityLevel",
    "VerifiedBootState",
    "read_authorization_list",
]

MAX_UNKNOWN_TAGS: Final = 32  # tags of one list that nobody here understands

_NOTHING: Final[Mapping[int, bytes]] = MappingProxyType({})
_DER_FALSE: Final = b"\x00"
_DER_TRUE: Final = b"\xff"


class SecurityLevel(IntEnum):
    """Where code runs or a key lives; a greater value is stronger."""

    SOFTWARE = 0
    TEE = 1
    STRONGBOX = 2


class VerifiedBootState(IntEnum):
    """Who vouches for the system that the device booted."""

    VERIFIED = 0
    SELF_SIGNED = 1
    UNVERIFIED = 2
    FAILED = 3


class KeyOrigin(IntEnum):
    """How the key came into the hardware."""

    GENERATED = 0
    DERIVED = 1
    IMPORTED = 2
    UNKNOWN = 3
    SECURELY_IMPORTED = 4


class KeyPurpose(IntEnum):
    """What a key may be used for."""

    ENCRYPT = 0
    DECRYPT = 1
    SIGN = 2
    VERIFY = 3
    WRAP_KEY = 5
    AGREE_KEY = 6
    ATTEST_KEY = 7


@dataclass(frozen=True, slots=True)
class RootOfTrust:
    """What the boot loader told the secure hardware about the system it started.

    Attributes:
        verified_boot_key: the key, or its digest, that verified the system; zeros if none did.
        device_locked: whether the boot loader is locked.
        verified_boot_state: who vouches for the system.
        verified_boot_hash: the digest over all that was verified; None in versions 1 and 2.
    """

    verified_boot_key: bytes
    device_locked: bool
    verified_boot_state: VerifiedBootState
    verified_boot_hash: bytes | None


@dataclass(frozen=True, slots=True)
class ApplicationPackage:
    """One package that may use the key.

    Attributes:
        name: its package name.
        version: its version code.
    """

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class ApplicationId:
    """The app that asked for the attestation, as the operating system saw it.

    Attributes:
        packages: its package, and others only where several share one user id.
        signature_digests: the SHA-256 of each certificate the packages are signed with.
    """

    packages: tuple[ApplicationPackage, ...]
    signature_digests: frozenset[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationList:
    """One of the two lists of a KeyDescription; None or False where a tag is absent.

    Dates are in milliseconds since the Unix epoch, ``auth_timeout`` in seconds, patch levels
    YYYYMM or YYYYMMDD. Enumerations are kept as numbers, since a newer device may send newer ones.

    Attributes:
        unknown: tag number → the DER inside the tag, for every tag that is not known here.
        tags: every tag number in the list, as it stands there.
        der_booleans: whether each BOOLEAN in it is encoded as DER wants.
    """

    purpose: tuple[int, ...] | None = None
    algorithm: int | None = None
    key_size: int | None = None
    block_mode: tuple[int, ...] | None = None
    digest: tuple[int, ...] | None = None
    padding: tuple[int, ...] | None = None
    caller_nonce: bool = False
    min_mac_length: int | None = None
    ec_curve: int | None = None
    ml_dsa_variant: int | None = None
    rsa_public_exponent: int | None = None
    mgf_digest: tuple[int, ...] | None = None
    rollback_resistance: bool = False
    early_boot_only: bool = False
    active_date_time: int | None = None
    origination_expire_date_time: int | None = None
    usage_expire_date_time: int | None = None
    usage_count_limit: int | None = None
    user_secure_id: tuple[int, ...] | None = None
    no_auth_required: bool = False
    user_auth_type: int | None = None
    auth_timeout: int | None = None
    allow_while_on_body: bool = False
    trusted_user_presence_required: bool = False
    trusted_confirmation_required: bool = False
    unlocked_device_required: bool = False
    all_applications: bool = False
    application_id: bytes | None = None
    creation_date_time: int | None = None
    origin: int | None = None
    rollback_resistant: bool = False
    root_of_trust: RootOfTrust | None = None
    os_version: int | None = None
    os_patch_level: int | None = None
    attestation_application_id: ApplicationId | None = None
    attestation_id_brand: bytes | None = None
    attestation_id_device: bytes | None = None
    attestation_id_product: bytes | None = None
    attestation_id_serial: bytes | None = None
    attestation_id_imei: bytes | None = None
    attestation_id_meid: bytes | None = None
    attestation_id_manufacturer: bytes | None = None
    attestation_id_model: bytes | None = None
    vendor_patch_level: int | None = None
    boot_patch_level: int | None = None
    device_unique_attestation: bool = False
    attestation_id_second_imei: bytes | None = None
    module_hash: bytes | None = None
    unknown: Mapping[int, bytes] = field(default_factory=lambda: _NOTHING)
    tags: tuple[int, ...] = ()
    der_booleans: bool = True

    @property
    def in_order(self) -> bool:
        """Whether the tags are in ascending order, as DER wants."""
        return self.tags == tuple(sorted(self.tags))


def read_authorization_list(content: bytes, what: str, audit: Audit) -> AuthorizationList:
    """Return the AuthorizationList that a SEQUENCE holds.

    1. Every element is ``[n] EXPLICIT``, and no ``n`` stands there twice.
    2. A known tag holds exactly one element, of the form that the schema gives it.
    3. An unknown tag is kept; it is DER, nested at most ``der.MAX_DEPTH`` deep, and there are at
       most ``MAX_UNKNOWN_TAGS`` of them.

    The order of the tags, and a TRUE that is not 0xFF, are told and not judged: genuine devices
    get both wrong.

    Args:
        content: the octets inside the SEQUENCE.
        what: the list's name, for the messages: ``"hardwareEnforced"``.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``.
    """
    reader = der.Reader(content, what)
    values: dict[str, object] = {}
    unknown: dict[int, bytes] = {}
    tags: list[int] = []
    while not reader.at_end:
        number, inner = reader.read_explicit()
        if number is None:
            raise _malformed(f"{what}: an element has no tag of its own.", "1-tag")
        tags.append(number)
        known = _FIELDS.get(number)
        if known is None:
            der.require_shallow(inner, what)
            unknown[number] = inner
        else:
            name, read = known
            values[name] = read(inner, name, audit)
    audit.require(
        "android.list/1-duplicate",
        len(set(tags)) == len(tags),
        Reason.MALFORMED,
        "A tag stands in an authorization list twice.",
    )
    if len(unknown) > MAX_UNKNOWN_TAGS:
        raise _malformed(f"{what}: more than {MAX_UNKNOWN_TAGS} unknown tags.", "3-unknown")
    return _assembled(values, unknown, tags)


def _assembled(
    values: dict[str, object], unknown: dict[int, bytes], tags: list[int]
) -> AuthorizationList:
    root = values.get("root_of_trust")
    if isinstance(root, _ReadRootOfTrust):
        values["root_of_trust"] = root.value
        values["der_booleans"] = root.der_boolean
    if unknown:
        values["unknown"] = MappingProxyType(unknown)
    return AuthorizationList(tags=tuple(tags), **values)  # type: ignore[arg-type]  # _FIELDS pairs each name with the reader of its type


@dataclass(frozen=True, slots=True)
class _ReadRootOfTrust:
    value: RootOfTrust
    der_boolean: bool


def _malformed(detail: str, step: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check=f"android.list/{step}")


def _integer(inner: bytes, what: str, audit: Audit) -> int:
    return der.decode_integer(der.read_only(inner, der.INTEGER, what, audit), what)


def _integers(inner: bytes, what: str, audit: Audit) -> tuple[int, ...]:
    reader = der.Reader(der.read_only(inner, der.SET, what, audit), what)
    values: list[int] = []
    while not reader.at_end:
        values.append(der.decode_integer(reader.content(der.INTEGER), what))
    return tuple(values)


def _secure_ids(inner: bytes, what: str, audit: Audit) -> tuple[int, ...]:
    # The schema never published this tag's type: one id or several.
    if inner[:1] == bytes([der.SET]):
        return _integers(inner, what, audit)
    return (_integer(inner, what, audit),)


def _octets(inner: bytes, what: str, audit: Audit) -> bytes:
    return der.read_only(inner, der.OCTET_STRING, what, audit)


def _present(inner: bytes, what: str, audit: Audit) -> bool:
    if der.read_only(inner, der.NULL, what, audit):
        raise _malformed(f"{what}: a NULL has content.", "2-null")
    return True


def _root_of_trust(inner: bytes, what: str, audit: Audit) -> _ReadRootOfTrust:
    reader = der.Reader(der.read_only(inner, der.SEQUENCE, what, audit), what)
    key = reader.content(der.OCTET_STRING)
    locked = reader.content(der.BOOLEAN)
    if len(locked) != 1:
        raise _malformed(f"{what}: a BOOLEAN is not one octet.", "2-boolean")
    number = der.decode_integer(reader.content(der.ENUMERATED), what)
    boot_hash = None if reader.at_end else reader.content(der.OCTET_STRING)
    reader.finish(audit)
    try:
        state = VerifiedBootState(number)
    except ValueError:
        raise _malformed(f"{what}: verifiedBootState {number} is unknown.", "2-enum") from None
    return _ReadRootOfTrust(
        RootOfTrust(key, locked != _DER_FALSE, state, boot_hash),
        locked in (_DER_FALSE, _DER_TRUE),
    )


def _application_id(inner: bytes, what: str, audit: Audit) -> ApplicationId:
    reader = der.Reader(der.read_only(_octets(inner, what, audit), der.SEQUENCE, what, audit), what)
    package_set = der.Reader(reader.content(der.SET), what)
    digest_set = der.Reader(reader.content(der.SET), what)
    reader.finish(audit)
    packages: list[ApplicationPackage] = []
    while not package_set.at_end:
        fields = der.Reader(package_set.content(der.SEQUENCE), what)
        name = fields.content(der.OCTET_STRING)
        version = der.decode_integer(fields.content(der.INTEGER), what)
        fields.finish(audit)
        try:
            packages.append(ApplicationPackage(name.decode(), version))
        except UnicodeDecodeError:
            raise _malformed(f"{what}: a package name is not UTF-8.", "2-text") from None
    digests: list[bytes] = []
    while not digest_set.at_end:
        digests.append(digest_set.content(der.OCTET_STRING))
    return ApplicationId(tuple(packages), frozenset(digests))


_FIELDS: Final[Mapping[int, tuple[str, Callable[[bytes, str, Audit], object]]]] = MappingProxyType(
    {
        1: ("purpose", _integers),
        2: ("algorithm", _integer),
        3: ("key_size", _integer),
        4: ("block_mode", _integers),
        5: ("digest", _integers),
        6: ("padding", _integers),
        7: ("caller_nonce", _present),
        8: ("min_mac_length", _integer),
        10: ("ec_curve", _integer),
        11: ("ml_dsa_variant", _integer),
        200: ("rsa_public_exponent", _integer),
        203: ("mgf_digest", _integers),
        303: ("rollback_resistance", _present),
        305: ("early_boot_only", _present),
        400: ("active_date_time", _integer),
        401: ("origination_expire_date_time", _integer),
        402: ("usage_expire_date_time", _integer),
        405: ("usage_count_limit", _integer),
        502: ("user_secure_id", _secure_ids),
        503: ("no_auth_required", _present),
        504: ("user_auth_type", _integer),
        505: ("auth_timeout", _integer),
        506: ("allow_while_on_body", _present),
        507: ("trusted_user_presence_required", _present),
        508: ("trusted_confirmation_required", _present),
        509: ("unlocked_device_required", _present),
        600: ("all_applications", _present),
        601: ("application_id", _octets),
        701: ("creation_date_time", _integer),
        702: ("origin", _integer),
        703: ("rollback_resistant", _present),
        704: ("root_of_trust", _root_of_trust),
        705: ("os_version", _integer),
        706: ("os_patch_level", _integer),
        709: ("attestation_application_id", _application_id),
        710: ("attestation_id_brand", _octets),
        711: ("attestation_id_device", _octets),
        712: ("attestation_id_product", _octets),
        713: ("attestation_id_serial", _octets),
        714: ("attestation_id_imei", _octets),
        715: ("attestation_id_meid", _octets),
        716: ("attestation_id_manufacturer", _octets),
        717: ("attestation_id_model", _octets),
        718: ("vendor_patch_level", _integer),
        719: ("boot_patch_level", _integer),
        720: ("device_unique_attestation", _present),
        723: ("attestation_id_second_imei", _octets),
        724: ("module_hash", _octets),
    }
)
