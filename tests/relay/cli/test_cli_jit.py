"""``check`` of just-in-time access, and ``jit migrate``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from quorumkey_relay.identity.token_keys import open_token_keys
from quorumkey_relay.jit_file import read_jit_file
from quorumkey_relay.jit_migration import MigrationError, environment_of, migrated
from quorumkey_relay.jit_settings import TokenSettings
from quorumkey_relay.standins import credentials

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.relay.cli.prompt import Operator

SECRET = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
INTEGRATOR = "0190a000-0000-7000-8000-000000000001"
ORIGINAL = {
    "RESOURCE_SCOPE": "organizations/123",
    "RESOURCE_CATALOG": "AssetInventory",
    "ELEVATION_DURATION": "90",
    "ACTIVATION_REQUEST_TIMEOUT": "30",
    "ACTIVATION_REQUEST_MAX_ROLES": "5",
    "ACTIVATION_REQUEST_MIN_REVIEWERS": "2",
    "ACTIVATION_REQUEST_MAX_REVIEWERS": "4",
    "JUSTIFICATION_PATTERN": "^BUG-[0-9]+$",
    "JUSTIFICATION_HINT": "A bug",
    "NOTIFICATION_TIMEZONE": "Europe/Berlin",
    "SMTP_HOST": "mail.example.com",
    "SMTP_PORT": "2525",
    "SMTP_SENDER_NAME": "Access",
    "SMTP_SENDER_ADDRESS": "access@example.com",
    "SMTP_USERNAME": "access",
    "SMTP_PASSWORD": "hunter2",
    "SMTP_ADDRESS_MAPPING": "user.email.extract('{handle}@example.com') + '@example.org'",
    "IAP_BACKEND_SERVICE_ID": "42",
}


def put(path: Path, text: str) -> None:
    """Write a private file."""
    path.write_text(text)
    path.chmod(0o600)


def jit_file(folder: Path, integrator: str, **parts: object) -> str:
    """Write a file of settings with all that it names, and return its path."""
    put(folder / "secret", SECRET)
    put(folder / "policy.yaml", "project: project-1\nbindings: []\n")
    settings = {
        "integrator": integrator,
        "identity": {
            "oidc": {
                "issuer": "https://login.example.com",
                "audiences": ["relay"],
                "client_id": "relay",
            },
            "proxy": {"audience": "/projects/1/apps/a"},
        },
        "eligibility": {"file": "policy.yaml"},
        "executors": [
            {
                "kind": "webhook",
                "name": "mine",
                "url": "https://hooks.example.com/access",
                "secret_file": "secret",
            }
        ],
        "notification": {"mail": {"sender_address": "relay@example.com"}},
        **parts,
    }
    path = folder / "jit.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def checked(operator: Operator, path: str) -> tuple[bool, str]:
    """Return what ``check`` finds of just-in-time access."""
    printed = operator("check", "--json", "--jit-file", path)
    finding = yaml.safe_load(printed.out)["checks"][-1]
    assert "just-in-time" == finding["name"]
    return finding["ok"], finding["detail"]


def test_check_without_a_file(operator: Operator) -> None:
    """Without a file of settings, just-in-time access is off."""
    operator.init()

    assert "off" == operator.json("check")["checks"][-1]["detail"]


def test_check_says_what_is_on(operator: Operator, tmp_path: Path) -> None:
    """Sources, identities, keys, mail and executors are told, and nothing is made."""
    owner = operator.init()["integrator"]["id"]
    path = jit_file(tmp_path, owner)

    is_ok, detail = checked(operator, path)

    assert (
        f"eligibility from {tmp_path}/policy.yaml; people known by OpenID Connect, a sign-in for"
        " browsers and a proxy; tokens signed with ES256, by a key that the next start makes;"
        " approval by device, reviewers told by mail and push; mine: "
    ) in detail
    assert is_ok
    assert not (operator.data_dir / "jit-token-key.pem").exists()


def test_check_of_other_sources(operator: Operator, tmp_path: Path) -> None:
    """Google and the API are named as sources, and a key that was made is named by its id."""
    owner = operator.init()["integrator"]["id"]
    files = credentials.Files(tmp_path / "google")
    credentials.prepare(files)
    credentials.write_service_account(files, "https://127.0.0.1/token")
    google = {
        "scope": "organizations/1",
        "service_account_file": str(files.service_account_file),
        "catalog": "asset_inventory",
    }
    open_token_keys(TokenSettings(), operator.data_dir)

    by_google = checked(operator, jit_file(tmp_path, owner, eligibility={"google": google}))
    by_api = checked(operator, jit_file(tmp_path, owner, eligibility={"api": True}))

    assert (True, True) == (by_google[0], by_api[0])
    assert "eligibility from asset inventory; " in by_google[1]
    assert "eligibility from the API; " in by_api[1]
    assert re.search(r"tokens signed with ES256 \([\w-]{43}\); ", by_api[1])


def test_check_warns_where_nobody_is_told(operator: Operator, tmp_path: Path) -> None:
    """C23: approval by a click without mail is told as what it is."""
    owner = operator.init()["integrator"]["id"]
    path = jit_file(tmp_path, owner, notification={}, activation={"approval": "click"})

    assert "NOTHING: roles that need a peer cannot be activated" in checked(operator, path)[1]


def an_executor(folder: Path, owner: str) -> str:
    """Name an endpoint that may not be called."""
    executor = {"kind": "webhook", "name": "mine", "secret_file": "secret"}
    return jit_file(folder, owner, executors=[{**executor, "url": "http://10.0.0.1/"}])


def a_policy(folder: Path, owner: str) -> str:
    """Write a policy that is none."""
    path = jit_file(folder, owner)
    put(folder / "policy.yaml", "bindings: 1")
    return path


def a_password(folder: Path, owner: str) -> str:
    """Name an empty password."""
    put(folder / "password", "")
    mail = {"sender_address": "a@b.example", "username": "a", "password_file": "password"}
    return jit_file(folder, owner, notification={"mail": mail})


def a_key(folder: Path, owner: str) -> str:
    """Name a key that is none."""
    put(folder / "key.pem", "none")
    return jit_file(folder, owner, tokens={"key_files": ["key.pem"]})


def a_member(folder: Path, owner: str) -> str:
    """Name a member that nobody knows."""
    return jit_file(folder, owner, approval="click")


def an_integrator(folder: Path, owner: str) -> str:
    """Name an integrator that does not exist."""
    del owner
    return jit_file(folder, INTEGRATOR)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        pytest.param(an_executor, "mine", id="executor"),
        pytest.param(a_policy, "policy.yaml", id="policy"),
        pytest.param(a_password, "must hold a password", id="password"),
        pytest.param(a_key, "key.pem", id="key"),
        pytest.param(a_member, "approval is not a member.", id="member"),
        pytest.param(an_integrator, f"there is no integrator {INTEGRATOR}", id="integrator"),
    ],
)
def test_check_finds_what_a_start_would(
    operator: Operator, tmp_path: Path, spoil: Callable[[Path, str], str], problem: str
) -> None:
    """Whatever keeps a relay from starting is told before it is started, and by the start too."""
    owner = operator.init()["integrator"]["id"]
    path = spoil(tmp_path, owner)
    printed = operator("check", "--jit-file", path)

    assert 0 != printed.status
    assert problem in printed.out + printed.err
    started = operator("serve", "--port", "0", "--jit-file", path)
    assert (2 if spoil is a_member else 1) == started.status
    # The start names what is missing in other words: it lists what there is.
    assert (INTEGRATOR if spoil is an_integrator else problem) in started.err


def test_migrating_everything(tmp_path: Path) -> None:
    """What the original was told is what ours is told, in a file that ours reads."""
    made = migrated(ORIGINAL, integrator=INTEGRATOR)
    put(tmp_path / "service-account.json", "{}")
    put(tmp_path / "smtp-password", "hunter2")
    (tmp_path / "jit.yaml").write_text(made.text)

    settings = read_jit_file(tmp_path / "jit.yaml")

    activation, mail, google = (
        settings.activation,
        settings.notification.mail,
        settings.eligibility.google,
    )
    assert (90, 30, 5, 2, 4, 1, "request", "click") == (
        activation.max_minutes,
        activation.request_timeout_minutes,
        activation.max_roles,
        activation.min_reviewers,
        activation.max_reviewers,
        activation.required,
        activation.window_from,
        activation.approval,
    )
    assert ("^BUG-[0-9]+$", "A bug") == (
        activation.justification_pattern,
        activation.justification_hint,
    )
    assert google is not None
    assert ("organizations/123", "asset_inventory") == (google.scope, google.catalog)
    assert mail is not None
    assert ("mail.example.com", 2525, "starttls", "Europe/Berlin", "access@example.com") == (
        mail.host,
        mail.port,
        mail.security,
        mail.time_zone,
        mail.sender_address,
    )
    assert ORIGINAL["SMTP_ADDRESS_MAPPING"] == mail.address_mapping
    assert settings.identity.proxy is not None
    assert settings.identity.proxy.audience.endswith("/global/backendServices/42")
    assert "hunter2" not in made.text


def test_migrating_nothing(tmp_path: Path) -> None:
    """A deployment that says nothing has the original's defaults, which are ours."""
    made = migrated({"GOOGLE_CLOUD_PROJECT": "project-1"}, integrator=INTEGRATOR)
    put(tmp_path / "service-account.json", "{}")
    (tmp_path / "jit.yaml").write_text(made.text)

    activation = read_jit_file(tmp_path / "jit.yaml").activation

    assert (120, 60, 10) == (
        activation.max_minutes,
        activation.request_timeout_minutes,
        activation.max_roles,
    )
    assert any(note.startswith("notification: without SMTP_SENDER_ADDRESS") for note in made.notes)


def test_what_is_not_taken_over_is_told() -> None:
    """Variables that mean nothing here, and values that are too large, are notes."""
    made = migrated(
        {
            "SMTP_SENDER_ADDRESS": "a@b.example",
            "SMTP_OPTIONS": "mail.smtp.x=1",
            "SMTP_ENABLE_STARTTLS": "false",
            "SMTP_USERNAME": "a",
            "SMTP_SECRET": "projects/1/secrets/smtp/versions/latest",
            "NOTIFICATION_TOPIC": "topic",
            "ACTIVATION_TIMEOUT": "2000",
            "ACTIVATION_REQUEST_TIMEOUT": "240",
        },
        integrator=INTEGRATOR,
    )

    assert [
        "ACTIVATION_REQUEST_TIMEOUT",
        "ACTIVATION_TIMEOUT",
        "NOTIFICATION_TOPIC",
        "SMTP_OPTIONS",
        "approval",
        "eligibility.google.scope",
        "identity.proxy.audience",
        "notification.mail.security",
        "service-account.json",
        "smtp-password",
    ] == sorted(note.partition(":")[0].partition(" ")[0] for note in made.notes)
    assert "Secret Manager" in made.text
    assert (1440, 120) == (
        yaml.safe_load(made.text)["activation"]["max_minutes"],
        yaml.safe_load(made.text)["activation"]["request_timeout_minutes"],
    )


def test_a_request_never_outlives_the_access() -> None:
    """C16: a time to decide that is longer than the access can be is shortened, with a note."""
    made = migrated({"ACTIVATION_TIMEOUT": "20"}, integrator=INTEGRATOR)

    assert 20 == yaml.safe_load(made.text)["activation"]["request_timeout_minutes"]
    assert any(
        note.startswith("ACTIVATION_REQUEST_TIMEOUT: 60 is more than access lasts")
        for note in made.notes
    )


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        pytest.param(
            {"SMTP_SENDER_ADDRESS": "a@b.example", "SMTP_PORT": "25"},
            "SMTP_PORT must not be 25; the original does not take it either.",
            id="c40-port-25",
        ),
        pytest.param(
            {
                "ACTIVATION_REQUEST_MIN_REVIEWERS": "3",
                "ACTIVATION_REQUEST_MAX_REVIEWERS": "2",
            },
            "ACTIVATION_REQUEST_MIN_REVIEWERS must not be above the most.",
            id="c19-more-than-the-most",
        ),
        pytest.param(
            {"ACTIVATION_REQUEST_MIN_REVIEWERS": "0"},
            "ACTIVATION_REQUEST_MIN_REVIEWERS must be a whole number from 1 on.",
            id="c19-none",
        ),
        pytest.param(
            {"ACTIVATION_TIMEOUT": "an hour"},
            "ACTIVATION_TIMEOUT must be a whole number from 1 on.",
            id="no-number",
        ),
        pytest.param(
            {"RESOURCE_CATALOG": "Spreadsheet"},
            "RESOURCE_CATALOG must be PolicyAnalyzer or AssetInventory.",
            id="catalog",
        ),
    ],
)
def test_what_the_original_would_not_take(environ: dict[str, str], sentence: str) -> None:
    """A value that the original refuses is refused here, in a sentence."""
    with pytest.raises(MigrationError) as caught:
        migrated(environ, integrator=INTEGRATOR)

    assert sentence == str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("# comment\n\nexport A=b c\nB='d'\nC=\"\"\nD=x=y\n", id="lines"),
        pytest.param(
            "runtime: java17\nenv_variables:\n  A: b c\n  B: d\n  C: ''\n  D: x=y\n",
            id="app-engine",
        ),
        pytest.param(
            "spec:\n template:\n  spec:\n   containers:\n"
            "   - image: x\n     env:\n     - name: A\n       value: b c\n"
            "     - {name: B, value: d}\n     - {name: C, value: ''}\n"
            "     - {name: D, value: x=y}\n"
            "     - {name: E, valueFrom: {secretKeyRef: {key: latest}}}\n",
            id="cloud-run",
        ),
    ],
)
def test_files_of_variables(text: str) -> None:
    """Variables are read as lines, and as deployments of App Engine and Cloud Run have them."""
    assert {"A": "b c", "B": "d", "C": "", "D": "x=y"} == environment_of(text)


def test_numbers_and_truths_of_a_deployment() -> None:
    """What YAML takes for a number or a truth is the text that the platform hands over."""
    assert {"A": "90", "B": "true"} == environment_of("env_variables:\n  A: 90\n  B: true\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("A=b\nnonsense\n", "Line 2 is not NAME=value.", id="line"),
        pytest.param("env_variables: [\n", "It is not the YAML that is expected", id="yaml"),
    ],
)
def test_files_that_hold_no_variables(text: str, sentence: str) -> None:
    """A file that is neither is told as such."""
    with pytest.raises(MigrationError, match=sentence):
        environment_of(text)


def test_migrate_prints_the_file(operator: Operator, tmp_path: Path) -> None:
    """The command prints what can be saved and read, with the notes as comments on top."""
    path = tmp_path / "app.yaml"
    path.write_text(yaml.safe_dump({"env_variables": ORIGINAL}))
    arguments = ("jit", "migrate", "--integrator", INTEGRATOR, "--env-file", str(path))

    printed = operator.bare(*arguments).text
    document = operator.bare(*arguments, "--json").json

    assert printed.startswith("# identity.proxy.audience: put the number of your project in.\n")
    assert document["settings"] == yaml.safe_load(printed)
    assert "hunter2" not in printed


def test_migrate_reads_the_environment(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file, the variables of the process are read."""
    monkeypatch.setenv("ACTIVATION_TIMEOUT", "77")

    assert "max_minutes: 77\n" in operator.bare("jit", "migrate").text


def test_migrate_refuses_in_a_sentence(operator: Operator, tmp_path: Path) -> None:
    """What cannot be migrated is one sentence, and no file half-made."""
    path = tmp_path / "env"
    path.write_text("ACTIVATION_TIMEOUT=0")

    said = operator.bare("jit", "migrate", "--env-file", str(path)).refused(1)
    path.write_bytes(b"\xff")
    no_text = operator.bare("jit", "migrate", "--env-file", str(path)).refused(1)

    assert "ACTIVATION_TIMEOUT must be a whole number from 1 on." == said
    assert f"{path} is not UTF-8." == no_text
