"""Policy files: what to trust and what to expect, as TOML, for each kind of evidence.

The keys are the fields of the policy classes, written as TOML has them: a set is an array, bytes
are lower-case hex, a length of time is ``…_seconds``, an enum's member is its name in lower case,
and what may be None is left out, or ``"any"`` where leaving it out means something else. Besides
them::

    roots = ["roots.pem"]         # files of root certificates; absent: the built-in roots
    allow_test_roots = true       # accept roots of the deny list; never in production
    [expect]                      # what the server knows; see expectations.py
    [revocation]                  # Google's list, for Android chains
    file = "status.json"
    fetched_at = 2026-06-01T12:00:00Z
    max_age_seconds = 172800

App Attest has ``receipt_roots`` too (absent: as ``roots``), WebAuthn ``android_roots`` and
``apple_roots``, its ``roots`` being those of the other formats, and a table ``android`` with an
Android policy. The same readers serve the command and the numbered cases of
:mod:`quorumkey_attestation.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

from cryptography import x509

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.settings import (
    PolicyFileError,
    boolean,
    choice,
    digests_by_name,
    hex_bytes,
    integer,
    member,
    moment,
    parse_toml,
    read_table,
    seconds,
    set_of,
    signed_integer,
    text,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from pathlib import Path

    from quorumkey_attestation.android.revocation import RevocationList
    from quorumkey_attestation.android.verification import AndroidKeyPolicy
    from quorumkey_attestation.apple.attestation import AppAttestPolicy
    from quorumkey_attestation.play_integrity.policy import IntegrityPolicy
    from quorumkey_attestation.settings import Reader
    from quorumkey_attestation.webauthn.policy import WebAuthnPolicy

__all__ = [
    "MAX_FILE_BYTES",
    "Files",
    "PolicyFileError",
    "android_policy",
    "app_attest_policy",
    "files_in_folder",
    "files_of_case",
    "integrity_policy",
    "load_policy",
    "revocation_list",
    "webauthn_policy",
]

MAX_FILE_BYTES: Final = 8 * 1024 * 1024  # bytes of a file that a policy names

Files: TypeAlias = "Callable[[str], bytes]"
"""Gives the content of a file that a policy names; raises PolicyFileError."""

_T = TypeVar("_T")
_OFF: Final = "any"


def load_policy(path: Path) -> Mapping[str, object]:
    """Return the settings in the policy file at ``path``.

    Raises:
        PolicyFileError: it cannot be read, or is no TOML.
    """
    return parse_toml(_read_file(path), str(path))


def files_in_folder(folder: Path) -> Files:
    """Return what reads the files that a policy in ``folder`` names."""

    def read(name: str) -> bytes:
        return _read_file(folder / name)

    return read


def files_of_case(evidence: Mapping[str, bytes]) -> Files:
    """Return what reads the files that a policy names from a case's own evidence."""

    def read(name: str) -> bytes:
        if name not in evidence:
            raise PolicyFileError(f"there is no file {name}")
        return evidence[name]

    return read


def app_attest_policy(
    settings: Mapping[str, object], files: Files, *, where: str = "policy"
) -> AppAttestPolicy:
    """Return the policy for App Attest attestations, assertions and receipts.

    Args:
        settings: the policy file's table, ``expect`` included.
        files: reads the root files that it names.
        where: the file's name, for the messages.

    Raises:
        PolicyFileError: it cannot be used as it is; each of these functions raises it.
    """
    from quorumkey_attestation.apple.attestation import (  # noqa: PLC0415  # only who judges Apple
        AppAttestPolicy,
    )

    known: dict[str, Reader] = {
        "app_ids": set_of(text),
        "environment": choice("production", "development"),
        "categories": set_of(integer),
        "missing_extensions": choice("allow", "reject"),
        "min_bundle_version": text,
        "require_macos_acl": boolean,
        "allow_any_hash_length": boolean,
        "receipt_roots": texts,
    }
    values = _policy_table(settings, known, where, required=("app_ids",))
    values.setdefault("receipt_roots", values.get("roots"))
    trust = _Trust(values, files, where)
    trust.set("roots", "anchors", TrustAnchors.apple_app_attest)
    trust.set("receipt_roots", "receipt_anchors", TrustAnchors.apple_receipt)
    return _made(AppAttestPolicy, values, where)


def android_policy(
    settings: Mapping[str, object], files: Files, *, where: str = "policy"
) -> AndroidKeyPolicy:
    """Return the policy for Android keys; ``packages`` is a table, or ``"any"`` for any app."""
    values = _policy_table(settings, _android_settings(), where, required=("packages",))
    return _android_key_policy(values, files, where)


def webauthn_policy(
    settings: Mapping[str, object], files: Files, *, where: str = "policy"
) -> WebAuthnPolicy:
    """Return the policy for passkeys."""
    from quorumkey_attestation.webauthn.policy import (  # noqa: PLC0415  # only who judges passkeys
        WebAuthnPolicy,
    )

    known: dict[str, Reader] = {
        "rp_id": text,
        "origins": set_of(text),
        "require_user_verification": boolean,
        "formats": set_of(text),
        "hardware": choice("required", "preferred"),
        "algorithms": set_of(signed_integer),
        "allow_backup_eligible": boolean,
        "android": _any_table,
        "android_roots": texts,
        "apple_roots": texts,
    }
    values = _policy_table(settings, known, where, required=("rp_id", "origins"))
    if "android" in values:
        place = f"{where} [android]"
        table = read_table(values["android"], _android_settings(), place, required=("packages",))
        values["android"] = _android_key_policy(table, files, place)
    trust = _Trust(values, files, where)
    trust.set("android_roots", "android_anchors", TrustAnchors.google_hardware)
    trust.set("apple_roots", "apple_anchors", TrustAnchors.apple_webauthn)
    trust.set("roots", "anchors", _no_anchors)
    return _made(WebAuthnPolicy, values, where)


def integrity_policy(settings: Mapping[str, object], *, where: str = "policy") -> IntegrityPolicy:
    """Return the policy for Play Integrity verdicts."""
    from quorumkey_attestation.play_integrity.policy import (  # noqa: PLC0415  # only who judges these
        IntegrityPolicy,
    )

    known: dict[str, Reader] = {
        "expect": _any_table,
        "package": text,
        "certificate_digests": set_of(hex_bytes),
        "max_age_seconds": seconds,
        "require_play_recognized": boolean,
        "min_version_code": integer,
        "device": text,
        "min_sdk_version": integer,
        "require_licensed": boolean,
        "access_risk": choice("any", "known_only", "none"),
        "play_protect": set_of(text),
        "max_activity_level": integer,
        "device_recall": choice("any", "clear"),
    }
    required = ("package", "certificate_digests")
    values = read_table(settings, known, where, required=required)
    values.pop("expect", None)
    _rename(values, "max_age_seconds", "max_age")
    return _made(IntegrityPolicy, values, where)


def revocation_list(
    settings: Mapping[str, object], files: Files, *, where: str = "policy"
) -> RevocationList | None:
    """Return the revocation list that a policy names, or None where it names none.

    Raises:
        PolicyFileError: the table ``revocation`` or its file cannot be read.
        AttestationError: the file is no such list.
    """
    if "revocation" not in settings:
        return None
    from quorumkey_attestation.android.revocation import (  # noqa: PLC0415  # only who judges Android
        DEFAULT_MAX_AGE,
        RevocationList,
    )

    known: dict[str, Reader] = {"file": text, "fetched_at": moment, "max_age_seconds": seconds}
    place = f"{where} [revocation]"
    values = read_table(settings["revocation"], known, place, required=("file", "fetched_at"))
    max_age = values.get("max_age_seconds", DEFAULT_MAX_AGE)
    data = files(str(values["file"]))
    values = {"fetched_at": values["fetched_at"], "max_age": max_age}

    def read(**times: object) -> RevocationList:
        make = cast("Callable[..., RevocationList]", RevocationList.from_json)
        return make(data, **times)

    return _made(read, values, place)


def _android_settings() -> dict[str, Reader]:
    from quorumkey_attestation.android.key_description import (  # noqa: PLC0415  # as above
        KeyOrigin,
        KeyPurpose,
        SecurityLevel,
    )

    return {
        "packages": _packages,
        "min_level": member(SecurityLevel),
        "require_locked": boolean,
        "verified_boot": choice("verified", "verified_or_allowed", "any"),
        "boot_keys": set_of(hex_bytes),
        "origins": set_of(member(KeyOrigin)),
        "purposes": set_of(member(KeyPurpose)),
        "curve": choice("P-256", "any"),
        "user_auth": choice("required", "per_use", "any"),
        "min_os_patch": integer,
        "created_within_seconds": _seconds_or_any,
        "provisioning": choice("any", "rkp"),
        "extra_packages": choice("reject", "allow"),
        "tag_order": choice("strict", "report"),
        "non_der_boolean": choice("reject", "report"),
    }


def _android_key_policy(values: dict[str, object], files: Files, where: str) -> AndroidKeyPolicy:
    from quorumkey_attestation.android.verification import (  # noqa: PLC0415  # as above
        AndroidKeyPolicy,
    )

    _rename(values, "created_within_seconds", "created_within")
    _Trust(values, files, where).set("roots", "anchors", TrustAnchors.google_hardware)
    return _made(AndroidKeyPolicy, values, where)


class _Trust:
    """Turns the names of root files into anchors, in a table of a policy's values."""

    def __init__(self, values: dict[str, object], files: Files, where: str) -> None:
        self._values = values
        self._files = files
        self._where = where
        self._test_roots = values.pop("allow_test_roots", False) is True

    def set(self, key: str, name: str, built_in: Callable[[], TrustAnchors]) -> None:
        """Put the anchors that ``key`` names, or else the built-in ones, under ``name``."""
        names = self._values.pop(key, None)
        if names is None:
            if self._test_roots:
                self._values[name] = built_in().including(allow_test_roots=True)
            return
        certificates: list[x509.Certificate] = []
        for each in cast("tuple[str, ...]", names):
            try:
                certificates += x509.load_pem_x509_certificates(self._files(each))
            except ValueError as error:
                raise PolicyFileError(f"{self._where}: {key}: {each}: {error}") from None
        self._values[name] = TrustAnchors(tuple(certificates), allow_test_roots=self._test_roots)


def _no_anchors() -> TrustAnchors:
    return TrustAnchors(())


def _policy_table(
    settings: Mapping[str, object],
    known: Mapping[str, Reader],
    where: str,
    *,
    required: tuple[str, ...],
) -> dict[str, object]:
    common: dict[str, Reader] = {
        "roots": texts,
        "allow_test_roots": boolean,
        "expect": _any_table,
        "revocation": _any_table,
    }
    values = read_table(settings, {**known, **common}, where, required=required)
    values.pop("expect", None)
    values.pop("revocation", None)
    return values


def _any_table(value: object) -> object:
    """Leave a table to whoever knows what stands in it."""
    return value


def _packages(value: object) -> Mapping[str, frozenset[bytes]] | None:
    return None if value == _OFF else digests_by_name(value)


def _seconds_or_any(value: object) -> timedelta | None:
    return None if value == _OFF else seconds(value)


def _rename(values: dict[str, object], key: str, name: str) -> None:
    if key in values:
        values[name] = values.pop(key)


def _made(kind: Callable[..., _T], values: Mapping[str, object], where: str) -> _T:
    """Call ``kind``; its readers have given each value the type of its field."""
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise PolicyFileError(f"{where}: {error}") from None


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PolicyFileError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise PolicyFileError(f"{path}: more than {MAX_FILE_BYTES} bytes")
    return data
