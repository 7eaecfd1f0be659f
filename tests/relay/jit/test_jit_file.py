"""Reading the settings of just-in-time access (C18, C19, C40)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from quorumkey_relay.jit_file import read_jit_file
from quorumkey_relay.jit_settings import JitSettings, PostgresqlExecutor, WebhookExecutor
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

INTEGRATOR = "0190a000-0000-7000-8000-000000000001"
SMALLEST = f"""\
integrator: {INTEGRATOR}
identity:
  oidc:
    issuer: https://login.example.com
    audiences: [relay]
eligibility:
  file: policy.yaml
executors:
  - kind: webhook
    name: mine
    url: https://hooks.example.com/access
    secret_file: secret
"""


def put(folder: Path, text: str, *secrets: str) -> Path:
    """Write a file of settings and the private files that it names."""
    for name in {"secret", *secrets}:
        (folder / name).write_text("whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0")
        (folder / name).chmod(0o600)
    path = folder / "jit.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str, *secrets: str) -> list[str]:
    """Return what is wrong with a text, without the name of the file."""
    path = put(folder, text, *secrets)
    with pytest.raises(ConfigError) as caught:
        read_jit_file(path)
    prefix = f"{path}: "
    assert all(one.startswith(prefix) for one in caught.value.problems)
    return [one.removeprefix(prefix) for one in caught.value.problems]


def changed(**parts: Any) -> str:  # noqa: ANN401 - whatever YAML can say
    """Return the smallest file with other parts."""
    return yaml.safe_dump({**yaml.safe_load(SMALLEST), **parts})


def test_the_smallest_file(tmp_path: Path) -> None:
    """Five members are enough; paths are relative to the file."""
    settings = read_jit_file(put(tmp_path, SMALLEST))

    assert INTEGRATOR == settings.integrator
    assert tmp_path / "policy.yaml" == settings.eligibility.file
    (executor,) = settings.executors
    assert isinstance(executor, WebhookExecutor)
    assert tmp_path / "secret" == executor.secret_file


def test_the_defaults_are_those_of_the_original(tmp_path: Path) -> None:
    """C16, C17, C18, C19, C22: times, counts and texts are the original's; C40: so is the mail."""
    text = changed(notification={"mail": {"sender_address": "relay@example.com"}})
    settings = read_jit_file(put(tmp_path, text))
    activation, mail = settings.activation, settings.notification.mail

    assert (120, 60, 10, 1, 10, 1, ".*", "Bug or case number") == (
        activation.max_minutes,
        activation.request_timeout_minutes,
        activation.max_roles,
        activation.min_reviewers,
        activation.max_reviewers,
        activation.required,
        activation.justification_pattern,
        activation.justification_hint,
    )
    assert mail is not None
    assert ("smtp.gmail.com", 587, "starttls", "UTC") == (
        mail.host,
        mail.port,
        mail.security,
        mail.time_zone,
    )


def test_everything_can_be_said(tmp_path: Path) -> None:
    """A file with each kind of executor, mail with a password and the source of Google is read."""
    text = changed(
        identity={
            "oidc": {
                "issuer": "https://login.example.com",
                "audiences": ["relay"],
                "client_id": "relay",
                "client_secret_file": "client",
            }
        },
        eligibility={"google": {"scope": "organizations/1", "service_account_file": "google"}},
        executors=[
            {"kind": "gcp_iam", "name": "google", "service_account_file": "google"},
            {"kind": "postgresql", "name": "db", "dsn_file": "dsn", "projects": ["db-*"]},
        ],
        notification={
            "mail": {
                "sender_address": "relay@example.com",
                "username": "relay",
                "password_file": "password",
                "security": "tls",
                "port": 465,
                "time_zone": "Europe/Berlin",
                "address_mapping": 'user.email.extract("{handle}@example.com") + "@example.org"',
            },
            "push": False,
        },
    )

    settings = read_jit_file(put(tmp_path, text, "google", "dsn", "password", "client"))

    assert isinstance(settings, JitSettings)
    assert isinstance(settings.executors[1], PostgresqlExecutor)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """What is wrong with the form of a file is told in one go, each by the path of its member."""
    text = """\
integrater: 1
identity: {oidc: {issuer: 3, audiences: x}}
eligibility: {api: maybe}
executors:
  - {kind: ldap, name: a}
  - {kind: webhook, name: b, url: https://x.example, secret_file: s, timeout_seconds: 100}
  - 5
  - {name: c}
activation: {max_minutes: many, min_reviewers: 0, max_reviewers: 10.5, approval: no}
tokens: [x]
notification: {mail: {sender_address: ""}}
"""

    assert [
        "integrater is not a member; did you mean integrator?",
        "integrator is missing.",
        "identity.oidc.issuer must be text.",
        "identity.oidc.audiences must be a list.",
        "eligibility.api must be true or false (it is 'maybe').",
        "executors[0].kind must be gcp_iam, postgresql or webhook (it is 'ldap').",
        "executors[1].timeout_seconds must be a whole number from 1 to 60 (it is 100).",
        "executors[2].kind must be gcp_iam, postgresql or webhook.",
        "executors[3].kind must be gcp_iam, postgresql or webhook.",
        "activation.max_minutes must be a whole number from 1 to 1440 (it is 'many').",
        "activation.min_reviewers must be a whole number from 1 to 50 (it is 0).",
        "activation.max_reviewers must be a whole number from 1 to 50 (it is 10.5).",
        "activation.approval must be click or device (it is false).",
        "tokens must be a mapping of names to values.",
        "notification.mail.sender_address must not be empty.",
    ] == problems(tmp_path, text)


def test_every_contradiction_is_told_at_once(tmp_path: Path) -> None:
    """What cannot be meant is told in one go too."""
    text = changed(
        identity={"oidc": {"issuer": "http://login.example.com", "audiences": []}},
        eligibility={"file": "policy.yaml", "api": True},
        executors=[
            {"kind": "webhook", "name": "Mine", "url": "https://a.example", "secret_file": "no"},
            {"kind": "webhook", "name": "b", "url": "https://a.example", "secret_file": "secret"},
            {"kind": "postgresql", "name": "b", "dsn_file": "secret", "projects": []},
        ],
        activation={
            "min_reviewers": 3,
            "max_reviewers": 2,
            "required": 3,
            "max_minutes": 30,
            "justification_pattern": "(",
        },
        notification={
            "mail": {
                "sender_address": "Relay <relay@example.com>",
                "host": "mail.example.com",
                "port": 25,
                "security": "none",
                "username": "relay",
                "time_zone": "Mars/Olympus",
            }
        },
    )

    assert [
        "identity.oidc.audiences must name at least one client id.",
        "identity.oidc.issuer must be an https address.",
        "eligibility must have exactly one of file, api and google.",
        "activation.min_reviewers must not be above activation.max_reviewers.",
        "activation.required must not be above activation.max_reviewers.",
        "activation.request_timeout_minutes must not be above activation.max_minutes.",
        "activation.justification_pattern must be a regular expression, as RE2 takes them.",
        "executors[0].name must be up to 64 of a-z, 0-9, - and _, and begin with a letter.",
        "executors[2].name is that of another executor.",
        "executors[2].projects must name at least one project, or *.",
        "notification.mail.sender_address must be an e-mail address.",
        "notification.mail.port must not be 25: use 587 with starttls, or 465 with tls.",
        "notification.mail.security must be starttls or tls: none is for a loopback address.",
        "notification.mail must have both username and password_file, or neither.",
        "notification.mail.time_zone must be a time zone such as Europe/Berlin.",
        f"executors[0].secret_file: cannot read {tmp_path}/no: No such file or directory.",
    ] == problems(tmp_path, text)


def test_texts_have_bounds(tmp_path: Path) -> None:
    """A text that is far too long, and a list where one is needed, cannot be meant."""
    hint = {"justification_hint": "x" * 2_049}

    assert ["activation.justification_hint must have at most 2048 characters."] == problems(
        tmp_path, changed(activation=hint)
    )
    assert ["executors must have at least one."] == problems(tmp_path, changed(executors=[]))


def test_c40_port_25_is_refused(tmp_path: Path) -> None:
    """Port 25 is refused at the start, whatever stands beside it."""
    for security in ("starttls", "tls", "none"):
        mail = {"sender_address": "a@b.example", "host": "127.0.0.1", "port": 25}
        text = changed(notification={"mail": {**mail, "security": security}})

        assert [
            "notification.mail.port must not be 25: use 587 with starttls, or 465 with tls."
        ] == problems(tmp_path, text)


@pytest.mark.parametrize(
    "address",
    [
        "relay@",
        "relay",
        "r\u00e4lay@b.example",
        "a..b@b.example",
        "a@-b.example",
        "a" * 65 + "@b.c",
    ],
    ids=lambda text: ascii(text)[:16],
)
def test_a_sender_no_mail_can_be_from(tmp_path: Path, address: str) -> None:
    """What no mail server takes as a sender keeps the relay from starting, not its first mail."""
    mail = {"sender_address": address}

    assert ["notification.mail.sender_address must be an e-mail address."] == problems(
        tmp_path, changed(notification={"mail": mail})
    )


def test_a_name_that_no_header_holds(tmp_path: Path) -> None:
    """Python breaks a longer name within its quotes, and what comes after is no header any more."""
    mail = {"sender_address": "a@b.example", "sender_name": "x" * 65}

    assert ["notification.mail.sender_name must have at most 64 characters."] == problems(
        tmp_path, changed(notification={"mail": mail})
    )


def test_c19_no_reviewer_at_all_cannot_be_meant(tmp_path: Path) -> None:
    """The least number of reviewers is at least one, and not above the most."""
    assert 1 == len(problems(tmp_path, changed(activation={"min_reviewers": 0})))
    assert ["activation.min_reviewers must not be above activation.max_reviewers."] == problems(
        tmp_path, changed(activation={"min_reviewers": 4, "max_reviewers": 3})
    )


def test_secrets_that_others_can_read(tmp_path: Path) -> None:
    """A secret whose file others may read keeps the relay from starting."""
    path = put(tmp_path, SMALLEST)
    (tmp_path / "secret").chmod(0o640)
    with pytest.raises(ConfigError, match=r"executors\[0\]\.secret_file: .* can be read by others"):
        read_jit_file(path)


def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    """A password written where its file is to be named is not in what the operator reads."""
    mail = {"sender_address": "a@b.example", "password": "hunter2", "username": {"x": "hunter2"}}
    found = problems(tmp_path, changed(notification={"mail": mail}))

    assert [
        "notification.mail.password is not a member; did you mean password_file?",
        "notification.mail.username must be text.",
    ] == found


def test_mappings_are_parsed(tmp_path: Path) -> None:
    """C28: an expression that cannot be one is told before anybody needs it."""
    text = changed(
        executors=[{"kind": "postgresql", "name": "db", "dsn_file": "secret", "user_mapping": "("}],
        notification={"mail": {"sender_address": "a@b.example", "address_mapping": "1"}},
    )

    found = problems(tmp_path, text)

    assert ["executors[0].user_mapping", "notification.mail.address_mapping"] == [
        one.partition(":")[0] for one in found
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "The file must be a mapping of names to values.", id="empty"),
        pytest.param("[]", "The file must be a mapping of names to values.", id="list"),
        pytest.param(
            SMALLEST + "integrator: other\n",
            "It is not the YAML that is expected in line 13: integrator is there twice.",
            id="twice",
        ),
        pytest.param(
            "a: &a [1]\nb: *a\n",
            "It is not the YAML that is expected in line 1: aliases are not read.",
            id="alias",
        ),
        pytest.param(
            "a: !!python/name:os.system\n",
            "It is not the YAML that is expected in line 1: could not determine a constructor for"
            " the tag 'tag:yaml.org,2002:python/name:os.system'.",
            id="python",
        ),
        pytest.param(
            "a: [\n",
            "It is not the YAML that is expected in line 2: expected the node content, but found"
            " '<stream end>'.",
            id="cut-off",
        ),
        pytest.param(
            "{[a]: 1}\n",
            "It is not the YAML that is expected in line 1: found unhashable key.",
            id="odd-key",
        ),
        pytest.param("a: \x01\n", "It is not YAML.", id="control"),
        pytest.param("[" * 10_000, "It is not YAML.", id="deep"),
    ],
)
def test_what_is_no_such_yaml(tmp_path: Path, text: str, problem: str) -> None:
    """A text that is no YAML, or more than plain data, is one sentence with the line."""
    assert [problem] == problems(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that cannot be read is told as what it is."""
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        read_jit_file(tmp_path / "none.yaml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """A file of other bytes than UTF-8, or of too many, is no file of settings."""
    path = tmp_path / "jit.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="It is not UTF-8"):
        read_jit_file(path)
    path.write_bytes(b" " * 1_048_577)
    with pytest.raises(ConfigError, match="must have at most 1048576 bytes"):
        read_jit_file(path)
