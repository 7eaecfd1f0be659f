"""A message to people that is on its way: at least once, until it is of no use any more."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

MailState = Literal["queued", "sent", "failed"]


class Mail(Struct, frozen=True, kw_only=True):
    """One e-mail as it goes out; ``subject_id`` is the access request or activation it is about.

    ``message`` is the whole message (RFC 5322), with its Message-ID, so that one that is sent
    twice can be told; ``recipients`` are the envelope's. Tried from ``next_at`` on and no more
    from ``not_after`` on; ``attempts`` counts the tries. Times in seconds since the epoch.
    """

    mail_id: str
    integrator_id: str
    subject_id: str
    recipients: tuple[str, ...]
    message: bytes
    created_at: int
    not_after: int
    next_at: int
    attempts: int = 0
    state: MailState = "queued"
    fault: str | None = None
