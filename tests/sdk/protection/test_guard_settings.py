from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.sdk.protection.gate_double import CATALOGUE, GateDouble, guard_of
from tests.sdk.relay_double import API_KEY, URL, Phone

from quorumkey import protection
from quorumkey.client import ConfirmedDevice
from quorumkey.errors import ConfigurationError
from quorumkey.protection import Caller, Guard, Method, Roster, UnsafeTrustRelay
from quorumkey.protocol import Approver, Party, PublicKey

if TYPE_CHECKING:
    from pathlib import Path

ALICE = Phone("alice")
BOB = Phone("bob")


def confirmed(phone: Phone) -> ConfirmedDevice:
    """A device whose pairing was confirmed."""
    return ConfirmedDevice(
        fingerprint=phone.key.public_key.fingerprint,
        device_public_key=phone.key.public_key,
        approver=Party(phone.person),
        platform="cli",
        assurance="none",
        bound=True,
    )


def test_a_roster_of_confirmed_devices() -> None:
    """Confirmed pairings and approvers become one roster, by person."""
    second = Phone("alice")
    roster = Roster.of([confirmed(ALICE), second.approver, BOB.approver])

    assert {
        "alice": {ALICE.key.public_key, second.key.public_key},
        "bob": {BOB.key.public_key},
    } == roster.administrators


def test_a_roster_is_stored_and_read(tmp_path: Path) -> None:
    """A roster comes back from its file as it was."""
    devices = [confirmed(phone) for phone in (ALICE, BOB, Phone("carol"))]
    roster = Roster.of(devices, required=3, count_requestor=False)
    path = tmp_path / "roster.json"
    roster.save(path)

    assert roster == Roster.load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[]", "no object"),
        (b"{", "malformed"),
        (b'{"administrators": [], "required": 2, "count_requestor": true}', "nobody"),
        (b'{"administrators": []}', "required"),
        (b'{"administrators": [], "required": 2}', "count_requestor"),
        (b'{"administrators": [], "required": 2, "count_requestor": true, "x": 1}', "unknown"),
        (
            (
                b'{"administrators": [{"id": "a", "device_public_keys": ["x"]}], "required": 2,'
                b' "count_requestor": true}'
            ),
            "device_public_keys",
        ),
        (
            (
                b'{"administrators": [{"id": "a", "device_public_keys": []},'
                b' {"id": "a", "device_public_keys": []}], "required": 2, "count_requestor": true}'
            ),
            "twice",
        ),
        (
            (
                b'{"administrators": [{"id": "", "device_public_keys": []}], "required": 2,'
                b' "count_requestor": true}'
            ),
            "id",
        ),
    ],
    ids=["list", "cut", "empty", "bare", "counting", "member", "key", "twice", "nameless"],
)
def test_a_roster_that_is_none(text: bytes, said: str) -> None:
    """What is no roster is refused with a reason, which does not blame the relay."""
    with pytest.raises(ConfigurationError, match=said) as refused:
        Roster.decode(text)

    assert "relay" not in str(refused.value)


def test_a_roster_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is a configuration error."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Roster.load(tmp_path / "roster.json")


@pytest.mark.parametrize("required", [1, 0, True, "2"], ids=repr)
def test_a_roster_that_asks_for_too_little(required: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """A roster that nobody beside the caller would have to sign for is refused."""
    with pytest.raises(ConfigurationError, match="approvers"):
        Roster.of([confirmed(ALICE)], required=required)


def test_a_roster_whose_key_is_two_peoples() -> None:
    """A key under two administrators, which every verification would refuse, is told at once."""
    key = ALICE.key.public_key
    with pytest.raises(ConfigurationError, match="two administrators"):
        Roster({"alice": frozenset({key}), "bob": frozenset({key})})


@pytest.mark.parametrize("bobs", [None, frozenset[PublicKey]()], ids=["unnamed", "no-device"])
def test_a_roster_that_nothing_could_meet(bobs: frozenset[PublicKey] | None) -> None:
    """Fewer administrators with a device than are required could approve nothing."""
    others = {} if bobs is None else {"bob": bobs}
    with pytest.raises(ConfigurationError, match="fewer"):
        Roster({"alice": frozenset({ALICE.key.public_key})} | others)


def test_a_roster_needs_persons() -> None:
    """A device that is nobody's cannot be pinned; an empty roster approves nothing."""
    public = ALICE.key.public_key
    with pytest.raises(ConfigurationError, match="approver_id"):
        Roster.of([Approver(public.fingerprint, public.base64)])
    with pytest.raises(ConfigurationError, match="nobody"):
        Roster.of([])


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "200"),
        ({"kind": "sometimes"}, "kind"),
        ({"permission": "execute"}, "permission"),
        ({"kind": "always", "permission": "read"}, "only reads"),
        ({"kind": "default", "permission": "read"}, "only reads"),
        ({"default_condition": "true"}, "default condition"),
    ],
    ids=["nameless", "long", "kind", "permission", "always-read", "default-read", "condition"],
)
def test_a_method_that_cannot_be_declared(members: dict[str, Any], said: str) -> None:
    """A declaration that makes no sense is refused where it stands."""
    every: dict[str, Any] = {"name": "KillProcess", **members}
    with pytest.raises(ConfigurationError, match=said):
        Method(**every)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"kind": "robot"}, "person or an api_key"),
        ({"id": ""}, "id"),
        ({"id": "x" * 129}, "128"),
        ({"name": "\u202eecilA"}, "name"),
    ],
    ids=["kind", "nameless", "long", "direction"],
)
def test_a_caller_that_is_none(members: dict[str, Any], said: str) -> None:
    """A caller whom approvers could not be shown is refused."""
    every: dict[str, Any] = {"kind": "person", "id": "alice", **members}
    with pytest.raises(ConfigurationError, match=said):
        Caller(**every)


def test_a_catalogue_names_each_method_once() -> None:
    """Two methods of one name, and none at all, are refused."""
    for methods in ((Method("A"), Method("A")), ()):
        with pytest.raises(ConfigurationError):
            Guard(URL, API_KEY, service="s", methods=methods, administrators=UnsafeTrustRelay())


async def _enter(relay: GateDouble) -> None:
    methods = (
        Method("Kill", kind="default", default_condition="request.x == 1", resolver=_found),
        Method("List", permission="read"),
    )
    async with guard_of(relay, methods=methods):
        pass


def _found(_: object) -> dict[str, str | int]:
    return {}


def test_what_is_registered() -> None:
    """The catalogue says of each method what the relay has to know, and nothing else."""
    relay = GateDouble()
    asyncio.run(_enter(relay))

    assert [
        {
            "service": "workshop",
            "methods": [
                {
                    "name": "Kill",
                    "kind": "default",
                    "permission": "write",
                    "resolver": True,
                    "default_condition": "request.x == 1",
                },
                {"name": "List", "kind": "eligible", "permission": "read", "resolver": False},
            ],
        }
    ] == relay.bodies(CATALOGUE)


def test_the_public_names() -> None:
    """What a service may import is what is listed, and nothing goes unnoticed."""
    assert [
        "MAX_STALENESS_SECONDS",
        "ApprovalRequired",
        "Caller",
        "Claim",
        "ClaimState",
        "Guard",
        "Method",
        "MethodKind",
        "NobodyCanApproveError",
        "Proceed",
        "ProtectionError",
        "ProtectionMiddleware",
        "ProtectionUnavailable",
        "ProtobufMessage",
        "Request",
        "RequestRefused",
        "Resolver",
        "Resource",
        "ResultNotReportedError",
        "Roster",
        "Route",
        "RouteMatch",
        "Run",
        "Transaction",
        "TransactionState",
        "Unreachable",
        "UnsafeTrustRelay",
        "Verdict",
        "Vote",
        "Wait",
        "read_json",
    ] == protection.__all__
    assert all(getattr(protection, name) is not None for name in protection.__all__)
