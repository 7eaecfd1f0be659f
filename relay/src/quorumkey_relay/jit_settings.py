"""The settings of just-in-time access: one YAML file, checked as a whole before the relay starts.

The file is named by the setting ``jit_file``; without one, the relay serves no just-in-time access.
Paths in it are relative to its folder. Every member is described in ``docs/jit-access.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Minutes = Annotated[int, Meta(ge=1, le=1_440)]
RequestMinutes = Annotated[int, Meta(ge=1, le=120)]
Count = Annotated[int, Meta(ge=1, le=50)]
Text = Annotated[str, Meta(min_length=1, max_length=2_048)]
#: A name in a header of an e-mail: one that fits on a line is never broken within its quotes.
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Algorithm = Literal["ES256", "RS256"]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file; a member that nobody knows is an error."""


class OidcSettings(_Part, frozen=True, kw_only=True):
    """Identity by OpenID Connect: ID tokens as bearer tokens, and a sign-in for browsers.

    ``audiences`` are the client ids whose tokens count. ``client_id`` turns the sign-in on.
    """

    issuer: Text
    audiences: tuple[Text, ...]
    jwks_url: Text | None = None
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    email_claim: Text = "email"
    client_id: Text | None = None
    client_secret_file: Path | None = None


class ProxySettings(_Part, frozen=True, kw_only=True):
    """Identity by a proxy that signs who it let in, as Google's Identity-Aware Proxy does."""

    audience: Text
    header: Text = "x-goog-iap-jwt-assertion"
    issuer: Text = "https://cloud.google.com/iap"
    jwks_url: Text = "https://www.gstatic.com/iap/verify/public_key-jwk"
    algorithms: tuple[Algorithm, ...] = ("ES256",)


class IdentitySettings(_Part, frozen=True, kw_only=True):
    """Who says who somebody is; at least one."""

    oidc: OidcSettings | None = None
    proxy: ProxySettings | None = None


class GoogleSource(_Part, frozen=True, kw_only=True):
    """Eligibility from Google Cloud: ``scope`` is an organization, folder or project.

    The urls are Google's but in tests.
    """

    scope: Text
    service_account_file: Path
    catalog: Literal["policy_analyzer", "asset_inventory"] = "policy_analyzer"
    asset_url: Text = "https://cloudasset.googleapis.com"
    groups_url: Text = "https://cloudidentity.googleapis.com"


class EligibilitySettings(_Part, frozen=True, kw_only=True):
    """Who may activate what; exactly one of them.

    ``file`` names a policy file (YAML or JSON); ``api`` takes policies that an API key of scope
    admin has put into the relay.
    """

    file: Path | None = None
    api: bool = False
    google: GoogleSource | None = None


class ActivationSettings(_Part, frozen=True, kw_only=True):
    """How long, how many, and who has to approve."""

    max_minutes: Minutes = 120
    request_timeout_minutes: RequestMinutes = 60
    max_roles: Count = 10
    min_reviewers: Count = 1
    max_reviewers: Count = 10
    required: Count = 1
    reject_policy: Literal["any", "quorum_impossible"] = "any"
    window_from: Literal["request", "approval"] = "request"
    approval: Literal["click", "device"] = "device"
    justification_pattern: Text = ".*"
    justification_hint: Text = "Bug or case number"


class TokenSettings(_Part, frozen=True, kw_only=True):
    """The tokens in links.

    ``key_files`` are PEM files, the first signs and the others still count; without any, the relay
    makes a key in its data folder. ``issuer`` is also the audience; by default the public URL.
    """

    algorithm: Algorithm = "ES256"
    key_files: tuple[Path, ...] = ()
    issuer: Text | None = None
    stateless: bool = False


class MailSettings(_Part, frozen=True, kw_only=True):
    """The mail server, and how mails look.

    ``address_mapping`` is a CEL expression over ``user.email`` that gives the address mail for a
    person goes to; empty where that is the e-mail address they sign in with. ``security`` ``none``
    is for a server on a loopback address alone.
    """

    sender_address: Text
    sender_name: Name = "Quorumkey"
    host: Text = "smtp.gmail.com"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Text | None = None
    password_file: Path | None = None
    timeout_seconds: Annotated[int, Meta(ge=1, le=60)] = 10
    time_zone: Text = "UTC"
    address_mapping: str = ""


class NotificationSettings(_Part, frozen=True, kw_only=True):
    """How reviewers hear of requests: by e-mail, by push to their devices, or both."""

    mail: MailSettings | None = None
    push: bool = True


class GcpIamExecutor(_Part, frozen=True, kw_only=True, tag_field="kind", tag="gcp_iam"):
    """Grants by a conditional binding in the IAM policy of a Google Cloud project."""

    name: Text
    service_account_file: Path
    projects: tuple[Text, ...] = ("*",)
    url: Text = "https://cloudresourcemanager.googleapis.com"


class PostgresqlExecutor(_Part, frozen=True, kw_only=True, tag_field="kind", tag="postgresql"):
    """Grants by membership in a role of a PostgreSQL server.

    ``dsn_file`` holds the connection string. ``user_mapping`` is a CEL expression over
    ``user.email`` that gives the PostgreSQL role of a person. With ``ends_sessions`` a person's
    connections end with the access: one that has done ``SET ROLE`` would keep the role.
    """

    name: Text
    dsn_file: Path
    projects: tuple[Text, ...] = ("*",)
    user_mapping: str = ""
    ends_sessions: bool = True


class WebhookExecutor(_Part, frozen=True, kw_only=True, tag_field="kind", tag="webhook"):
    """Grants by asking an endpoint of yours; ``secret_file`` holds the secret that signs.

    ``expires`` says who ends a grant: the ``target`` itself, or the ``relay`` by a second call.
    """

    name: Text
    url: Text
    secret_file: Path
    projects: tuple[Text, ...] = ("*",)
    expires: Literal["target", "relay"] = "relay"
    timeout_seconds: Annotated[int, Meta(ge=1, le=60)] = 10


ExecutorSettings = GcpIamExecutor | PostgresqlExecutor | WebhookExecutor


class JitSettings(_Part, frozen=True, kw_only=True):
    """The whole file; ``integrator`` is the id of the one whose paired devices approve."""

    integrator: Text
    identity: IdentitySettings
    eligibility: EligibilitySettings
    executors: tuple[ExecutorSettings, ...]
    activation: ActivationSettings = field(default_factory=ActivationSettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    notification: NotificationSettings = field(default_factory=NotificationSettings)
