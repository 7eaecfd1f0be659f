"""Settings of the relay: one table from which names, command-line options and docs derive.

Each option is a field of `Settings`; `OPTIONS` lists them with their environment variable, flag,
kind, unit, default and help. `load_settings` reads them as text (a flag wins over the
environment, the environment over the default) and refuses to start on anything it does not
understand: an unknown variable is more often a misspelt limit than a harmless one.
"""

# ruff: noqa: RUF009 - the calls in the class are the rows of the table
from __future__ import annotations

import dataclasses
import difflib
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from quorumkey_relay import option_kinds as kinds
from quorumkey_relay.option_kinds import Kind, Network, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

T = TypeVar("T")

Mode = Literal["development", "production"]
AttestationSetting = Literal["off", "preferred", "required"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]

ENVIRONMENT_PREFIX: Final = "QUORUMKEY_RELAY_"
UNSAFE_PREFIX: Final = "unsafe_"

_MAX_RATE_PER_MINUTE: Final = 100_000_000
_MAX_COUNT: Final = 10_000_000
_MAX_RETENTION_DAYS: Final = 36_500
_MIN_REQUEST_RETENTION_DAYS: Final = 90
_MIN_EVENT_RETENTION_DAYS: Final = 7
_MAX_GRACE_SECONDS: Final = 600

_MODE: Final[Kind[Mode]] = kinds.choice("development", "production")
_ATTESTATION: Final[Kind[AttestationSetting]] = kinds.choice("off", "preferred", "required")
_LOG_LEVEL: Final[Kind[LogLevel]] = kinds.choice("debug", "info", "warning", "error")
_LOG_FORMAT: Final[Kind[LogFormat]] = kinds.choice("json", "console")


class ConfigError(Exception):
    """The relay cannot start with these settings.

    ``problems`` holds one sentence for each thing that is wrong; ``str()`` puts each on a line.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Keep the sentences."""
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as operators meet it: ``kind`` reads its text, ``default`` says what happens."""

    name: str
    kind: Kind[object]
    default: str
    help: str
    unit: str | None
    secret: bool

    @property
    def env(self) -> str:
        """Return the name of its environment variable."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Return its command-line flag."""
        return "--" + self.name.replace("_", "-")


def _option(  # noqa: PLR0913 - one parameter a column of the table
    kind: Kind[T],
    default: T,
    help_text: str,
    *,
    default_text: str | None = None,
    unit: str | None = None,
    secret: bool = False,
) -> T:
    """Describe one field of `Settings`; the caller sees the type of its value."""
    column: dict[str, object] = {
        "kind": kind,
        "default": kind.show(default) if default_text is None else default_text,
        "help": help_text,
        "unit": unit,
        "secret": secret,
    }
    return dataclasses.field(default=default, metadata=column, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator can decide. Secrets stay out of ``repr``."""

    data_dir: Path = _option(
        kinds.PATH, Path("data"), "Folder of the relay's key and database; made when missing."
    )
    host: str = _option(kinds.HOST, "127.0.0.1", "Address to listen on.")
    port: int = _option(kinds.integer(0, 65_535), 8080, "Port to listen on; 0 takes a free one.")
    mode: Mode = _option(
        _MODE,
        "development",
        "Production refuses unsafe settings and wants the attestation and an https public URL.",
        default_text="development on a loopback address, else production",
    )
    public_url: str | None = _option(
        kinds.optional(kinds.ORIGIN),
        None,
        "Address under which devices and integrators reach the relay.",
        default_text="http://HOST:PORT (development only)",
    )
    origins: tuple[str, ...] = _option(
        kinds.listed(kinds.ORIGIN),
        (),
        "Origins that devices may have dialled; statements for any other are refused.",
        default_text="the public URL; any origin when there is none",
    )
    app_origin: str | None = _option(
        kinds.optional(kinds.ORIGIN),
        None,
        "Origin that serves the approver app, if it is not the relay; gets CORS for /v1/device/*.",
        default_text="the relay serves the app",
    )
    rp_id: str | None = _option(
        kinds.optional(kinds.HOST),
        None,
        "WebAuthn relying party id of passkeys.",
        default_text="the host of the app's origin",
    )
    webauthn_origins: tuple[str, ...] = _option(
        kinds.listed(kinds.ORIGIN),
        (),
        "Origins whose passkey signatures count.",
        default_text="the app's origin",
    )
    key_file: Path | None = _option(
        kinds.optional(kinds.PATH),
        None,
        "PEM file with the relay's private key.",
        default_text="made at first start in the data folder, mode 0600",
    )
    attestation: AttestationSetting = _option(
        _ATTESTATION,
        "off",
        "Whether devices must prove at enrolment where their key lives.",
        default_text="off in development; to be decided in production",
    )
    trusted_proxies: tuple[Network, ...] = _option(
        kinds.listed(kinds.NETWORK),
        (),
        "Networks of reverse proxies whose X-Forwarded-For is believed.",
    )
    rate_api_key: int = _option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        600,
        "Calls of one API key.",
        unit="per minute",
    )
    rate_device: int = _option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        60,
        "Calls of one device, charged after its signature or session was verified.",
        unit="per minute",
    )
    rate_ip: int = _option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        600,
        "Calls of one IP address (IPv6: /64) without authentication.",
        unit="per minute",
    )
    rate_ip_failures: int = _option(
        kinds.integer(1, _MAX_RATE_PER_MINUTE),
        60,
        "Of these, calls with an unknown or wrong code, nonce, signature or token.",
        unit="per minute",
    )
    max_pending_per_device: int = _option(
        kinds.integer(1, _MAX_COUNT),
        20,
        "Pending requests of one integrator that may name the same device.",
    )
    max_nonces: int = _option(
        kinds.integer(1, _MAX_COUNT), 100_000, "Live nonces in all; beyond it 503."
    )
    max_unauthenticated_sockets: int = _option(
        kinds.integer(1, _MAX_COUNT),
        1_000,
        "WebSockets that have not authenticated yet; beyond it 503.",
    )
    request_retention_days: int = _option(
        kinds.integer(_MIN_REQUEST_RETENTION_DAYS, _MAX_RETENTION_DAYS),
        90,
        "How long finished requests and their receipts are kept.",
        unit="days",
    )
    event_retention_days: int = _option(
        kinds.integer(_MIN_EVENT_RETENTION_DAYS, _MAX_RETENTION_DAYS),
        7,
        "How long events can be read again.",
        unit="days",
    )
    log_level: LogLevel = _option(_LOG_LEVEL, "info", "The least level that is logged.")
    log_format: LogFormat = _option(_LOG_FORMAT, "json", "Log lines for machines or for people.")
    metrics_token: str | None = _option(
        kinds.optional(kinds.SECRET),
        None,
        "Bearer token that /metrics asks for.",
        default_text="none: /metrics answers anyone",
        secret=True,
    )
    shutdown_grace_seconds: int = _option(
        kinds.integer(1, _MAX_GRACE_SECONDS),
        10,
        "How long calls under way may take to finish at shutdown.",
        unit="seconds",
    )
    unsafe_http_hosts: tuple[str, ...] = _option(
        kinds.listed(kinds.HOST),
        (),
        "Hosts that may be reached by plain http beside loopback; development only.",
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


OPTIONS: Final[tuple[Option, ...]] = tuple(
    Option(
        name=field.name,
        kind=field.metadata["kind"],
        default=field.metadata["default"],
        help=field.metadata["help"],
        unit=field.metadata["unit"],
        secret=field.metadata["secret"],
    )
    for field in dataclasses.fields(Settings)
)


def load_settings(environ: Mapping[str, str], overrides: Mapping[str, str]) -> Settings:
    """Read the settings: ``overrides`` by option name, then ``environ``, then the defaults.

    Both hold text as the operator wrote it. Raises ConfigError with a sentence for each unknown
    name, bad value and combination that the mode does not allow.
    """
    problems = list(_unknown_names(environ, overrides))
    values: dict[str, Any] = {}  # each is what its option's kind reads
    for option in OPTIONS:
        source, text = _given(option, environ, overrides)
        if text is None:
            continue
        try:
            values[option.name] = option.kind.read(text)
        except OptionError as error:
            shown = "" if option.secret else f" (it is {_shortened(text)!r})"
            problems.append(f"{source} must be {error.expected}{shown}.")
    if problems:
        raise ConfigError(tuple(problems))
    if "mode" not in values:
        host = values.get("host", Settings.__dataclass_fields__["host"].default)
        values["mode"] = "development" if is_loopback(str(host)) else "production"
    settings = dataclasses.replace(Settings(), **values)
    problems.extend(_conflicts(settings, decided=values.keys()))
    if problems:
        raise ConfigError(tuple(problems))
    return settings


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` names this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def _given(
    option: Option, environ: Mapping[str, str], overrides: Mapping[str, str]
) -> tuple[str, str | None]:
    """Return where the option's text comes from, as the operator knows it, and the text."""
    if option.name in overrides:
        return option.flag, overrides[option.name]
    return option.env, environ.get(option.env)


def _unknown_names(environ: Mapping[str, str], overrides: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each name that no option has, with the nearest one that exists."""
    known = {option.name.upper() for option in OPTIONS}
    for variable in sorted(environ):
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if name != variable and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {ENVIRONMENT_PREFIX}{near[0]}?" if near else "."
            yield f"{variable} is not a setting of the relay{hint}"
    for name in sorted(overrides.keys() - {option.name for option in OPTIONS}):
        yield f"{name} is not a setting of the relay."


def _conflicts(settings: Settings, *, decided: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each combination that cannot be meant."""
    yield from _conflicts_of_addresses(settings)
    if settings.mode == "production":
        yield from _conflicts_of_production(settings, decided=frozenset(decided))
    for origin in settings.passkey_origins:
        host = urlsplit(origin).hostname or ""
        if settings.rp_id is not None and not f".{host}".endswith(f".{settings.rp_id}"):
            yield f"The passkey origin {origin} does not belong to the rp_id {settings.rp_id}."


def _conflicts_of_addresses(settings: Settings) -> Iterator[str]:
    own = (settings.public_url, settings.app_origin)
    for origin in (*own, *settings.origins, *settings.webauthn_origins):
        if origin is None or origin.startswith("https:"):
            continue
        host = urlsplit(origin).hostname or ""
        if not is_loopback(host) and host not in settings.unsafe_http_hosts:
            yield f"{origin} must be https: plain http is for loopback and unsafe_http_hosts."


def _conflicts_of_production(settings: Settings, *, decided: frozenset[str]) -> Iterator[str]:
    if "attestation" not in decided:
        yield "In production, decide attestation: off, preferred or required."
    if settings.public_url is None or not settings.public_url.startswith("https:"):
        yield "In production, public_url must be the https address that devices reach."
    for option in OPTIONS:
        if option.name.startswith(UNSAFE_PREFIX) and option.name in decided:
            yield f"In production, {option.name} is not allowed."
