"""What is logged and counted of the commits that have become durable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.domain.model import Resolved, Status
from quorumkey_relay.observe import logs
from quorumkey_relay.store.writes import (
    AdvanceRequest,
    OpenRequest,
    PutAttestation,
    PutDelivery,
    PutPairing,
)

if TYPE_CHECKING:
    from quorumkey_relay.domain.model import Terms
    from quorumkey_relay.identity.principals import Attestation
    from quorumkey_relay.observe.metrics import Metrics
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.recheck import RecheckReport, RevokedHardware

log = logs.get()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Writes lines and counts; ``unsafe_test_root`` says that evidence of tests counts."""

    metrics: Metrics
    unsafe_test_root: bool
    revoked_hardware: RevokedHardware

    def heard(self, commit: Commit) -> None:
        """Count and log what has become durable."""
        for write in commit:
            if isinstance(write, PutDelivery):
                continue  # by far the most writes, and the delivery log has them
            match write:
                case OpenRequest(stored=stored):
                    _log_request("request_opened", stored.terms, Status.PENDING)
                case AdvanceRequest(terms=terms, after=after, events=(*_, Resolved())):
                    self.metrics.finished(str(after.status))
                    _log_request("request_finished", terms, after.status)
                case PutPairing(pairing=pairing) if pairing.device is not None:
                    what = "device_enrolled" if pairing.ended_at is None else "device_unpaired"
                    log.info(what, device=pairing.device, integrator_id=pairing.integrator_id)
                case PutAttestation(attestation=proved):
                    self._log_proof(proved)
                case _:
                    pass

    def rechecked(self, report: RecheckReport) -> None:
        """Count and log one look at the revocation list."""
        self.metrics.rechecked(report.outcome, self.revoked_hardware, report.devices)
        tell = log.info if report.outcome == "done" else log.warning
        tell(
            "attestations_rechecked",
            outcome=report.outcome,
            kind=self.revoked_hardware,
            count=report.devices,
            **({} if report.age_seconds is None else {"seconds": report.age_seconds}),
        )

    def _log_proof(self, proved: Attestation) -> None:
        tell, event = log.info, "device_attested"
        if proved.revoked_at is not None:
            tell, event = log.warning, "device_attestation_revoked"
        elif self.unsafe_test_root:
            tell, event = log.warning, "device_attested_under_unsafe_test_root"
        tell(event, device=proved.device, kind=proved.format, outcome=proved.assurance)


def _log_request(event: str, terms: Terms, status: Status) -> None:
    logs.info_line(logs.RequestLine(event=event, request_id=terms.request_id, status=status.value))
