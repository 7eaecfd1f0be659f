"""Every decision a device ever signed, so that it never signs both for one request.

PROTOCOL §6: a device stores the envelope before it sends it, sends the same bytes again after a
lost answer, and signs anew only after ``clock_skew`` or ``wrong_code``, with the same decision.
A digest's file is created once and only ever replaced by one with the same decision, so of two
processes that decide differently at the same moment, one is told what the other one signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Final

from quorumkey.client._fields import Fields
from quorumkey.device.errors import KeyFileError, NotAnswerableError
from quorumkey.device.keyfile import make_folder, read_secret, replace_secret, write_secret
from quorumkey.errors import QuorumkeyError
from quorumkey.protocol.dsse import parse_envelope
from quorumkey.protocol.limits import MAX_BODY_BYTES
from quorumkey.protocol.strict_json import dumps, loads

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol.dsse import Envelope

__all__ = ["Choice", "DecisionJournal", "SignedDecision"]

_DIGEST_PREFIX: Final = "sha256:"


@unique
class Choice(StrEnum):
    """What a person decides."""

    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDecision:
    """A decision as it was signed.

    `refused` says that the relay refused this envelope for a reason that allows signing the same
    decision anew (``clock_skew`` or ``wrong_code``).
    """

    choice: Choice
    envelope: Envelope
    refused: bool = False


class DecisionJournal:
    """The decisions of one device at one relay, by request digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, digest: str) -> SignedDecision | None:
        """What was signed for this request, or None.

        Raises:
            KeyFileError: the file is damaged or open to other users.
        """
        path = self._path(digest)
        data = read_secret(path, max_bytes=MAX_BODY_BYTES)
        if data is None:
            return None
        try:
            fields = Fields(loads(data, max_bytes=MAX_BODY_BYTES), path.name)
            return SignedDecision(
                choice=fields.choice("decision", Choice),
                envelope=parse_envelope(fields.raw("envelope")),
                refused=fields.has("refused"),
            )
        except QuorumkeyError as error:
            raise KeyFileError(f"The file {path} is damaged: {error}") from None

    def record(self, digest: str, signed: SignedDecision) -> SignedDecision:
        """Store a first decision, or a new signature of the same one; answer what to send.

        Raises:
            NotAnswerableError: the other decision has been signed for this request.
            KeyFileError: it cannot be stored, so it must not be sent.
        """
        make_folder(self._folder)
        data = _encode(signed)
        if write_secret(self._path(digest), data):
            return signed
        earlier = self.read(digest)
        if earlier is None:
            raise KeyFileError(f"The file {self._path(digest)} disappeared.")
        if earlier.choice is not signed.choice:
            raise NotAnswerableError(
                f"This device has already signed to {earlier.choice.value} this request."
            )
        if not earlier.refused:
            return earlier
        replace_secret(self._path(digest), data)
        return signed

    def mark_refused(self, digest: str, signed: SignedDecision) -> None:
        """Remember that the relay refused this envelope in a way that allows a new signature."""
        refused = SignedDecision(choice=signed.choice, envelope=signed.envelope, refused=True)
        replace_secret(self._path(digest), _encode(refused))

    def _path(self, digest: str) -> Path:
        name = digest.removeprefix(_DIGEST_PREFIX)
        if not name.isalnum():
            raise NotAnswerableError("The request has no usable digest.")
        return self._folder / f"{name}.json"


def _encode(signed: SignedDecision) -> bytes:
    refused = {"refused": True} if signed.refused else {}
    return dumps(
        {"decision": signed.choice.value, "envelope": signed.envelope.to_json(), **refused}
    )
