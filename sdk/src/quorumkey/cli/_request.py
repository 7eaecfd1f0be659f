"""``quorumkey request``: ask for an approval, and wait for it if wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from quorumkey.cli._arguments import (
    Template,
    UsageError,
    binding_of,
    group_of,
    param_of,
    party_of,
    read_input,
    template_of,
    write_output,
)
from quorumkey.cli._integrator import (
    HttpHostOption,
    JsonOption,
    RelayKeyOption,
    UrlOption,
    connect,
    show_state,
)
from quorumkey.cli._output import NOT_APPROVED, Output, duration
from quorumkey.client import Approved
from quorumkey.device.visible import visible
from quorumkey.errors import NotFoundError, ProtocolError, UnexpectedAnswerError
from quorumkey.protocol.limits import MAX_POLICY_FILE_BYTES
from quorumkey.protocol.policy import Policy
from quorumkey.protocol.statements import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey.client import Client, CreatedRequest, Outcome, RequestOptions
    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.policy import Approver, Group
    from quorumkey.receipts import VerificationPolicy

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command("request")
def request(  # noqa: PLR0913 - one argument for each option
    *,
    action_type: Annotated[
        str | None, typer.Option("--type", help="The action's type, such as cold_boot.")
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", help="What approvers read first.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=TEXT", help="A parameter; NAME:=JSON for JSON."),
    ] = None,
    binding: Annotated[
        list[str] | None,
        typer.Option("--binding", metavar="NAME=DIGEST", help="A digest, sha256:<hex>."),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME=FP,FP", help="A group of paired devices."),
    ] = None,
    required: Annotated[
        int | None, typer.Option("--required", help="How many groups; default: all of them.")
    ] = None,
    requester: Annotated[
        str | None, typer.Option("--requester", metavar="ID[=NAME]", help="Who wants it.")
    ] = None,
    expires_in: Annotated[
        int | None, typer.Option("--expires-in", metavar="SECONDS", help="60 to 900; default 300.")
    ] = None,
    use_within: Annotated[
        int | None,
        typer.Option("--use-within", metavar="SECONDS", help="0 to 86400; default 900."),
    ] = None,
    match_code: Annotated[
        str | None, typer.Option("--match-code", help="2 to 6 digits that approvers must type.")
    ] = None,
    reject_policy: Annotated[
        str | None, typer.Option("--reject-policy", help="any or quorum_impossible.")
    ] = None,
    distinct: Annotated[str | None, typer.Option("--distinct", help="person or device.")] = None,
    min_assurance: Annotated[
        str | None, typer.Option("--min-assurance", help="What every device has to reach.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="JSON", help="A request body or a policy file; - reads it."),
    ] = None,
    policy_out: Annotated[
        Path | None,
        typer.Option("--policy-out", help="Write what its receipt has to prove, for verify."),
    ] = None,
    receipt_out: Annotated[
        Path | None, typer.Option("--receipt-out", help="With --wait: write the receipt here.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Default: a new one.")
    ] = None,
    integrator_id: Annotated[
        str | None, typer.Option("--integrator-id", help="Your id at the relay, for the policy.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="Wait at most so long.")
    ] = None,
    url: UrlOption = None,
    relay_key: RelayKeyOption = None,
    http_host: HttpHostOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")] = False,
    as_json: JsonOption = False,
) -> None:
    r"""Ask for an approval.

    Settings: QUORUMKEY_URL and QUORUMKEY_API_KEY.
    With --wait, approved is reported only after the receipt was fetched and
    verified against what was asked for.
    Exit status: 0 created, or with --wait approved; 1 refused or failed; 2 usage;
    3 with --wait: rejected, timed out or cancelled; 130 interrupted.

    Examples:
      quorumkey request --type cold_boot --description 'Cold boot engine ENG-001' \
        --param engine_id=ENG-001 --param attempts:=3 \
        --group 'Engineering=<fingerprint>,<fingerprint>' --group 'Security=<fingerprint>' \
        --required 2 --wait --policy-out policy.json --receipt-out receipt.json
      quorumkey request --file request.json --wait
    """
    out = Output(as_json=as_json)
    data = read_input(file, max_bytes=MAX_POLICY_FILE_BYTES) if file else None
    template = Template() if data is None else template_of(data)
    action = _action(template, action_type, description, param, binding)
    options = _options(
        template,
        texts={
            "reject_policy": reject_policy,
            "distinct": distinct,
            "min_assurance": min_assurance,
            "match_code": match_code,
            "idempotency_key": idempotency_key,
        },
        seconds={"expires_in_seconds": expires_in, "use_within_seconds": use_within},
        requester=requester,
    )
    keys = relay_key or list(template.relay_public_keys)
    with connect(url, http_host, keys, integrator_id or template.integrator_id) as client:
        groups = tuple(group_of(text, _finder(client)) for text in group or ()) or template.groups
        created = _create(client, action, groups, required or template.required, options)
        _write_policy(policy_out, created.policy)
        if not wait:
            if policy_out is not None and client.integrator_id is None:
                out.note("The policy does not name you: verify needs --integrator-id.")
            out.json(created.state.to_json())
            show_state(out, created.state)
            return
        left = duration(created.state.expires_at - created.state.created_at)
        out.note(f"Waiting for {visible(created.request_id)}, open for {left}.")
        outcome = client.requests.wait(created, timeout=timeout)
    if isinstance(outcome, Approved):
        _write_policy(policy_out, outcome.policy)
    _show_outcome(out, outcome, receipt_out)


def _finder(client: Client) -> Callable[[str], Approver]:
    def find(fingerprint: str) -> Approver:
        try:
            device = client.devices.get(fingerprint)
        except NotFoundError:
            raise UsageError(f"No device {fingerprint} is paired with this integrator.") from None
        if device.fingerprint != fingerprint:
            raise UnexpectedAnswerError("The relay answered with another device.")
        return device.as_approver

    return find


def _action(
    template: Template,
    action_type: str | None,
    description: str | None,
    params: list[str] | None,
    bindings: list[str] | None,
) -> Action:
    """The file's action with what the options change."""
    base = template.action
    if base is not None:
        action_type = base.type if action_type is None else action_type
        description = base.description if description is None else description
    if action_type is None or description is None:
        raise UsageError("An action needs --type and --description, or a --file that has them.")
    given = dict(param_of(item) for item in params or ())
    digests = dict(binding_of(item) for item in bindings or ())
    try:
        return Action(
            action_type,
            description,
            {**(base.params if base else {}), **given},
            {**((base and base.bindings) or {}), **digests} or None,
        )
    except ProtocolError as error:
        raise UsageError(str(error)) from None


def _options(
    template: Template,
    *,
    texts: Mapping[str, str | None],
    seconds: Mapping[str, int | None],
    requester: str | None,
) -> RequestOptions:
    """The file's options with what the command line changes."""
    options: dict[str, object] = {**template.texts, **template.seconds}
    options |= {name: value for name, value in {**texts, **seconds}.items() if value is not None}
    who = party_of(requester) if requester is not None else template.requester
    if who is not None:
        options["requester"] = who
    # The relay and `Policy` check the values, so that each refusal has the protocol's words.
    return cast("RequestOptions", options)


def _create(
    client: Client,
    action: Action,
    groups: tuple[Group, ...],
    required: int | None,
    options: RequestOptions,
) -> CreatedRequest:
    if not groups:
        raise UsageError("A request needs at least one --group, or a --file that has groups.")
    wanted = len(groups) if required is None else required
    try:
        Policy.of(
            required=wanted,
            groups=groups,
            reject_policy=options.get("reject_policy", "any"),
            distinct=options.get("distinct", "person"),
            min_assurance=options.get("min_assurance", "none"),
            match_code="match_code" in options,
        )
    except ProtocolError as error:
        raise UsageError(str(error)) from None
    return client.requests.create(action=action, groups=groups, required=wanted, **options)


def _write_policy(path: Path | None, policy: VerificationPolicy) -> None:
    if path is not None:
        write_output(path, json.dumps(policy.to_json(), indent=2).encode() + b"\n")


def _show_outcome(out: Output, outcome: Outcome, receipt_out: Path | None) -> None:
    if not isinstance(outcome, Approved):
        out.json({"approved": False, **outcome.state.to_json()})
        out.line(f"Not approved: {outcome.status.value}.")
        raise typer.Exit(NOT_APPROVED)
    if receipt_out is not None:
        write_output(receipt_out, outcome.receipt.encode())
    groups: list[JsonValue] = list(outcome.groups_satisfied)
    approvers: list[JsonValue] = [approver.to_json() for approver in outcome.approvers]
    out.json(
        {
            **outcome.state.to_json(),
            "approved": True,
            "groups_satisfied": groups,
            "approvers": approvers,
        }
    )
    names = ", ".join(visible(name) for name in outcome.groups_satisfied)
    out.line(f"Approved by: {names}. The receipt was verified.")
