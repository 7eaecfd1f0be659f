"""``quorumkey mpa list``, ``show``, ``approve``, ``reject`` and ``cancel``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey.cli._device_options import (
    DEFAULT_HOME,
    HomeOption,
    HttpHostOption,
    JsonOption,
    RelayOption,
    YesOption,
    device_at,
    run_device,
)
from quorumkey.cli._output import FAILED, Output, confirm, say_error
from quorumkey.cli._request_text import show_request
from quorumkey.device import GatedAct, visible
from quorumkey.protocol.encoding import format_time
from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT, MAX_LIST_LIMIT

if TYPE_CHECKING:
    from quorumkey.device import GatedCall, SoftwareDevice
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["app"]

TxidArgument = Annotated[str, typer.Argument(metavar="TXID", help="The transaction's id.")]
IntegratorOption = Annotated[
    str | None,
    typer.Option(
        "--integrator", metavar="ID", help="Whose methods, where paired with several integrators."
    ),
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="A sentence for the audit trail.")
]

#: Pages of a list that are read at most, however many a relay says there are.
_MAX_PAGES: Final = 1_000

app = typer.Typer(rich_markup_mode=None)


@app.command("list")
def list_calls(  # noqa: PLR0913 - one argument for each option
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    integrator: IntegratorOption = None,
    count: Annotated[
        int, typer.Option("--count", min=1, metavar="N", help="How many, newest first.")
    ] = DEFAULT_LIST_LIMIT,
    open_only: Annotated[
        bool, typer.Option("--open", help="Only those that you can act on now.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List calls of protected methods that wait or waited for approval.

    Needs a device of an administrator, paired under --home.
    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Examples:
      quorumkey mpa list
      quorumkey mpa list --open --json
    """
    out = Output(as_json=as_json)

    async def work(device: SoftwareDevice) -> list[GatedCall]:
        return await _newest(device, integrator, count, open_only=open_only)

    calls = run_device(device_at(home, relay, http_host), work)
    out.json([_json(call) for call in calls])
    if not calls:
        out.line("Nothing waits for you." if open_only else "No call has waited for approval.")
    for call in calls:
        _show(out, call)
        out.line()


@app.command("show")
def show(  # noqa: PLR0913 - one argument for each option
    txid: TxidArgument,
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    integrator: IntegratorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one call: who made it, where it stands, what you can do.

    What it carries is in the signed request of the same id: quorumkey device show.
    Exit status: 0 done, 1 refused or failed, 2 usage, 130 interrupted.

    Example:
      quorumkey mpa show 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    out = Output(as_json=as_json)

    async def work(device: SoftwareDevice) -> GatedCall:
        return await device.gated_calls(integrator).get(txid)

    call = run_device(device_at(home, relay, http_host), work)
    out.json(_json(call))
    _show(out, call)


@app.command("approve")
def approve(  # noqa: PLR0913 - one argument for each option
    txid: TxidArgument,
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    integrator: IntegratorOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a call as it is signed, ask, and sign an approval.

    The call runs when whoever made it issues it again.
    Exit status: 0 the approval is recorded, 1 it is not, 2 usage, 130 interrupted.

    Examples:
      quorumkey mpa approve 01a1fb5c-6c3d-7e5c-95cc-52144387310f
      quorumkey mpa approve 01a1fb5c-6c3d-7e5c-95cc-52144387310f --yes --json
    """
    device = device_at(home, relay, http_host)
    _act(device, txid, GatedAct.APPROVE, integrator, reason=None, yes=yes, as_json=as_json)


@app.command("reject")
def reject(  # noqa: PLR0913 - one argument for each option
    txid: TxidArgument,
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    integrator: IntegratorOption = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a call of somebody else, ask, and sign a rejection.

    It ends the transaction, also when others have approved it and it has not run.
    Exit status: 0 the rejection is recorded, 1 it is not, 2 usage, 130 interrupted.

    Example:
      quorumkey mpa reject 01a1fb5c-6c3d-7e5c-95cc-52144387310f --reason 'Not these hosts'
    """
    device = device_at(home, relay, http_host)
    _act(device, txid, GatedAct.REJECT, integrator, reason=reason, yes=yes, as_json=as_json)


@app.command("cancel")
def cancel(  # noqa: PLR0913 - one argument for each option
    txid: TxidArgument,
    *,
    home: HomeOption = DEFAULT_HOME,
    relay: RelayOption = None,
    http_host: HttpHostOption = None,
    integrator: IntegratorOption = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a call of your own, ask, and take it back.

    It ends the transaction, also when it has been approved and has not run.
    Exit status: 0 the call is cancelled, 1 it is not, 2 usage, 130 interrupted.

    Example:
      quorumkey mpa cancel 01a1fb5c-6c3d-7e5c-95cc-52144387310f
    """
    device = device_at(home, relay, http_host)
    _act(device, txid, GatedAct.CANCEL, integrator, reason=reason, yes=yes, as_json=as_json)


async def _newest(
    device: SoftwareDevice, integrator: str | None, count: int, *, open_only: bool
) -> list[GatedCall]:
    calls: list[GatedCall] = []
    cursor: str | None = None
    limit = MAX_LIST_LIMIT if open_only else min(count, MAX_LIST_LIMIT)
    for _ in range(_MAX_PAGES):
        page = await device.gated_calls(integrator).page(limit=limit, cursor=cursor)
        calls += [call for call in page.data if call.can_act or not open_only]
        cursor = page.next_cursor
        if cursor is None or len(calls) >= count:
            break
    return calls[:count]


def _act(  # noqa: PLR0913 - one argument for each option
    device: SoftwareDevice,
    txid: str,
    act: GatedAct,
    integrator: str | None,
    *,
    reason: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what is signed, ask, sign; the device checks the request before it does."""
    out = Output(as_json=as_json)

    async def work(device: SoftwareDevice) -> GatedCall | None:
        calls = device.gated_calls(integrator)
        call = await calls.get(txid)
        if act not in call.can_act:
            say_error(_cannot(act, call))
            return None
        request = await device.show(txid)
        show_request(out, request)
        if not yes and not confirm(f"{act.value.capitalize()} this?"):
            say_error("Nothing was signed.")
            return None
        if act is GatedAct.APPROVE:
            await device.approve(request)
        else:
            await device.deny(request, reason=reason)
        return await calls.get(txid)

    call = run_device(device, work)
    if call is None:
        raise typer.Exit(FAILED)
    out.json(_json(call))
    out.line()
    out.line(f"Recorded. The call is {_state(call)}.")


def _cannot(act: GatedAct, call: GatedCall) -> str:
    if not call.can_act:
        return f"You cannot {act.value} this call; it is {_state(call)}."
    acts = " or ".join(one.value for one in call.can_act)
    return f"You cannot {act.value} this call; what you can do is {acts}."


# ---------------------------------------------------------------- what is shown


def _show(out: Output, call: GatedCall) -> None:
    rows = [
        ("Transaction", visible(call.txid)),
        ("Method", visible(call.method)),
        ("Caller", _caller(call)),
        ("State", _state(call)),
    ]
    if call.condition:
        rows.append(("Condition", visible(call.condition)))
    votes = [
        f"{visible(vote.approver_id)}: {visible(vote.decision)}, {format_time(vote.decided_at)}"
        for vote in call.votes
    ]
    if votes:
        rows.append(("Votes", "\n".join(votes)))
    rows += [("Asked", format_time(call.created_at)), ("Expires", format_time(call.expires_at))]
    if call.lapses_at is not None:
        rows.append(("Run by", format_time(call.lapses_at)))
    if call.ended_reason is not None:
        by = "" if call.ended_by is None else f", by {visible(call.ended_by)}"
        rows.append(("Ended", f"{visible(call.ended_reason)}{by}"))
    if call.result is not None:
        rows.append(("Result", visible(call.result)))
    rows.append(("You can", ", ".join(call.can_act) or "do nothing more"))
    out.rows(rows)


def _caller(call: GatedCall) -> str:
    named = visible(call.caller_id)
    if call.caller_name is not None:
        named = f"{visible(call.caller_name)} ({named})"
    return named if call.caller_kind == "person" else f"{named}, an API key"


def _state(call: GatedCall) -> str:
    return f"{call.state.value}, {call.approvals} of {call.approvals_required} approvals"


def _json(call: GatedCall) -> JsonValue:
    caller: dict[str, JsonValue] = {"kind": call.caller_kind, "id": call.caller_id}
    if call.caller_name is not None:
        caller["name"] = call.caller_name
    value: dict[str, JsonValue] = {
        "txid": call.txid,
        "method": call.method,
        "caller": caller,
        "state": call.state.value,
        "condition": call.condition,
        "approvals_required": call.approvals_required,
        "votes": [
            {
                "approver_id": vote.approver_id,
                "decision": vote.decision,
                "decided_at": format_time(vote.decided_at),
            }
            for vote in call.votes
        ],
        "created_at": format_time(call.created_at),
        "expires_at": format_time(call.expires_at),
        "can_act": [act.value for act in call.can_act],
    }
    if call.lapses_at is not None:
        value["lapses_at"] = format_time(call.lapses_at)
    if call.ended_reason is not None:
        value["ended_reason"] = call.ended_reason
    if call.ended_by is not None:
        value["ended_by"] = call.ended_by
    if call.result is not None:
        value["result"] = call.result
    return value
