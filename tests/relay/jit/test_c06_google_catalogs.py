"""C6: who is eligible by Policy Analyzer and by Asset Inventory, asked over HTTPS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.relay.sim_devices import ManualClock

from quorumkey_relay.domain.jit.entitlement import (
    Entitlement,
    EntitlementId,
    Listing,
    TemporaryAccess,
)
from quorumkey_relay.eligibility.google_rest import BATCH
from quorumkey_relay.eligibility.opening import open_source
from quorumkey_relay.jit_settings import EligibilitySettings, GoogleSource
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.standins.google_assets import SCOPE, GoogleAssets
from quorumkey_relay.standins.google_cloud import start_google_cloud
from quorumkey_relay.usecases.jit.ports import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path
    from typing import Literal

    from quorumkey_relay.domain.jit.policy import StoredPolicy
    from quorumkey_relay.eligibility.opening import OpenSource
    from quorumkey_relay.standins.google_cloud import GoogleCloud
    from quorumkey_relay.usecases.jit.ports import EligibilitySource

pytestmark = pytest.mark.anyio

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
TEAM, NESTED = "team@example.com", "nested@example.com"
JIT = "has({}.jitAccessConstraint)"
MPA = "has({}.multiPartyApprovalConstraint)"
LIMIT = 'resource.name.startsWith("a")'
WINDOW = (
    '(request.time >= timestamp("2026-01-01T00:00:00Z") && '
    'request.time < timestamp("2026-01-01T01:00:00Z"))'
)
ADMIN = EntitlementId("project-1", "roles/compute.admin")


def binding(role: str, *members: str, condition: str = "", title: str = "x") -> dict[str, object]:
    """A binding as Google has it; members without a kind are people."""
    named = [one if ":" in one else f"user:{one}" for one in members]
    expr = {"condition": {"title": title, "expression": condition}} if condition else {}
    return {"role": role, "members": named, **expr}


class NoStore:
    """Nothing is kept in the relay."""

    def policies(self, integrator_id: str) -> Mapping[str, StoredPolicy]:
        """Nothing."""
        raise AssertionError(integrator_id)


class World:
    """The stand-in, with one project, and both catalogs over it."""

    def __init__(self, cloud: GoogleCloud, clock: ManualClock) -> None:
        """Begin with a project without bindings."""
        self.cloud = cloud
        self.assets = GoogleAssets(cloud, clock.now)
        self._clock = clock
        self._open: list[OpenSource] = []
        self.bind()

    def bind(self, *bindings: dict[str, object], project: str = "project-1") -> None:
        """Set the policy of a project."""
        self.cloud.put_policy(project, bindings)

    def source(self, catalog: Literal["policy_analyzer", "asset_inventory"]) -> EligibilitySource:
        """A source as the settings name it."""
        settings = GoogleSource(
            scope=SCOPE,
            service_account_file=self.cloud.files.service_account_file,
            catalog=catalog,
            asset_url=self.cloud.url,
            groups_url=f"{self.cloud.url}/",
        )
        opened = open_source(
            EligibilitySettings(google=settings),
            store=NoStore(),
            integrator_id="unused",
            clock=self._clock,
            roots=self.cloud.files.ca_file.read_bytes(),
        )
        self._open.append(opened)
        return opened.source

    @property
    def analyzer(self) -> EligibilitySource:
        """Policy Analyzer."""
        return self.source("policy_analyzer")

    @property
    def inventory(self) -> EligibilitySource:
        """Asset Inventory."""
        return self.source("asset_inventory")

    async def close(self) -> None:
        """Close every source."""
        for opened in self._open:
            await opened.close()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the stand-in's keys, which take a while to make."""
    return tmp_path_factory.mktemp("google")


@pytest.fixture
async def world(keys: Path, anyio_backend: object) -> AsyncGenerator[World, None]:
    """A Google Cloud of its own for each test."""
    del anyio_backend
    clock = ManualClock()
    async with start_google_cloud(keys, now=clock.now) as cloud:
        opened = World(cloud, clock)
        yield opened
        await opened.close()


def roles(listing: Listing) -> list[tuple[str, str]]:
    """The roles of a listing, each with its limit."""
    return [(one.id.role, one.id.condition) for one in listing.entitlements]


# Policy Analyzer


async def test_c06_analyzer_leaves_out_limited_roles(world: World) -> None:
    """Only bindings that nothing but the marker limits are eligible."""
    world.bind(
        binding("roles/compute.admin", ALICE, condition=JIT),
        binding("roles/storage.admin", ALICE, condition=f"{JIT} && {LIMIT}"),
        binding("roles/run.admin", BOB, condition=JIT),
        binding("roles/viewer", ALICE),
    )

    assert [("roles/compute.admin", "")] == roles(await world.analyzer.listing(ALICE, "project-1"))


async def test_c06_analyzer_wants_conditional(world: World) -> None:
    """A marker whose condition Google could evaluate is none."""
    world.bind(binding("roles/compute.admin", ALICE, condition="has({ }.jitAccessConstraint)"))

    assert Listing() == await world.analyzer.listing(ALICE, "project-1")


async def test_c06_analyzer_unfolds_groups(world: World) -> None:
    """Members of groups inside groups are eligible, and are holders."""
    world.assets.groups = {TEAM: [NESTED, BOB], NESTED: [ALICE]}
    world.bind(binding("roles/compute.admin", f"group:{TEAM}", CAROL, condition=MPA))

    assert await world.analyzer.is_eligible(ALICE, ADMIN, "MPA")
    assert not await world.analyzer.is_eligible(ALICE, ADMIN, "JIT")
    assert {ALICE, BOB, CAROL} == await world.analyzer.holders(ADMIN)


async def test_c06_analyzer_sees_what_is_inherited(world: World) -> None:
    """Bindings of the organization count in its projects."""
    world.assets.inherited = [binding("roles/compute.admin", ALICE, condition=MPA)]
    world.bind(project="project-2")

    assert [("roles/compute.admin", "")] == roles(await world.analyzer.listing(ALICE, "project-2"))
    assert {"project-1", "project-2"} <= set(await world.analyzer.projects(ALICE))
    assert () == await world.analyzer.projects(BOB)


async def test_c06_analyzer_tells_what_is_active(world: World) -> None:
    """A temporary binding is active whatever Google's evaluation of its condition says."""
    world.bind(
        binding("roles/compute.admin", ALICE, condition=WINDOW, title="JIT access activation")
    )
    found = await world.analyzer.listing(ALICE, "project-1")

    assert (TemporaryAccess(ADMIN, 1_767_225_600, 1_767_229_200),) == found.active
    assert () == await world.analyzer.projects(ALICE)


async def test_c06_analyzer_warns_of_what_it_did_not_see(world: World) -> None:
    """An analysis that did not look everywhere is shown with a warning."""
    world.bind(binding("roles/compute.admin", ALICE, condition=JIT))
    world.assets.faults.partly_explored = True
    found = await world.analyzer.listing(ALICE, "project-1")

    assert [("roles/compute.admin", "")] == roles(found)
    assert ("Google did not look everywhere, so there may be more.",) == found.warnings


async def test_c06_analyzer_warns_of_what_it_cannot_read(world: World) -> None:
    """A condition that has no one form makes nobody eligible, and is told of."""
    world.bind(
        binding("roles/compute.admin", ALICE, condition=f"{JIT} && request.a.all(request, true)")
    )
    found = await world.analyzer.listing(ALICE, "project-1")

    assert () == found.entitlements
    assert 1 == len(found.warnings)


async def test_c06_analyzer_cannot_have_holders_of_a_limited_role(world: World) -> None:
    """Nobody holds a limited role by Policy Analyzer."""
    world.bind(binding("roles/compute.admin", ALICE, condition=f"{MPA} && {LIMIT}"))
    limited = EntitlementId("project-1", "roles/compute.admin", LIMIT)

    assert not await world.analyzer.holders(limited)
    assert not await world.analyzer.is_eligible(ALICE, limited, "MPA")


async def test_c06_analyzer_does_not_know_a_project(world: World) -> None:
    """An unknown project is one without entitlements."""
    assert Listing() == await world.analyzer.listing(ALICE, "project-9")


# Asset Inventory


async def test_c06_inventory_takes_limited_roles(world: World) -> None:
    """Resource conditions are part of the entitlement."""
    world.bind(
        binding("roles/compute.admin", ALICE, condition=JIT),
        binding("roles/storage.admin", ALICE, condition=f"{JIT} && ({LIMIT})"),
        binding("roles/run.admin", BOB, condition=JIT),
    )
    found = await world.inventory.listing(ALICE, "project-1")

    assert [("roles/compute.admin", ""), ("roles/storage.admin", LIMIT)] == roles(found)
    assert Entitlement(ADMIN, "JIT") == found.entitlements[0]


async def test_c06_inventory_follows_no_nested_groups(world: World) -> None:
    """Direct members of a group are eligible; members of a group inside it are not."""
    world.assets.groups = {TEAM: [NESTED, BOB], NESTED: [ALICE]}
    world.bind(binding("roles/compute.admin", f"group:{TEAM}", CAROL, condition=MPA))

    assert not await world.inventory.is_eligible(ALICE, ADMIN, "MPA")
    assert await world.inventory.is_eligible(BOB, ADMIN, "MPA")
    assert {BOB, CAROL} == await world.inventory.holders(ADMIN)


async def test_c06_inventory_passes_over_denied_groups(world: World) -> None:
    """A group that the account may not look up has no members; the others still count."""
    world.assets.groups = {TEAM: [BOB], NESTED: [ALICE]}
    world.assets.faults.denied_groups = {TEAM}
    world.bind(
        binding(
            "roles/compute.admin",
            f"group:{TEAM}",
            f"group:{NESTED}",
            "group:unknown@example.com",
            condition=MPA,
        )
    )

    assert {ALICE} == await world.inventory.holders(ADMIN)
    world.assets.faults.denies_searches = True
    assert not await world.inventory.is_eligible(ALICE, ADMIN, "MPA")


async def test_c06_inventory_asks_for_groups_only_where_some_are_eligible(world: World) -> None:
    """Groups are not looked up where no eligible binding names one."""
    world.assets.groups = {TEAM: [BOB]}
    world.bind(
        binding("roles/viewer", f"group:{TEAM}"),
        binding("roles/compute.admin", ALICE, condition=MPA),
    )
    await world.inventory.listing(ALICE, "project-1")
    await world.inventory.holders(ADMIN)

    assert not [path for path in world.assets.calls if "groups" in path]


async def test_c06_inventory_reads_every_page(world: World) -> None:
    """Long answers come in pages: projects, groups and members."""
    world.assets.page = 2
    people = [f"person-{number}@example.com" for number in range(5)]
    world.assets.groups = {
        **{f"group-{number}@example.com": [ALICE] for number in range(5)},
        TEAM: [*people, "no address", ALICE],
    }
    for number in range(BATCH + 5):
        world.bind(
            binding("roles/compute.admin", f"group:{TEAM}", condition=MPA),
            project=f"many-{number:02}",
        )
    mine = EntitlementId("many-00", "roles/compute.admin")

    assert {*people, ALICE} == await world.inventory.holders(mine)
    found = await world.inventory.projects(people[0])
    assert [f"many-{number:02}" for number in range(BATCH + 5)] == list(found)
    assert () == await world.inventory.projects("nobody@example.com")


async def test_c06_inventory_sees_what_is_inherited(world: World) -> None:
    """Bindings of the organization count in its projects."""
    world.assets.inherited = [binding("roles/compute.admin", ALICE, condition=MPA)]

    assert {ALICE} == await world.inventory.holders(ADMIN)


async def test_c06_inventory_does_not_know_a_project(world: World) -> None:
    """An unknown project is one without entitlements."""
    assert Listing() == await world.inventory.listing(ALICE, "project-9")


async def test_c06_inventory_passes_over_a_project_that_was_deleted(world: World) -> None:
    """A project that the search still finds keeps nobody from the others."""
    world.bind(binding(ADMIN.role, ALICE, condition=JIT))
    prefix = "//cloudresourcemanager.googleapis.com/projects/"
    found = {"results": [{"name": f"{prefix}{project}"} for project in ("gone", "project-1")]}
    world.assets.faults.bodies.append(json.dumps(found).encode())

    assert ("project-1",) == await world.inventory.projects(ALICE)


async def test_c06_address_with_a_quote(world: World) -> None:
    """An address is asked for as it is, whatever it has in it."""
    odd = "o'brien\\x@example.com"
    world.assets.groups = {TEAM: [odd]}
    world.bind(binding("roles/compute.admin", f"group:{TEAM}", condition=MPA))

    assert await world.inventory.is_eligible(odd, ADMIN, "MPA")


# What goes wrong


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
@pytest.mark.parametrize("catalog", ["policy_analyzer", "asset_inventory"])
async def test_c06_google_refuses(
    world: World, catalog: Literal["policy_analyzer", "asset_inventory"], status: int
) -> None:
    """Any other answer is none: nobody is told that somebody is not eligible."""
    world.assets.faults.statuses = [status]

    with pytest.raises(SourceUnavailable, match=rf"^Google answers with status {status}\.$"):
        await world.source(catalog).is_eligible(ALICE, ADMIN, "MPA")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"policyResults": 1}', b"[" * 100_000])
async def test_c06_answer_that_cannot_be_read(world: World, body: bytes) -> None:
    """An answer of another form is none."""
    world.assets.faults.bodies = [body]

    with pytest.raises(SourceUnavailable):
        await world.inventory.listing(ALICE, "project-1")


@pytest.mark.parametrize("name", ["", "people/1", "groups/1:x", "groups/../x"])
async def test_c06_group_without_a_name(world: World, name: str) -> None:
    """What Cloud Identity calls a group is put into a path only if it is a name."""
    world.assets.groups = {TEAM: [ALICE]}
    world.bind(binding("roles/compute.admin", f"group:{TEAM}", condition=MPA))
    source = world.inventory
    policy = b'{"policyResults": [{"fullResourceName": "%s", "policies": [{"policy": %s}]}]}' % (
        b"//cloudresourcemanager.googleapis.com/projects/project-1",
        b'{"bindings": [{"role": "roles/compute.admin", "members": ["group:%s"],'
        b' "condition": {"expression": "%s"}}]}' % (TEAM.encode(), MPA.encode()),
    )
    world.assets.faults.bodies = [policy, b'{"name": "%s"}' % name.encode()]

    with pytest.raises(SourceUnavailable, match=r"^Cloud Identity gave a group no name\.$"):
        await source.holders(ADMIN)


async def test_c06_answer_without_an_end(world: World) -> None:
    """Pages that never end are not read for ever."""
    world.assets.page = 0

    with pytest.raises(SourceUnavailable, match="pages"):
        await world.inventory.projects(ALICE)


async def test_c06_token_refused(world: World) -> None:
    """Without an access token there is no answer."""
    world.cloud.stand.faults.token_status = 400
    try:
        with pytest.raises(SourceUnavailable, match=r"no access token \(refused\)"):
            await world.analyzer.projects(ALICE)
        world.cloud.stand.faults.token_status = 503
        with pytest.raises(SourceUnavailable, match="no access tokens now"):
            await world.analyzer.projects(ALICE)
    finally:
        world.cloud.stand.faults.token_status = None


async def test_c06_unreachable(world: World) -> None:
    """Without a connection there is no answer."""
    source = world.analyzer
    await source.projects(ALICE)
    await world.close()

    with pytest.raises(SourceUnavailable, match=r"^Google cannot be reached \(broken\)\.$"):
        await source.projects(ALICE)


def test_c06_account_that_is_none(tmp_path: Path) -> None:
    """A service account that cannot be read is a problem of the settings."""
    settings = GoogleSource(scope=SCOPE, service_account_file=tmp_path / "missing.json")

    with pytest.raises(ConfigError):
        open_source(
            EligibilitySettings(google=settings),
            store=NoStore(),
            integrator_id="unused",
            clock=ManualClock(),
        )
