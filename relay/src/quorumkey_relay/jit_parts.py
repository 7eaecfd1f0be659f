"""The parts of a relay that are about just-in-time access, put together."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from quorumkey_relay.delivery.transport import HttpClient, web_client
from quorumkey_relay.eligibility.mapping import AddressMapping
from quorumkey_relay.eligibility.opening import OpenSource, open_source
from quorumkey_relay.executors import ConfiguredExecutors, open_executors
from quorumkey_relay.identity.activation_tokens import ActivationTokens
from quorumkey_relay.identity.people import Identity, open_identity
from quorumkey_relay.identity.token_keys import open_token_keys
from quorumkey_relay.mail.mailer import SmtpMailer, open_mailer
from quorumkey_relay.mail.messages import LetterWriter
from quorumkey_relay.mail.worker import MailWorker
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.usecases.jit.catalog import JitCases, jit_cases, role_votes
from quorumkey_relay.usecases.jit.follow import Follower
from quorumkey_relay.usecases.jit.grant import Granter
from quorumkey_relay.usecases.jit.ports import JitRules
from quorumkey_relay.usecases.jit.revoke import RevokeActivation
from quorumkey_relay.usecases.jit.targets import Targets
from quorumkey_relay.usecases.jit.watch import AccessSweeper

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.egress import Egress
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.identity.sign_in import SignIn
    from quorumkey_relay.jit_settings import JitSettings, MailSettings
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.observe.alarms import Alarms
    from quorumkey_relay.settings import Settings
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.jit.ports import People
    from quorumkey_relay.usecases.jit.votes import RoleVotes

_SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What just-in-time access stands on outside the relay, as its settings name it."""

    rules: JitRules
    takes_policies: bool
    source: OpenSource
    executors: ConfiguredExecutors
    identity: Identity
    web: HttpClient
    tokens: ActivationTokens
    letters: LetterWriter | None
    mailer: SmtpMailer | None
    votes: RoleVotes

    async def close(self) -> None:
        """Let go of connections."""
        await self.executors.close()
        await self.source.close()
        await self.web.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class JitParts:
    """The use cases, who calls them, and what goes on by itself: ends of access, and e-mail."""

    cases: JitCases
    people: People
    sign_in: SignIn | None
    sweeper: AccessSweeper
    mail: MailWorker | None
    surroundings: Surroundings

    async def close(self) -> None:
        """Let go of what is under way, which the next start takes up, and of connections."""
        await self.sweeper.close()
        await self.surroundings.close()


def rules_of(settings: JitSettings, *, public_url: str) -> JitRules:
    """Return what the use cases need of the settings."""
    activation, notification = settings.activation, settings.notification
    return JitRules(
        integrator_id=settings.integrator,
        public_url=public_url,
        max_duration_seconds=activation.max_minutes * _SECONDS_PER_MINUTE,
        request_timeout_seconds=activation.request_timeout_minutes * _SECONDS_PER_MINUTE,
        max_roles=activation.max_roles,
        min_reviewers=activation.min_reviewers,
        max_reviewers=activation.max_reviewers,
        required=activation.required,
        reject_policy=activation.reject_policy,
        window_from=activation.window_from,
        approval=activation.approval,
        is_stateless=settings.tokens.stateless,
        justification_pattern=activation.justification_pattern,
        justification_hint=activation.justification_hint,
        notifies_by_mail=notification.mail is not None,
        notifies_by_push=notification.push,
        version=version("quorumkey-relay"),
    )


def letters_of(settings: MailSettings) -> LetterWriter:
    """Return who writes e-mails as the settings say."""
    return LetterWriter(
        sender_address=settings.sender_address,
        sender_name=settings.sender_name,
        zone=ZoneInfo(settings.time_zone),
        address=AddressMapping(settings.address_mapping).address,
    )


def open_surroundings(  # noqa: PLR0913 - what the parts stand on
    jit: JitSettings,
    settings: Settings,
    *,
    store: Store,
    clock: Clock,
    mint: Mint,
    plan: DeliveryPlan,
    egress: Egress,
    roots: bytes | None,
) -> Surroundings:
    """Open what the settings name; nothing is connected before it is used.

    Raises ``ConfigError``: a file cannot be used, or the integrator does not exist.
    """
    if store.directory.integrator(jit.integrator) is None:
        problem = (
            f"{settings.jit_file}: integrator is {jit.integrator}, which this relay does not have;"
            " quorumkey-relay integrators list shows those that it has."
        )
        raise ConfigError((problem,))
    mail = jit.notification.mail
    rules = rules_of(jit, public_url=settings.url)
    source = open_source(
        jit.eligibility, store=store, integrator_id=jit.integrator, clock=clock, roots=roots
    )
    letters = None if mail is None else letters_of(mail)
    web = web_client(roots=roots)
    return Surroundings(
        rules=rules,
        takes_policies=jit.eligibility.api,
        source=source,
        executors=open_executors(jit.executors, clock=clock, egress=egress, roots=roots),
        identity=open_identity(
            jit.identity, public_url=settings.url, clock=clock, mint=mint, client=web
        ),
        web=web,
        tokens=ActivationTokens(
            open_token_keys(jit.tokens, settings.data_dir), issuer=jit.tokens.issuer or settings.url
        ),
        letters=letters,
        mailer=None if mail is None else open_mailer(mail, roots=roots),
        votes=role_votes(
            store=store,
            mint=mint,
            plan=plan,
            rules=rules,
            source=source.source,
            letters=letters,
        ),
    )


def compose_jit(  # noqa: PLR0913 - what the parts stand on
    around: Surroundings,
    *,
    store: Store,
    clock: Clock,
    mint: Mint,
    keys: RelayKeys,
    plan: DeliveryPlan,
    alarms: Alarms,
    max_pending_per_device: int,
) -> JitParts:
    """Put the parts together, and have them hear what becomes durable."""
    targets = Targets(executors=around.executors, alarms=alarms)
    granter = Granter(
        store=store, clock=clock, mint=mint, keys=keys, targets=targets, letters=around.letters
    )
    follower = Follower(
        store=store,
        clock=clock,
        mint=mint,
        source=around.source.source,
        executors=around.executors,
        granter=granter,
        endings=around.votes.endings,
        alarms=alarms,
    )
    sweeper = AccessSweeper(store=store, clock=clock, granter=granter, follower=follower)
    cases = jit_cases(
        store=store,
        clock=clock,
        mint=mint,
        keys=keys,
        plan=plan,
        max_pending_per_device=max_pending_per_device,
        rules=around.rules,
        source=around.source.source,
        executors=around.executors,
        granter=granter,
        revoking=RevokeActivation(store=store, clock=clock, granter=granter),
        votes=around.votes,
        tokens=around.tokens,
        letters=around.letters,
        mailer=around.mailer,
        takes_policies=around.takes_policies,
    )
    sweeper.watch_all()
    store.subscribe(sweeper.heard)
    mail = None
    if around.mailer is not None:
        mail = MailWorker(store=store, mailer=around.mailer, clock=clock, mint=mint, alarms=alarms)
    return JitParts(
        cases=cases,
        people=around.identity.people,
        sign_in=around.identity.sign_in,
        sweeper=sweeper,
        mail=mail,
        surroundings=around,
    )
