"""Sending an enrolment or new evidence, and looking at the answer (PROTOCOL §4.3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from quorumkey.device import _api
from quorumkey.device.attesting import AttestationChallenge
from quorumkey.device.errors import RelayMismatchError
from quorumkey.errors import UnexpectedAnswerError
from quorumkey.protocol.encoding import b64decode
from quorumkey.protocol.limits import NONCE_BYTES

if TYPE_CHECKING:
    from quorumkey.client._exchange import Call
    from quorumkey.device._api import Enrolled, Nonce, PairingPreview, Reattested
    from quorumkey.device.attesting import Attest
    from quorumkey.device.pairing_link import PairingLink
    from quorumkey.device.session import RelaySession
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.push_address import PushAddress

__all__ = ["check_enrolled", "enroll", "reattest", "set_push", "wrong_relay"]


async def enroll(
    session: RelaySession, link: PairingLink, attest: Attest | None, push: PushAddress | None
) -> Enrolled:
    """Enrol with a new nonce for each attempt, and with evidence and address for that nonce."""

    async def build(nonce: Nonce) -> Call[Enrolled]:
        attestation = None if attest is None else await _evidence(session, nonce, attest)
        envelope = session.signer.enrollment(
            relay=nonce.relay_public_key.fingerprint,
            nonce=nonce.nonce,
            pairing_code=link.code,
            secret=link.secret,
        )
        addressed = None if push is None else _addressed(session, nonce, push)
        return _api.enroll(envelope, attestation, addressed)

    return await session.signed(build)


async def set_push(session: RelaySession, address: PushAddress) -> None:
    """Replace the push address, with a new nonce at each attempt."""
    await session.signed(lambda nonce: _api.set_push(_addressed(session, nonce, address)))


def _addressed(session: RelaySession, nonce: Nonce, address: PushAddress) -> Envelope:
    return session.signer.push(
        relay=nonce.relay_public_key.fingerprint, nonce=nonce.nonce, address=address
    )


async def reattest(session: RelaySession, attest: Attest) -> Reattested:
    """Send new evidence, for a new nonce at each attempt.

    Raises:
        UnexpectedAnswerError: the answer is about another key.
    """

    async def build(nonce: Nonce) -> Call[Reattested]:
        attestation = await _evidence(session, nonce, attest)
        return await session.bearing(_api.reattest(nonce.nonce, attestation))

    reattested = await session.signed(build)
    if reattested.fingerprint != session.signer.fingerprint:
        raise UnexpectedAnswerError("The relay answered about another key than this device's.")
    return reattested


async def _evidence(session: RelaySession, nonce: Nonce, attest: Attest) -> JsonValue:
    challenge = AttestationChallenge(
        nonce=b64decode(nonce.nonce, field="nonce", length=NONCE_BYTES),
        device_public_key=session.signer.key.public_key,
    )
    # In a thread: whoever makes evidence may take its time.
    return await asyncio.to_thread(attest, challenge)


def wrong_relay(link: PairingLink) -> RelayMismatchError:
    """What is raised where another relay answers than the link names."""
    return RelayMismatchError(
        f"The relay at {link.address.base} is not the one the pairing is for; nothing was sent."
    )


def check_enrolled(enrolled: Enrolled, session: RelaySession, preview: PairingPreview) -> None:
    """Compare the answer with what was sent.

    Raises:
        RelayMismatchError: it names another relay key than the pinned one.
        UnexpectedAnswerError: it is about another key or integrator.
    """
    if enrolled.fingerprint != session.signer.fingerprint:
        raise UnexpectedAnswerError("The relay enrolled another key than this device's.")
    if all(pin.key.base64 != enrolled.relay_public_key for pin in session.record.pins.pins):
        raise RelayMismatchError("The relay answered with another key than the pinned one.")
    if enrolled.integrator.id != preview.integrator.id:
        raise UnexpectedAnswerError("The relay paired this device with another integrator.")
