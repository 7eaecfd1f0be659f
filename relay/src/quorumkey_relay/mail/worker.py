"""Sends what is queued: at least once, until the server has taken it or nobody needs it any more.

A message that is sent twice, because the relay died in between, has the same Message-ID.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from quorumkey_relay.delivery.schedule import next_try
from quorumkey_relay.observe import logs
from quorumkey_relay.store.writes import PutMail
from quorumkey_relay.usecases.jit.ports import MailFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.jit.mail import Mail
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.observe.alarms import Alarms
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.jit.ports import Mailer

#: Messages in flight, each over a connection of its own.
MAX_IN_FLIGHT: Final = 8
#: The server takes nothing now; it refused a message for good, or took it too late.
WAITING_ALARM: Final = "mail_waiting"
GIVEN_UP_ALARM: Final = "mail_given_up"
_LANE: Final = "smtp"

log = logs.get()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailWorker:
    """Sends the queue; one for a relay."""

    store: Store
    mailer: Mailer
    clock: Clock
    mint: Mint
    alarms: Alarms

    async def sweep(self) -> None:
        """Try each message that is due, once; done when what became of it is durable.

        A try is written down before it is made: a store that can be read and not be written must
        not have the same message go out at every sweep.
        """
        while True:
            due = await self.store.due_mail(now=self.clock.now(), limit=MAX_IN_FLIGHT)
            if not due:
                return
            tried = [self._counted(mail) for mail in due]
            await self._put(tried)
            await self._put(await asyncio.gather(*(self._try(mail) for mail in tried)))

    async def _put(self, mails: Sequence[Mail]) -> None:
        await self.store.commit(tuple(PutMail(mail) for mail in mails))

    def _counted(self, mail: Mail) -> Mail:
        """Return a message of which one more try begins."""
        attempts, now = mail.attempts + 1, self.clock.now()
        jitter = int.from_bytes(self.mint.random(2), "big") / 65_536
        return replace(
            mail, attempts=attempts, next_at=next_try(now=now, attempts=attempts, jitter=jitter)
        )

    async def _try(self, mail: Mail) -> Mail:
        if self.clock.now() >= mail.not_after:
            return self._failed(mail, "It could not be sent before it lost its use.", "too_late")
        try:
            await self.mailer.send(mail.message, mail.recipients)
        except MailFailed as failure:
            if failure.is_final:
                self.alarms.clear(WAITING_ALARM, _LANE)  # it does answer
                return self._failed(mail, failure.message, "refused")
            self.alarms.raise_alarm(WAITING_ALARM, _LANE, f"E-mail waits: {failure.message}")
            log.warning("mail_not_sent", attempt=mail.attempts, reason="try_again")
            return replace(mail, fault=failure.message)
        self.alarms.clear(WAITING_ALARM, _LANE)
        return replace(mail, state="sent", fault=None)

    def _failed(self, mail: Mail, fault: str, reason: str) -> Mail:
        self.alarms.report(GIVEN_UP_ALARM, _LANE, f"An e-mail was given up: {fault}")
        log.error("mail_not_sent", attempt=mail.attempts, reason=reason)
        return replace(mail, state="failed", fault=fault)
