"""Taking a write into memory, and the statements that put it on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.domain.model import Counted, DeviceLost, WrongCode
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.sqlite import attestation_rows, delivery_rows, rows, webhook_rows
from quorumkey_relay.store.sqlite.apply_jit import apply_jit
from quorumkey_relay.store.sqlite.apply_protection import (
    apply_protection,
    close_transaction,
    ends_transaction,
)
from quorumkey_relay.store.writes import (
    AdvanceCounter,
    AdvanceRequest,
    AppendEvent,
    BindAppAttestKey,
    DeleteWebhook,
    KeepAnswer,
    OpenRequest,
    OpenTransaction,
    PutAccessRequest,
    PutActivation,
    PutApiKey,
    PutAttestation,
    PutDelivery,
    PutDevice,
    PutIntegrator,
    PutMail,
    PutPairing,
    PutPolicy,
    PutProtection,
    PutSuccession,
    PutWebhook,
    QueueWebhookDelivery,
    SettleClaim,
    SettleWebhookDelivery,
    TakeClaim,
    WithdrawTransaction,
    Write,
)

if TYPE_CHECKING:
    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.store.sqlite.hot import MemoryDirectory, OpenRequests
    from quorumkey_relay.store.sqlite.writer import Statement


WebhookWrite = (
    AppendEvent | PutWebhook | DeleteWebhook | QueueWebhookDelivery | SettleWebhookDelivery
)


def apply(  # noqa: C901, PLR0911, PLR0912 - one case a kind of write
    write: Write, directory: MemoryDirectory, open_requests: OpenRequests, vault: Vault, now: int
) -> list[Statement]:
    """Take ``write`` into memory and return its statements; an event is queued from ``now`` on."""
    match write:
        case AdvanceRequest():
            return _advance(write, directory, open_requests)
        case OpenRequest(stored=stored):
            slot = open_requests.add(stored)
            code = stored.terms.match_code
            sealed = None if code is None else vault.seal(code.encode())
            numbers = [directory.number(device) for device in stored.terms.seats]
            return rows.request_rows(slot.number, stored, numbers, sealed)
        case (
            AppendEvent()
            | PutWebhook()
            | DeleteWebhook()
            | QueueWebhookDelivery()
            | SettleWebhookDelivery()
        ):
            return _tell(write, directory, now)
        case PutDelivery(delivery=delivery):
            number = open_requests.number(delivery.request_id)
            return [delivery_rows.delivery_row(delivery, number)]
        case KeepAnswer(answer=answer):
            return [rows.answer_row(answer, vault.seal(answer.answer))]
        case PutDevice(device=device):
            directory.put_device(device)
            return [rows.device_row(directory.number(device.fingerprint), device)]
        case PutPairing(pairing=pairing):
            directory.put_pairing(pairing)
            return [rows.pairing_row(pairing)]
        case PutAttestation() | BindAppAttestKey() | AdvanceCounter():
            return _prove(write, directory)
        case PutIntegrator(integrator=integrator):
            directory.integrators[integrator.id] = integrator
            return [(rows.INSERT_INTEGRATOR, (integrator.id, integrator.name))]
        case PutApiKey(key=key):
            directory.api_keys[key.digest] = key
            return [rows.api_key_row(key)]
        case PutSuccession(envelope=envelope, next_fingerprint=after, not_before=since):
            return [(rows.INSERT_SUCCESSION, (envelope, after, since))]
        case (
            PutProtection()
            | OpenTransaction()
            | WithdrawTransaction()
            | TakeClaim()
            | SettleClaim()
        ):
            return apply_protection(write, directory, open_requests)
        case PutAccessRequest() | PutActivation() | PutPolicy() | PutMail():
            return apply_jit(write, open_requests.access, vault)


def check(write: Write, directory: MemoryDirectory, open_requests: OpenRequests) -> None:
    """Raise ``Conflict`` where what ``write`` rests on has changed."""
    match write:
        case AdvanceRequest(terms=terms, before=before):
            slot = open_requests.get(terms.request_id)
            if slot is None or slot.stored.state is not before:
                raise Conflict(terms.request_id)
        case BindAppAttestKey(key=key):
            bound = directory.app_attest_key(key.key_id)
            if bound is not None and bound.device != key.device:
                raise Conflict(key.key_id.hex())
        case AdvanceCounter(key_id=key_id, expected=expected, new=new):
            bound = directory.app_attest_key(key_id)
            if bound is None or bound.counter != expected or new <= expected:
                raise Conflict(key_id.hex())
        case _:
            pass


def _tell(write: WebhookWrite, directory: MemoryDirectory, now: int) -> list[Statement]:
    match write:
        case AppendEvent(event=event):
            # Whoever has no webhook need not have the disk asked for it.
            if directory.webhooks(event.integrator_id):
                return webhook_rows.event_rows(write, now)
            return [webhook_rows.event_row(event)]
        case PutWebhook(webhook=webhook):
            known = directory.webhook(webhook.webhook_id)
            directory.put_webhook(webhook)
            return webhook_rows.webhook_rows(webhook, known)
        case DeleteWebhook(webhook_id=webhook_id):
            directory.drop_webhook(webhook_id)
            return [(webhook_rows.DELETE_WEBHOOK, (webhook_id,))]
        case QueueWebhookDelivery():
            return [webhook_rows.queue_row(write)]
        case SettleWebhookDelivery():
            return webhook_rows.settle_rows(write)


def _prove(
    write: PutAttestation | BindAppAttestKey | AdvanceCounter, directory: MemoryDirectory
) -> list[Statement]:
    match write:
        case PutAttestation(attestation=attestation):
            return attestation_rows.put_attestation(
                directory.number(attestation.device), attestation
            )
        case BindAppAttestKey(key=key, receipt=receipt):
            bound = directory.bind(key)
            return [attestation_rows.bind_key(directory.number(bound.device), bound, receipt)]
        case AdvanceCounter(key_id=key_id, expected=expected, new=new):
            directory.count(key_id, new)
            return [(attestation_rows.UPDATE_COUNTER, (new, key_id, expected))]


def _advance(
    write: AdvanceRequest, directory: MemoryDirectory, open_requests: OpenRequests
) -> list[Statement]:
    slot = open_requests.get(write.terms.request_id)
    if slot is None:
        raise Conflict(write.terms.request_id)
    number, before, after = slot.number, write.before, write.after
    statements: list[Statement] = []
    evidence = iter(write.evidence)
    for offset, event in enumerate(write.events, start=1):
        match event:
            case Counted(device=device):
                ordinal = before.version + offset
                row = rows.decision_row(number, ordinal, directory.number(device), next(evidence))
                statements.append(row)
            case WrongCode(device=device):
                tries = after.wrong_codes[device]
                statements.append((rows.UPSERT_WRONG_CODE, (number, device, tries)))
            case DeviceLost(device=device):
                statements.append((rows.VOID_DECISION, (number, directory.number(device))))
            case _:
                pass
    if _row_changes(write):
        statements.append(rows.state_row(number, write.terms, after))
    slot.stored.state = after
    open_requests.advanced(slot)
    if ends_transaction(after):
        statements += close_transaction(open_requests, write.terms.request_id)
    return statements


def _row_changes(write: AdvanceRequest) -> bool:
    """Say whether the request's own row must be written; most decisions only add a decision.

    A decision's row holds the version that it led to; after anything else the request's own does.
    """
    return (
        not all(isinstance(event, Counted) for event in write.events)
        or write.before.satisfied != write.after.satisfied
        or write.before.out != write.after.out
    )
