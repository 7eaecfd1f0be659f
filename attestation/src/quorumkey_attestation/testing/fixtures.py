"""The numbered cases as files: a folder for each, an index, and the roots of the test PKI.

Whoever writes a verifier in another language can run these: every folder holds the evidence and
the policy it is judged by, and ``cases.json`` says what has to come out. The bytes are the same
wherever and whenever they are made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from cryptography import x509

from quorumkey_attestation.settings import write_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from quorumkey_attestation.testing.case import Case

__all__ = ["INDEX", "POLICY", "contents", "differing", "write"]

INDEX: Final = "cases.json"
POLICY: Final = "policy.toml"

_ROOTS: Final = "roots"

_README: Final = """\
# Attestation fixtures

Written by `quorumkey-attest make-fixtures`; never edited. `cases.json` lists the cases: `id`,
`title`, `procedure` (what judges it), `control` (the accepted case that it differs from in one
property), `at` (the moment of judgement), `reason` (why it has to be refused, null where it has to
be accepted), `check` (the one check that has to refuse it), `has_reading` (false where nothing
could be read on with that check switched off) and `files`, the evidence. The folder of a case holds
these files and `policy.toml`: what to trust, and in `[expect]` what the server knows. `roots` holds
the root certificates that the policies name.

The private keys of this PKI are public. They prove nothing, and verifiers deny its roots unless
they are told otherwise (`allow_test_roots`).
"""
_ABOUT: Final = (
    "Evidence that has to be accepted or refused, and why; README.md says what each member means."
)


def contents(cases: Iterable[Case]) -> dict[str, bytes]:
    """Return every file by its path, in the order in which they are written."""
    files: dict[str, bytes] = {"README.md": _README.encode()}
    roots = _Roots()
    lines: list[str] = []
    for case in cases:
        settings, trusted = _shared(case.settings, case.evidence, roots)
        evidence = {name: data for name, data in case.evidence.items() if name not in trusted}
        lines.append(f"  {json.dumps(_indexed(case, evidence), ensure_ascii=True)}")
        files[f"{case.id}/{POLICY}"] = write_toml(settings).encode()
        for name, data in evidence.items():
            files[f"{case.id}/{name}"] = data
    files |= {path: data for data, path in roots.paths.items()}
    listed = ",\n".join(lines)
    files[INDEX] = f'{{"about": {json.dumps(_ABOUT)},\n "cases": [\n{listed}\n]}}\n'.encode()
    return files


class _Roots:
    """The root files of all cases, each content once, named after its first certificate."""

    def __init__(self) -> None:
        self.paths: dict[bytes, str] = {}

    def path(self, data: bytes) -> str:
        """Return where ``data`` is written."""
        if data not in self.paths:
            subject = x509.load_pem_x509_certificates(data)[0].subject.rfc4514_string()
            words = "".join(each if each.isalnum() else " " for each in subject.lower()).split()
            stem = "_".join(words).removeprefix("cn_")
            taken = sum(path.startswith(f"{_ROOTS}/{stem}") for path in self.paths.values())
            self.paths[data] = f"{_ROOTS}/{stem}{f'_{taken + 1}' if taken else ''}.pem"
        return self.paths[data]


def _shared(
    settings: Mapping[str, object], evidence: Mapping[str, bytes], roots: _Roots
) -> tuple[dict[str, object], set[str]]:
    """Return the settings with root files in their common folder, and these files' old names."""
    changed = dict(settings)
    trusted: set[str] = set()
    for key, value in settings.items():
        if isinstance(value, list | tuple) and key.endswith(_ROOTS):
            names = cast("Sequence[str]", value)
            trusted |= set(names)
            changed[key] = [f"../{roots.path(evidence[name])}" for name in names]
    return changed, trusted


def _indexed(case: Case, evidence: Mapping[str, bytes]) -> Mapping[str, object]:
    return {
        "id": case.id,
        "title": case.title,
        "procedure": case.procedure,
        "control": case.control,
        "at": case.at.isoformat().replace("+00:00", "Z"),
        "reason": case.reason,
        "check": case.check,
        "has_reading": case.has_reading,
        "files": list(evidence),
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
    """Return the paths in ``folder`` that are missing, one too many, or of another content."""
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
