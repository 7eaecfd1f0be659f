"""Pairing an approver's device, and proof that it is theirs (PROTOCOL §4).

The secret of a pairing goes from this process to the device inside the link's fragment and never
to the relay. A device that knows it binds its key to it, so a relay cannot slip in a key of its
own.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from quorumkey.client._fields import Fields
from quorumkey.client.models import PairingStatus
from quorumkey.errors import (
    ConfigurationError,
    PairingNotConfirmedError,
    ProtocolError,
    QuorumkeyError,
    UnexpectedAnswerError,
)
from quorumkey.protocol.encoding import (
    b64decode,
    b64encode,
    b64url_encode,
    format_time,
)
from quorumkey.protocol.limits import MAX_BODY_BYTES, PAIRING_SECRET_BYTES
from quorumkey.protocol.pairing import format_pairing_code, normalise_pairing_code, pairing_binding
from quorumkey.protocol.statements import Approver, Enrollment, Party, verify_statement
from quorumkey.protocol.strict_json import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey.client.models import PairedDevice, PairingState
    from quorumkey.client.pins import RelayPins
    from quorumkey.protocol.dsse import PasskeyPolicy
    from quorumkey.protocol.encoding import JsonValue
    from quorumkey.protocol.keys import PublicKey

__all__ = ["AttestationEvidence", "ConfirmedDevice", "Pairing"]

_SECRET_PARAMETER: Final = "&secret="  # noqa: S105 - the name of a member


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """A pairing that this caller made.

    Attributes:
        pairing_id: the relay's id for it.
        code: ``XXXX-XXXX-XXXX``, to be typed where a link cannot be opened; a device enrolled
            with the typed code does not know the secret and is not bound to it.
        url: the link to show the approver, as a QR code or a message; it holds the secret.
        approver: whom the device will stand for.
        expires_at: in epoch seconds.
        secret: 32 bytes that only this caller and the device know.
    """

    pairing_id: str
    code: str
    url: str = field(repr=False)
    approver: Party
    expires_at: int
    secret: bytes = field(repr=False)

    @staticmethod
    def parse(fields: Fields, *, approver: Party, secret: bytes) -> Pairing:
        """Read the answer of ``POST /v1/pairings`` and put the secret into the link."""
        url, code = fields.text("pairing_url"), fields.text("pairing_code")
        try:
            code = format_pairing_code(code)
            named = normalise_pairing_code(_fragment(url).get("code"))
        except ProtocolError:
            named = ""
        if named != code.replace("-", ""):
            raise UnexpectedAnswerError("The relay's pairing link is not for its pairing code.")
        return Pairing(
            pairing_id=fields.text("pairing_id"),
            code=code,
            url=url + _SECRET_PARAMETER + b64url_encode(secret),
            approver=approver,
            expires_at=fields.time("expires_at"),
            secret=secret,
        )

    @property
    def relay(self) -> str:
        """The fingerprint of the relay that the link names."""
        return _fragment(self.url).get("relay", "")

    def encode(self) -> bytes:
        """Write it as JSON, to store it until the device is enrolled; it holds the secret."""
        return dumps(
            {
                "pairing_id": self.pairing_id,
                "pairing_code": self.code,
                "pairing_url": self.url.partition(_SECRET_PARAMETER)[0],
                "expires_at": format_time(self.expires_at),
                "approver": self.approver.to_json(),
                "secret": b64encode(self.secret),
            }
        )

    @staticmethod
    def decode(data: bytes) -> Pairing:
        """Read what `encode` wrote.

        Raises:
            ConfigurationError: it is something else.
        """
        try:
            fields = Fields(loads(data, max_bytes=MAX_BODY_BYTES), "the stored pairing")
            secret = b64decode(fields.text("secret"), field="secret", length=PAIRING_SECRET_BYTES)
            approver = Party.from_json(fields.raw("approver"), field="approver")
            return Pairing.parse(fields, approver=approver, secret=secret)
        except QuorumkeyError as error:
            raise ConfigurationError(f"The stored pairing is not usable: {error}") from None


def _fragment(url: str) -> Mapping[str, str]:
    return dict(parse_qsl(url.partition("#")[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationEvidence:
    """What a device gave as evidence about where its key lives, with what it must be for.

    Attributes:
        nonce: the enrolment's nonce, 32 bytes.
        device_public_key: the key that must be attested.
        attestation: the evidence as JSON; None where the relay has none.
    """

    nonce: bytes
    device_public_key: PublicKey
    attestation: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedDevice:
    """A device whose enrolment passed every check of PROTOCOL §4.4.

    Attributes:
        fingerprint: the device's id.
        device_public_key: its key.
        approver: whom it stands for, as this caller named them at pairing.
        platform: ``ios``, ``android``, ``web`` or ``cli``; under the device's signature.
        assurance: what the relay says the attestation proved.
        bound: whether the key is bound to the pairing's secret. Without it, it may be the
            relay's own key.
    """

    fingerprint: str
    device_public_key: PublicKey
    approver: Party
    platform: str
    assurance: str
    bound: bool

    @property
    def as_approver(self) -> Approver:
        """This device as a member of a group, with its person's id."""
        return Approver(
            fingerprint=self.fingerprint,
            device_public_key=self.device_public_key.base64,
            approver_id=self.approver.id,
        )


def confirm(  # noqa: PLR0913 - what the evidence is held against
    pairing: Pairing,
    state: PairingState,
    *,
    pins: RelayPins,
    passkeys: PasskeyPolicy | None,
    allow_unbound: bool,
    check_attestation: Callable[[AttestationEvidence], None] | None,
) -> ConfirmedDevice:
    """Check the evidence of a finished pairing (PROTOCOL §4.4).

    Raises:
        PairingNotConfirmedError: it is not finished, or a check failed.
    """
    device = state.device
    if state.status is not PairingStatus.PAIRED or device is None or state.enrollment is None:
        raise PairingNotConfirmedError(f"The pairing is {state.status.value}; no device used it.")
    try:
        # Type and signature under the reported key, whose fingerprint is the reported one and
        # the keyid: `PairedDevice.parse` and `verify_signature` compare the two.
        enrollment = verify_statement(
            state.enrollment,
            Enrollment,
            key=device.device_public_key,
            form="any",
            passkeys=passkeys,
        ).statement
    except ProtocolError as error:
        raise PairingNotConfirmedError(f"The enrolment does not hold: {error}") from None
    _compare(pairing, device, enrollment, pins)
    bound = _is_bound(pairing, device, enrollment)
    if not bound and not allow_unbound:
        raise PairingNotConfirmedError(
            "The device's key is not bound to this pairing's secret, so it may be another's."
        )
    if check_attestation is not None:
        check_attestation(
            AttestationEvidence(
                nonce=b64decode(enrollment.nonce, field="nonce"),
                device_public_key=device.device_public_key,
                attestation=state.attestation,
            )
        )
    return ConfirmedDevice(
        fingerprint=device.fingerprint,
        device_public_key=device.device_public_key,
        approver=pairing.approver,
        platform=device.platform,
        assurance=device.assurance,
        bound=bound,
    )


def _compare(
    pairing: Pairing, device: PairedDevice, enrollment: Enrollment, pins: RelayPins
) -> None:
    # The link's relay was a pinned one when the pairing was made.
    if enrollment.relay != pairing.relay and enrollment.relay not in pins:
        raise PairingNotConfirmedError("The device enrolled at another relay.")
    if normalise_pairing_code(enrollment.pairing_code) != normalise_pairing_code(pairing.code):
        raise PairingNotConfirmedError("The device enrolled with another pairing code.")
    if enrollment.device_public_key != device.device_public_key.base64:
        raise PairingNotConfirmedError("The device enrolled another key.")
    if enrollment.platform != device.platform:
        raise PairingNotConfirmedError("The device enrolled as another platform.")


def _is_bound(pairing: Pairing, device: PairedDevice, enrollment: Enrollment) -> bool:
    """Whether the key is bound to the secret; a binding that does not hold is refused."""
    if enrollment.binding is None:
        return False
    expected = pairing_binding(
        pairing.secret, enrollment.relay, device.device_public_key.compressed
    )
    if not hmac.compare_digest(expected.encode(), enrollment.binding.encode()):
        raise PairingNotConfirmedError("The device's key is bound to another secret.")
    return True
