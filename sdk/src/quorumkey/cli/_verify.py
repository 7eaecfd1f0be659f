"""``quorumkey verify`` and ``quorumkey webhook verify``: checks that need no relay."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from quorumkey.cli._arguments import UsageError, read_input, time_of
from quorumkey.cli._output import Output
from quorumkey.device.visible import visible
from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.protocol import webhook as webhooks
from quorumkey.protocol.encoding import format_time
from quorumkey.protocol.limits import MAX_BODY_BYTES, MAX_POLICY_FILE_BYTES, MAX_RECEIPT_BYTES
from quorumkey.receipts import load_policy, verify_with_policy

if TYPE_CHECKING:
    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.receipts import VerifiedReceipt

__all__ = ["app", "webhook"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="As if it were now, like 2026-04-24T10:35:42Z."),
]

webhook = typer.Typer(rich_markup_mode=None)


app = typer.Typer(rich_markup_mode=None)


@app.command("verify")
def verify(  # noqa: PLR0913 - one argument for each option
    receipt: Annotated[
        str, typer.Argument(metavar="RECEIPT", help="The receipt's file; - reads standard input.")
    ],
    *,
    policy: Annotated[
        str, typer.Option("--policy", metavar="FILE", help="What the receipt has to prove.")
    ],
    integrator_id: Annotated[
        str | None,
        typer.Option("--integrator-id", help="Your id at the relay, where the policy lacks it."),
    ] = None,
    at: AtOption = None,
    unsafe_any_request: Annotated[
        bool,
        typer.Option(
            "--unsafe-any-request",
            help="Accept a policy without nonce or integrator: any request for this action passes.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check offline that a receipt proves exactly the approval that was asked for.

    The policy file says what that is; quorumkey request --policy-out writes one.
    Exit status: 0 valid, 1 refused (the reason is on standard error), 2 usage.

    Examples:
      quorumkey verify receipt.json --policy policy.json
      quorumkey verify receipt.json --policy policy.json --at 2026-04-24T10:35:42Z --json
    """
    out = Output(as_json=as_json)
    try:
        expected = load_policy(read_input(policy, max_bytes=MAX_POLICY_FILE_BYTES))
        if integrator_id is not None:
            expected = replace(expected, integrator_id=integrator_id)
        if at is not None:
            expected = replace(expected, now=time_of(at))
    except ProtocolError as error:
        raise UsageError(f"The policy is not usable: {error}") from None
    # A receipt that is too large is refused by the verifier, like any other that is none.
    data = read_input(receipt, max_bytes=MAX_RECEIPT_BYTES, cut=True)
    try:
        verified = verify_with_policy(
            data, expected, now=int(time.time()), unsafe_any_request=unsafe_any_request
        )
    except ReceiptRefused as refused:
        out.json({"valid": False, "reason": refused.reason.value, "step": refused.step})
        if refused.reason is RefusalReason.INVALID_EXPECTATION:
            raise UsageError(str(refused)) from None
        raise
    out.json(_verified_json(verified))
    names = ", ".join(visible(name) for name in verified.groups_satisfied)
    out.line(f"Valid: {visible(verified.request.action.description)}", style="bold green")
    out.rows(
        [
            ("Approved by", names),
            ("Request", verified.request_id),
            ("Completed", format_time(verified.completed_at)),
            ("Use by", format_time(verified.use_by)),
        ]
    )


def _verified_json(verified: VerifiedReceipt) -> JsonValue:
    return {
        "valid": True,
        "request_id": verified.request_id,
        "groups_satisfied": list(verified.groups_satisfied),
        "devices": [decision.device for decision in verified.decisions],
        "completed_at": format_time(verified.completed_at),
        "use_by": format_time(verified.use_by),
    }


@webhook.command("verify")
def verify_webhook(  # noqa: PLR0913 - one argument for each option
    body: Annotated[
        str, typer.Argument(metavar="BODY", help="The body's file; - reads standard input.")
    ],
    *,
    webhook_id: Annotated[str, typer.Option("--id", help="The header webhook-id.")],
    timestamp: Annotated[str, typer.Option("--timestamp", help="The header webhook-timestamp.")],
    signature: Annotated[str, typer.Option("--signature", help="The header webhook-signature.")],
    secret_file: Annotated[
        list[str],
        typer.Option("--secret-file", metavar="FILE", help="Holds whsec_…; may be repeated."),
    ],
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    r"""Check a webhook's signature, as for Standard Webhooks.

    Exit status: 0 valid, 1 refused, 2 usage.

    Example:
      quorumkey webhook verify body.json --id 01a1… --timestamp 1777026942 \
        --signature 'v1,…' --secret-file webhook.secret
    """
    out = Output(as_json=as_json)
    secrets = [
        read_input(path, max_bytes=MAX_BODY_BYTES).decode(errors="replace").strip()
        for path in secret_file
    ]
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature,
    }
    now = int(time.time()) if at is None else time_of(at)
    data = read_input(body, max_bytes=MAX_BODY_BYTES)
    try:
        event_id = webhooks.verify(secrets, headers, data, now=now)
    except ProtocolError as error:
        out.json({"valid": False, "reason": error.code})
        if error.code == "invalid_request":
            raise UsageError(str(error)) from None
        raise
    out.json({"valid": True, "event_id": event_id})
    out.line(f"Valid: {visible(event_id)}", style="bold green")
