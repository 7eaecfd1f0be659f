"""``quorumkey-attest mint``: evidence for one enrolment, which only test roots believe."""

from __future__ import annotations

import io
import json
import sys
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from tests.attestation.evidence_material import (
    KEY,
    NONCE,
    android_policy,
    apple_policy,
    compressed,
    expectation,
    verifier,
)

from quorumkey_attestation.android.revocation import RevocationList
from quorumkey_attestation.apple.assertion import verify_app_assertion
from quorumkey_attestation.cli.app import run
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.result import Assurance
from quorumkey_attestation.testing import pki

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey_attestation.result import Result

QUESTION = {
    "nonce": b64encode(NONCE).decode(),
    "device_public_key": b64encode(compressed(KEY)).decode(),
}
AT = ("--at", pki.NOW.isoformat())
SIGNER = "5a" * 32


@pytest.fixture
def mint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Type the command, with a question on standard input; status, output and errors."""

    def command(*arguments: str, question: object = QUESTION) -> tuple[int, str, str]:
        text = question if isinstance(question, str) else json.dumps(question)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        status = run(["mint", *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return command


def judged(evidence: str) -> Result:
    """What the evidence of an app with the command's defaults proves."""
    judge = verifier(
        app_attest=apple_policy(app_ids=frozenset({"QK12345678.com.example.approver"})),
        android=android_policy(
            packages={"com.example.approver": frozenset({bytes.fromhex(SIGNER)})}
        ),
    )
    return judge.verify(json.loads(evidence), expectation())


@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        (("android-key",), Assurance.TEE),
        (("android-key", "--level", "strongbox"), Assurance.STRONGBOX),
        (("apple-app-attest",), Assurance.SECURE_ENCLAVE),
    ],
    ids=["tee", "strongbox", "secure enclave"],
)
def test_minted_evidence_proves_its_level(
    mint: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], level: Assurance
) -> None:
    """What is minted holds for the nonce and key that were asked about."""
    status, printed, _ = mint(*arguments, *AT)

    assert (0, level) == (status, judged(printed).assurance)


def test_each_device_has_an_app_attest_key_of_its_own(
    mint: Callable[..., tuple[int, str, str]],
) -> None:
    """Two devices are not vouched for by one key, unless that is asked for."""
    other = {**QUESTION, "device_public_key": b64encode(b"\x02" + bytes(32)).decode()}
    own = [
        json.loads(mint("apple-app-attest", question=one)[1])["key_id"] for one in (QUESTION, other)
    ]
    named = [
        json.loads(mint("apple-app-attest", "--key", "shared", question=one)[1])["key_id"]
        for one in (QUESTION, other)
    ]

    assert (2, 1) == (len(set(own)), len(set(named)))


def test_an_assertion_is_by_the_key_that_was_attested(
    mint: Callable[..., tuple[int, str, str]],
) -> None:
    """It holds for the nonce and key that were asked about, with the counter that was given."""
    key = judged(mint("apple-app-attest", *AT)[1]).app_attest_key
    assert key is not None
    status, printed, _ = mint("apple-assertion", "--counter", "3")
    evidence = json.loads(printed)

    accepted = verify_app_assertion(
        b64decode(evidence["assertion"]),
        client_data=NONCE + compressed(KEY),
        key=key,
        last_counter=2,
        policy=apple_policy(app_ids=frozenset({"QK12345678.com.example.approver"})),
        challenge=NONCE,
    )

    assert (0, 3) == (status, accepted.counter)
    assert ("apple-app-attest-assertion", key.key_id) == (
        evidence["format"],
        b64decode(evidence["key_id"]),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("android-key", "--package", "com.example.game"),
        ("android-key", "--signer", "ab" * 32),
        ("apple-app-attest", "--app-id", "AAAAAAAAAA.com.example.game"),
    ],
    ids=["package", "signer", "app id"],
)
def test_another_app_can_be_claimed(
    mint: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...]
) -> None:
    """The app is an option, and a verifier sees it."""
    _, printed, _ = mint(*arguments, *AT)

    with pytest.raises(AttestationError) as refused:
        judged(printed)
    assert Reason.APP_ID is refused.value.reason


def test_another_environment_can_be_claimed(mint: Callable[..., tuple[int, str, str]]) -> None:
    """Apple's development environment is an option."""
    _, printed, _ = mint("apple-app-attest", "--environment", "development", *AT)

    with pytest.raises(AttestationError) as refused:
        judged(printed)
    assert Reason.ENVIRONMENT is refused.value.reason


def test_the_roots_are_those_of_every_format(mint: Callable[..., tuple[int, str, str]]) -> None:
    """Each root names itself as unsafe."""
    _, printed, _ = mint("roots")

    names = [
        str(each.subject.rfc4514_string())
        for each in x509.load_pem_x509_certificates(printed.encode())
    ]
    assert 4 == len(names)
    assert all(name.startswith("CN=Quorumkey UNSAFE test") for name in names)


def test_a_status_list_has_what_was_revoked(mint: Callable[..., tuple[int, str, str]]) -> None:
    """Without serials the list is empty."""
    now = datetime.now(UTC)
    lists = [
        RevocationList.from_json(mint("status-list", *arguments)[1].encode(), fetched_at=now)
        for arguments in ((), ("--revoked", "AB01", "--revoked", "7"))
    ]

    assert [set(), {0xAB01, 7}] == [set(each.entries) for each in lists]


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (("android-key",), ""),
        (("android-key",), []),
        (("android-key",), {"nonce": QUESTION["nonce"]}),
        (("android-key",), {**QUESTION, "nonce": "?"}),
        (("android-key",), {**QUESTION, "nonce": 1}),
        (("android-key",), {**QUESTION, "nonce": "AAAA"}),
        (
            ("android-key",),
            {**QUESTION, "device_public_key": b64encode(b"\x05" + bytes(32)).decode()},
        ),
        (("android-key", "--signer", "5a"), QUESTION),
        (("apple-app-attest", "--at", "noon"), QUESTION),
        (("status-list", "--revoked", "xyz"), QUESTION),
    ],
)
def test_a_question_that_cannot_be_answered(
    mint: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], question: object
) -> None:
    """It is a usage error of one sentence."""
    status, printed, said = mint(*arguments, question=question)

    assert (2, "", 1) == (status, printed, len(said.splitlines()))
