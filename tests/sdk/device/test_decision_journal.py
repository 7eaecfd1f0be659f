from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sdk.clock import START
from tests.sdk.relay_double import Phone

from quorumkey.device import Choice, KeyFileError, NotAnswerableError
from quorumkey.device.decisions import DecisionJournal, SignedDecision
from quorumkey.device.keyfile import replace_secret

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "a" * 64
PHONE = Phone("alice")


def signed(choice: str, *, at: int = START) -> SignedDecision:
    """A decision signed at that time."""
    envelope = PHONE.decide(DIGEST, decision=choice, at=at)
    return SignedDecision(choice=Choice(choice), envelope=envelope)


@pytest.fixture
def journal(tmp_path: Path) -> DecisionJournal:
    """An empty journal."""
    return DecisionJournal(tmp_path / "decisions")


def test_nothing_is_on_record_at_first(journal: DecisionJournal) -> None:
    """A request that was never decided has no decision."""
    assert journal.read(DIGEST) is None


def test_a_decision_survives(journal: DecisionJournal, tmp_path: Path) -> None:
    """What was recorded is read by another process."""
    decision = signed("approve")
    journal.record(DIGEST, decision)

    assert decision == DecisionJournal(tmp_path / "decisions").read(DIGEST)


def test_the_first_signature_is_what_is_sent(journal: DecisionJournal) -> None:
    """Recording the same decision again answers the first envelope."""
    first = journal.record(DIGEST, signed("approve"))

    assert first == journal.record(DIGEST, signed("approve", at=START + 1))


@pytest.mark.parametrize(("first", "second"), [("approve", "deny"), ("deny", "approve")])
@pytest.mark.parametrize("refused", [False, True])
def test_never_both_decisions(
    journal: DecisionJournal, first: str, second: str, *, refused: bool
) -> None:
    """After one decision the other is refused, also where the relay refused the first."""
    decision = journal.record(DIGEST, signed(first))
    if refused:
        journal.mark_refused(DIGEST, decision)

    with pytest.raises(NotAnswerableError, match=first):
        journal.record(DIGEST, signed(second))


def test_a_refused_signature_may_be_replaced(journal: DecisionJournal) -> None:
    """After clock_skew or wrong_code the same decision is signed anew."""
    journal.mark_refused(DIGEST, journal.record(DIGEST, signed("approve")))
    again = signed("approve", at=START + 1)

    assert again == journal.record(DIGEST, again)
    assert again == journal.read(DIGEST)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"decision": "maybe", "envelope": {}}'])
def test_a_damaged_record_stops_the_device(
    journal: DecisionJournal, tmp_path: Path, data: bytes
) -> None:
    """A record that cannot be read is an error: the device must not sign without knowing."""
    journal.record(DIGEST, signed("approve"))
    (path,) = (tmp_path / "decisions").iterdir()
    replace_secret(path, data)

    with pytest.raises(KeyFileError, match="damaged"):
        journal.record(DIGEST, signed("deny"))


def test_a_record_that_disappears_stops_the_device(
    journal: DecisionJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that was there and is not any more is no leave to sign again."""
    journal.record(DIGEST, signed("approve"))

    def gone(_digest: str) -> None:
        return None

    monkeypatch.setattr(journal, "read", gone)

    with pytest.raises(KeyFileError, match="disappeared"):
        journal.record(DIGEST, signed("deny"))


def test_a_digest_is_no_path(journal: DecisionJournal) -> None:
    """A digest that would lead elsewhere is refused."""
    with pytest.raises(NotAnswerableError, match="digest"):
        journal.read("sha256:../../etc/passwd")
