"""``keys``: the integrators' API keys, and the relay's own key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from quorumkey.protocol import check_text, format_time
from quorumkey.protocol.limits import MAX_NAME_CHARS, MIN_NAME_CHARS
from quorumkey_relay.cli.access import integrator_of, opened
from quorumkey_relay.cli.governing import (
    BreakGlassOption,
    Told,
    check_reason,
    events_of,
    glass,
    protection_of,
    warn,
)
from quorumkey_relay.cli.options import (
    STORE_SETTINGS,
    IntegratorOption,
    JsonOption,
    TestOption,
    explained,
    own,
    takes_settings,
)
from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.cli.rotation import rotate
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.identity.apikeys import make_api_key
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.writes import PutApiKey

if TYPE_CHECKING:
    from quorumkey_relay.identity.principals import ApiKey

UNNAMED: Final = "unnamed"

app = typer.Typer(
    name="keys",
    help="The integrators' API keys, and the relay's own key.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    "create",
    help=explained(
        "Make an API key for an integrator. It is shown only now. While the integrator's protection"
        " is on this is done by the API, with approval.",
        "quorumkey-relay keys create --integrator 0190a000-0000-7000-8000-000000000001",
        "quorumkey-relay keys create --integrator 0190a000-0000-7000-8000-000000000001"
        " --name deploys --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def create(  # noqa: PLR0913 - one argument for each option
    settings: Settings,
    *,
    integrator: IntegratorOption,
    name: Annotated[str, own("name", "TEXT", "What it is for.")] = UNNAMED,
    scope: Annotated[
        Literal["integrator", "admin"], own("scope", "integrator|admin", "What it may do.")
    ] = "integrator",
    test: TestOption = False,
    break_glass: BreakGlassOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key for an integrator."""
    check_text(name, field="name", minimum=MIN_NAME_CHARS, maximum=MAX_NAME_CHARS)
    check_reason(break_glass)
    with opened(settings) as store:
        owner = integrator_of(store, integrator)
        broken = glass(protection_of(store, owner.id), break_glass)
        text, key = make_api_key(
            SystemMint(),
            integrator_id=owner.id,
            name=name,
            scope=scope,
            now=SystemClock().now(),
            test=test,
        )
        told = Told(
            "protection.api_key_created",
            {"key_id": key.key_id, "name": key.name, "scope": key.scope},
        )
        events = () if broken is None else events_of(owner.id, told, broken=broken)
        store.commit(PutApiKey(key), *events)
    warn(broken)
    out = Output(as_json=as_json)
    out.json({"key_id": key.key_id, "api_key": text})
    out.line(f"Made an API key for {owner.name}; it is shown only now.")
    out.rows([("Key ID", key.key_id), ("API key", text)])


@app.command(
    "list",
    help=explained(
        "List the API keys, revoked ones too, oldest first. Their texts are not known.",
        "quorumkey-relay keys list",
        "quorumkey-relay keys list --integrator 0190a000-0000-7000-8000-000000000001 --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def list_keys(
    settings: Settings,
    *,
    integrator: Annotated[str | None, own("integrator", "ID", "Only this integrator's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the API keys."""
    with opened(settings) as store:
        if integrator is not None:
            integrator_of(store, integrator)
        found = [key for key in store.read.api_keys() if integrator in (None, key.integrator_id)]
        names = {one.id: one.name for one in store.read.integrators()}
    out = Output(as_json=as_json)
    out.json([_key_json(key) for key in found])
    out.table(
        ("KEY ID", "NAME", "SCOPE", "INTEGRATOR", "CREATED", "REVOKED"),
        [
            (
                key.key_id,
                key.name,
                key.scope,
                names.get(key.integrator_id, key.integrator_id),
                format_time(key.created_at),
                "" if key.revoked_at is None else format_time(key.revoked_at),
            )
            for key in found
        ],
        empty="No API key yet.",
    )


@app.command(
    "revoke",
    help=explained(
        "Revoke an API key, for good. Revoking it again changes nothing.",
        "quorumkey-relay keys revoke 0190a000-0000-7000-8000-000000000002",
    ),
)
@takes_settings(*STORE_SETTINGS)
def revoke(
    settings: Settings,
    *,
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, not its text.")],
    as_json: JsonOption = False,
) -> None:
    """Revoke an API key."""
    with opened(settings) as store:
        known = next((key for key in store.read.api_keys() if key.key_id == key_id), None)
        if known is None:
            message = "there is no API key with this id; see: quorumkey-relay keys list"
            raise Refused(message)
        revoked_at = known.revoked_at
        if revoked_at is None:
            revoked_at = SystemClock().now()
            store.commit(PutApiKey(replace(known, revoked_at=revoked_at)))
    out = Output(as_json=as_json)
    out.json({"key_id": key_id, "revoked_at": format_time(revoked_at)})
    out.line(f"The API key {known.name} is revoked since {format_time(revoked_at)}.")


@app.command(
    "rotate-relay",
    help=explained(
        "Change the relay's own key. The newest key signs its successor, which devices and SDKs"
        " that pinned the old one follow by themselves. The new key signs from the next second"
        " on, or from when you say. Back up its file. If the key was stolen, do not rotate: a"
        " thief could do that too.",
        "quorumkey-relay keys rotate-relay",
        "quorumkey-relay keys rotate-relay --in-seconds 86400",
        "quorumkey-relay keys rotate-relay --not-before 2027-01-01T00:00:00Z --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def rotate_relay(
    settings: Settings,
    *,
    not_before: Annotated[
        str | None, own("not_before", "TIME", "From when it signs, such as 2027-01-01T00:00:00Z.")
    ] = None,
    in_seconds: Annotated[
        int | None, own("in_seconds", "SECONDS", "How soon it signs, from now.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Change the relay's own key."""
    done = rotate(settings, not_before=not_before, in_seconds=in_seconds)
    out = Output(as_json=as_json)
    out.json(
        {
            "relay": done.outgoing.fingerprint,
            "next_relay": done.following.fingerprint,
            "next_public_key": done.following.base64,
            "not_before": format_time(done.not_before),
            "key_file": str(done.path),
        }
    )
    out.line(f"The relay signs with a new key from {format_time(done.not_before)}.")
    out.rows(
        [
            ("Until then", done.outgoing.fingerprint),
            ("From then", done.following.fingerprint),
            ("Back up", str(done.path)),
        ]
    )


def _key_json(key: ApiKey) -> dict[str, str]:
    members = {
        "key_id": key.key_id,
        "integrator_id": key.integrator_id,
        "name": key.name,
        "scope": key.scope,
        "created_at": format_time(key.created_at),
    }
    if key.revoked_at is not None:
        members["revoked_at"] = format_time(key.revoked_at)
    return members
