"""Combinations of settings that cannot be meant, a sentence each."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from quorumkey.protocol import admits
from quorumkey_relay.option_table import UNSAFE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from quorumkey_relay.settings import Settings


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` names this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def conflicts(settings: Settings, *, decided: AbstractSet[str]) -> Iterator[str]:
    """Yield a sentence for each combination; ``decided`` are the options that were given."""
    yield from _conflicts_of_addresses(settings)
    if settings.mode == "production":
        yield from _conflicts_of_production(settings, decided=decided)
    yield from _conflicts_of_attestation(settings, decided=decided)
    yield from _conflicts_of_push(settings, decided=decided)
    for origin in settings.passkey_origins:
        host = urlsplit(origin).hostname or ""
        if settings.rp_id is not None and not f".{host}".endswith(f".{settings.rp_id}"):
            yield f"The passkey origin {origin} does not belong to the rp_id {settings.rp_id}."


def _conflicts_of_addresses(settings: Settings) -> Iterator[str]:
    own = (settings.public_url, settings.app_origin)
    for origin in (*own, *settings.origins, *settings.webauthn_origins):
        if origin is None or origin.startswith("https:"):
            continue
        host = urlsplit(origin).hostname or ""
        if not is_loopback(host) and host not in settings.unsafe_http_hosts:
            yield f"{origin} must be https: plain http is for loopback and unsafe_http_hosts."


def _conflicts_of_production(settings: Settings, *, decided: AbstractSet[str]) -> Iterator[str]:
    if "attestation" not in decided:
        yield "In production, decide attestation: off, preferred or required."
    if settings.public_url is None or not settings.public_url.startswith("https:"):
        yield "In production, public_url must be the https address that devices reach."
    for field in dataclasses.fields(settings):
        if field.name.startswith(UNSAFE_PREFIX) and field.name in decided:
            yield f"In production, {field.name} is not allowed."


def _conflicts_of_attestation(settings: Settings, *, decided: AbstractSet[str]) -> Iterator[str]:
    if settings.attestation != "required":
        if "attestation_floor" in decided:
            yield "attestation_floor counts only where attestation is required."
        return
    reached = tuple(_reachable(settings))
    if not any(admits(level, settings.attestation_floor) for level in reached):
        yield (
            f"No device can reach the attestation_floor {settings.attestation_floor}: name the"
            " apps in app_attest_apps or android_apps, or lower the floor."
        )


def _reachable(settings: Settings) -> Iterator[str]:
    """Yield the highest level of each format that these settings accept."""
    if settings.app_attest_apps:
        yield "secure_enclave"
    if settings.android_apps:
        yield "strongbox"
    rooted = {"apple", "android-key"}
    if settings.webauthn_roots is not None:
        rooted |= {"packed", "tpm", "fido-u2f"}
    if rooted & set(settings.webauthn_formats):
        yield "passkey_device_bound"
    yield "passkey"


_APNS: Final = ("apns_key_file", "apns_key_id", "apns_team_id", "apns_topics")
# What says how a channel works, and what turns that channel on.
_TURNED_ON_BY: Final[Mapping[str, str]] = {
    "apns_environments": "apns_key_file",
    "apns_url": "apns_key_file",
    "apns_sandbox_url": "apns_key_file",
    "apns_client": "apns_key_file",
    "fcm_url": "fcm_service_account",
    "fcm_client": "fcm_service_account",
    "webpush_key_file": "webpush_subject",
    "webpush_services": "webpush_subject",
}


def _conflicts_of_push(settings: Settings, *, decided: AbstractSet[str]) -> Iterator[str]:
    missing = [name for name in _APNS if not getattr(settings, name)]
    if missing and any(name in decided for name in _APNS):
        given = [name for name in _APNS if name not in missing]
        yield (
            f"The channel apns needs {_listed(missing)}"
            f"{f' beside {_listed(given)}' if given else ''}."
        )
    if not missing and not settings.apns_environments:
        yield "apns_environments must name at least one of Apple's environments."
    for name, switch in _TURNED_ON_BY.items():
        # Apple's four are one sentence above, whichever of them is missing.
        is_partial = switch in _APNS and any(one in decided for one in _APNS)
        if name in decided and getattr(settings, switch) is None and not is_partial:
            yield f"{name} counts only with {switch}, which turns that channel on."


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: ``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
