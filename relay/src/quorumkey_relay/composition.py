"""What a relay is made of, put together: every part with the parts that it works with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from quorumkey.protocol import PasskeyPolicy
from quorumkey_relay.api.ratelimit import RateLimiter
from quorumkey_relay.attestation.policies import CurrentVerifier
from quorumkey_relay.channels import push_channels
from quorumkey_relay.delivery.addresses import Addresses
from quorumkey_relay.delivery.challenges import Challenges
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.delivery.plan import DeliveryPlan
from quorumkey_relay.delivery.push.services import ServedAddresses
from quorumkey_relay.delivery.push.webpush import WebPushChannel
from quorumkey_relay.delivery.transport import extra_roots
from quorumkey_relay.delivery.webhooks.sender import WebhookSender
from quorumkey_relay.delivery.webhooks.signing import Signer
from quorumkey_relay.delivery.websocket import Announcer, WebSocketChannel
from quorumkey_relay.delivery.worker import Worker
from quorumkey_relay.identity.nonces import Nonces
from quorumkey_relay.identity.relaykeys import RelayKeys
from quorumkey_relay.identity.sessions import Sessions
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.jit_parts import JitParts, compose_jit, open_surroundings
from quorumkey_relay.observe.delivery_metrics import LaneState
from quorumkey_relay.observe.webhook_metrics import WebhookMetrics
from quorumkey_relay.protection_parts import ProtectionParts, compose_protection
from quorumkey_relay.usecases.answer import AnswerRequest
from quorumkey_relay.usecases.ask import AskApproval
from quorumkey_relay.usecases.attest import AttestEnrollment
from quorumkey_relay.usecases.authenticate import Authenticator
from quorumkey_relay.usecases.catalog import UseCases
from quorumkey_relay.usecases.devices import ListDevices, ReadDevice
from quorumkey_relay.usecases.enrol import EnrollDevice
from quorumkey_relay.usecases.expire import Pruner, Sweeper
from quorumkey_relay.usecases.idempotency import Idempotent
from quorumkey_relay.usecases.inbox import Inbox
from quorumkey_relay.usecases.info import DescribeRelay
from quorumkey_relay.usecases.pair import CreatePairing, PreviewPairing, ReadPairing
from quorumkey_relay.usecases.ports import Policy
from quorumkey_relay.usecases.protection.take_back import TakeBack
from quorumkey_relay.usecases.push import PushAddresses, SetPush
from quorumkey_relay.usecases.read import (
    CancelRequest,
    ListRequests,
    ReadDeliveries,
    ReadReceipt,
    ReadRequest,
)
from quorumkey_relay.usecases.reattest import ReattestDevice
from quorumkey_relay.usecases.recheck import RecheckHardware
from quorumkey_relay.usecases.session import IssueNonce, OpenSession
from quorumkey_relay.usecases.standing import RemoveDevice, Standing, UnpairDevice
from quorumkey_relay.usecases.watch import WatchEvents
from quorumkey_relay.usecases.webhook_log import (
    ListWebhookDeliveries,
    ReadWebhookDelivery,
    ResendWebhookDelivery,
    TryWebhook,
)
from quorumkey_relay.usecases.webhooks import (
    CreateWebhook,
    DisableWebhook,
    EnableWebhook,
    ListWebhooks,
    ReadWebhook,
    RemoveWebhook,
    RotateWebhook,
    Secrets,
    disable_webhook,
)

if TYPE_CHECKING:
    from quorumkey_relay.attestation.policies import CurrentVerifier
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Channel
    from quorumkey_relay.delivery.hub import DeviceHub
    from quorumkey_relay.delivery.lane import Lane
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.jit_settings import JitSettings
    from quorumkey_relay.journal import Journal
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.observe.alarms import Alarms
    from quorumkey_relay.observe.metrics import Metrics
    from quorumkey_relay.settings import Settings
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.bulletin import Bulletin


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundations:
    """What the parts stand on: settings, time, randomness, keys, the open store, who listens."""

    settings: Settings
    jit: JitSettings | None
    clock: Clock
    mint: Mint
    metrics: Metrics
    alarms: Alarms
    keys: RelayKeys
    vault: Vault
    store: Store
    verifier: CurrentVerifier
    journal: Journal
    hub: DeviceHub
    bulletin: Bulletin


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts that a relay starts and stops, and the use cases that its API calls."""

    usecases: UseCases
    standing: Standing
    recheck: RecheckHardware
    sweeper: Sweeper
    pruner: Pruner
    worker: Worker
    channels: tuple[Channel, ...]
    egress: Egress
    webhooks: WebhookSender
    protection: ProtectionParts
    jit: JitParts | None


def compose(base: Foundations) -> Parts:
    """Put the parts together, and have them hear what becomes durable; nothing is sent yet.

    Raises ``ConfigError``: what the settings name cannot be used.
    """
    settings, store, keys = base.settings, base.store, base.keys
    clock, mint = base.clock, base.mint
    policy = policy_of(settings)
    roots = extra_roots(settings.ca_file)
    egress = Egress(clock=clock, unsafe_hosts=frozenset(settings.unsafe_egress_hosts), roots=roots)
    device_limit = RateLimiter(per_minute=settings.rate_device, monotonic=clock.monotonic)
    nonces = Nonces(mint, limit=settings.max_nonces)
    sessions = Sessions(mint)
    challenges = Challenges(keys, store)
    pushes = push_channels(settings, clock, egress=egress, tell=base.alarms.report)
    channels = (WebSocketChannel(base.hub, clock), *pushes)
    plan = DeliveryPlan(
        store=store, presence=base.hub, channels={channel.name for channel in channels}
    )
    around = (
        None
        if base.jit is None
        else open_surroundings(
            base.jit,
            settings,
            store=store,
            clock=clock,
            mint=mint,
            plan=plan,
            egress=egress,
            roots=roots,
        )
    )
    addresses = PushAddresses(base.vault, ServedAddresses.of(settings))
    authenticate = Authenticator(
        store=store,
        clock=clock,
        keys=keys,
        nonces=nonces,
        policy=policy,
        device_limit=device_limit,
    )
    idempotent = Idempotent(store)
    secrets = Secrets(mint=mint, vault=base.vault)
    standing = Standing(
        store=store, clock=clock, mint=mint, sessions=sessions, sockets=base.hub, plan=plan
    )
    revocation = base.verifier.revocation
    recheck = RecheckHardware(
        store=store,
        clock=clock,
        standing=standing,
        newest=lambda: None if revocation is None else revocation.current,
        policy=settings.revoked_hardware,
        interval_seconds=settings.recheck_seconds,
        tell=base.journal.rechecked,
    )
    sweeper = Sweeper(store=store, clock=clock, mint=mint)
    pruner = Pruner(
        store=store,
        clock=clock,
        request_retention_days=settings.request_retention_days,
        event_retention_days=settings.event_retention_days,
    )
    worker = Worker(
        store=store,
        clock=clock,
        mint=mint,
        challenges=challenges,
        addresses=Addresses(base.vault),
        channels=channels,
        alarms=base.alarms,
        meter=base.metrics.deliveries,
    )
    webhook_metrics = WebhookMetrics(base.metrics.registry)
    webhooks = WebhookSender(
        store=store,
        clock=clock,
        mint=mint,
        egress=egress,
        signer=Signer(base.vault),
        disable=partial(disable_webhook, mint=mint),
        disable_days=settings.webhook_disable_days,
        meter=webhook_metrics,
    )
    decide = AnswerRequest(
        store=store,
        clock=clock,
        mint=mint,
        policy=policy,
        device_limit=device_limit,
        decided=base.metrics.decided,
        plan=plan,
        take_back=TakeBack(store=store, mint=mint),
        role_votes=None if around is None else around.votes,
    )
    protection = compose_protection(
        store=store,
        clock=clock,
        mint=mint,
        keys=keys,
        plan=plan,
        decide=decide,
        alarms=base.alarms,
        device_limit=device_limit,
    )
    jit = (
        None
        if around is None
        else compose_jit(
            around,
            store=store,
            clock=clock,
            mint=mint,
            keys=keys,
            plan=plan,
            alarms=base.alarms,
            max_pending_per_device=settings.max_pending_per_device,
        )
    )
    usecases = UseCases(
        protection=protection.cases,
        ask=AskApproval(
            store=store,
            clock=clock,
            mint=mint,
            keys=keys,
            policy=policy,
            idempotent=idempotent,
            plan=plan,
        ),
        read_request=ReadRequest(store=store, clock=clock, bulletin=base.bulletin),
        list_requests=ListRequests(store=store, clock=clock),
        cancel_request=CancelRequest(store=store, clock=clock, mint=mint, plan=plan),
        read_receipt=ReadReceipt(store=store, clock=clock, keys=keys),
        read_deliveries=ReadDeliveries(store=store),
        create_pairing=CreatePairing(
            store=store,
            clock=clock,
            mint=mint,
            keys=keys,
            policy=policy,
            idempotent=idempotent,
        ),
        read_pairing=ReadPairing(store=store, clock=clock),
        preview_pairing=PreviewPairing(store=store, clock=clock, keys=keys),
        list_devices=ListDevices(store=store),
        read_device=ReadDevice(store=store),
        remove_device=RemoveDevice(store=store, standing=standing),
        issue_nonce=IssueNonce(clock=clock, keys=keys, nonces=nonces),
        enroll=EnrollDevice(
            store=store,
            clock=clock,
            mint=mint,
            keys=keys,
            addresses=addresses,
            nonces=nonces,
            policy=policy,
            attestor=AttestEnrollment(policy=policy, verifier=base.verifier),
            standing=standing,
        ),
        reattest=ReattestDevice(
            store=store,
            clock=clock,
            nonces=nonces,
            policy=policy,
            verifier=base.verifier,
            app_attest=base.verifier.policies.app_attest,
            standing=standing,
            device_limit=device_limit,
        ),
        decide=decide,
        set_push=SetPush(
            store=store, clock=clock, addresses=addresses, plan=plan, authenticate=authenticate
        ),
        unpair=UnpairDevice(standing=standing, authenticate=authenticate),
        info=DescribeRelay(
            clock=clock,
            keys=keys,
            policy=policy,
            web_push_key=next(
                (one.public_key for one in pushes if isinstance(one, WebPushChannel)), None
            ),
        ),
        watch_events=WatchEvents(store=store, bulletin=base.bulletin),
        create_webhook=CreateWebhook(
            store=store,
            clock=clock,
            mint=mint,
            secrets=secrets,
            idempotent=idempotent,
            check_url=egress.check_url,
        ),
        list_webhooks=ListWebhooks(store=store, clock=clock),
        read_webhook=ReadWebhook(store=store, clock=clock),
        remove_webhook=RemoveWebhook(store=store),
        rotate_webhook=RotateWebhook(
            store=store, clock=clock, secrets=secrets, idempotent=idempotent
        ),
        disable_webhook=DisableWebhook(store=store, clock=clock),
        enable_webhook=EnableWebhook(store=store, clock=clock),
        try_webhook=TryWebhook(store=store, clock=clock, mint=mint),
        list_webhook_deliveries=ListWebhookDeliveries(store=store, clock=clock),
        read_webhook_delivery=ReadWebhookDelivery(store=store, clock=clock),
        resend_webhook_delivery=ResendWebhookDelivery(store=store, clock=clock),
        sessions=OpenSession(
            store=store, clock=clock, sessions=sessions, authenticate=authenticate
        ),
        inbox=Inbox(
            store=store,
            clock=clock,
            challenges=challenges,
            plan=plan,
            device_limit=device_limit,
        ),
        challenges=challenges,
        store=store,
    )
    sweeper.watch_all()
    announcer = Announcer(base.hub, store)
    for listener in (
        sweeper.heard,
        worker.heard,
        webhooks.heard,
        base.bulletin.heard,
        announcer.heard,
        base.journal.heard,
    ):
        store.subscribe(listener)
    webhook_metrics.watch_in_flight(lambda: webhooks.in_flight)
    base.metrics.watch_outbox(depth=lambda: worker.depth, age=worker.oldest_age)
    base.metrics.deliveries.watch_lanes(
        lambda: [_lane_state(worker, lane) for lane in worker.lanes]
    )
    return Parts(
        usecases=usecases,
        standing=standing,
        recheck=recheck,
        sweeper=sweeper,
        pruner=pruner,
        worker=worker,
        channels=channels,
        egress=egress,
        webhooks=webhooks,
        protection=protection,
        jit=jit,
    )


def _lane_state(worker: Worker, lane: Lane) -> LaneState:
    return LaneState(
        name=lane.name,
        in_flight=lane.in_flight,
        waiting=lane.waiting,
        age_seconds=worker.lane_age(lane),
        fault=lane.circuit.fault,
    )


def policy_of(settings: Settings) -> Policy:
    """Return what the use cases need of the settings."""
    return Policy(
        public_url=settings.url,
        app_url=settings.app_url,
        origins=settings.audiences,
        attestation=settings.attestation,
        attestation_floor=settings.attestation_floor,
        unsafe_test_root=settings.unsafe_test_root is not None,
        passkeys=PasskeyPolicy(settings.passkey_rp_id, frozenset(settings.passkey_origins)),
        max_pending_per_device=settings.max_pending_per_device,
        version=version("quorumkey-relay"),
    )
