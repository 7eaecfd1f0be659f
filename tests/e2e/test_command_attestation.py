"""A relay that requires attestation, a phone made of commands, and an integrator that judges."""

from __future__ import annotations

import shlex
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.e2e.sdk_relay_process import RelayProcess, relay_process
from tests.sdk.cli.terminal import type_in

from quorumkey import Action, Client, group
from quorumkey_attestation import (
    AndroidKeyPolicy,
    Assurance,
    AttestationError,
    EvidenceVerifier,
    Expectation,
    RevocationList,
    TrustAnchors,
)
from quorumkey_attestation.testing.android import google_root, status_list

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.sdk.cli.terminal import Done

    from quorumkey.client import AttestationEvidence, Pairing

PACKAGE = "com.example.approver"
SIGNER = "5a" * 32
ACTION = Action("cold_boot", "Cold boot engine ENG-001")


def attest(*arguments: str) -> list[str]:
    """The command ``quorumkey-attest`` of this environment."""
    code = "import sys; from quorumkey_attestation.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code, *arguments]


def write(path: Path, *arguments: str) -> Path:
    """Write what ``quorumkey-attest mint`` prints."""
    done = subprocess.run(attest("mint", *arguments), stdout=subprocess.PIPE, check=True)
    path.write_bytes(done.stdout)
    return path


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Generator[RelayProcess, None, None]:
    """A relay that requires attestation of one app, under the test roots."""
    folder = tmp_path_factory.mktemp("relay")
    options = {
        "--attestation": "required",
        "--unsafe-test-root": str(write(folder / "roots.pem", "roots")),
        "--android-apps": f"{PACKAGE}={SIGNER}",
        "--android-revocation": str(write(folder / "status.json", "status-list")),
        "--app-attest-apps": "QK12345678.com.example.approver",
    }
    flat = [part for option in options.items() for part in option]
    with relay_process(folder, *flat) as running:
        yield running


@pytest.fixture
def client(relay: RelayProcess) -> Generator[Client, None, None]:
    """The integrator's client."""
    with Client(relay.url, relay.api_key) as made:
        yield made


def enroll(pairing: Pairing, home: Path, *mint: str) -> Done:
    """Enrol by the command, with minted evidence if there is any."""
    evidence = ("--attestation-command", shlex.join(attest("mint", *mint))) if mint else ()
    return type_in("device", "enroll", pairing.url, "--home", home, "--yes", "--json", *evidence)


@pytest.mark.parametrize(
    ("mint", "level"),
    [
        (("android-key", "--level", "strongbox"), "strongbox"),
        (("android-key",), "tee"),
        (("apple-app-attest",), "secure_enclave"),
    ],
    ids=["strongbox", "tee", "iphone"],
)
def test_a_device_of_commands_proves_its_level(
    client: Client, tmp_path: Path, mint: tuple[str, ...], level: str
) -> None:
    """The evidence of ``mint`` holds for this enrolment, and the integrator is told the level."""
    pairing = client.pairings.create("alice", "Alice")

    done = enroll(pairing, tmp_path / "home", *mint)

    assert 0 == done.status, done.err
    assert [level] * 2 == [done.object["assurance"], client.pairings.confirm(pairing).assurance]


def test_without_evidence_nobody_enrols(client: Client, tmp_path: Path) -> None:
    """The refusal says what is asked for, and the same link serves afterwards."""
    pairing = client.pairings.create("alice", "Alice")

    without = enroll(pairing, tmp_path / "home")
    wrong = enroll(pairing, tmp_path / "home", "android-key", "--package", "com.example.game")
    right = enroll(pairing, tmp_path / "home", "android-key")

    assert (1, 1, 0) == (without.status, wrong.status, right.status)
    assert "send attestation evidence" in without.err


def test_the_integrator_judges_the_evidence_itself(client: Client, tmp_path: Path) -> None:
    """``confirm`` hands over what the relay was given; another nonce or key would not pass."""
    pairing = client.pairings.create("alice", "Alice")
    assert 0 == enroll(pairing, tmp_path / "home", "android-key", "--level", "strongbox").status
    now = datetime.now(UTC)
    verifier = EvidenceVerifier(
        android=AndroidKeyPolicy(
            packages={PACKAGE: frozenset({bytes.fromhex(SIGNER)})},
            anchors=TrustAnchors((google_root().certificate,), allow_test_roots=True),
        ),
        revocation=RevocationList.from_json(status_list(), fetched_at=now),
    )
    proved: list[Assurance] = []

    def check(evidence: AttestationEvidence, *, nonce: bytes | None = None) -> None:
        assert isinstance(evidence.attestation, dict)
        expected = Expectation(
            nonce=nonce or evidence.nonce,
            device_public_key=evidence.device_public_key.compressed,
            now=int(now.timestamp()),
        )
        proved.append(verifier.verify(evidence.attestation, expected).assurance)

    client.pairings.confirm(pairing, check_attestation=check)
    with pytest.raises(AttestationError):
        client.pairings.confirm(
            pairing, check_attestation=lambda evidence: check(evidence, nonce=bytes(32))
        )

    assert [Assurance.STRONGBOX] == proved


def test_a_device_of_commands_proves_itself_anew(client: Client, tmp_path: Path) -> None:
    """An assertion of its App Attest key holds once; with the same counter it is refused."""
    pairing = client.pairings.create("alice", "Alice")
    assert 0 == enroll(pairing, tmp_path / "home", "apple-app-attest").status
    command = shlex.join(attest("mint", "apple-assertion", "--counter", "1"))
    options = ("--home", tmp_path / "home", "--attestation-command", command, "--json")

    first, second = (type_in("device", "reattest", *options) for _ in range(2))

    assert (0, "secure_enclave") == (first.status, first.object["assurance"])
    assert (1, "") == (second.status, second.out)


def test_a_request_can_ask_for_hardware(client: Client, tmp_path: Path) -> None:
    """A quorum of devices whose level was proved."""
    pairing = client.pairings.create("alice", "Alice")
    enroll(pairing, tmp_path / "home", "android-key", "--level", "strongbox")
    alice = client.pairings.confirm(pairing)

    request = client.requests.create(
        action=ACTION,
        groups=[group("Operators", alice)],
        required=1,
        min_assurance="secure_enclave",
    )

    assert request.request_id
