"""Just-in-time access: listing what somebody may activate, reading conditions, tokens in links."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.conditions import spent
from bench.hostile_bindings import HOSTILE
from bench.report import Figures, Row, at_least, at_most
from quorumkey_relay.conditions import ConditionError
from quorumkey_relay.domain.jit.entitlement import EntitlementId
from quorumkey_relay.eligibility.bindings import Bindings
from quorumkey_relay.eligibility.condition import read_condition
from quorumkey_relay.eligibility.policy import read_policy
from quorumkey_relay.eligibility.policy_file import PolicyFileSource
from quorumkey_relay.identity.activation_tokens import ActivationClaims, ActivationTokens
from quorumkey_relay.identity.token_keys import open_token_keys
from quorumkey_relay.jit_settings import TokenSettings
from quorumkey_relay.server import settle_memory

if TYPE_CHECKING:
    from pathlib import Path

    from bench.sizes import Sizes

#: The specification's bounds.
LISTING_MS: Final = 20.0
BINDINGS_PER_SECOND: Final = 20_000.0
TOKENS_PER_SECOND: Final = 2_000.0

BINDINGS: Final = 5_000
ELIGIBLE: Final = 200
CONDITIONS: Final = 50

_PROJECT: Final = "project-1"
_PERSON: Final = "alice@example.com"
_ISSUER: Final = "https://relay.example"
_NOW: Final = 1_800_000_000
_MARKERS: Final = ("has({}.jitAccessConstraint)", "has({}.multiPartyApprovalConstraint)")
_MS: Final = 1e3


def measure_jit(folder: Path, sizes: Sizes) -> list[Row]:
    """Measure on this thread, in CPU time."""
    figures = Figures()
    folder.mkdir()
    tokens = ActivationTokens(open_token_keys(TokenSettings(), folder), issuer=_ISSUER)
    settle_memory()  # as a relay does: else a collection of all that is loaded falls into a round
    for number in range(sizes.rounds):
        _read_and_list(figures, folder / "policy.json", number, sizes.listings)
        worst = max(spent(partial(_read, number, text)) for text in HOSTILE)
        figures.add("hostile", worst * _MS)
        figures.add("tokens", sizes.tokens / _tokens(tokens, sizes.tokens))
    eligible = f"{ELIGIBLE} in {BINDINGS:,}"
    return [
        Row(
            "listing of eligible roles",
            "ms CPU",
            figures.rounds("listing"),
            f"{sizes.listings} of {eligible}",
            at_most(LISTING_MS),
        ),
        Row("listing, the policy read anew", "ms CPU", figures.rounds("anew"), eligible),
        Row(
            "bindings parsed and split",
            "/s",
            figures.rounds("bindings"),
            f"{BINDINGS:,}, {CONDITIONS} conditions",
            at_least(BINDINGS_PER_SECOND),
        ),
        Row("hostile binding, worst", "ms CPU", figures.rounds("hostile"), f"{len(HOSTILE)} ideas"),
        Row(
            "token minted and verified, ES256",
            "/s",
            figures.rounds("tokens"),
            f"{sizes.tokens:,}",
            at_least(TOKENS_PER_SECOND),
        ),
    ]


def _read_and_list(figures: Figures, path: Path, number: int, listings: int) -> None:
    """Take the figures of one round, whose conditions nobody has read before."""
    policy = read_policy(_policy(2 * number))
    started = time.process_time()
    Bindings(_PROJECT, policy.bindings)
    figures.add("bindings", BINDINGS / (time.process_time() - started))
    path.write_bytes(_policy(2 * number + 1))
    source = PolicyFileSource(path)
    figures.add("anew", asyncio.run(_listed(source, 1)) * _MS)
    figures.add("listing", asyncio.run(_listed(source, listings)) / listings * _MS)


def _read(number: int, text: str) -> None:
    """Read a condition that nobody has read before; it may be refused."""
    with suppress(ConditionError):
        read_condition(f"{text}//{number}")


async def _listed(source: PolicyFileSource, listings: int) -> float:
    """Return the CPU seconds of so many listings."""
    started = time.process_time()
    for _ in range(listings):
        found = await source.listing(_PERSON, _PROJECT)
        if len(found.entitlements) != ELIGIBLE:
            raise RuntimeError(f"{len(found.entitlements)} roles are listed")
    return time.process_time() - started


def _policy(seed: int) -> bytes:
    """Return a policy with its project: every 25th binding names the person."""
    bindings = [
        {
            "role": f"roles/role-{number}",
            "members": [
                f"user:person-{number % 97}@example.com",
                f"group:team-{number % 31}@example.com",
                *([f"user:{_PERSON}"] if number % (BINDINGS // ELIGIBLE) == 0 else []),
            ],
            "condition": {"title": "Eligible", "expression": _condition(seed, number % CONDITIONS)},
        }
        for number in range(BINDINGS)
    ]
    policy = {"project": _PROJECT, "bindings": bindings, "etag": "BwYvGqUNz1U=", "version": 3}
    return json.dumps(policy).encode()


def _condition(seed: int, number: int) -> str:
    marker = _MARKERS[number % len(_MARKERS)]
    return (
        f"{marker} && resource.name.startsWith('projects/_/buckets/{seed}-{number}') &&"
        f' (resource.type == "storage.googleapis.com/Bucket" || resource.service == "a && b")'
    )


def _tokens(tokens: ActivationTokens, count: int) -> float:
    """Return the CPU seconds of making so many tokens and verifying each."""
    every = [
        ActivationClaims(
            id=f"mpa-{base64.b64encode(number.to_bytes(12, 'big')).decode()}",
            beneficiary=_PERSON,
            reviewers=("bob@example.com", "carol@example.com"),
            entitlement=EntitlementId(_PROJECT, "roles/compute.admin"),
            justification="BUG-12345",
            start=_NOW,
            end=_NOW + 3_600,
            issued_at=_NOW,
            expires_at=_NOW + 3_600,
        )
        for number in range(count)
    ]
    started = time.process_time()
    for claims in every:
        if tokens.read(tokens.mint(claims), now=_NOW) != claims:
            raise RuntimeError("a token does not say what it was made of")
    return time.process_time() - started
