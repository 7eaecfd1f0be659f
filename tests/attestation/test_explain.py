"""The sentence that explains a refusal."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from quorumkey_attestation import AttestationError, Reason, explain
from quorumkey_attestation.explain import ADVICE_BY_CHECK, ADVICE_BY_REASON
from quorumkey_attestation.testing.catalog import entries

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

#: With these words a remedy begins: somebody does something.
IMPERATIVES = {
    "allow", "check", "compare", "have", "keep", "look", "refuse", "see", "send", "switch", "take",
    "treat", "try", "use",
}  # fmt: skip


def sources(folder: Traversable) -> str:
    """Return the text of every module below a folder but this one's."""
    text = ""
    for entry in folder.iterdir():
        if entry.is_dir():
            text += sources(entry)
        elif entry.name.endswith(".py") and entry.name != "explain.py":
            text += entry.read_text()
    return text


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    """No reason is left without a sentence, which no other reason has."""
    sentence = explain(AttestationError(reason, "detail"))
    others = {explain(AttestationError(other, "")) for other in Reason if other is not reason}

    assert reason in ADVICE_BY_REASON
    assert sentence not in others


@pytest.mark.parametrize(
    "error",
    [AttestationError(reason, "") for reason in Reason]
    + [AttestationError(Reason.MALFORMED, "", check=check) for check in ADVICE_BY_CHECK],
    ids=lambda error: error.check or error.reason,
)
def test_an_explanation_is_one_sentence_that_ends_with_what_to_do(error: AttestationError) -> None:
    """A capital, what is the matter, a colon, what somebody has to do, one full stop."""
    matter, remedy = explain(error).split(": ")

    assert matter[0].isupper()
    assert "." not in matter
    assert remedy.split()[0] in IMPERATIVES
    assert remedy.index(".") == len(remedy) - 1
    assert len(matter) + len(remedy) <= 300


@pytest.mark.parametrize("reason", list(Reason))
def test_an_explanation_repeats_nothing_of_the_evidence(reason: Reason) -> None:
    """Neither the detail nor an unknown check's name comes through."""
    error = AttestationError(reason, "the secret", check="evil/1-name")

    assert explain(AttestationError(reason, "")) == explain(error)


def test_a_certificate_is_named_by_its_position() -> None:
    """Who reads it learns which certificate of the chain it is about."""
    error = AttestationError(Reason.EXPIRED, "", index=2)

    assert " (certificate 2, the leaf being 0): " in explain(error)


def test_a_check_with_a_sentence_of_its_own_has_it() -> None:
    """What is known about one check is said in place of what is known about its reason."""
    test_root = AttestationError(Reason.UNTRUSTED_ROOT, "", check="chain/4-denied")

    assert explain(test_root) != explain(AttestationError(Reason.UNTRUSTED_ROOT, ""))
    assert "test root" in explain(test_root)


def test_no_sentence_is_about_a_check_that_does_not_exist() -> None:
    """Every check with a sentence of its own is made somewhere in the package."""
    named = set(
        re.findall(r'"([a-z.]+/[0-9]+[a-z0-9-]*)"', sources(files("quorumkey_attestation")))
    )

    assert set() == set(ADVICE_BY_CHECK) - named


def test_every_numbered_case_is_explained() -> None:
    """Whatever refuses a case, a sentence says what to do."""
    errors = [
        AttestationError(entry.case.reason, "", check=entry.case.check)
        for entry in entries()
        if entry.case.reason is not None
    ]

    assert errors
    assert all(explain(error).endswith(".") for error in errors)
