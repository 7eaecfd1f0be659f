"""Which executor serves a project, and what is wrong with the settings of executors."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import ManualClock

from quorumkey.protocol.webhook import generate_secret
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.executors import ConfiguredExecutors, open_executors
from quorumkey_relay.jit_settings import GcpIamExecutor, PostgresqlExecutor, WebhookExecutor
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.executors.parts import CloudRig

    from quorumkey_relay.jit_settings import ExecutorSettings

pytestmark = pytest.mark.anyio

URL = "https://hooks.example.com/jit"
VERIFIED = "postgresql://relay@db.example.com/warehouse?sslmode=verify-full&sslrootcert="
LOCAL = "postgresql://relay@localhost/warehouse"


def opened(*settings: ExecutorSettings) -> ConfiguredExecutors:
    """The executors of the settings."""
    clock = ManualClock()
    return open_executors(settings, clock=clock, egress=Egress(clock=clock), roots=None)


def problems(*settings: ExecutorSettings) -> tuple[str, ...]:
    """What is wrong with settings."""
    with pytest.raises(ConfigError) as caught:
        opened(*settings)
    return caught.value.problems


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    """A file with a secret."""
    path = folder / f"secret-{len(list(folder.iterdir()))}"
    path.write_text(text)
    path.chmod(mode)
    return path


def webhook(folder: Path, name: str = "hook", *projects: str, url: str = URL) -> WebhookExecutor:
    """Settings of a webhook."""
    secret_file = written(folder, f"{generate_secret(bytes(32))}\n")
    return WebhookExecutor(name=name, url=url, secret_file=secret_file, projects=projects or ("*",))


def postgresql(folder: Path, dsn: str = LOCAL, *, user_mapping: str = "") -> PostgresqlExecutor:
    """Settings of a PostgreSQL server."""
    return PostgresqlExecutor(
        name="db", dsn_file=written(folder, dsn), projects=("db-*",), user_mapping=user_mapping
    )


async def test_the_first_pattern_that_fits_decides(tmp_path: Path) -> None:
    """Executors are asked in their order; capitals count, and a project may be nobody's."""
    executors = opened(
        webhook(tmp_path, "first", "prod-*", "test-?"), webhook(tmp_path, "second", "*-1")
    )

    names = [
        executor and executor.name
        for executor in map(executors.for_project, ("prod-1", "test-1", "x-1", "Prod-2", "other"))
    ]

    assert ["first", "first", "second", None, None] == names
    await executors.close()


async def test_an_executor_is_found_by_its_name(tmp_path: Path) -> None:
    """Activations carry the name; one that is gone from the settings is nobody's."""
    executors = opened(webhook(tmp_path), postgresql(tmp_path))

    names = [executor and executor.name for executor in map(executors.named, ("db", "gone"))]

    assert ["db", None] == names
    await executors.close()


async def test_each_kind_is_opened(tmp_path: Path, google: CloudRig) -> None:
    """The three kinds of settings make the three executors, and none of them calls anybody."""
    account = GcpIamExecutor(
        name="cloud", service_account_file=google.cloud.files.service_account_file
    )
    executors = opened(postgresql(tmp_path), webhook(tmp_path, "hook", "hook-*"), account)

    kinds = [
        type(executors.for_project(project)).__module__.rpartition(".")[2]
        for project in ("db-1", "hook-1", "anything")
    ]

    assert (["postgresql", "webhook", "gcp_iam"], []) == (kinds, google.cloud.calls)
    await executors.close()


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """One start is enough to learn of every secret that cannot be used."""
    missing = GcpIamExecutor(name="cloud", service_account_file=tmp_path / "missing.json")
    open_to_all = WebhookExecutor(
        name="hook", url=URL, secret_file=written(tmp_path, "whsec_x", 0o644)
    )

    first, second = problems(missing, open_to_all)

    assert ("cannot read" in first, "can be read by others" in second) == (True, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("whsec_AAAA", "24 to 64 bytes"),
        ("", "one line of text"),
        ("one\ntwo", "one line of text"),
    ],
    ids=["short", "empty", "lines"],
)
def test_a_secret_has_to_be_one(tmp_path: Path, text: str, sentence: str) -> None:
    """What cannot sign is found before anything has to be granted; it is not repeated."""
    settings = WebhookExecutor(name="hook", url=URL, secret_file=written(tmp_path, text))

    (problem,) = problems(settings)

    assert sentence in problem


def test_a_secret_has_to_be_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are no secret."""
    path = written(tmp_path, "")
    path.write_bytes(b"\xff\xfe")

    (problem,) = problems(WebhookExecutor(name="hook", url=URL, secret_file=path))

    assert "one line of text" in problem


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com/", "https://127.0.0.1:8443/"], ids=["http", "inside"]
)
def test_an_address_that_may_not_be_called(tmp_path: Path, url: str) -> None:
    """The egress guard's refusal of the address is told at the start."""
    (problem,) = problems(webhook(tmp_path, url=url))

    assert problem.startswith("The url of the executor hook may not be called:")


@pytest.mark.parametrize(
    ("dsn", "sentence"),
    [
        ("host=db.example.com user=relay", "that names its host"),
        ("postgresql:///warehouse", "that names its host"),
        ("mysql://relay@localhost/x", "that names its host"),
        ("postgresql://relay@x@localhost/x", "that names its host"),
        ("postgresql://[::1/x", "that names its host"),
        ("postgresql://relay@db.example.com/x", "sslmode=verify-full"),
        ("postgresql://relay@db.example.com/x?sslmode=require", "sslmode=verify-full"),
        ("postgresql://relay@localhost/x?host=db.example.com", "sslmode=verify-full"),
        ("postgresql://relay@localhost:many/x", "that names its host"),
        (VERIFIED.rpartition("&")[0], "sslrootcert"),
        (f"{VERIFIED}/missing/roots.pem", "sslrootcert"),
    ],
    ids=[
        "words",
        "no_host",
        "other",
        "two_ats",
        "brackets",
        "plain",
        "unverified",
        "hidden",
        "port",
        "no_roots",
        "missing_roots",
    ],
)
def test_a_server_elsewhere_is_reached_by_tls_alone(
    tmp_path: Path, dsn: str, sentence: str
) -> None:
    """A connection string that leaves open who answers is refused, and not repeated."""
    (problem,) = problems(postgresql(tmp_path, dsn))

    assert (True, False) == (sentence in problem, dsn in problem)


@pytest.mark.parametrize(
    "dsn",
    [
        f"{VERIFIED}{__file__}",
        "postgres://relay:pw@127.0.0.1/x",
        "postgresql://relay@/x?host=/run/postgresql",
    ],
    ids=["tls", "loopback", "socket"],
)
def test_a_server_that_cannot_be_overheard(tmp_path: Path, dsn: str) -> None:
    """Verified TLS, this machine and a socket are fine."""
    assert opened(postgresql(tmp_path, dsn)).named("db") is not None


def test_a_mapping_that_is_no_cel_is_told(tmp_path: Path) -> None:
    """A user_mapping is compiled before the relay starts."""
    (problem,) = problems(postgresql(tmp_path, user_mapping="user.email +"))

    assert problem.startswith("user_mapping of the executor db:")


def test_postgresql_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its driver the settings are refused with what to install."""
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "quorumkey_relay.executors.postgresql", raising=False)

    (problem,) = problems(postgresql(tmp_path))

    assert "pip install 'quorumkey-relay[postgresql]'" in problem
    monkeypatch.undo()
    importlib.import_module("quorumkey_relay.executors.postgresql")


def test_a_service_account_has_to_be_one(tmp_path: Path) -> None:
    """A file of another kind is refused as for push."""
    path = written(tmp_path, json.dumps({"type": "authorized_user"}))

    (problem,) = problems(GcpIamExecutor(name="cloud", service_account_file=path))

    assert "is no service account" in problem
