"""``quorumkey-attest selftest`` and ``make-fixtures``: the numbered cases, run and written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey_attestation.cli.output import FAILED, USAGE, Output, say_error
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from quorumkey_attestation.testing.selftest import Mutation, Outcome, Report

__all__ = ["app"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

_DETAIL_CHARS: Final = 60

app = typer.Typer(rich_markup_mode=None)


def _require_extras() -> None:
    """Refuse to judge half the cases.

    Raises:
        AttestationError: an extra is not installed.
    """
    from quorumkey_attestation.testing.catalog import missing_extras  # noqa: PLC0415  # mints

    missing = missing_extras()
    if missing:
        names = ",".join(missing)
        raise AttestationError(
            Reason.UNSUPPORTED,
            f"some cases need more: pip install 'quorumkey-attestation[{names}]'",
        )


@app.command("selftest")
def selftest(
    *,
    mutate: Annotated[
        bool,
        typer.Option("--mutate", help="Switch off one check at a time; see what comes through."),
    ] = False,
    exhaustive: Annotated[
        bool,
        typer.Option("--exhaustive", help="With --mutate: judge every case for every check."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Mint every numbered case and judge it.

    A control has to be accepted, every other case refused for its own reason by its own check.
    With --mutate exactly the cases made for a check have to come through when it is switched off.
    Exit status: 0 all as expected, 1 not, 2 usage.

    Examples:
      quorumkey-attest selftest
      quorumkey-attest selftest --mutate --json
    """
    from quorumkey_attestation.testing import catalog  # noqa: PLC0415  # mints everything
    from quorumkey_attestation.testing.selftest import mutate as mutate_all  # noqa: PLC0415  # as above
    from quorumkey_attestation.testing.selftest import run  # noqa: PLC0415  # as above

    if exhaustive and not mutate:
        say_error("--exhaustive goes with --mutate")
        raise typer.Exit(USAGE)
    _require_extras()
    entries = catalog.entries()
    outcomes = run(entries)
    report = mutate_all(entries, outcomes, exhaustive=exhaustive) if mutate else None
    as_expected = all(each.is_as_expected for each in outcomes) and (
        report is None or report.is_as_expected
    )
    out = Output(as_json=as_json)
    out.json(
        {
            "as_expected": as_expected,
            "cases": [_case_json(each) for each in outcomes],
            **({} if report is None else {"checks": [_check_json(m) for m in report.mutations]}),
        }
    )
    if report is None:
        _tell_cases(outcomes, out)
    else:
        _tell_checks(report, out)
    _summarise(outcomes, report, out, as_expected=as_expected)
    raise typer.Exit(0 if as_expected else FAILED)


def _summarise(
    outcomes: tuple[Outcome, ...], report: Report | None, out: Output, *, as_expected: bool
) -> None:
    wrong = sum(not each.is_as_expected for each in outcomes)
    controls = sum(each.case.reason is None for each in outcomes)
    out.line()
    out.line(
        f"{len(outcomes)} cases: {controls} to accept, {len(outcomes) - controls} to refuse,"
        f" {wrong} not as expected"
    )
    if report is not None:
        odd = sum(not each.is_as_expected for each in report.mutations)
        out.line(f"{len(report.mutations)} checks: {odd} let other cases through than their own")
        structural = sum(len(each.structural) for each in report.mutations)
        out.line(f"{structural} structural cases: without their check nothing can be read on")
        for check in report.without_case:
            out.line(f"no case for {check}", style="bold red")
    out.line("ok" if as_expected else "FAILED", style="bold green" if as_expected else "bold red")


def _case_json(outcome: Outcome) -> dict[str, object]:
    case = outcome.case
    return {
        "id": case.id,
        "title": case.title,
        "procedure": case.procedure,
        "expected": {"reason": case.reason, "check": case.check},
        "got": {"reason": outcome.reason, "check": outcome.check, "crashed": outcome.crashed},
        "detail": outcome.detail,
        "ok": outcome.is_as_expected,
    }


def _check_json(mutation: Mutation) -> dict[str, object]:
    return {
        "check": mutation.check,
        "expected": list(mutation.expected),
        "accepted": list(mutation.accepted),
        "crashed": list(mutation.crashed),
        "structural": list(mutation.structural),
        "ok": mutation.is_as_expected,
    }


def _tell_cases(outcomes: tuple[Outcome, ...], out: Output) -> None:
    out.table(
        ["case", "what is different", "expected", "got", "check", ""],
        [
            [
                each.case.id,
                _cut(each.case.title),
                each.case.reason or "accepted",
                "CRASHED" if each.crashed else each.reason or "accepted",
                each.check or "",
                "ok" if each.is_as_expected else f"WRONG: {each.case.check or 'no check'} expected",
            ]
            for each in outcomes
        ],
    )
    for each in outcomes:
        if not each.is_as_expected:
            out.line(f"{each.case.id}: {each.detail or 'accepted'}", style="bold red")


def _tell_checks(report: Report, out: Output) -> None:
    out.table(
        ["check switched off", "cases that come through", "structural cases", ""],
        [
            [
                each.check,
                " ".join(each.accepted),
                " ".join(each.structural),
                "ok" if each.is_as_expected else _complaint(each),
            ]
            for each in report.mutations
        ],
    )


def _complaint(mutation: Mutation) -> str:
    missing = [each for each in mutation.expected if each not in mutation.accepted]
    extra = [each for each in mutation.accepted if each not in mutation.expected]
    parts = [("still refused", missing), ("too many", extra), ("crashed", mutation.crashed)]
    return "WRONG: " + "; ".join(f"{what}: {' '.join(ids)}" for what, ids in parts if ids)


def _cut(text: str) -> str:
    return text if len(text) <= _DETAIL_CHARS else f"{text[: _DETAIL_CHARS - 1]}…"


@app.command("make-fixtures")
def make_fixtures(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where they are written.")] = Path(
        "attestation-fixtures"
    ),
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Compare, and write nothing; exit 1 if they differ.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write every numbered case into a folder of its own, with an index.

    The bytes are the same everywhere. A folder that holds other things is left alone.
    Exit status: 0 written or alike, 1 they differ, 2 usage.

    Examples:
      quorumkey-attest make-fixtures fixtures/attestation
      quorumkey-attest make-fixtures fixtures/attestation --check
    """
    from quorumkey_attestation.testing import catalog, fixtures  # noqa: PLC0415  # mints everything

    cases = [entry.case for entry in catalog.entries()]
    out = Output(as_json=as_json)
    if not check:
        try:
            count = fixtures.write(folder, cases)
        except OSError as error:
            say_error(f"{error.filename}: {error.strerror}")
            raise typer.Exit(USAGE) from None
        except ValueError as error:
            say_error(str(error))
            raise typer.Exit(USAGE) from None
        out.json({"written": count, "cases": len(cases)})
        out.line(f"{count} files of {len(cases)} cases in {folder}")
        return
    paths = fixtures.differing(folder, cases)
    out.json({"differing": list(paths)})
    for path in paths:
        out.line(f"differs: {path}")
    out.line(f"{len(paths)} files differ" if paths else f"{folder} is as it would be written")
    raise typer.Exit(FAILED if paths else 0)
