"""A resolver and a network in a box, for the egress guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.delivery.egress import Egress, EgressRefused
from quorumkey_relay.delivery.transport import pinned_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.delivery.transport import Answer, HttpClient

PUBLIC = "93.184.216.34"
OTHER_PUBLIC = "2606:2800:220:1:248:1893:25c8:1946"
HOST = "hooks.example"


class Names:
    """A resolver: its answers are given in turn, the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        """The next answer."""
        self.asked.append(host)
        found = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if not found:
            raise OSError(host)
        return found


class Routes:
    """Leads connections to public addresses to loopback, as a network in a box would."""

    def __init__(self, *reachable: str) -> None:
        self.reachable = reachable
        self.called: list[str] = []

    def __call__(self, *, host: str, address: str, roots: bytes | None) -> HttpClient:
        """A client for an address; one that is not reachable leads to where nobody listens."""
        self.called.append(address)
        is_there = not self.reachable or address in self.reachable
        return pinned_client(
            host=host, address="127.0.0.1" if is_there else "127.0.0.2", roots=roots
        )


async def post(egress: Egress, url: str, *, timeout_seconds: float = 10) -> Answer:
    """A call that is closed afterwards."""
    return await egress.post(
        url, headers={"x-test": "1"}, body=b"hello", timeout_seconds=timeout_seconds
    )


async def refusal(egress: Egress, url: str) -> str:
    """Why a call is refused."""
    with pytest.raises(EgressRefused) as caught:
        await post(egress, url)
    return caught.value.reason
