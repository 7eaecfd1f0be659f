"""What ``check`` says of just-in-time access: every file that a start would open, and no call."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from quorumkey_relay.cli.output import Refused
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.sqlite.schema import connect

if TYPE_CHECKING:
    from quorumkey_relay.jit_settings import JitSettings
    from quorumkey_relay.settings import Settings


def just_in_time(settings: Settings) -> str:
    """Open what a start would open, and say what is on; raises what a start would raise."""
    if settings.jit_file is None:
        return "off"
    from quorumkey_relay.jit_file import read_jit_file  # noqa: PLC0415 - where it is on alone

    jit = read_jit_file(settings.jit_file)
    _require_integrator(settings, jit.integrator)
    return "; ".join(
        (
            f"eligibility from {_eligibility(jit)}",
            f"people known by {_identity(jit, settings)}",
            f"tokens signed with {_tokens(jit, settings)}",
            f"approval by {jit.activation.approval}, reviewers told by {_told(jit, settings)}",
            *_executors(jit, settings),
        )
    )


def _require_integrator(settings: Settings, integrator_id: str) -> None:
    with closing(connect(settings.data_dir, read_only=True)) as connection:
        known = connection.execute(
            "SELECT 1 FROM integrators WHERE integrator_id = ?", (integrator_id,)
        )
        if known.fetchone() is None:
            message = f"{settings.jit_file}: there is no integrator {integrator_id}"
            raise Refused(message)


def _eligibility(jit: JitSettings) -> str:
    if jit.eligibility.google is not None:
        return jit.eligibility.google.catalog.replace("_", " ")
    if jit.eligibility.file is None:
        return "the API"
    from quorumkey_relay.eligibility.policy import PolicyError  # noqa: PLC0415 - as above
    from quorumkey_relay.eligibility.policy_file import PolicyFileSource  # noqa: PLC0415 - as above

    try:
        PolicyFileSource(jit.eligibility.file).check()
    except PolicyError as error:
        raise Refused(str(error)) from None
    return str(jit.eligibility.file)


def _identity(jit: JitSettings, settings: Settings) -> str:
    from quorumkey_relay.delivery.transport import (  # noqa: PLC0415 - as above
        extra_roots,
        web_client,
    )
    from quorumkey_relay.identity.people import open_identity  # noqa: PLC0415 - as above

    web = web_client(roots=extra_roots(settings.ca_file))
    made = open_identity(
        jit.identity, public_url=settings.url, clock=SystemClock(), mint=SystemMint(), client=web
    )
    parts = {
        "OpenID Connect": jit.identity.oidc is not None,
        "a sign-in for browsers": made.sign_in is not None,
        "a proxy": jit.identity.proxy is not None,
    }
    return _listed(*(name for name, is_on in parts.items() if is_on))


def _tokens(jit: JitSettings, settings: Settings) -> str:
    """Read the keys; one that a start would make is not made."""
    from quorumkey_relay.identity.token_keys import (  # noqa: PLC0415 - as above
        MADE_KEY_NAME,
        open_token_keys,
    )

    if not jit.tokens.key_files and not (settings.data_dir / MADE_KEY_NAME).exists():
        return f"{jit.tokens.algorithm}, by a key that the next start makes"
    keys = open_token_keys(jit.tokens, settings.data_dir)
    return f"{keys.signing.algorithm} ({keys.signing.kid})"


def _told(jit: JitSettings, settings: Settings) -> str:
    from quorumkey_relay.delivery.transport import extra_roots  # noqa: PLC0415 - as above
    from quorumkey_relay.mail.mailer import open_mailer  # noqa: PLC0415 - as above

    mail, is_click = jit.notification.mail, jit.activation.approval == "click"
    if mail is not None:
        open_mailer(mail, roots=extra_roots(settings.ca_file))
    ways = {"mail": mail is not None, "push": jit.notification.push and not is_click}
    return _listed(*(name for name, is_on in ways.items() if is_on)) or (
        "NOTHING: roles that need a peer cannot be activated"
    )


def _executors(jit: JitSettings, settings: Settings) -> tuple[str, ...]:
    from quorumkey_relay.delivery.egress import Egress  # noqa: PLC0415 - as above
    from quorumkey_relay.delivery.transport import extra_roots  # noqa: PLC0415 - as above
    from quorumkey_relay.executors import open_executors  # noqa: PLC0415 - as above

    clock, roots = SystemClock(), extra_roots(settings.ca_file)
    hosts = frozenset(settings.unsafe_egress_hosts)
    egress = Egress(clock=clock, unsafe_hosts=hosts, roots=roots)
    executors = open_executors(jit.executors, clock=clock, egress=egress, roots=roots)
    made = (executors.named(one.name) for one in jit.executors)
    return tuple(f"{one.name}: {one.description}".rstrip(".") for one in made if one is not None)


def _listed(*parts: str) -> str:
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
