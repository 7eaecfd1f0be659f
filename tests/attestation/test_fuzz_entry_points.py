"""Any bytes give a result or an AttestationError, from every entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import pytest
from fuzz import attestation as command
from fuzz.entry_points import EntryPoint, entry_points, join, split
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.attestation.evidence_material import (
    KEY,
    NONCE,
    PACKAGE,
    SIGNER,
    compressed,
    expectation,
    verifier,
)

from quorumkey_attestation import AttestationError, Reason
from quorumkey_attestation.testing import pki, webauthn
from quorumkey_attestation.testing.android import android_evidence
from quorumkey_attestation.testing.apple import apple_evidence
from quorumkey_attestation.testing.webauthn import webauthn_evidence

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_attestation.audit import Audit

ENTRY_POINTS: Final = entry_points()
BY_NAME: Final = pytest.mark.parametrize("entry", ENTRY_POINTS, ids=lambda entry: entry.name)
OFTEN: Final = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Minted evidence with a few changes: bits flipped, octets cut, spliced, put in or doubled."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        end = start + draw(st.integers(0, 40))
        change = draw(st.sampled_from(["flip", "cut", "splice", "insert", "double", "truncate"]))
        if change == "flip" and data:
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del data[start:end]
        elif change == "splice":
            other = draw(st.sampled_from(seeds))
            where = draw(st.integers(0, max(len(other) - 1, 0)))
            data[start:end] = other[where : where + draw(st.integers(0, 40))]
        elif change == "insert":
            data[start:start] = draw(st.binary(min_size=1, max_size=9))
        elif change == "double":
            data[start:start] = data[start:end]
        elif change == "truncate":
            del data[start:]
    return bytes(data)


@BY_NAME
@OFTEN
@given(st.binary(max_size=600))
@example(b"")
def test_random_bytes_are_refused(entry: EntryPoint, data: bytes) -> None:
    """Noise is refused with an AttestationError (E12); the fuzzers' own framing too."""
    assert not entry.accepts(data)


@BY_NAME
@OFTEN
@given(st.data())
def test_changed_evidence_is_judged_without_a_crash(entry: EntryPoint, data: st.DataObject) -> None:
    """Evidence that was changed anywhere gives a result or an AttestationError."""
    assert entry.accepts(data.draw(mutated(entry.seeds))) in {True, False}


@BY_NAME
def test_the_seeds_are_good_and_bad(entry: EntryPoint) -> None:
    """Some seeds are accepted, so that fuzzing starts behind the first check."""
    assert any(map(entry.accepts, entry.seeds))


EVIDENCE: Final[tuple[dict[str, object], ...]] = (
    {**apple_evidence(NONCE, compressed(KEY))},
    android_evidence(NONCE, KEY, package=PACKAGE, signer_digest=SIGNER, now=pki.NOW),
    {
        **webauthn_evidence(
            NONCE,
            pki.private_key("device of the evidence tests"),
            rp_id=webauthn.RP_ID,
            origin=webauthn.ORIGIN,
        )
    },
)
VERIFIER: Final = verifier()


def respelled(draw: st.DrawFn, text: str) -> str:
    """Change a few characters of a text, most often within base64."""
    characters = list(text)
    for _ in range(draw(st.integers(0, 3))):
        position = draw(st.integers(0, len(characters)))
        characters[position : position + draw(st.integers(0, 2))] = draw(
            st.text("ABCDwxyz0189+/-_=é ", max_size=3)
        )
    return "".join(characters)


@st.composite
def changed_evidence(draw: st.DrawFn) -> dict[str, object]:
    """Evidence as a phone sends it, with members respelled, replaced, left out or added."""
    evidence: dict[str, object] = {}
    anything = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text())
    for name, value in draw(st.sampled_from(EVIDENCE)).items():
        match draw(st.sampled_from(["keep", "keep", "respell", "replace", "leave out"])):
            case "keep":
                evidence[name] = value
            case "respell" if isinstance(value, str):
                evidence[name] = respelled(draw, value)
            case "respell" if isinstance(value, list):
                texts = cast("list[str]", value)
                evidence[name] = [respelled(draw, each) for each in texts]
            case "replace":
                evidence[name] = draw(anything)
            case _:
                pass
    if draw(st.booleans()):
        evidence[draw(st.text(max_size=9))] = draw(anything)
    return evidence


@OFTEN
@given(changed_evidence())
def test_changed_enrolment_evidence_is_judged_without_a_crash(evidence: dict[str, object]) -> None:
    """Whatever the members of an enrolment's evidence, there is a result or an AttestationError."""
    try:
        format_name: object = VERIFIER.verify(evidence, expectation()).format
    except AttestationError as refused:
        format_name = refused.reason

    assert format_name


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_parts_come_apart_as_they_were_joined(parts: list[bytes]) -> None:
    """The framing of inputs with several parts loses nothing."""
    assert parts == split(join(*parts), len(parts))


@given(st.binary(max_size=100), st.integers(1, 5))
def test_any_bytes_come_apart(data: bytes, count: int) -> None:
    """Every input has as many parts as its entry point takes."""
    assert count == len(split(data, count))


def test_a_crash_is_not_swallowed() -> None:
    """What is no AttestationError gets out of an entry point, strict or with checks passed over."""

    def crash(data: bytes, audit: Audit) -> object:
        if data:
            raise AttestationError(Reason.MALFORMED, "")
        raise KeyError(audit.checks)

    def crash_behind_checks(data: bytes, audit: Audit) -> object:
        audit.require("a/1", holds=False, reason=Reason.MALFORMED, detail="")
        raise KeyError(data)

    with pytest.raises(KeyError):
        EntryPoint("crash", crash, ()).accepts(b"")
    with pytest.raises(KeyError):
        EntryPoint("crash", crash_behind_checks, ()).accepts(b"")

    assert not EntryPoint("crash", crash, ()).accepts(b"x")


def test_the_command_knows_every_entry_point() -> None:
    """What can be fuzzed by name is what there is."""
    assert tuple(entry.name for entry in ENTRY_POINTS) == command.NAMES


def test_the_command_runs_one_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding can be looked at again without fuzzing."""
    finding = tmp_path / "finding"
    finding.write_bytes(b"noise")

    assert 0 == command.main(["key-description", "--input", str(finding)])
    assert capsys.readouterr().out.endswith("finding: refused\n")
