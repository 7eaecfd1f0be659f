"""Signing and sending a decision, once and only in one direction (PROTOCOL §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.client.models import Status
from quorumkey.device import _api
from quorumkey.device.decisions import Choice, SignedDecision
from quorumkey.device.errors import NotAnswerableError
from quorumkey.errors import InvalidRequestError, ProtocolError
from quorumkey.protocol.encoding import parse_time
from quorumkey.protocol.limits import CLOCK_SKEW_SECONDS

if TYPE_CHECKING:
    from quorumkey.device._api import Answered
    from quorumkey.device.review import DeviceRequest
    from quorumkey.device.session import RelaySession

__all__ = ["answer"]

#: How often a decision is signed anew after the relay corrected the clock.
_CLOCK_CORRECTIONS: Final = 1


async def answer(
    session: RelaySession,
    asked: DeviceRequest,
    choice: Choice,
    *,
    code: str | None,
    reason: str | None,
) -> Answered:
    """Sign `choice` for a request that was checked, store the envelope, send it.

    What was signed before and not refused is sent again as it is, whatever the clock says by now.

    Raises:
        NotAnswerableError: the request may not be answered like that.
        ClientError: the relay refused or did not answer.
    """
    if asked.digest is None:
        raise NotAnswerableError(asked.problem or "The request cannot be answered.")
    signed = session.folder.journal.read(asked.digest)
    if signed is None or signed.refused or signed.choice is not choice:
        signed = _sign(session, asked, choice, code=code, reason=reason)
    corrections = 0
    while True:
        try:
            return await session.connection.call(_api.decide(asked.request_id, signed.envelope))
        except InvalidRequestError as error:
            if error.code not in {"clock_skew", "wrong_code"}:
                raise
            session.folder.journal.mark_refused(asked.digest, signed)
            if error.code == "wrong_code" or corrections == _CLOCK_CORRECTIONS:
                raise
            _correct_clock(session, error)
        corrections += 1
        signed = _sign(session, asked, choice, code=code, reason=reason)


def _sign(
    session: RelaySession,
    asked: DeviceRequest,
    choice: Choice,
    *,
    code: str | None,
    reason: str | None,
) -> SignedDecision:
    """Make and store an envelope, unless one of the two decisions is on record."""
    digest = asked.digest
    if digest is None:
        raise AssertionError("the caller has looked")
    if asked.my_decision is not None:
        raise NotAnswerableError(f"This was already answered: {asked.my_decision.value}.")
    withdraws = choice is Choice.DENY and asked.is_withdrawable
    if asked.status is not Status.PENDING and not withdraws:
        raise NotAnswerableError(f"The request is finished: {asked.status.value}.")
    if choice is Choice.APPROVE:
        _check_approvable(asked, code)
    decided_at = session.connection.now()
    document = asked.document
    if document is not None and not (
        document.created_at - CLOCK_SKEW_SECONDS
        <= decided_at
        <= (document.use_by if withdraws else document.expires_at) + CLOCK_SKEW_SECONDS
    ):
        raise NotAnswerableError("The relay's clock is outside the time of this request.")
    envelope = session.signer.decision(
        digest=digest, choice=choice, decided_at=decided_at, reason=reason, code=code
    )
    return session.folder.journal.record(digest, SignedDecision(choice=choice, envelope=envelope))


def _check_approvable(asked: DeviceRequest, code: str | None) -> None:
    if asked.problem is not None:
        raise NotAnswerableError(asked.problem)
    wanted = asked.document is not None and asked.document.policy.match_code
    if wanted and code is None:
        raise NotAnswerableError("This request asks for the match code; type it to approve.")
    if not wanted and code is not None:
        raise NotAnswerableError("This request has no match code.")


def _correct_clock(session: RelaySession, error: InvalidRequestError) -> None:
    value = (error.details or {}).get("time")
    try:
        session.connection.set_clock(parse_time(value, field="time"))
    except ProtocolError:
        raise error from None
