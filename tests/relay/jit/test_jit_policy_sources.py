"""Policies from a file, and from the relay's store."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from tests.relay.sim_devices import ManualClock

from quorumkey_relay.domain.jit.entitlement import EntitlementId, Listing
from quorumkey_relay.domain.jit.policy import MAX_BINDINGS, MAX_POLICY_BYTES, StoredPolicy
from quorumkey_relay.eligibility.opening import open_source
from quorumkey_relay.eligibility.policy import MAX_GROUPS, PolicyError, groups_of, read_policy
from quorumkey_relay.eligibility.policy_file import PolicyFileSource
from quorumkey_relay.eligibility.stored import StoredPolicySource
from quorumkey_relay.jit_settings import EligibilitySettings
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.usecases.jit.ports import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.anyio

ALICE, BOB = "alice@example.com", "bob@example.com"
MPA = "has({}.multiPartyApprovalConstraint)"
#: As ``gcloud projects get-iam-policy project-1 --format json`` prints it.
PRINTED = {
    "bindings": [
        {
            "condition": {
                "description": "Who may activate it",
                "expression": MPA,
                "title": "Eligible",
            },
            "members": ["group:team@example.com", f"user:{ALICE.title()}"],
            "role": "roles/compute.admin",
        },
        {"members": [f"user:{ALICE}"], "role": "roles/owner"},
    ],
    "etag": "BwYvGqUNz1U=",
    "version": 3,
}
ADMIN = EntitlementId("project-1", "roles/compute.admin")
YAML = """
projects:
  project-1:
    bindings:
      - role: roles/compute.admin
        members: ["user:alice@example.com", "group:team@example.com"]
        condition: {title: Eligible, expression: "has({}.multiPartyApprovalConstraint)"}
  project-2: {}
groups:
  team@example.com: [bob@example.com]
"""


class Store:
    """Policies as a store has them."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredPolicy] = {}

    def put(self, project: str, document: bytes) -> None:
        """Keep a new edition."""
        self.kept[project] = StoredPolicy(
            integrator_id="mine", project=project, revision=1, document=document, changed_at=0
        )

    def policies(self, integrator_id: str) -> Mapping[str, StoredPolicy]:
        """The policies of one integrator."""
        return self.kept if integrator_id == "mine" else {}


def written(path: Path, content: str) -> PolicyFileSource:
    """A source that reads a file with this content."""
    path.write_text(content)
    return PolicyFileSource(path)


# A file


async def test_policy_file_in_yaml(tmp_path: Path) -> None:
    """Several projects and the groups that they name stand in one file."""
    source = written(tmp_path / "policy.yaml", YAML)

    assert ("project-1",) == await source.projects(BOB)
    assert {ALICE, BOB} == await source.holders(ADMIN)
    assert await source.is_eligible(BOB, ADMIN, "MPA")
    assert not await source.is_eligible("carol@example.com", ADMIN, "MPA")
    found = await source.listing(BOB, "project-1")
    assert [ADMIN] == [one.id for one in found.entitlements]
    assert Listing() == await source.listing(ALICE, "project-2")
    assert Listing() == await source.listing(ALICE, "project-3")


async def test_policy_file_with_what_gcloud_prints(tmp_path: Path) -> None:
    """A project may name the file into which gcloud's output was put."""
    (tmp_path / "project-1.json").write_text(json.dumps(PRINTED))
    source = written(tmp_path / "policy.yaml", "projects:\n  project-1: {file: project-1.json}\n")

    assert {ALICE} == await source.holders(ADMIN)


async def test_policy_file_whose_groups_are_of_one_project(tmp_path: Path) -> None:
    """Who keeps the file of one project puts nobody into a group of another project."""
    own = {**PRINTED, "groups": {"team@example.com": [BOB]}}
    (tmp_path / "one.json").write_text(json.dumps(PRINTED))
    (tmp_path / "two.json").write_text(json.dumps(own))
    source = written(
        tmp_path / "policy.yaml",
        "projects: {project-1: {file: one.json}, project-2: {file: two.json}}",
    )

    assert ("project-2",) == await source.projects(BOB)
    assert not await source.is_eligible(BOB, ADMIN, "MPA")
    assert {ALICE} == await source.holders(ADMIN)
    assert {ALICE, BOB} == await source.holders(EntitlementId("project-2", ADMIN.role))


async def test_policy_file_of_one_project(tmp_path: Path) -> None:
    """One policy, as gcloud prints it, needs nothing but its project's id beside it."""
    source = written(tmp_path / "policy.json", json.dumps({"project": "project-1", **PRINTED}))

    assert {ALICE} == await source.holders(ADMIN)
    assert ("project-1",) == await source.projects(ALICE)


async def test_policy_file_that_looks_like_json(tmp_path: Path) -> None:
    """A YAML file may begin with a brace too."""
    source = written(
        tmp_path / "policy.yaml", '{project: p, bindings: [{role: r, members: ["x"]}]}'
    )

    assert Listing() == await source.listing(ALICE, "p")


async def test_policy_file_that_changes(tmp_path: Path) -> None:
    """A change counts at the next answer, in the file or in one that it names."""
    (tmp_path / "one.json").write_text(json.dumps(PRINTED))
    path = tmp_path / "policy.yaml"
    source = written(path, "projects: {project-1: {file: one.json}}")
    assert await source.is_eligible(ALICE, ADMIN, "MPA")

    (tmp_path / "one.json").write_text(json.dumps({"bindings": []}))
    assert not await source.is_eligible(ALICE, ADMIN, "MPA")
    (tmp_path / "two.json").write_text(json.dumps(PRINTED))
    path.write_text("projects: {project-1: {file: two.json}} # other")
    assert await source.is_eligible(ALICE, ADMIN, "MPA")


async def test_policy_file_of_the_same_size_and_time(tmp_path: Path) -> None:
    """A file that takes another's place is read, whatever its time says."""
    path = tmp_path / "policy.yaml"
    source = written(path, YAML)
    assert await source.is_eligible(ALICE, ADMIN, "MPA")
    before = path.stat()

    other = tmp_path / "other"
    other.write_text(YAML.replace("user:alice", "user:clare"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)

    assert not await source.is_eligible(ALICE, ADMIN, "MPA")


async def test_policy_file_whose_time_was_put_back(tmp_path: Path) -> None:
    """A file that is written over is read, even if its size and its time are what they were."""
    path = tmp_path / "policy.yaml"
    source = written(path, YAML)
    assert await source.is_eligible(ALICE, ADMIN, "MPA")
    before = path.stat()

    path.write_text(YAML.replace("user:alice", "user:clare"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert not await source.is_eligible(ALICE, ADMIN, "MPA")


async def test_policy_file_is_read_once(tmp_path: Path) -> None:
    """As long as nothing changes, what was read is used again."""
    source = written(tmp_path / "policy.yaml", YAML)
    first = await source.listing(ALICE, "project-1")

    assert first.entitlements[0].id is (await source.listing(ALICE, "project-1")).entitlements[0].id


@pytest.mark.parametrize("bad", ["{", "projects: 1", "", "a: b"], ids=["", "kind", "empty", "else"])
async def test_policy_file_that_goes_bad(tmp_path: Path, bad: str) -> None:
    """A file that cannot be read makes nobody eligible, until it is mended."""
    path = tmp_path / "policy.yaml"
    source = written(path, YAML)
    assert await source.is_eligible(ALICE, ADMIN, "MPA")
    path.write_text(bad)
    for _ in range(2):
        with pytest.raises(SourceUnavailable, match=r"^The policy file: .*policy\.yaml.*\.$"):
            await source.is_eligible(ALICE, ADMIN, "MPA")
    path.write_text(YAML)

    assert await source.is_eligible(ALICE, ADMIN, "MPA")


async def test_policy_file_that_goes_away(tmp_path: Path) -> None:
    """Without the file there is no answer; when it comes there is one."""
    source = written(tmp_path / "policy.yaml", YAML)
    assert await source.projects(ALICE)
    (tmp_path / "policy.yaml").unlink()
    with pytest.raises(SourceUnavailable):
        await source.projects(ALICE)
    written(tmp_path / "policy.yaml", YAML)

    assert await source.projects(ALICE)


BAD_FILES = {
    "neither form": "groups: {}",
    "both forms": "projects: {}\nproject: p\nbindings: []",
    "bindings without a project": "bindings: []",
    "a project without bindings": "project: p",
    "no mapping": "[]",
    "a file and bindings": "projects: {p: {file: a.json, bindings: [{role: r}]}}",
    "a file that is missing": "projects: {p: {file: missing.json}}",
    "a file whose name is none": 'projects: {p: {file: "a\\0b"}}',
    "a project with a colon": "projects: {'a:b': {bindings: []}}",
    "a project with a space": "projects: {'a b': {bindings: []}}",
    "a project without a name": "projects: {'': {bindings: []}}",
    "a long project": f"projects: {{{'p' * 129}: {{bindings: []}}}}",
    "a group in a group": "projects: {}\ngroups: {a@x.example: [b@x.example], b@x.example: []}",
    "a member that is no person": "projects: {}\ngroups: {a@x.example: ['group:b@x.example']}",
    "a group without an address": "projects: {}\ngroups: {team: []}",
    "a group twice": "projects: {}\ngroups: {a@example.com: [], A@example.com: []}",
    "another group of that name": (
        "projects: {p: {groups: {a@example.com: [x@example.com]}}}\ngroups: {a@example.com: []}"
    ),
    "members that are none": "projects: {p: {bindings: [{role: r, members: x}]}}",
    "an alias": "projects: {p: &a {bindings: []}, q: *a}",
    "a member twice": "projects: {p: {bindings: []}, p: {bindings: []}}",
    "a member twice in JSON": '{"project": "p", "bindings": [], "bindings": []}',
    "JSON of another kind": '{"projects": {"p": {"bindings": [{"role": 1}]}}}',
    "too many projects": "projects: {" + ", ".join(f"p{n}: {{}}" for n in range(1_001)) + "}",
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_policy_file_that_is_none(tmp_path: Path, content: str) -> None:
    """A file that is refused says in a sentence why."""
    source = written(tmp_path / "policy.yaml", content)

    with pytest.raises(PolicyError, match=r"\.$"):
        source.check()


def test_policy_file_of_other_bytes(tmp_path: Path) -> None:
    """Bytes that are no text, and too many of them, are refused."""
    path = tmp_path / "policy.yaml"
    for content in (b"\xff\xfe", b"#" * (MAX_POLICY_BYTES + 1), b"[" * 10_000):
        path.write_bytes(content)
        with pytest.raises(PolicyError):
            PolicyFileSource(path).check()


def test_policy_file_that_is_a_folder(tmp_path: Path) -> None:
    """A folder is no file."""
    with pytest.raises(PolicyError, match="cannot be read"):
        PolicyFileSource(tmp_path).check()


def test_policy_file_is_looked_at_when_the_relay_starts(tmp_path: Path) -> None:
    """A relay does not start with a policy file that it cannot read."""
    settings = EligibilitySettings(file=tmp_path / "policy.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        open_source(settings, store=Store(), integrator_id="mine", clock=ManualClock())


async def test_sources_of_the_settings(tmp_path: Path) -> None:
    """A file, or the policies in the relay: what the settings name is opened."""
    store = Store()
    store.put("project-1", json.dumps(PRINTED).encode())
    written(tmp_path / "policy.yaml", YAML)
    of_file = EligibilitySettings(file=tmp_path / "policy.yaml")
    of_store = EligibilitySettings(api=True)
    found: list[frozenset[str]] = []
    for settings in (of_file, of_store):
        opened = open_source(settings, store=store, integrator_id="mine", clock=ManualClock())
        found.append(await opened.source.holders(ADMIN))
        await opened.close()

    assert [{ALICE, BOB}, {ALICE}] == found


# The store


async def test_stored_policies() -> None:
    """Each project has its own policy, with the groups that it names beside its bindings."""
    store = Store()
    source = StoredPolicySource(store, "mine")
    assert () == await source.projects(ALICE)
    groups = {"groups": {"team@example.com": [BOB]}}
    store.put("project-1", json.dumps({**PRINTED, **groups}).encode())
    store.put("project-2", json.dumps(PRINTED).encode())

    assert ("project-1", "project-2") == await source.projects(ALICE)
    assert ("project-1",) == await source.projects(BOB)
    assert {ALICE, BOB} == await source.holders(ADMIN)
    assert [ADMIN] == [one.id for one in (await source.listing(BOB, "project-1")).entitlements]
    assert await source.is_eligible(ALICE, ADMIN, "MPA")
    assert not await StoredPolicySource(store, "other").is_eligible(ALICE, ADMIN, "MPA")


async def test_stored_policy_that_changes() -> None:
    """A new edition counts at once, and so does taking it away."""
    store = Store()
    source = StoredPolicySource(store, "mine")
    store.put("project-1", json.dumps(PRINTED).encode())
    assert await source.is_eligible(ALICE, ADMIN, "MPA")
    store.put("project-1", b'{"bindings": []}')
    assert not await source.is_eligible(ALICE, ADMIN, "MPA")
    store.put("project-1", json.dumps(PRINTED).encode())
    assert await source.is_eligible(ALICE, ADMIN, "MPA")
    store.kept.clear()

    assert not await source.is_eligible(ALICE, ADMIN, "MPA")
    assert Listing() == await source.listing(ALICE, "project-1")


async def test_stored_policy_that_cannot_be_read() -> None:
    """A policy that no release should have taken is no answer."""
    store = Store()
    store.put("project-1", b"[]")

    with pytest.raises(SourceUnavailable, match="project-1"):
        await StoredPolicySource(store, "mine").projects(ALICE)


# A policy


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}x",
        b'{"bindings": 1}',
        b'{"bindings": [{"members": [1]}]}',
        b'{"bindings": [{"condition": "true"}]}',
        b'{"groups": {"x": ["a@example.com"]}}',
        b"[" * 100_000,
        b" " * (MAX_POLICY_BYTES + 1),
        b'{"bindings": [%s]}' % b",".join([b"{}"] * (MAX_BINDINGS + 1)),
    ],
    ids=[
        *("nothing", "list", "bytes", "more", "kind", "member", "condition", "group", "deep"),
        *("large", "many"),
    ],
)
def test_policy_that_is_none(document: bytes) -> None:
    """A document that is no policy, or too large, is refused with a sentence."""
    with pytest.raises(PolicyError, match=r"\.$"):
        read_policy(document)


def test_policy_of_many_groups() -> None:
    """There are at most so many groups."""
    groups = {f"g{number}@example.com": () for number in range(MAX_GROUPS)}

    assert MAX_GROUPS == len(groups_of(groups))
    with pytest.raises(PolicyError):
        groups_of({**groups, "more@example.com": ()})


def test_policy_refusal_shows_nobody_a_raw_text() -> None:
    """What is repeated of a document is shortened and has nothing that a terminal would obey."""
    with pytest.raises(PolicyError) as refused:
        groups_of({"\x1b[2J" + "x" * 1_000: ()})

    assert str(refused.value).isascii()
    assert 200 > len(str(refused.value))
