"""``kill -9`` of the relay at every boundary of store and target: one approval, one role, one end.

A process opens a relay on a copy of a data directory, has access granted and ended, and kills
itself before or after the n-th operation on the database or at the target, for every n until all is
done. Each time disk and target are judged as the next start finds them; then a relay goes on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.e2e.jit_kill_child import CALLS_FILE, CLIENTS, ROLE_FILE
from tests.e2e.mortal import mortal
from tests.relay.simulator import ACME

from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.store.sqlite import AdminStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.mortal import Mortal

    from quorumkey_relay.domain.jit.activation import Activation

#: Four commits (asked or activated, granted, revoking, ended), each of at least three operations,
#: and two calls to the target, with a boundary on either side of each.
AT_LEAST = (4 * 3 + 2) * 2


@dataclass(frozen=True)
class Found:
    """What is on the disk and at the target."""

    roles: list[Activation]
    told: Counter[str]
    claims: list[str | None]
    holder: str
    calls: list[str]

    @classmethod
    def on(cls, folder: Path) -> Found:
        """Read a data directory that no process serves, and the target beside it."""
        with AdminStore(folder, vault=Vault.open_in(folder)) as admin:
            read = admin.read
            roles = read.jit.activations(
                integrator_id=ACME.id, beneficiary=None, before=None, limit=9
            )
            requests = read.jit.access_requests(
                integrator_id=ACME.id, beneficiary=None, reviewer=None, before=None, limit=9
            )
            events = read.events(integrator_id=ACME.id, after=None, limit=999)
            assert events is not None
            claims = [read.protection.claim_of(one.request_id or "") for one in requests]
            made = [one.activation_id for one in requests if one.activation_id is not None]
        assert made == [one.activation_id for one in roles if one.access_request is not None]
        assert len(made) == sum(claim is not None for claim in claims)
        role_file, calls_file = folder / ROLE_FILE, folder / CALLS_FILE
        return cls(
            roles=roles,
            told=Counter(one.type for one in events if one.type.startswith("jit.")),
            claims=[claim.result for claim in claims if claim is not None],
            holder=role_file.read_text() if role_file.exists() else "",
            calls=calls_file.read_text().split() if calls_file.exists() else [],
        )

    def judge(self) -> None:
        """There is one role at most, nothing is granted that was not written down, all is told."""
        assert len(self.roles) <= 1
        if not self.roles:
            assert ([], Counter()) == (self.calls, self.told)
            return
        (role,) = self.roles
        assert self.holder in {"", role.activation_id}
        was_granted = role.state != "granting"
        assert int(was_granted) == self.told["jit.granted"]
        assert int(role.state == "ended") == self.told["jit.ended"] + self.told["jit.revoked"]
        if role.state == "active":
            assert role.activation_id == self.holder
        if role.state == "ended":
            assert "" == self.holder
        for result in self.claims:
            assert ("ok" if was_granted else None) == result


def dies(process: Mortal, client: str, folder: Path, kill_at: int) -> bool:
    """Let a relay die at a boundary and another go on; says whether it died before it was done."""
    end = process.live(client, folder, kill_at)
    Found.on(folder).judge()
    if end == "SIGKILL":
        assert "done" == process.live(client, folder, None)
    else:
        assert "done" == end
    found = Found.on(folder)
    found.judge()
    (role,) = found.roles
    ending = "jit.revoked" if client == "revoked" else "jit.ended"
    assert ("ended", "", 1) == (role.state, found.holder, found.told[ending])
    return end == "SIGKILL"


@pytest.mark.parametrize("client", CLIENTS)
def test_access_when_the_relay_dies_at_any_boundary(tmp_path: Path, client: str) -> None:
    """However it dies, a role is granted once for an approval, and it is taken back."""
    kill_at = 1
    with mortal("tests.e2e.jit_kill_child", tmp_path / "base") as process:
        while dies(process, client, tmp_path / str(kill_at), kill_at):
            kill_at += 1

    assert kill_at > AT_LEAST
