"""Combinations of settings that cannot be meant, a sentence each."""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from quorumkey.protocol import admits
from quorumkey_relay.option_table import UNSAFE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
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
