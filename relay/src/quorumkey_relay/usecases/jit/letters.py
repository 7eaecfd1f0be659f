"""An e-mail that is queued with what it tells of, so that neither exists without the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.domain.jit.mail import Mail

if TYPE_CHECKING:
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.usecases.jit.ports import Letter


def queued(
    letter: Letter, request: AccessRequest, *, mail_id: str, now: int, not_after: int
) -> Mail:
    """Return a letter about ``request`` as a message that is due now; for ``PutMail``."""
    return Mail(
        mail_id=mail_id,
        integrator_id=request.integrator_id,
        subject_id=request.id,
        recipients=letter.recipients,
        message=letter.message,
        created_at=now,
        not_after=not_after,
        next_at=now,
    )
