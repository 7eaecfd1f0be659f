"""Typing the command ``quorumkey-attest`` in this process, and the cases as its files."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, cast

from quorumkey_attestation.cli.app import run
from quorumkey_attestation.testing import catalog, fixtures

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_attestation.testing.case import Case

#: What the command is told a case's evidence is, and the files in the order in which it takes them.
FILES: Final[dict[str, tuple[str, list[str], list[str]]]] = {
    "apple-attestation": ("apple", ["object.cbor"], ["--kind", "attestation"]),
    "apple-assertion": ("apple", ["assertion.cbor"], ["--kind", "assertion"]),
    "apple-receipt": ("apple", ["receipt.der"], ["--kind", "receipt"]),
    "android": ("android", ["chain.pem"], []),
    "webauthn-registration": ("webauthn", ["attestation_object.cbor", "client_data.json"], []),
    "webauthn-assertion": (
        "webauthn",
        ["authenticator_data.bin", "client_data.json", "signature.der"],
        [],
    ),
}


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, object]:
        """The one JSON object on standard output."""
        value: object = json.loads(self.out)
        assert isinstance(value, dict)
        return cast("dict[str, object]", value)


def type_in(*arguments: str | Path) -> Done:
    """Run the command with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run([str(argument) for argument in arguments])
    return Done(status, out.getvalue(), err.getvalue())


@cache
def all_entries() -> tuple[catalog.Entry, ...]:
    """Every case, minted once for a test process."""
    return catalog.entries()


def case_called(case_id: str) -> Case:
    """The case with this id."""
    return next(entry.case for entry in all_entries() if entry.case.id == case_id)


def write_case(folder: Path, case: Case) -> Path:
    """Write one case as fixtures are written; return its folder."""
    fixtures.write(folder, [case])
    return folder / case.id


def typed(folder: Path, case: Case) -> list[str]:
    """What somebody types to have a case judged whose folder is ``folder``."""
    if case.procedure == "play":
        name = "token.txt" if "token.txt" in case.evidence else "payload.json"
        command, names, options = "play", [name], list[str]()
    else:
        command, names, options = FILES[case.procedure]
    moment = case.at.isoformat()
    paths = [str(folder / name) for name in names]
    policy = str(folder / fixtures.POLICY)
    return ["verify", command, *paths, *options, "--policy", policy, "--at", moment, "--json"]
