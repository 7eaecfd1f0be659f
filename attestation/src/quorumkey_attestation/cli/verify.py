"""``quorumkey-attest verify``: one command for each family of evidence."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from quorumkey_attestation.cli.judging import (
    Question,
    judge_android,
    judge_apple,
    judge_play,
    judge_webauthn,
)
from quorumkey_attestation.cli.output import FAILED, Output
from quorumkey_attestation.errors import AttestationError
from quorumkey_attestation.evidence_files import (
    AppleKind,
    EvidenceFileError,
    read_apple,
    read_chain,
    read_evidence_file,
    read_token_or_payload,
    read_webauthn,
)
from quorumkey_attestation.explain import explain
from quorumkey_attestation.policy_file import files_in_folder, load_policy
from quorumkey_attestation.settings import PolicyFileError, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey_attestation.cli.judging import Verdict

__all__ = ["app"]


def _hex(text: str) -> str:
    """Take hex digits of either case; where it is anything else, the option is named."""
    try:
        return bytes.fromhex(text).hex()
    except ValueError:
        raise typer.BadParameter("it must be hex digits, two for a byte") from None


PolicyOption = Annotated[
    Path, typer.Option("--policy", metavar="FILE", help="What to trust and what to expect, TOML.")
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="As if it were now, like 2026-06-01T12:00:00Z."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ChallengeOption = Annotated[
    str | None,
    typer.Option(
        "--challenge", metavar="HEX", parser=_hex, help="The challenge, instead of the policy's."
    ),
]
PublicKeyOption = Annotated[
    str | None,
    typer.Option(
        "--public-key", metavar="HEX", parser=_hex, help="The key, instead of the policy's."
    ),
]
RevocationOption = Annotated[
    Path | None,
    typer.Option(
        "--revocation", metavar="FILE", help="Google's revocation list, instead of the policy's."
    ),
]
FetchedOption = Annotated[
    str | None,
    typer.Option("--fetched-at", metavar="TIME", help="When that list was fetched."),
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("apple")
def verify_apple(  # noqa: PLR0913  # one argument for each option
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CBOR, DER, base64 or JSON; - is standard input.")
    ],
    *,
    policy: PolicyOption,
    kind: Annotated[
        AppleKind | None, typer.Option("--kind", help="What it is; found out without.")
    ] = None,
    challenge: ChallengeOption = None,
    client_data_hash: Annotated[
        str | None,
        typer.Option(
            "--client-data-hash", metavar="HEX", parser=_hex, help="In place of a challenge."
        ),
    ] = None,
    key_id: Annotated[
        str | None, typer.Option("--key-id", metavar="BASE64", help="The key id the app sent.")
    ] = None,
    public_key: PublicKeyOption = None,
    client_data: Annotated[
        Path | None,
        typer.Option("--client-data", metavar="FILE", help="What an assertion signs."),
    ] = None,
    last_counter: Annotated[
        int | None, typer.Option("--last-counter", help="The stored counter of the key.")
    ] = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge an App Attest attestation, assertion or receipt.

    Options go before what the policy's table [expect] says of the same.
    Exit status: 0 accepted, 1 refused, 2 usage.

    Examples:
      quorumkey-attest verify apple object.cbor --policy policy.toml --at 2026-06-01T12:00:00Z
      quorumkey-attest verify apple assertion.cbor --policy policy.toml --client-data body.json
    """
    evidence = read_apple(read_evidence_file(file), kind)
    if key_id is None and evidence.key_id is not None:
        key_id = b64encode(evidence.key_id).decode()
    known: dict[str, object] = {
        "challenge": challenge,
        "client_data_hash": client_data_hash,
        "key_id": key_id,
        "public_key": public_key,
        "client_data": (
            None if client_data is None else read_evidence_file(client_data).data.hex()
        ),
        "last_counter": last_counter,
    }
    question = _question(policy, at, known)
    _tell(lambda: judge_apple(evidence, question), question, Output(as_json=as_json))


@app.command("android")
def verify_android(  # noqa: PLR0913  # one argument for each option
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="The chain, leaf first: PEM, DER, base64 or JSON."),
    ],
    *,
    policy: PolicyOption,
    challenge: ChallengeOption = None,
    public_key: PublicKeyOption = None,
    revocation: RevocationOption = None,
    fetched_at: FetchedOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge an Android key attestation.

    Without a fresh revocation list every chain is refused.
    Exit status: 0 accepted, 1 refused, 2 usage.

    Examples:
      quorumkey-attest verify android chain.pem --policy policy.toml --challenge 00ff…
      quorumkey-attest verify android leaf.der ca.der root.der --policy policy.toml --json
    """
    chain = read_chain([read_evidence_file(file) for file in files])
    known: dict[str, object] = {"challenge": challenge, "public_key": public_key}
    question = _question(policy, at, known, revocation=revocation, fetched_at=fetched_at)
    _tell(lambda: judge_android(chain, question), question, Output(as_json=as_json))


@app.command("webauthn")
def verify_webauthn(  # noqa: PLR0913  # one argument for each option
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="The browser's JSON, or the parts (see above)."),
    ],
    *,
    policy: PolicyOption,
    challenge: ChallengeOption = None,
    public_key: PublicKeyOption = None,
    last_sign_count: Annotated[
        int | None, typer.Option("--last-sign-count", help="The stored counter of the key.")
    ] = None,
    revocation: RevocationOption = None,
    fetched_at: FetchedOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a passkey's registration or assertion.

    One file is the browser's JSON; two are attestation object and client data; three are
    authenticator data, client data and signature.
    Exit status: 0 accepted, 1 refused, 2 usage.

    Examples:
      quorumkey-attest verify webauthn credential.json --policy policy.toml
      quorumkey-attest verify webauthn attestation_object.cbor client_data.json --policy p.toml
    """
    evidence = read_webauthn([read_evidence_file(file) for file in files])
    known: dict[str, object] = {
        "challenge": challenge,
        "public_key": public_key,
        "last_sign_count": last_sign_count,
    }
    question = _question(policy, at, known, revocation=revocation, fetched_at=fetched_at)
    _tell(lambda: judge_webauthn(evidence, question), question, Output(as_json=as_json))


@app.command("play")
def verify_play(  # noqa: PLR0913  # one argument for each option
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A classic token, or Google's decoded JSON.")
    ],
    *,
    policy: PolicyOption,
    nonce: Annotated[
        str | None, typer.Option("--nonce", help="The nonce of a classic request.")
    ] = None,
    request_hash: Annotated[
        str | None, typer.Option("--request-hash", help="The hash of a standard request.")
    ] = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a Play Integrity token or a payload that Google decoded.

    Exit status: 0 accepted, 1 refused, 2 usage.

    Examples:
      quorumkey-attest verify play payload.json --policy policy.toml --nonce aGVsbG8…
      quorumkey-attest verify play token.txt --policy policy.toml --json
    """
    evidence = read_token_or_payload(read_evidence_file(file))
    known: dict[str, object] = {"nonce": nonce, "request_hash": request_hash}
    question = _question(policy, at, known)
    _tell(lambda: judge_play(evidence, question), question, Output(as_json=as_json))


#: Each says the same as the other, so that an option takes both out of the policy's table.
_ALTERNATIVES = {"challenge": "client_data_hash", "client_data_hash": "challenge"}


def _question(
    policy: Path,
    at: str | None,
    known: Mapping[str, object],
    *,
    revocation: Path | None = None,
    fetched_at: str | None = None,
) -> Question:
    settings = dict(load_policy(policy))
    files = files_in_folder(policy.parent)
    table: object = settings.get("expect", {})
    if not isinstance(table, dict):
        raise PolicyFileError(f"{policy}: expect must be a table")
    expect = dict(cast("Mapping[str, object]", table))
    for name, value in known.items():
        if value is not None:
            expect.pop(_ALTERNATIVES.get(name, name), None)
            expect[name] = value
    settings["expect"] = expect
    if (revocation is None) is not (fetched_at is None):
        raise EvidenceFileError("--revocation and --fetched-at go together")
    if revocation is not None:
        settings["revocation"] = {"file": str(revocation.resolve()), "fetched_at": fetched_at}
    now = datetime.now(UTC) if at is None else _time(at)
    return Question(settings=settings, files=files, where=str(policy), at=now)


def _time(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise EvidenceFileError(f"--at must be {error}") from None


def _tell(judge: Callable[[], Verdict], question: Question, out: Output) -> None:
    """Print the verdict, or the refusal and what to do about it.

    Raises:
        typer.Exit: refused.
    """
    try:
        verdict = judge()
    except AttestationError as refused:
        _tell_refusal(refused, out)
        raise typer.Exit(FAILED) from None
    except PolicyFileError:
        raise
    except (ValueError, TypeError) as error:  # what the library calls a caller's own mistake
        raise PolicyFileError(f"{question.where}: {error}") from None
    out.json(
        {
            "accepted": True,
            "kind": verdict.kind,
            "level": verdict.level,
            **verdict.facts,
            "quirks": list(verdict.quirks),
            "checks": list(verdict.checks),
        }
    )
    out.line(f"Accepted: {verdict.kind}", style="bold green")
    if verdict.level is not None:
        out.rows([("level", verdict.level.value)])
    out.rows((name, _said(value)) for name, value in verdict.facts.items() if value is not None)
    out.rows(("quirk", quirk) for quirk in verdict.quirks)
    out.rows([("checks", str(len(verdict.checks)))])
    for check in verdict.checks:
        out.line(f"  {check}")


def _tell_refusal(refused: AttestationError, out: Output) -> None:
    out.json(
        {
            "accepted": False,
            "reason": refused.reason,
            "check": refused.check,
            "index": refused.index,
            "detail": refused.detail,
            "explanation": explain(refused),
        }
    )
    out.line(f"Refused: {refused.reason.value}", style="bold red")
    rows = [
        ("detail", refused.detail),
        ("check", refused.check or ""),
        ("certificate", "" if refused.index is None else str(refused.index)),
        ("what to do", explain(refused)),
    ]
    out.rows((label, value) for label, value in rows if value)


def _said(value: str | float | list[str]) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)
