"""C28: from the address that somebody signs in with to another name."""

from __future__ import annotations

import pytest

from quorumkey_relay.eligibility.mapping import (
    MAX_MAPPING_BYTES,
    MAX_NAME_CHARS,
    AddressMapping,
    MappingError,
)

ALICE = "alice@example.com"


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("", ALICE),
        (" \n", ALICE),
        ("user.email", ALICE),
        (
            "user.email.extract('{handle}@example.com') + '@mail.example.com'",
            "alice@mail.example.com",
        ),
        ("user.email.extract('{handle}@')", "alice"),
        ("user.email.extract('@{domain}')", "example.com"),
        ("user.email.extract('a{x}c')", "li"),
        ("user.email == 'alice@example.com' ? 'a' : 'b'", "a"),
        ("user['email']", ALICE),
        ("' a '", "a"),
    ],
    ids=[
        "none",
        "blank",
        "itself",
        "domain",
        "before",
        "after",
        "between",
        "choice",
        "index",
        "trim",
    ],
)
def test_c28_mapping(expression: str, name: str) -> None:
    """The expression gives the name; a blank one leaves the address as it is."""
    assert name == AddressMapping(expression).address(ALICE)


@pytest.mark.parametrize(
    "expression",
    [
        "null",
        "1",
        "true",
        "[user.email]",
        "user",
        "user.email +",
        "x",
        "user.email.unknown()",
        "'a'\0",
        "'\ud800'",
        "'" + "x" * MAX_MAPPING_BYTES + "'",
    ],
)
def test_c28_expression_that_gives_no_text(expression: str) -> None:
    """Null, another type, and what is no CEL are refused when the mapping is made."""
    with pytest.raises(MappingError, match=r"^The mapping .*\.$"):
        AddressMapping(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "dyn(null)",
        "dyn(1)",
        "user.phone",
        "user.email.extract('no name')",
        "user.email.extract('{a}{b}')",
        "user.email.extract('{handle}@example.org')",
        "''",
        "' '",
        r"'a\nb'",
        r"'a\u0000b'",
        "user.email" + " + user.email" * 20,
    ],
    ids=[
        *("null", "number", "member", "no template", "two names", "no match", "empty", "blank"),
        *("line", "NUL", "long"),
    ],
)
def test_c28_result_that_is_no_name(expression: str) -> None:
    """Somebody for whom the mapping gives null, no text, nothing or no name has none."""
    mapping = AddressMapping(expression)

    with pytest.raises(MappingError, match=r"^The mapping .*\.$"):
        mapping.address(ALICE)
    assert MAX_NAME_CHARS < 21 * len(ALICE)


@pytest.mark.parametrize(
    "address", ["alice@example.com\0.example.org", "\ud800@example.com"], ids=["NUL", "half"]
)
def test_c28_address_that_would_not_be_seen_whole(address: str) -> None:
    """An address that the library would see only in part, or not at all, is not mapped."""
    with pytest.raises(MappingError):
        AddressMapping("user.email").address(address)


def test_c28_extract_without_a_match() -> None:
    """What has no match is the empty text, whichever end is missing."""
    mapping = AddressMapping("'<' + user.email.extract('z{x}') + user.email.extract('{x}z') + '>'")

    assert "<>" == mapping.address(ALICE)
