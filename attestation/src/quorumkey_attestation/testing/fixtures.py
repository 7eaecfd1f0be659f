"""The numbered cases as files: a folder for each, an index, and the roots of the test PKI.

Whoever writes a verifier in another language can run these: every folder holds the evidence and
the policy it is judged by, and ``cases.json`` says what has to come out. The bytes are the same
wherever and whenever they are made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.settings import write_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from quorumkey_attestation.testing.case import Case

__all__ = ["INDEX", "POLICY", "contents", "differing", "write"]

INDEX: Final = "cases.json"
POLICY: Final = "policy.toml"

_README: Final = """\
# Attestation fixtures

Written by `quorumkey-attest make-fixtures`; never edited. `cases.json` lists the cases: `id`,
`title`, `procedure` (what judges it), `control` (the accepted case that it differs from in one
property), `at` (the moment of judgement), `reason` (why it has to be refused, null where it has to
be accepted), `check` (the one check that has to refuse it), `has_reading` (false where nothing
could be read on with that check switched off) and `files`, the evidence. The folder of a case holds
these files and `policy.toml`: what to trust, and in `[expect]` what the server knows.

The private keys of this PKI are public. They prove nothing, and verifiers deny its roots unless
they are told otherwise (`allow_test_roots`).
"""
_ABOUT: Final = (
    "Evidence that has to be accepted or refused, and why; README.md says what each member means."
)


def contents(cases: Iterable[Case]) -> dict[str, bytes]:
    """Return every file by its path, in the order in which they are written."""
    files: dict[str, bytes] = {"README.md": _README.encode()}
    lines: list[str] = []
    for case in cases:
        lines.append(f"  {json.dumps(_indexed(case), ensure_ascii=True)}")
        files[f"{case.id}/{POLICY}"] = write_toml(case.settings).encode()
        for name, data in case.evidence.items():
            files[f"{case.id}/{name}"] = data
    listed = ",\n".join(lines)
    files[INDEX] = f'{{"about": {json.dumps(_ABOUT)},\n "cases": [\n{listed}\n]}}\n'.encode()
    return files


def _indexed(case: Case) -> Mapping[str, object]:
    return {
        "id": case.id,
        "title": case.title,
        "procedure": case.procedure,
        "control": case.control,
        "at": case.at.isoformat().replace("+00:00", "Z"),
        "reason": case.reason,
        "check": case.check,
        "has_reading": case.has_reading,
        "files": sorted(case.evidence),
    }


def write(folder: Path, cases: Iterable[Case]) -> int:
    """Write every file into ``folder`` and take away what is one too many; return their number.

    Raises:
        OSError: the folder cannot be written.
        ValueError: the folder holds something, and no index: it is another folder than was meant.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / INDEX).exists():
        raise ValueError(f"{folder} is not empty and holds no {INDEX}")
    files = contents(cases)
    for path in _present(folder) - files.keys():
        (folder / path).unlink()
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    for place in sorted(folder.rglob("*"), reverse=True):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
    return len(files)


def differing(folder: Path, cases: Iterable[Case]) -> tuple[str, ...]:
    """Return the paths in ``folder`` that are missing, one too many, or other than they would be."""
    files = contents(cases)
    present = _present(folder)
    return tuple(
        sorted(
            path
            for path in present | files.keys()
            if path not in present
            or path not in files
            or (folder / path).read_bytes() != files[path]
        )
    )


def _present(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
