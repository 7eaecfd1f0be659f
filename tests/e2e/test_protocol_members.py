"""What is asked (§5): action, text, parameters, bindings and other members have bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.protocol_client import Device, error_of, refused, request_body
from tests.e2e.protocol_crypto import Json, Key, b64, compact

if TYPE_CHECKING:
    from tests.e2e.protocol_world import World

INVALID = (400, "invalid_request")
TOO_MANY_REQUIRED = "Invalid MPA request: required cannot exceed number of groups"
BAD_LIFE = "Invalid expires_in_seconds: must be between 60 and 900"


@pytest.fixture(scope="module")
def device(world: World) -> Device:
    """A paired device."""
    return world.acme.device("rule-keeper")


def action(**members: object) -> Json:
    """An action with other members."""
    return {"type": "cold_boot", "description": "Cold boot"} | members


def strangers(world: World, count: int) -> list[Device]:
    """Devices that no relay has ever seen."""
    return [Device(world.relay, Key()) for _ in range(count)]


@pytest.mark.parametrize("kind", ["", "a" * 65, "Cold", "cold boot", "cold/boot", "é", "a\n"])
def test_action_type_is_a_small_name(world: World, device: Device, kind: str) -> None:
    """``action.type`` matches ``[a-z0-9_.:-]{1,64}``."""
    assert refused(world.acme.ask([device], action=action(type=kind))) == INVALID


def test_action_type_of_64_characters(world: World, device: Device) -> None:
    """Every character of the page's class and 64 of them are accepted."""
    assert world.acme.asked([device], action=action(type="az09_.:-" * 8))["status"] == "pending"


DIRECTIONS = (0x61C, 0x200B, 0x200E, 0x200F, *range(0x2028, 0x202F), 0x2060, 0xFEFF)
HIDDEN = [
    "", " ", " a", "a ", "\u00a0a", "a\u2003", "a\tb", "a\nb", "a\x00b", "a\x7fb", "a\u0085b",
    *(f"a{chr(point)}b" for point in (*DIRECTIONS, *range(0x2066, 0x206A))),
]  # fmt: skip


@pytest.mark.parametrize("text", HIDDEN)
def test_text_people_see_has_nothing_hidden(world: World, device: Device, text: str) -> None:
    """Control, separator and direction characters and outer white space are refused everywhere."""
    named = [{"name": text, "approvers": [device.named()]}]
    requester = {"id": "someone", "name": text}

    assert refused(world.acme.ask([device], action=action(description=text))) == INVALID
    assert refused(world.acme.ask([device], groups=named)) == INVALID
    assert refused(world.acme.ask([device], requester=requester)) == INVALID
    assert refused(world.acme.ask([device], action=action(params={text: 1}))) == INVALID
    if text:
        assert refused(world.acme.ask([device], action=action(params={"a": text}))) == INVALID


@pytest.mark.parametrize("text", ["a" * 201, "\U0001f680" * 201])
def test_description_of_201_characters(world: World, device: Device, text: str) -> None:
    """A description has at most 200 code points."""
    assert refused(world.acme.ask([device], action=action(description=text))) == INVALID


@pytest.mark.parametrize(
    "text", ["a", "\U0001f680" * 200, "\u0645\u0631\u062d\u0628\u0627", "é" * 200]
)
def test_description_counts_code_points(world: World, device: Device, text: str) -> None:
    """200 code points are accepted whatever bytes they take."""
    assert world.acme.asked([device], action=action(description=text))["status"] == "pending"


def nested(depth: int) -> Json:
    """An object of a depth, itself counted."""
    value: Json = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def lists(depth: int) -> Json:
    """An object of a depth made with lists."""
    value: list[Any] = []
    for _ in range(depth - 2):
        value = [value]
    return {"a": value}


def sized(size: int) -> Json:
    """Params of a size in UTF-8 JSON."""
    return {"a": "x" * (size - len(compact({"a": ""})))}


@pytest.mark.parametrize(
    "params", [nested(6), lists(6), sized(8193), {"a" * 65: 1}, {"": 1}, [], "a", 1, True]
)
def test_params_are_a_small_object(world: World, device: Device, params: object) -> None:
    """``params`` is an object of depth 5 and 8192 bytes at most with keys of 1 to 64."""
    assert refused(world.acme.ask([device], action=action(params=params))) == INVALID


@pytest.mark.parametrize(
    "params",
    [nested(5), lists(5), sized(8192), {"k" * 64: 2**53 - 1}, {"a": -(2**53) + 1}, {"a": [True]}],
)
def test_params_at_their_bounds(world: World, device: Device, params: Json) -> None:
    """Params at the bounds are accepted."""
    assert world.acme.asked([device], action=action(params=params))["status"] == "pending"


NUMBERS = [
    b"1.0", b"1e2", b"-0", b"0.5", b"9007199254740992", b"-9007199254740992", b"-0.0", b"1E400",
    b"9" * 5000, b"NaN", b"Infinity", b"-Infinity",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_plain_integers(world: World, device: Device, number: bytes) -> None:
    """A point, an exponent, ``-0`` or a number past 2^53 - 1 is ``invalid_json``."""
    body = compact(request_body([device], action=action(params={"a": "NUMBER"})))

    answer = world.acme.raw("/v1/requests", body.replace(b'"NUMBER"', number))

    assert refused(answer) == (400, "invalid_json")


DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    "bindings",
    [
        {f"n{number}": DIGEST for number in range(9)},
        {"": DIGEST},
        {"a" * 33: DIGEST},
        {"Plan": DIGEST},
        {"a-b": DIGEST},
        {"plan": "0a" * 32},
        {"plan": "sha256:" + "0A" * 32},
        {"plan": "sha512:" + "0a" * 32},
        {"plan": DIGEST + "0"},
        {"plan": 1},
        [],
    ],
)
def test_bindings_are_eight_named_digests(world: World, device: Device, bindings: object) -> None:
    """``action.bindings`` are at most 8 digests under names ``[a-z0-9_]{1,32}``."""
    assert refused(world.acme.ask([device], action=action(bindings=bindings))) == INVALID


@pytest.mark.parametrize("seconds", [59, 901, 0, -1])
def test_life_has_the_fixed_message(world: World, device: Device, seconds: int) -> None:
    """``expires_in_seconds`` outside 60 to 900 is refused with the fixed message."""
    answer = world.acme.ask([device], expires_in_seconds=seconds)

    assert refused(answer) == INVALID
    assert error_of(answer)["message"] == BAD_LIFE


BAD_MEMBERS: list[tuple[str, object]] = [
    ("expires_in_seconds", "300"), ("expires_in_seconds", True), ("use_within_seconds", -1),
    ("use_within_seconds", 86_401), ("use_within_seconds", "0"), ("reject_policy", "all"),
    ("reject_policy", ""), ("distinct", "people"), ("min_assurance", "high"),
    ("match_code", "1"), ("match_code", "1234567"), ("match_code", "12a"), ("match_code", 123),
    ("match_code", "\u0661\u0662"), ("match_code", "12 "), ("match_code", "12\n"),
    ("nonce", b64(bytes(31))), ("nonce", b64(bytes(33))), ("nonce", ""),
    ("nonce", b64(bytes(32)).rstrip("=")), ("nonce", "_" * 43 + "="), ("nonce", "A" * 42 + "B="),
    ("nonce", " " + b64(bytes(32))), ("requester", {"id": ""}), ("requester", {"id": "a" * 129}),
    ("requester", {}), ("requester", {"id": "a", "name": "b" * 81}), ("requester", "ann"),
    ("requester", {"id": "a", "more": 1}), ("groups", {}), ("groups", ["a"]), ("action", []),
    ("action", {"type": "a"}), ("action", {"description": "a"}), ("extra", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD_MEMBERS)
def test_members_have_their_values(world: World, device: Device, name: str, value: object) -> None:
    """A member with a value that the page does not give it is refused."""
    assert refused(world.acme.ask([device], **{name: value})) == INVALID


@pytest.mark.parametrize(
    "name",
    [
        "expires_in_seconds",
        "reject_policy",
        "distinct",
        "min_assurance",
        "requester",
        "nonce",
        "use_within_seconds",
        "match_code",
    ],
)
def test_absent_members_are_not_null(world: World, device: Device, name: str) -> None:
    """An optional member is absent, never null."""
    assert refused(world.acme.ask([device], **{name: None})) == INVALID


def test_nested_members_are_not_null(world: World, device: Device) -> None:
    """Optional members inside others are never null either."""
    approver = device.named() | {"approver_id": None}
    groups = [{"name": "A", "approvers": [approver]}]

    assert refused(world.acme.ask(groups=groups, required=1)) == INVALID
    assert refused(world.acme.ask([device], action=action(params=None))) == INVALID
    assert refused(world.acme.ask([device], action=action(bindings=None))) == INVALID
    assert refused(world.acme.ask([device], requester={"id": "a", "name": None})) == INVALID


def test_unknown_members_are_refused_at_every_level(world: World, device: Device) -> None:
    """A member that the page does not know is refused wherever it stands."""
    group = {"name": "A", "approvers": [device.named()]}
    approver = {"name": "A", "approvers": [device.named() | {"weight": 1}]}

    assert refused(world.acme.ask(groups=[group | {"quorum": 1}], required=1)) == INVALID
    assert refused(world.acme.ask(groups=[approver], required=1)) == INVALID
    assert refused(world.acme.ask([device], action=action(target="x"))) == INVALID


def test_each_rule_has_its_own_message(world: World, device: Device) -> None:
    """Two rules are never told with the same words."""
    bodies: list[Json] = [
        {"required": 2}, {"required": 0}, {"groups": []}, {"expires_in_seconds": 1},
        {"use_within_seconds": -1}, {"reject_policy": "x"}, {"distinct": "x"},
        {"min_assurance": "x"}, {"match_code": "x"}, {"nonce": "x"}, {"requester": {"id": ""}},
        {"action": action(type="X")}, {"action": action(description="")},
        {"action": action(params=nested(6))}, {"action": action(params=sized(8193))},
        {"action": action(params={"a" * 65: 1})}, {"action": action(bindings={"A": DIGEST})},
        {"action": action(bindings={"a": "x"})}, {"extra": 1},
    ]  # fmt: skip
    answers = [world.acme.ask([device], **body) for body in bodies]
    answers += [
        world.acme.ask([device], [device]),
        world.acme.ask(strangers(world, 1)),
        world.acme.ask([device], min_assurance="tee"),
        world.acme.ask(strangers(world, 51)),
    ]

    messages = [str(error_of(answer)["message"]) for answer in answers]

    assert len(set(messages)) == len(messages)
