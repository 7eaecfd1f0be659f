"""The published vectors of receipts."""

from __future__ import annotations

import json
from typing import cast

import pytest
from tests.vectors.vector_files import Case, each, read

from quorumkey.errors import ProtocolError, ReceiptRefused, RefusalReason
from quorumkey.receipts import VerifiedReceipt, load_policy, verify_with_policy

_REQUIRED = {"receipt", "policy", "now"}
_OPTIONAL = {"groups_satisfied", "request_id", "unsafe_any_request", "reason", "step"}


def _verify(case: Case, receipt: bytes | str | dict[str, object]) -> VerifiedReceipt:
    try:
        policy = load_policy(json.dumps(case.mapping("policy")).encode())
    except ProtocolError as error:
        # A policy that no receipt could meet is refused before there is a receipt.
        raise ReceiptRefused(RefusalReason.INVALID_EXPECTATION, error.message, 0) from error
    return verify_with_policy(
        receipt,
        policy,
        now=case.number("now"),
        unsafe_any_request=case.members.get("unsafe_any_request") is True,
    )


def _check(case: Case, receipt: bytes | str | dict[str, object]) -> None:
    if case.valid:
        proof = _verify(case, receipt)

        assert case.texts("groups_satisfied") == [*proof.groups_satisfied]
        assert case.text("request_id") == proof.request_id
    else:
        with pytest.raises(ReceiptRefused) as caught:
            _verify(case, receipt)

        assert case.text("reason") == caught.value.reason.value
        assert case.number("step") == caught.value.step


@each("receipts.json", required=_REQUIRED, optional=_OPTIONAL)
def test_receipts(case: Case) -> None:
    """A receipt passes exactly when it proves what the policy asks, else fails at its step."""
    _check(case, case.data("receipt"))


@each("receipts.json", required=_REQUIRED, optional=_OPTIONAL)
def test_receipts_as_text_and_object(case: Case) -> None:
    """A receipt given as text or as a parsed object is judged the same."""
    try:
        text = case.data("receipt").decode()
        value = json.loads(text)
    except ValueError:
        return
    _check(case, text)
    if isinstance(value, dict) and case.name != "a member twice":
        _check(case, cast("dict[str, object]", value))


def test_every_reason_has_a_vector() -> None:
    """The vectors show every reason of the closed list."""
    cases = read("receipts.json", required=_REQUIRED, optional=_OPTIONAL)

    assert {reason.value for reason in RefusalReason} == {
        case.text("reason") for case in cases if not case.valid
    }
