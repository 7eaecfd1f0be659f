"""What an operator can decide: each field of `Settings` is an option, with kind and help."""

# ruff: noqa: RUF009 - the calls in the class are the rows of the table
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from quorumkey_relay import option_kinds as kinds
from quorumkey_relay.option_table import option

if TYPE_CHECKING:
    from quorumkey_relay.option_kinds import AndroidApp, Kind, Network

Mode = Literal["development", "production"]
AttestationSetting = Literal["off", "preferred", "required"]
Floor = Literal["software", "passkey", "tee", "passkey_device_bound", "secure_enclave", "strongbox"]
AppAttestEnvironment = Literal["production", "development"]
Provisioning = Literal["any", "rkp"]
RevokedHardware = Literal["flag", "revoke"]
ApnsEnvironment = Literal["production", "sandbox"]
ApnsClient = Literal["pyreqwest", "aioapns"]
FcmClient = Literal["pyreqwest", "pyfcm"]
UserAuth = Literal["per_use", "required", "any"]
WebAuthnFormat = Literal["none", "packed", "tpm", "android-key", "fido-u2f", "apple"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]

_MAX_RATE_PER_MINUTE: Final = 100_000_000
_MAX_COUNT: Final = 10_000_000
_MAX_RETENTION_DAYS: Final = 36_500
_MIN_REQUEST_RETENTION_DAYS: Final = 90
_MIN_EVENT_RETENTION_DAYS: Final = 7
_MAX_GRACE_SECONDS: Final = 600
_MIN_LIST_AGE_SECONDS: Final = 3_600  # an hour
_MAX_LIST_AGE_SECONDS: Final = 2_592_000  # thirty days
_MAX_WEBHOOK_DISABLE_DAYS: Final = 365
_MIN_RECHECK_SECONDS: Final = 60
_MAX_RECHECK_SECONDS: Final = 604_800  # a week

_MODE: Final[Kind[Mode]] = kinds.choice("development", "production")
_ATTESTATION: Final[Kind[AttestationSetting]] = kinds.choice("off", "preferred", "required")
_FLOOR: Final[Kind[Floor]] = kinds.choice(
    "software", "passkey", "tee", "passkey_device_bound", "secure_enclave", "strongbox"
)
_ENVIRONMENT: Final[Kind[AppAttestEnvironment]] = kinds.choice("production", "development")
_APNS_ENVIRONMENT: Final[Kind[ApnsEnvironment]] = kinds.choice("production", "sandbox")
_APNS_CLIENT: Final[Kind[ApnsClient]] = kinds.choice("pyreqwest", "aioapns")
_FCM_CLIENT: Final[Kind[FcmClient]] = kinds.choice("pyreqwest", "pyfcm")
_PROVISIONING: Final[Kind[Provisioning]] = kinds.choice("any", "rkp")
_REVOKED_HARDWARE: Final[Kind[RevokedHardware]] = kinds.choice("flag", "revoke")
_USER_AUTH: Final[Kind[UserAuth]] = kinds.choice("per_use", "required", "any")
_WEBAUTHN_FORMAT: Final[Kind[WebAuthnFormat]] = kinds.choice(
    "none", "packed", "tpm", "android-key", "fido-u2f", "apple"
)
_LOG_LEVEL: Final[Kind[LogLevel]] = kinds.choice("debug", "info", "warning", "error")
_LOG_FORMAT: Final[Kind[LogFormat]] = kinds.choice("json", "console")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator can decide. Secrets stay out of ``repr``."""

    data_dir: Path = option(
        kinds.PATH, Path("data"), "Folder of the relay's key and database; made when missing."
    )
    host: str = option(kinds.HOST, "127.0.0.1", "Address to listen on.")
    port: int = option(kinds.integer(0, 65_535), 8080, "Port to listen on; 0 takes a free one.")
    mode: Mode = option(
        _MODE,
        "development",
        "Production refuses unsafe settings and wants the attestation and an https public URL.",
        default_text="development on a loopback address, else production",
    )
    public_url: str | None = option(
        kinds.optional(kinds.ORIGIN),
        None,
        "Address under which devices and integrators reach the relay.",
        default_text="http://HOST:PORT (development only)",
    )
    origins: tuple[str, ...] = option(
        kinds.listed(kinds.ORIGIN),
        (),
        "Origins that devices may have dialled; statements for any other are refused.",
        default_text="the public URL; any origin when there is none",
    )
    app_origin: str | None = option(
        kinds.optional(kinds.ORIGIN),
        None,
        "Origin that serves the approver app, if it is not the relay; gets CORS for /v1/device/*.",
        default_text="the relay serves the app",
    )
    rp_id: str | None = option(
        kinds.optional(kinds.HOST),
        None,
        "WebAuthn relying party id of passkeys.",
        default_text="the host of the app's origin",
    )
    webauthn_origins: tuple[str, ...] = option(
        kinds.listed(kinds.ORIGIN),
        (),
        "Origins whose passkey signatures count.",
        default_text="the app's origin",
    )
    key_file: Path | None = option(
        kinds.optional(kinds.PATH),
        None,
        "PEM file with the relay's private key.",
        default_text="made at first start in the data folder, mode 0600",
    )
    attestation: AttestationSetting = option(
        _ATTESTATION,
        "off",
        "Whether devices must prove at enrolment where their key lives.",
        default_text="off in development; to be decided in production",
    )
    attestation_floor: Floor = option(
        _FLOOR, "tee", "The least level that a device may enrol with where attestation is required."
    )
    app_attest_apps: tuple[str, ...] = option(
        kinds.listed(kinds.APP_ID), (), "App ids, TEAM.bundle, whose App Attest keys count."
    )
    app_attest_environment: AppAttestEnvironment = option(
        _ENVIRONMENT, "production", "Apple's environment that App Attest keys must be of."
    )
    android_apps: tuple[AndroidApp, ...] = option(
        kinds.listed(kinds.ANDROID_APP),
        (),
        "Android apps and the certificates that sign them; one with several stands there several"
        " times.",
    )
    android_min_os_patch: int | None = option(
        kinds.optional(kinds.MONTH),
        None,
        "Oldest security patch of Android that counts.",
        default_text="any",
    )
    android_provisioning: Provisioning = option(
        _PROVISIONING, "any", "Whether only keys that Google provisions remotely (rkp) count."
    )
    android_boot_keys: tuple[str, ...] = option(
        kinds.listed(kinds.SHA256),
        (),
        "Keys of systems other than the maker's that may boot, as attested: verifiedBootKey.",
    )
    android_user_auth: UserAuth = option(
        _USER_AUTH, "per_use", "When Android must have the person authenticate to use the key."
    )
    android_revocation: Path | str = option(
        kinds.LOCATION,
        "https://android.googleapis.com/attestation/status",
        "Google's list of revoked attestation keys: an https address, or a file that is kept new.",
    )
    android_revocation_max_age_seconds: int = option(
        kinds.integer(_MIN_LIST_AGE_SECONDS, _MAX_LIST_AGE_SECONDS),
        172_800,
        "How old that list may be; with an older one Android evidence is refused.",
        unit="seconds",
    )
    revoked_hardware: RevokedHardware = option(
        _REVOKED_HARDWARE,
        "revoke",
        "What becomes of a device whose certificate is on that list: revoked for good, or flagged,"
        " which sets its level to none.",
    )
    recheck_seconds: int = option(
        kinds.integer(_MIN_RECHECK_SECONDS, _MAX_RECHECK_SECONDS),
        86_400,
        "How often enrolled devices are looked up in that list.",
        unit="seconds",
    )
    webauthn_formats: tuple[WebAuthnFormat, ...] = option(
        kinds.listed(_WEBAUTHN_FORMAT),
        ("none", "packed", "apple"),
        "WebAuthn attestation formats that are judged; others are refused.",
    )
    webauthn_roots: Path | None = option(
        kinds.optional(kinds.PATH),
        None,
        "PEM file with roots of the formats packed, tpm and fido-u2f.",
        default_text="none: these formats prove no hardware",
    )
    apns_key_file: Path | None = option(
        kinds.optional(kinds.PATH),
        None,
        "Apple's .p8 key that signs push tokens; with apns_key_id, apns_team_id and apns_topics it"
        " turns the channel apns on.",
        default_text="none: no iPhone is notified",
    )
    apns_key_id: str | None = option(
        kinds.optional(kinds.APPLE_ID), None, "Id of that key, ten characters.", default_text="none"
    )
    apns_team_id: str | None = option(
        kinds.optional(kinds.APPLE_ID),
        None,
        "Team of the Apple developer account, ten characters.",
        default_text="none",
    )
    apns_topics: tuple[str, ...] = option(
        kinds.listed(kinds.TOPIC),
        (),
        "Bundle ids of the apps that may be notified; devices with another one are not.",
    )
    apns_environments: tuple[ApnsEnvironment, ...] = option(
        kinds.listed(_APNS_ENVIRONMENT),
        ("production", "sandbox"),
        "Apple's environments that the key is good for.",
    )
    apns_url: str = option(
        kinds.ORIGIN, "https://api.push.apple.com", "Apple's push service for production."
    )
    apns_sandbox_url: str = option(
        kinds.ORIGIN, "https://api.sandbox.push.apple.com", "Apple's push service for development."
    )
    apns_client: ApnsClient = option(
        _APNS_CLIENT,
        "pyreqwest",
        "Library that talks to Apple; aioapns needs the extra of that name, and has known faults.",
    )
    fcm_service_account: Path | None = option(
        kinds.optional(kinds.PATH),
        None,
        "JSON file of the Google service account that may send; it turns the channel fcm on.",
        default_text="none: no Android phone is notified",
    )
    fcm_url: str = option(kinds.ORIGIN, "https://fcm.googleapis.com", "Google's push service.")
    fcm_client: FcmClient = option(
        _FCM_CLIENT,
        "pyreqwest",
        "Library that talks to Google; pyfcm needs the extra of that name, and has known faults.",
    )
    webpush_subject: str | None = option(
        kinds.optional(kinds.CONTACT),
        None,
        "Whom push services may write to, mailto: or https:; it turns the channel webpush on.",
        default_text="none: no browser is notified",
    )
    webpush_key_file: Path | None = option(
        kinds.optional(kinds.PATH),
        None,
        "PEM file with the VAPID private key (P-256).",
        default_text="made at first start in the data folder, mode 0600",
    )
    webpush_services: tuple[str, ...] = option(
        kinds.listed(kinds.HOST),
        (
            "fcm.googleapis.com",
            "push.services.mozilla.com",
            "push.apple.com",
            "notify.windows.com",
        ),
        "Push services whose hosts, and hosts below them, browsers may name.",
    )
    webhook_disable_days: int = option(
        kinds.integer(1, _MAX_WEBHOOK_DISABLE_DAYS),
        5,
        "After how many days without one success a webhook is disabled.",
        unit="days",
    )
    ca_file: Path | None = option(
        kinds.optional(kinds.PATH),
        None,
        "PEM file with roots that push services and webhooks may be certified by, beside the"
        " public ones.",
        default_text="none",
    )
    jit_file: Path | None = option(
        kinds.optional(kinds.PATH),
        None,
        "YAML file with the settings of just-in-time access; it turns that on.",
        default_text="none: nobody activates a role",
    )
    trusted_proxies: tuple[Network, ...] = option(
        kinds.listed(kinds.NETWORK),
        (),
        "Networks of reverse proxies whose X-Forwarded-For is believed.",
    )
    rate_api_key: int = option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        600,
        "Calls of one API key.",
        unit="per minute",
    )
    rate_protection: int = option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        60_000,
        "Calls of one API key about protected methods, but catalogues; they have their own bucket.",
        unit="per minute",
    )
    rate_device: int = option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        60,
        "Calls of one device, charged after its signature or session was verified.",
        unit="per minute",
    )
    rate_person: int = option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        300,
        "Calls of one person about just-in-time access, charged once it is known who they are.",
        unit="per minute",
    )
    rate_ip: int = option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        600,
        "Calls of one IP address (IPv6: /64) without authentication.",
        unit="per minute",
    )
    rate_ip_failures: int = option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        60,
        "Of these, calls with an unknown or wrong code, nonce, signature or token.",
        unit="per minute",
    )
    max_pending_per_device: int = option(
        kinds.integer(1, _MAX_COUNT),
        20,
        "Pending ordinary requests of one integrator that may name the same device.",
    )
    max_nonces: int = option(
        kinds.integer(1, _MAX_COUNT), 100_000, "Live nonces in all; beyond it 503."
    )
    max_unauthenticated_sockets: int = option(
        kinds.integer(1, _MAX_COUNT),
        1_000,
        "WebSockets that have not authenticated yet; beyond it 503.",
    )
    request_retention_days: int = option(
        kinds.integer(_MIN_REQUEST_RETENTION_DAYS, _MAX_RETENTION_DAYS),
        90,
        "How long finished requests and their receipts are kept.",
        unit="days",
    )
    event_retention_days: int = option(
        kinds.integer(_MIN_EVENT_RETENTION_DAYS, _MAX_RETENTION_DAYS),
        7,
        "How long events can be read again; those about protected methods as long as requests.",
        unit="days",
    )
    log_level: LogLevel = option(_LOG_LEVEL, "info", "The least level that is logged.")
    log_format: LogFormat = option(_LOG_FORMAT, "json", "Log lines for machines or for people.")
    metrics_token: str | None = option(
        kinds.optional(kinds.SECRET),
        None,
        "Bearer token that /metrics asks for.",
        default_text="none: /metrics answers anyone",
        secret=True,
    )
    shutdown_grace_seconds: int = option(
        kinds.integer(1, _MAX_GRACE_SECONDS),
        10,
        "How long calls under way may take to finish at shutdown.",
        unit="seconds",
    )
    unsafe_http_hosts: tuple[str, ...] = option(
        kinds.listed(kinds.HOST),
        (),
        "Hosts that may be reached by plain http beside loopback; development only.",
    )
    unsafe_egress_hosts: tuple[str, ...] = option(
        kinds.listed(kinds.HOST),
        (),
        "Hosts that webhooks and Web Push may reach by plain http or at addresses that are not"
        " public; development only.",
    )
    unsafe_test_root: Path | None = option(
        kinds.optional(kinds.PATH),
        None,
        "PEM file with roots that count in every format, those for tests too; development only.",
        default_text="none",
    )

    @property
    def url(self) -> str:
        """Return the relay's own address, without a slash at the end."""
        return self.public_url or f"http://{_bracketed(self.host)}:{self.port}"

    @property
    def audiences(self) -> frozenset[str]:
        """Return the origins a statement's ``audience`` may name; empty allows any (§3)."""
        if self.origins:
            return frozenset(self.origins)
        return frozenset((self.public_url,)) if self.public_url else frozenset()

    @property
    def app_url(self) -> str:
        """Return the origin of the approver app: pairing URLs and passkeys belong to it (§1)."""
        return self.app_origin or self.url

    @property
    def passkey_rp_id(self) -> str:
        """Return the relying party id that passkey signatures must be made for."""
        return self.rp_id or urlsplit(self.app_url).hostname or "localhost"

    @property
    def passkey_origins(self) -> tuple[str, ...]:
        """Return the origins that passkey signatures may come from."""
        return self.webauthn_origins or (self.app_url,)

    def bound_to(self, port: int) -> Settings:
        """Return these settings with the port that was taken, for a start with port 0."""
        return dataclasses.replace(self, port=port)
