"""Deleting what is older than it must be kept, a little at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.protocol import RequestDocument
from quorumkey_relay.store.sqlite import jit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from quorumkey_relay.store.sqlite.hot_jit import AccessMemory
    from quorumkey_relay.store.sqlite.reader import Reader
    from quorumkey_relay.store.sqlite.writer import Statement, Writer

# One batch holds the event loop for about a millisecond, and for ten where each request names two
# hundred devices.
PRUNE_BATCH_ROWS: Final = 100
PRUNE_BATCH_REQUESTS: Final = 10

BY_REQUEST: Final = (
    "DELETE FROM documents WHERE request = ?",
    "DELETE FROM decisions WHERE request = ?",
    "DELETE FROM wrong_codes WHERE request = ?",
    "DELETE FROM deliveries WHERE request = ?",
    "DELETE FROM transactions WHERE request = ?",
    "DELETE FROM claims WHERE request = ?",
    "DELETE FROM requests WHERE id = ?",
)
BY_EVENT: Final = (
    (
        "DELETE FROM webhook_attempts WHERE (webhook, event) IN"
        " (SELECT webhook, event FROM webhook_deliveries WHERE event = ?)"
    ),
    "DELETE FROM webhook_deliveries WHERE event = ?",
    "DELETE FROM events WHERE id = ?",
)
#: What a client has seen last is where its stream goes on; of one that lasts, others may be gone.
AGE_LASTING: Final = "UPDATE events SET lasting = 2 WHERE id = ?"
BY_DELIVERY: Final = (
    "DELETE FROM webhook_attempts WHERE webhook = ? AND event = ?",
    "DELETE FROM webhook_deliveries WHERE webhook = ? AND event = ?",
)
_ANSWERS: Final = (
    "DELETE FROM answers WHERE (integrator_id, path, key) IN"
    " (SELECT integrator_id, path, key FROM answers WHERE created_at < ? LIMIT ?)"
)


async def prune(  # noqa: PLR0913 - the store's parts and three times
    writer: Writer,
    reader: Reader,
    *,
    requests_before: int,
    events_before: int,
    answers_before: int,
    now: int,
    forget: Callable[[Collection[str]], None],
    memory: Callable[[], AccessMemory],
) -> int:
    """Delete requests that ended, events that happened and answers given before these times.

    An event stays while it may still be delivered to a webhook at ``now``; deliveries to webhooks
    that are gone go too. Events that last stay as long as requests, but nobody can follow the
    stream from one any more when others after it may be gone. ``forget`` is told the ids of
    requests that went; ``memory`` holds what is about access. Returns how many requests,
    activations, events and answers went.
    """
    gone = await _prune_jit(writer, reader, requests_before, memory)
    while old := reader.finished_before(requests_before, PRUNE_BATCH_REQUESTS):
        statements: list[Statement] = []
        went: list[str] = []
        for number, payload in old:
            document = RequestDocument.decode(payload)
            went.append(document.request_id)
            named = [a.fingerprint for group in document.policy.groups for a in group.approvers]
            statements += [
                (
                    (
                        "DELETE FROM request_devices WHERE request = ? AND device ="
                        " (SELECT id FROM devices WHERE fingerprint = ?)"
                    ),
                    (number, bytes.fromhex(fingerprint)),
                )
                for fingerprint in named
            ]
            statements += [(sql, (number,)) for sql in BY_REQUEST]
        await writer.submit((), statements)
        forget(went)
        gone += len(old)
    while aged := reader.protection.events_to_age(before=events_before, limit=PRUNE_BATCH_ROWS):
        await writer.submit((), [(AGE_LASTING, [(event,) for event in aged])])
    oldest = reader.webhooks.prunable_events
    for lasting, before in ((0, events_before), (1, requests_before), (2, requests_before)):
        while events := oldest(lasting=lasting, before=before, now=now, limit=PRUNE_BATCH_ROWS):
            await writer.submit((), [(sql, [(event,) for event in events]) for sql in BY_EVENT])
            gone += len(events)
    while left := reader.webhooks.abandoned(PRUNE_BATCH_ROWS):
        await writer.submit((), [(sql, list(left)) for sql in BY_DELIVERY])
    while count := reader.answers_before(answers_before, PRUNE_BATCH_ROWS):
        await writer.submit((), [(_ANSWERS, (answers_before, PRUNE_BATCH_ROWS))])
        gone += count
    return gone


async def _prune_jit(
    writer: Writer, reader: Reader, before: int, memory: Callable[[], AccessMemory]
) -> int:
    """Delete what was over before ``before``: activations, requests for roles, mail."""
    gone = 0
    read = reader.jit
    while activations := read.activations_over(before=before, limit=PRUNE_BATCH_ROWS):
        numbers: list[tuple[object, ...]] = [(number,) for number, _ in activations]
        await writer.submit((), [(jit_rows.DELETE_ACTIVATION, numbers)])
        memory().activations.forget([name for _, name in activations])
        gone += len(activations)
    while requests := read.access_requests_over(before=before, limit=PRUNE_BATCH_ROWS):
        numbers = [(number,) for number, _ in requests]
        await writer.submit((), [(sql, numbers) for sql in jit_rows.BY_ACCESS_REQUEST])
        memory().requests.forget([name for _, name in requests])
        gone += len(requests)
    while mail := read.mail_over(before=before, limit=PRUNE_BATCH_ROWS):
        await writer.submit((), [(jit_rows.DELETE_MAIL, [(number,) for number in mail])])
    return gone
