"""Members that a test may give in a body, a statement or the settings; the rest is made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.option_kinds import AndroidApp
    from quorumkey_relay.settings import Floor, WebAuthnFormat
    from quorumkey_relay.usecases.commands import ActionBody, PartyBody


class AskMembers(TypedDict, total=False):
    """Of a request body."""

    action: ActionBody
    expires_in_seconds: int
    reject_policy: Literal["any", "quorum_impossible"]
    distinct: Literal["person", "device"]
    min_assurance: str
    requester: PartyBody
    nonce: str
    use_within_seconds: int
    match_code: str


class SessionMembers(TypedDict, total=False):
    """Of a session statement."""

    relay: str
    audience: str
    nonce: str
    session_public_key: str


class EnrollmentMembers(TypedDict, total=False):
    """Of an enrollment statement."""

    relay: str
    audience: str
    nonce: str
    platform: Literal["ios", "android", "web", "cli"]
    session_public_key: str
    binding: str


class SettingsMembers(TypedDict, total=False):
    """Of the relay's settings."""

    public_url: str
    origins: tuple[str, ...]
    app_origin: str
    rp_id: str
    webauthn_origins: tuple[str, ...]
    key_file: Path
    attestation: Literal["off", "preferred", "required"]
    attestation_floor: Floor
    app_attest_apps: tuple[str, ...]
    app_attest_environment: Literal["production", "development"]
    android_apps: tuple[AndroidApp, ...]
    android_min_os_patch: int
    android_provisioning: Literal["any", "rkp"]
    android_boot_keys: tuple[str, ...]
    android_user_auth: Literal["per_use", "required", "any"]
    android_revocation: Path | str
    android_revocation_max_age_seconds: int
    revoked_hardware: Literal["flag", "revoke"]
    recheck_seconds: int
    webauthn_formats: tuple[WebAuthnFormat, ...]
    webauthn_roots: Path
    unsafe_egress_hosts: tuple[str, ...]
    unsafe_test_root: Path
    apns_key_file: Path
    apns_key_id: str
    apns_team_id: str
    apns_topics: tuple[str, ...]
    webpush_subject: str
    webpush_services: tuple[str, ...]
    ca_file: Path
    jit_file: Path
    rate_device: int
    max_pending_per_device: int
    max_nonces: int
    request_retention_days: int
    event_retention_days: int
