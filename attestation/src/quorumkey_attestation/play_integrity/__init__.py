"""Google Play Integrity: open classic tokens, and judge what Google says of app and device.

A verdict is Google's opinion of the app, its installation and the device at one moment. It proves
nothing about where a key lives, so it raises no assurance level; it stands beside key attestation.

Two ways lead to an :class:`IntegrityPayload`. A *classic* token, of an app whose response keys its
developer manages, is opened here by :class:`PlayIntegrityDecoder`. Every other token is opened by
Google's ``decodeIntegrityToken``, whose answer :meth:`IntegrityPayload.from_json` reads. Either
way :func:`evaluate_integrity` then judges it.
"""

from __future__ import annotations

from quorumkey_attestation.play_integrity.evaluation import (
    IntegrityVerdict,
    evaluate_integrity,
    examine_integrity,
)
from quorumkey_attestation.play_integrity.nonces import NonceLedger, claim_nonce
from quorumkey_attestation.play_integrity.payload import (
    AppIntegrity,
    DeviceIntegrity,
    Environment,
    IntegrityPayload,
    RequestDetails,
    examine_payload,
)
from quorumkey_attestation.play_integrity.policy import IntegrityPolicy
from quorumkey_attestation.play_integrity.token import PlayIntegrityDecoder, examine_token

__all__ = [
    "AppIntegrity",
    "DeviceIntegrity",
    "Environment",
    "IntegrityPayload",
    "IntegrityPolicy",
    "IntegrityVerdict",
    "NonceLedger",
    "PlayIntegrityDecoder",
    "RequestDetails",
    "claim_nonce",
    "evaluate_integrity",
    "examine_integrity",
    "examine_payload",
    "examine_token",
]
