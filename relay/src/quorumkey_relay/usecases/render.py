"""From what the store holds to what the relay answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from quorumkey.protocol import b64encode, format_time, pictogram
from quorumkey_relay.domain.lifecycle import completed_at, status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.usecases.views import (
    DeviceView,
    PairedDeviceView,
    PartyView,
    RequestView,
)

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope
    from quorumkey_relay.identity.principals import Device, Pairing
    from quorumkey_relay.store.records import Stored, Summary
    from quorumkey_relay.usecases.views import Status as StatusText

encode = msgspec.json.encode


def status_text(status: Status) -> StatusText:
    """Return a status as the views type it."""
    return status.value


def envelope_json(envelope: Envelope) -> msgspec.Raw:
    """Return an envelope as JSON to embed."""
    return msgspec.Raw(envelope.encode())


def request_of(stored: Stored, now: int) -> RequestView:
    """Return the request object of a request in memory, as it is at ``now``."""
    terms, state = stored.terms, stored.state
    ended = completed_at(terms, state, now)
    return RequestView(
        request_id=terms.request_id,
        profile=terms.profile,
        status=status_text(status_at(terms, state, now)),
        groups_required=terms.required,
        groups_total=len(terms.groups),
        groups_satisfied=[terms.groups[index] for index in state.satisfied],
        request_digest=terms.digest,
        created_at=format_time(terms.created_at),
        expires_at=format_time(terms.expires_at),
        use_by=format_time(terms.use_by),
        completed_at=UNSET if ended is None else format_time(ended),
    )


def request_from(summary: Summary, now: int) -> RequestView:
    """Return the request object of a summary, as it is at ``now``."""
    status, ended = summary.status, summary.completed_at
    if status is Status.PENDING and now >= summary.expires_at:
        status, ended = Status.TIMEOUT, summary.expires_at
    return RequestView(
        request_id=summary.request_id,
        profile=summary.profile,
        status=status_text(status),
        groups_required=summary.required,
        groups_total=summary.groups_total,
        groups_satisfied=list(summary.satisfied),
        request_digest=summary.digest,
        created_at=format_time(summary.created_at),
        expires_at=format_time(summary.expires_at),
        use_by=format_time(summary.use_by),
        completed_at=UNSET if ended is None else format_time(ended),
    )


def approver_of(pairing: Pairing) -> PartyView:
    """Return the approver of a pairing."""
    return PartyView(pairing.approver_id, _optional(pairing.approver_name))


def device_of(device: Device, tie: Pairing) -> DeviceView:
    """Return a device as the integrator of ``tie`` sees it.

    An ended tie and a revoked device both show ``revoked_at``: neither can be named any more.
    """
    ended = device.revoked_at if device.revoked_at is not None else tie.ended_at
    return DeviceView(
        fingerprint=device.fingerprint,
        device_public_key=b64encode(device.public_key),
        pictogram=list(pictogram(device.fingerprint)),
        platform=device.platform,
        assurance=device.assurance,
        approver=approver_of(tie),
        enrolled_at=format_time(tie.enrolled_at or device.enrolled_at),
        revoked_at=UNSET if ended is None else format_time(ended),
    )


def paired_device_of(device: Device, tie: Pairing) -> PairedDeviceView:
    """Return the device of a finished pairing."""
    return PairedDeviceView(
        fingerprint=device.fingerprint,
        device_public_key=b64encode(device.public_key),
        platform=device.platform,
        assurance=device.assurance,
        enrolled_at=format_time(tie.enrolled_at or device.enrolled_at),
    )


def _optional(text: str | None) -> str | msgspec.UnsetType:
    return UNSET if text is None else text
