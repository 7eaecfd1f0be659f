"""What the relay answers, as frozen values. Times are whole seconds since the epoch (UTC).

Nothing here is proof: these are the relay's unsigned words. An approval counts only as the
`quorumkey.client.Approved` that a verified receipt made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Generic, TypeVar

from quorumkey.errors import ProtocolError, UnexpectedAnswerError
from quorumkey.protocol.dsse import Envelope, PasskeyPolicy, parse_envelope
from quorumkey.protocol.encoding import format_time
from quorumkey.protocol.keys import PublicKey
from quorumkey.protocol.statements import Approver, Party

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey.client._fields import Fields
    from quorumkey.protocol.encoding import JsonValue

__all__ = [
    "DeliveryCounts",
    "Device",
    "Event",
    "GroupDeliveries",
    "Info",
    "Page",
    "PairedDevice",
    "PairingState",
    "PairingStatus",
    "RequestState",
    "Status",
]

T = TypeVar("T")


@unique
class Status(StrEnum):
    """Where a request stands; everything but ``pending`` is final."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


@unique
class PairingStatus(StrEnum):
    """Where a pairing stands."""

    PENDING = "pending"
    PAIRED = "paired"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a relay says of itself (``GET /v1/info``).

    Attributes:
        relay: fingerprint of the key it signs with.
        relay_public_key: that key; checked to have this fingerprint.
        pictogram: five emoji drawn from the fingerprint.
        pictogram_speakable: their names.
        version: the relay's software.
        attestation: ``off``, ``preferred`` or ``required``.
        passkeys: the relying party of its web app, by its own word; None where it names none.
        successions: its signed key changes, oldest first.
        time: its clock.
        unsafe_test_root: whether it takes evidence for genuine that anybody can make.
    """

    relay: str
    relay_public_key: PublicKey
    pictogram: tuple[str, ...]
    pictogram_speakable: str
    version: str
    attestation: str
    passkeys: PasskeyPolicy | None
    successions: tuple[Envelope, ...]
    time: int
    unsafe_test_root: bool = False

    @staticmethod
    def parse(fields: Fields) -> Info:
        """Read the answer of ``GET /v1/info``."""
        passkeys = None
        if fields.has("webauthn"):
            webauthn = fields.child("webauthn")
            if webauthn.has("rp_id"):
                passkeys = PasskeyPolicy(
                    webauthn.text("rp_id"), frozenset(webauthn.texts("origins"))
                )
        return Info(
            relay=fields.text("relay"),
            relay_public_key=key_of(fields, "relay_public_key", fingerprint="relay"),
            pictogram=fields.texts("pictogram"),
            pictogram_speakable=fields.text("pictogram_speakable"),
            version=fields.text("version"),
            attestation=fields.text("attestation"),
            passkeys=passkeys,
            successions=tuple(envelope_of(value) for value in fields.items("successions")),
            time=fields.time("time"),
            unsafe_test_root=fields.flag("unsafe_test_root"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """The request object of PROTOCOL §5: the relay's word on where a request stands."""

    request_id: str
    profile: str
    status: Status
    groups_required: int
    groups_total: int
    groups_satisfied: tuple[str, ...]
    request_digest: str
    created_at: int
    expires_at: int
    use_by: int
    completed_at: int | None = None

    @staticmethod
    def parse(fields: Fields) -> RequestState:
        """Read a request object."""
        return RequestState(
            request_id=fields.text("request_id"),
            profile=fields.text("profile"),
            status=fields.choice("status", Status),
            groups_required=fields.integer("groups_required"),
            groups_total=fields.integer("groups_total"),
            groups_satisfied=fields.texts("groups_satisfied"),
            request_digest=fields.text("request_digest"),
            created_at=fields.time("created_at"),
            expires_at=fields.time("expires_at"),
            use_by=fields.time("use_by"),
            completed_at=fields.optional_time("completed_at"),
        )

    def to_json(self) -> dict[str, JsonValue]:
        """The request object as it travels."""
        members: dict[str, JsonValue] = {
            "request_id": self.request_id,
            "profile": self.profile,
            "status": self.status.value,
            "groups_required": self.groups_required,
            "groups_total": self.groups_total,
            "groups_satisfied": list(self.groups_satisfied),
            "request_digest": self.request_digest,
            "created_at": format_time(self.created_at),
            "expires_at": format_time(self.expires_at),
            "use_by": format_time(self.use_by),
        }
        if self.completed_at is not None:
            members["completed_at"] = format_time(self.completed_at)
        return members


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device paired with this integrator.

    The key is checked to have the fingerprint; that it is this approver's is the relay's word,
    which `pairings.confirm` replaces by proof.
    """

    fingerprint: str
    device_public_key: PublicKey
    pictogram: tuple[str, ...]
    platform: str
    assurance: str
    approver: Party
    enrolled_at: int
    revoked_at: int | None = None

    @staticmethod
    def parse(fields: Fields) -> Device:
        """Read a device object."""
        return Device(
            fingerprint=fields.text("fingerprint"),
            device_public_key=key_of(fields, "device_public_key", fingerprint="fingerprint"),
            pictogram=fields.texts("pictogram"),
            platform=fields.text("platform"),
            assurance=fields.text("assurance"),
            approver=party_of(fields.child("approver")),
            enrolled_at=fields.time("enrolled_at"),
            revoked_at=fields.optional_time("revoked_at"),
        )

    @property
    def as_approver(self) -> Approver:
        """This device as a member of a group, with its person's id."""
        return Approver(
            fingerprint=self.fingerprint,
            device_public_key=self.device_public_key.base64,
            approver_id=self.approver.id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDevice:
    """The device that the relay says has used a pairing."""

    fingerprint: str
    device_public_key: PublicKey
    platform: str
    assurance: str
    enrolled_at: int

    @staticmethod
    def parse(fields: Fields) -> PairedDevice:
        """Read the ``device`` of a pairing."""
        return PairedDevice(
            fingerprint=fields.text("fingerprint"),
            device_public_key=key_of(fields, "device_public_key", fingerprint="fingerprint"),
            platform=fields.text("platform"),
            assurance=fields.text("assurance"),
            enrolled_at=fields.time("enrolled_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingState:
    """``GET /v1/pairings/{id}``: the relay's word, and the evidence to check it with.

    ``device`` and ``enrollment`` are there once ``status`` is ``paired``; ``attestation`` is what
    the device sent as evidence about where its key lives, as JSON.
    """

    pairing_id: str
    status: PairingStatus
    device: PairedDevice | None = None
    enrollment: Envelope | None = None
    attestation: JsonValue = None

    @staticmethod
    def parse(fields: Fields) -> PairingState:
        """Read a pairing."""
        return PairingState(
            pairing_id=fields.text("pairing_id"),
            status=fields.choice("status", PairingStatus),
            device=PairedDevice.parse(fields.child("device")) if fields.has("device") else None,
            enrollment=(
                envelope_of(fields.raw("enrollment")) if fields.has("enrollment") else None
            ),
            attestation=fields.raw("attestation") if fields.has("attestation") else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryCounts:
    """How many devices of a group are in which state on one channel."""

    queued: int
    sent: int
    accepted: int
    failed: int
    dropped: int
    acknowledged: int

    @staticmethod
    def parse(fields: Fields) -> DeliveryCounts:
        """Read the counts of one channel."""
        return DeliveryCounts(
            queued=fields.integer("queued"),
            sent=fields.integer("sent"),
            accepted=fields.integer("accepted"),
            failed=fields.integer("failed"),
            dropped=fields.integer("dropped"),
            acknowledged=fields.integer("acknowledged"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDeliveries:
    """The delivery counts of one group by channel."""

    group: str
    channels: Mapping[str, DeliveryCounts]

    @staticmethod
    def parse(fields: Fields) -> GroupDeliveries:
        """Read the counts of one group."""
        channels = fields.child("channels").members()
        return GroupDeliveries(
            group=fields.text("group"),
            channels={name: DeliveryCounts.parse(counts) for name, counts in channels},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened, as a webhook or the event stream tells it (PROTOCOL §10).

    An event is a reason to look, never a proof: `claimed_status` is the relay's word. Resolve the
    request (``client.requests.resolve``) before acting on ``mpa.approved``.

    Attributes:
        event_id: the same for a webhook and the event stream; one event may come more than once.
        type: such as ``mpa.approved``; types unknown to you are to be ignored.
        timestamp: when it happened.
        request_id: which request it is about, or None.
        claimed_status: the status that the relay claims, or None.
        groups_satisfied: the groups that the relay says are satisfied.
        fingerprint: which device it is about, or None.
        approver: that device's person, or None.
        assurance: that device's assurance, or None.
        reason: why a device was revoked, its assurance changed or a webhook was disabled, or None.
        webhook_id: which webhook was disabled or tested, or None.
    """

    event_id: str
    type: str
    timestamp: int
    request_id: str | None = None
    claimed_status: str | None = None
    groups_satisfied: tuple[str, ...] = field(default=())
    fingerprint: str | None = None
    approver: Party | None = None
    assurance: str | None = None
    reason: str | None = None
    webhook_id: str | None = None

    @staticmethod
    def parse(event_id: str, fields: Fields) -> Event:
        """Read the body of a webhook or the data of a server-sent event."""
        satisfied = fields.texts("groups_satisfied") if fields.has("groups_satisfied") else ()
        return Event(
            event_id=event_id,
            type=fields.text("type"),
            timestamp=fields.time("timestamp"),
            request_id=fields.optional_text("request_id"),
            claimed_status=fields.optional_text("status"),
            groups_satisfied=satisfied,
            fingerprint=fields.optional_text("fingerprint"),
            approver=party_of(fields.child("approver")) if fields.has("approver") else None,
            assurance=fields.optional_text("assurance"),
            reason=fields.optional_text("reason"),
            webhook_id=fields.optional_text("webhook_id"),
        )


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, newest first; `next_cursor` is None on the last one."""

    data: tuple[T, ...]
    next_cursor: str | None


def page_of(item: Callable[[Fields], T]) -> Callable[[Fields], Page[T]]:
    """A reader of pages whose items `item` reads."""

    def parse(fields: Fields) -> Page[T]:
        data = tuple(item(child) for child in fields.children("data"))
        return Page(data, fields.optional_text("next_cursor"))

    return parse


def party_of(fields: Fields) -> Party:
    """Read ``{id, name?}``."""
    return Party(id=fields.text("id"), name=fields.optional_text("name"))


def envelope_of(value: JsonValue) -> Envelope:
    """Read an envelope; its signature stays unchecked."""
    try:
        return parse_envelope(value)
    except ProtocolError as error:
        raise UnexpectedAnswerError(f"The relay's answer is not usable: {error}") from None


def key_of(fields: Fields, name: str, *, fingerprint: str) -> PublicKey:
    """Read a public key and check that the member `fingerprint` is its fingerprint."""
    try:
        key = PublicKey.from_base64(fields.text(name), field=name)
    except ProtocolError as error:
        raise UnexpectedAnswerError(f"The relay's answer is not usable: {error}") from None
    if key.fingerprint != fields.text(fingerprint):
        raise UnexpectedAnswerError(
            f"The relay's answer is not usable: {fingerprint} is not the fingerprint of {name}."
        )
    return key
