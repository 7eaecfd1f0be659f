from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_type, cast

import pytest
from tests.sdk.protocol import examples

import quorumkey.protocol
from quorumkey.errors import ProtocolError
from quorumkey.protocol import (
    ASSURANCE_RANK,
    Action,
    Approver,
    Decision,
    Group,
    Kind,
    Policy,
    PrivateKey,
    Receipt,
    RequestDocument,
    Session,
    Statement,
    Verified,
    admits,
    check_assurance,
    check_expires_in,
    check_use_within,
    format_pairing_code,
    make_pairing_code,
    sign,
    statements,
    verify_statement,
)

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue


def test_verified_comes_from_the_verifier_only() -> None:
    """A verified statement cannot be made by hand, nor by changing one."""
    key = PrivateKey.generate()
    decision = examples.decision(key)
    envelope = sign(Kind.DECISION, decision.encode(), key)

    verified = verify_statement(envelope, Decision, key=key.public_key)

    assert_type(verified, Verified[Decision])
    assert (decision, envelope, None) == (
        verified.statement,
        verified.envelope,
        verified.sign_count,
    )
    with pytest.raises(TypeError, match="verify_statement"):
        Verified(decision, envelope, None, object())
    with pytest.raises(TypeError, match="verify_statement"):
        replace(verified, token=None, statement=examples.decision(key, decision="deny"))


def test_signature_is_checked_before_the_payload_is_read() -> None:
    """A payload that is no JSON is never read under a bad signature."""
    key, other = PrivateKey.generate(), PrivateKey.generate()
    envelope = sign(Kind.DECISION, b"no JSON", key)

    with pytest.raises(ProtocolError) as caught:
        verify_statement(envelope, Decision, key=other.public_key)
    assert "invalid_signature" == caught.value.code
    with pytest.raises(ProtocolError) as caught:
        verify_statement(envelope, Decision, key=key.public_key)
    assert "invalid_json" == caught.value.code


def test_type_is_checked_before_the_signature() -> None:
    """A session is no decision, even under the right key."""
    key = PrivateKey.generate()

    with pytest.raises(ProtocolError, match="payloadType must be") as caught:
        verify_statement(sign(Kind.SESSION, b"{}", key), Decision, key=key.public_key)

    assert "invalid_request" == caught.value.code


def test_constructors_refuse_what_decoding_refuses() -> None:
    """A statement made by hand keeps the same rules as one that was read."""
    key = PrivateKey.generate()
    wrong: list[dict[str, Any]] = [
        {"request_digest": "a" * 64},
        {"decision": "abstain"},
        {"device": "x"},
        {"decided_at": "2026-04-24T10:00:00Z"},
        {"decided_at": 10**12},
        {"reason": ""},
        {"reason": 1},
        {"code": "x"},
        {"critical": ("future",)},
        {"extensions": {str(number): 1 for number in range(33)}},
    ]
    for members in wrong:
        with pytest.raises(ProtocolError) as caught:
            examples.decision(key, **members)

        assert "invalid_request" == caught.value.code


def test_extensions_that_are_no_json_are_not_written() -> None:
    """Encoding refuses what no reader would accept."""
    key = PrivateKey.generate()
    decision = examples.decision(key, extensions={"x": cast("JsonValue", object())})

    with pytest.raises(ProtocolError) as caught:
        decision.encode()

    assert "invalid_json" == caught.value.code


def test_a_request_is_signed_and_read_back() -> None:
    """The document of the protocol's example survives signing, travel and reading."""
    relay = PrivateKey.generate()
    document = examples.request(relay)

    verified = verify_statement(
        sign(Kind.REQUEST, document.encode(), relay), RequestDocument, key=relay.public_key
    )

    assert document == verified.statement


def test_a_receipt_keeps_its_envelopes() -> None:
    """The envelopes in a receipt come out as the bytes that went in."""
    relay = PrivateKey.generate()
    envelope = sign(Kind.REQUEST, examples.request(relay).encode(), relay)
    receipt = Receipt(status="timeout", completed_at=examples.CREATED, request=envelope)

    assert envelope == Receipt.decode(receipt.encode()).request


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("required", True),
        ("reject_policy", None),
        ("distinct", "both"),
        ("min_assurance", "tpm"),
        ("match_code", 1),
    ],
)
def test_policy_made_of_unknown_types(name: str, value: object) -> None:
    """Values of unknown type become a policy only if they are of the right one."""
    right: dict[str, Any] = {"required": 1, "groups": examples.policy().groups}

    assert Policy(**right) == Policy.of(**right)
    right[name] = value
    with pytest.raises(ProtocolError):
        Policy.of(**right)


def test_duplicates_name_the_device_or_person() -> None:
    """The details of a duplicate say whose it is."""
    one, other = (examples.approver(PrivateKey.generate(), "p") for _ in range(2))

    with pytest.raises(ProtocolError) as caught:
        Policy(required=1, groups=(Group("a", (one,)), Group("b", (one,))))
    assert {"fingerprint": one.fingerprint} == caught.value.details
    with pytest.raises(ProtocolError) as caught:
        Policy(required=1, groups=(Group("a", (one,)), Group("b", (other,))))
    assert {"approver_id": "p"} == caught.value.details


def test_approver_holds_its_key() -> None:
    """An approver's fingerprint is that of the key beside it."""
    key = PrivateKey.generate().public_key

    assert key == Approver(key.fingerprint, key.base64).key
    with pytest.raises(ProtocolError) as caught:
        Approver("0" * 64, key.base64)
    assert "invalid_fingerprint" == caught.value.code


@pytest.mark.parametrize(
    "params",
    [
        {"n": 1.0},
        {"n": float("nan")},
        {"n": 2**53},
        {"n": (1, 2)},
        {"n": b"x"},
        {1: "n"},
        [],
        None,
        {"n": "\ud800"},
    ],
)
def test_params_of_foreign_types(params: object) -> None:
    """What the strict reader would never have made is refused in a caller's own dictionary too."""
    with pytest.raises(ProtocolError) as caught:
        Action("cold_boot", "Cold boot", cast("dict[str, JsonValue]", params))

    assert "invalid_request" == caught.value.code


@pytest.mark.parametrize("bindings", [[], {1: "sha256:" + "a" * 64}, {"a": None}])
def test_bindings_of_foreign_types(bindings: object) -> None:
    """Bindings are a dictionary of digests by name."""
    with pytest.raises(ProtocolError):
        Action("cold_boot", "Cold boot", bindings=cast("dict[str, str]", bindings))


def test_empty_bindings_are_none() -> None:
    """An action with empty bindings is the action without."""
    assert Action("cold_boot", "Cold boot") == Action("cold_boot", "Cold boot", {}, {})
    assert Action("a", "b") == Action.from_json({"type": "a", "description": "b", "bindings": {}})


def test_actions_do_not_share_their_default_params() -> None:
    """Two actions without parameters have two dictionaries."""
    assert Action("a", "b").params is not Action("a", "b").params


def test_lifetimes_by_profile() -> None:
    """The fixed message is for approvals; the other profiles name their own range."""
    assert 86_400 == check_expires_in(86_400, profile="protected_method")
    with pytest.raises(
        ProtocolError, match=r"^Invalid expires_in_seconds: must be between 60 and 900$"
    ):
        check_expires_in(901)
    with pytest.raises(ProtocolError, match="between 60 and 7200"):
        check_expires_in(7_201, profile="jit_access")
    with pytest.raises(ProtocolError, match="must be an integer"):
        check_expires_in("300")
    assert 0 == check_use_within(0)
    with pytest.raises(ProtocolError, match="between 0 and 86400"):
        check_use_within(86_401)


def test_assurance_has_ranks() -> None:
    """A floor admits its own rank and every higher one."""
    ranks = [ASSURANCE_RANK[level] for level in ASSURANCE_RANK]

    assert sorted(ranks) == ranks == [0, 1, 2, 3, 3, 4, 4]
    for level, rank in ASSURANCE_RANK.items():
        assert rank == check_assurance(level)
        for floor, least in ASSURANCE_RANK.items():
            assert (rank >= least) == admits(level, floor)
    with pytest.raises(ProtocolError, match="assurance must be one of"):
        admits("tpm", "none")
    with pytest.raises(ProtocolError, match="min_assurance must be one of"):
        admits("none", "")


def test_pairing_codes_are_made_of_sixty_bits() -> None:
    """A code is twelve characters of Crockford's alphabet, shown in three groups."""
    assert "000000000000" == make_pairing_code(bytes(8))
    assert "ZZZZZZZZZZZZ" == make_pairing_code(b"\xff" * 8)
    assert "ZZZZ-ZZZZ-ZZZZ" == format_pairing_code(make_pairing_code(b"\xff" * 8))
    with pytest.raises(ValueError, match="8 random bytes"):
        make_pairing_code(b"1234567")


def test_statements_are_values() -> None:
    """Statements compare by value and cannot be changed."""
    key = PrivateKey.generate()
    decision = examples.decision(key)

    assert decision == copy.deepcopy(decision)
    with pytest.raises(AttributeError):
        decision.decision = "deny"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue] - the point


def test_statement_is_abstract() -> None:
    """Only the statements of the table can be made."""
    with pytest.raises(TypeError, match="abstract"):
        Statement()  # type: ignore[abstract] # pyright: ignore[reportAbstractUsage] - the point


def test_every_signed_kind_has_a_statement() -> None:
    """Each payload type has its class."""
    classes = {
        each.KIND
        for name in statements.__all__
        if isinstance(each := getattr(statements, name), type)
        and issubclass(each, Statement)
        and each is not Statement
    }

    assert {*Kind} == classes


def test_session_keys_are_second_keys() -> None:
    """A device's own key is no session key."""
    key = PrivateKey.generate().public_key

    with pytest.raises(ProtocolError, match="another key"):
        Session(
            relay="a" * 64,
            audience="https://relay.example.com",
            nonce=examples.NONCE,
            device=key.fingerprint,
            session_public_key=key.base64,
        )


def test_names_of_the_statements_module_are_the_packages() -> None:
    """Everything of `statements` is exported by the package under the same name."""
    for name in statements.__all__:
        assert getattr(statements, name) is getattr(quorumkey.protocol, name)
