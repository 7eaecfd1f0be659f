"""From the environment variables of Google's JIT Access to the settings of ours.

What has the same meaning is taken over; what has another, or none, is told as a note for the
operator. No secret is repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import yaml

from quorumkey_relay.yaml_file import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What ours can be at most, in minutes (jit_settings.ActivationSettings).
_MAX_MINUTES: Final = 1_440
_MAX_REQUEST_MINUTES: Final = 120
_MAX_COUNT: Final = 50
_RELAY_PORT: Final = 25
_DEFAULT_MINUTES: Final = 120
_DEFAULT_REQUEST_MINUTES: Final = 60
_DEFAULT_SCOPE: Final = "projects/YOUR-PROJECT"
_ASSIGNMENT: Final = re.compile(r"(?:export\s+)?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)")
_DEPLOYMENT: Final = re.compile(r"^\s*-?\s*(env_variables|env)\s*:", re.MULTILINE)
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_SERVICE_ACCOUNT: Final = "service-account.json"
_PASSWORD: Final = "smtp-password"  # noqa: S105 - the name of a file

_CATALOGS: Final = {
    "policyanalyzer": "policy_analyzer",
    "assetinventory": "asset_inventory",
}
#: Variables that mean nothing here, and why.
_NOT_TAKEN: Final[Mapping[str, str]] = {
    "SMTP_OPTIONS": "these are options of JavaMail, and nothing takes their place",
    "NOTIFICATION_TOPIC": "events go to webhooks and the event stream instead of Pub/Sub",
    "AVAILABLE_PROJECTS_QUERY": "projects are those that the source of eligibility names",
    "RESOURCE_CUSTOMER_ID": "groups are looked up by their address",
    "BACKEND_CONNECT_TIMEOUT": "time limits are fixed",
    "BACKEND_READ_TIMEOUT": "time limits are fixed",
    "BACKEND_WRITE_TIMEOUT": "time limits are fixed",
}


class MigrationError(ValueError):
    """A variable has a value that the original would not take either; a sentence."""


@dataclass(frozen=True, slots=True)
class Migration:
    """The settings as YAML, and what the operator has to look at, a sentence each."""

    settings: Mapping[str, object]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the file, with the notes as comments at its top."""
        head = "".join(f"# {note}\n" for note in self.notes)
        return head + yaml.safe_dump(self.settings, sort_keys=False, allow_unicode=True)


def migrated(environ: Mapping[str, str], *, integrator: str) -> Migration:
    """Read the original's variables; others are left alone. Raises `MigrationError`."""
    reading = _Reading({name: text for name, text in environ.items() if text.strip()}, [])
    settings: dict[str, object] = {
        "integrator": integrator,
        "identity": reading.identity(),
        "eligibility": reading.eligibility(),
        "executors": [
            {"kind": "gcp_iam", "name": "google", "service_account_file": _SERVICE_ACCOUNT}
        ],
        "activation": reading.activation(),
    }
    mail = reading.mail()
    settings["notification"] = {"mail": mail, "push": False} if mail else {"push": True}
    reading.leave()
    reading.note(
        f"{_SERVICE_ACCOUNT}: put the key of the service account there, mode 0600; it needs the"
        " roles that the original's had."
    )
    reading.note(
        "approval: the original approves by a click, so this does; with device, reviewers sign on"
        " a paired device, and nobody can approve with an e-mail account alone."
    )
    return Migration(settings, tuple(reading.notes))


@dataclass(frozen=True, slots=True)
class _Reading:
    environ: Mapping[str, str]
    notes: list[str]

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def identity(self) -> dict[str, object]:
        backend = self.environ.get("IAP_BACKEND_SERVICE_ID")
        if backend is not None:
            audience = f"/projects/PROJECT-NUMBER/global/backendServices/{backend}"
        else:
            project = self.environ.get("GOOGLE_CLOUD_PROJECT", "YOUR-PROJECT")
            audience = f"/projects/PROJECT-NUMBER/apps/{project}"
        self.note("identity.proxy.audience: put the number of your project in.")
        return {"proxy": {"audience": audience}}

    def eligibility(self) -> dict[str, object]:
        project = self.environ.get("GOOGLE_CLOUD_PROJECT")
        default = f"projects/{project}" if project else _DEFAULT_SCOPE
        scope = self.environ.get("RESOURCE_SCOPE", default)
        if scope == _DEFAULT_SCOPE:
            self.note("eligibility.google.scope: name your organization, folder or project.")
        named = self.environ.get("RESOURCE_CATALOG", "PolicyAnalyzer")
        catalog = _CATALOGS.get(named.strip().lower())
        if catalog is None:
            message = "RESOURCE_CATALOG must be PolicyAnalyzer or AssetInventory."
            raise MigrationError(message)
        google = {"scope": scope, "catalog": catalog, "service_account_file": _SERVICE_ACCOUNT}
        return {"google": google}

    def activation(self) -> dict[str, object]:
        alias = "ELEVATION_DURATION" if "ACTIVATION_TIMEOUT" not in self.environ else None
        longest = self._number(alias or "ACTIVATION_TIMEOUT", _DEFAULT_MINUTES, _MAX_MINUTES)
        asked = "ACTIVATION_REQUEST_TIMEOUT"
        timeout = self._number(asked, _DEFAULT_REQUEST_MINUTES, _MAX_REQUEST_MINUTES)
        if timeout > longest:
            self.note(f"{asked}: {timeout} is more than access lasts; it is {longest} here.")
        least = self._number("ACTIVATION_REQUEST_MIN_REVIEWERS", 1, _MAX_COUNT)
        most = self._number("ACTIVATION_REQUEST_MAX_REVIEWERS", 10, _MAX_COUNT)
        if least > most:
            message = "ACTIVATION_REQUEST_MIN_REVIEWERS must not be above the most."
            raise MigrationError(message)
        if least > 1:
            self.note(
                "activation.required: as in the original, one approval is enough however many"
                " reviewers have to be chosen; ask for more here if that was meant."
            )
        return {
            "max_minutes": longest,
            "request_timeout_minutes": min(timeout, longest),
            "max_roles": self._number("ACTIVATION_REQUEST_MAX_ROLES", 10, _MAX_COUNT),
            "min_reviewers": least,
            "max_reviewers": most,
            "required": 1,
            "window_from": "request",
            "approval": "click",
            "justification_pattern": self.environ.get("JUSTIFICATION_PATTERN", ".*"),
            "justification_hint": self.environ.get("JUSTIFICATION_HINT", "Bug or case number"),
        }

    def mail(self) -> dict[str, object] | None:
        """Return where mail goes; None where the original sends none."""
        sender = self.environ.get("SMTP_SENDER_ADDRESS")
        if sender is None:
            self.note(
                "notification: without SMTP_SENDER_ADDRESS the original sends no mail and serves no"
                " multi-party approval; here that takes mail too, or approval: device."
            )
            return None
        port = self._number("SMTP_PORT", 587, 65_535)
        if port == _RELAY_PORT:
            message = "SMTP_PORT must not be 25; the original does not take it either."
            raise MigrationError(message)
        mail: dict[str, object] = {
            "sender_address": sender,
            "sender_name": self.environ.get("SMTP_SENDER_NAME", "JIT Access"),
            "host": self.environ.get("SMTP_HOST", "smtp.gmail.com"),
            "port": port,
            "security": self._security(),
            "time_zone": self.environ.get("NOTIFICATION_TIMEZONE", "UTC"),
        }
        if "SMTP_USERNAME" in self.environ:
            mail["username"] = self.environ["SMTP_USERNAME"]
            mail["password_file"] = _PASSWORD
            is_managed = "SMTP_SECRET" in self.environ
            origin = "SMTP_SECRET in Secret Manager" if is_managed else "SMTP_PASSWORD"
            self.note(f"{_PASSWORD}: put the password of {origin} there, mode 0600.")
        if "SMTP_ADDRESS_MAPPING" in self.environ:
            mail["address_mapping"] = self.environ["SMTP_ADDRESS_MAPPING"]
        return mail

    def _security(self) -> str:
        is_on = self.environ.get("SMTP_ENABLE_STARTTLS", "true").strip().lower() == "true"
        if not is_on:
            self.note(
                "notification.mail.security: SMTP_ENABLE_STARTTLS is off; here mail is always"
                " encrypted, by tls (port 465) or starttls (port 587)."
            )
        return "starttls" if is_on else "tls"

    def leave(self) -> None:
        """Note what is not taken over."""
        for name, reason in _NOT_TAKEN.items():
            if name in self.environ:
                self.note(f"{name} is not taken over: {reason}.")

    def _number(self, name: str, default: int, most: int) -> int:
        text = self.environ.get(name, str(default)).strip()
        if _NUMBER.fullmatch(text) is None or int(text) < 1:
            message = f"{name} must be a whole number from 1 on."
            raise MigrationError(message)
        if int(text) > most:
            self.note(f"{name}: {text} is more than the most that there is here, {most}.")
        return min(int(text), most)


def environment_of(text: str) -> dict[str, str]:
    """Read variables from a file: ``NAME=value`` lines, or the YAML of a deployment.

    In YAML the variables stand under ``env_variables``, as for App Engine, or as a list of
    ``name`` and ``value`` under ``env``, as for Cloud Run, wherever these are. Raises
    `MigrationError`.
    """
    if _DEPLOYMENT.search(text):
        try:
            return dict(_variables(parse_yaml(text)))
        except ValueError as error:
            raise MigrationError(str(error)) from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line.strip())
        if match is None:
            message = f"Line {number} is not NAME=value."
            raise MigrationError(message)
        value = match["value"]
        is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        found[match["name"]] = value[1:-1] if is_quoted else value
    return found


def _variables(value: object) -> Iterator[tuple[str, str]]:
    """Yield the variables at any depth of a YAML document."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _variables(item)
    if not isinstance(value, dict):
        return
    for name, member in cast("dict[object, object]", value).items():
        if name == "env_variables" and isinstance(member, dict):
            for variable, text in cast("dict[object, object]", member).items():
                yield str(variable), _text(text)
        elif name == "env" and isinstance(member, list):
            for one in cast("list[object]", member):
                if isinstance(one, dict) and "name" in one and "value" in one:
                    pair = cast("dict[object, object]", one)
                    yield str(pair["name"]), _text(pair["value"])
        else:
            yield from _variables(member)


def _text(value: object) -> str:
    """Return a scalar as the platforms hand it to the program."""
    return str(value).lower() if isinstance(value, bool) else str(value)
