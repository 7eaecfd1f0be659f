"""What devices send to prove themselves anew, and lists that revoke what they proved."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec
from tests.relay import attested
from tests.relay.simulator import granted

from quorumkey_attestation.testing import apple
from quorumkey_relay.usecases.commands import ReattestationBody, ReattestBody

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.sim_devices import SimDevice
    from tests.relay.simulator import Simulator

    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.usecases.commands import AttestationBody
    from quorumkey_relay.usecases.views import ReattestedView

LABEL = "app attest key"


def asserted(  # noqa: PLR0913 - what an assertion is made of
    device: SimDevice,
    nonce: str,
    *,
    counter: int,
    label: str = LABEL,
    key_label: str | None = None,
    app_id: str = apple.APP_ID,
) -> ReattestationBody:
    """An assertion by the App Attest key ``label``; ``key_label`` is the one that it names."""
    made = apple.apple_assertion(
        base64.b64decode(nonce),
        device.key.public_key.compressed,
        counter=counter,
        app_id=app_id,
        label=label,
    )
    key_id = apple.Attestation(client_data_hash=bytes(32), label=key_label or label).key_id
    return ReattestationBody(
        format="apple-app-attest-assertion",
        key_id=base64.b64encode(key_id).decode(),
        assertion=base64.b64encode(made).decode(),
    )


def again(evidence: AttestationBody) -> ReattestationBody:
    """Evidence in a format of enrolment, to be sent by an enrolled device."""
    return msgspec.convert(msgspec.to_builtins(evidence), ReattestationBody)


async def admit(sim: Simulator, device: SimDevice, *, phone: str = "android") -> None:
    """Enrol a device with evidence: of an ``iphone``, of an ``android``, or with ``none``."""
    nonce = await sim.nonce()
    envelope = await sim.enrollment(device, await sim.code(device.person), nonce=nonce)
    evidence = None
    if phone == "iphone":
        evidence = attested.from_iphone(device, nonce, label=LABEL, at=sim.clock.now())
    elif phone == "android":
        evidence = attested.from_android(device, nonce, at=sim.clock.now())
    await granted(sim.enroll(envelope, attestation=evidence))


async def reattest(
    sim: Simulator, device: SimDevice, nonce: str, evidence: ReattestationBody
) -> ReattestedView | Refusal:
    """Send new evidence under the device's session."""
    body = ReattestBody(nonce=nonce, attestation=evidence)
    return await sim.use.reattest(device=device.fingerprint, body=body)


def level(sim: Simulator, device: SimDevice) -> str:
    """The stored level."""
    known = sim.store.directory.device(device.fingerprint)
    assert known is not None
    return known.assurance


async def serial(sim: Simulator, device: SimDevice, index: int) -> str:
    """The serial number of a certificate behind a device's evidence; the leaf is 0."""
    found = await sim.store.attestation(device.fingerprint)
    assert found is not None
    return found.serials[index]


def revoke_hardware(sim: Simulator, folder: Path, *serials: str) -> None:
    """Publish a list with these serial numbers, written now."""
    attested.revocation_file(folder, dict.fromkeys(serials, "REVOKED"), at=sim.clock.now())
