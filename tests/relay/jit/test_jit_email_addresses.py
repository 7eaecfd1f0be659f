"""What counts as the e-mail address of a person."""

from __future__ import annotations

import pytest

from quorumkey_relay.identity.email_address import email_address

LONG = "a" * 64


@pytest.mark.parametrize(
    "text",
    [
        "alice@example.com",
        "a@b",
        "first.last+tag@sub.example.co.uk",
        "o'neil_x-y@example.com",
        f"{LONG}@example.com",
        "svc@project-1.iam.gserviceaccount.com",
    ],
)
def test_plain_addresses_count(text: str) -> None:
    """The ordinary form."""
    assert text == email_address(text)


def test_an_address_is_in_lower_case() -> None:
    """So that one person is one text."""
    assert "alice@example.com" == email_address("Alice@EXAMPLE.com")


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        True,
        ["alice@example.com"],
        {"email": "alice@example.com"},
        "",
        "alice",
        "@example.com",
        "alice@",
        "alice@@example.com",
        "alice@example.com@example.org",
        "alice@example..com",
        "alice@.example.com",
        "alice@example.com.",
        "alice@-example.com",
        ".alice@example.com",
        "alice.@example.com",
        "al..ice@example.com",
        "alice@exam ple.com",
        " alice@example.com",
        "alice@example.com\n",
        "alice@example.com\r\nBcc: x@example.com",
        "alice@example.com\0",
        "Alice <alice@example.com>",
        '"alice"@example.com',
        "alice@[127.0.0.1]",
        "alice(comment)@example.com",
        "alice,bob@example.com",
        "accounts.google.com:alice@example.com",
        "alice@ex\u00e4mple.com",
        "al\u0131ce@example.com",
        "\N{KELVIN SIGN}im@example.com",
        "alice@example.com\u200b",
        f"{LONG}a@example.com",
        "a@" + ".".join(["b" * 60] * 5),
    ],
    ids=ascii,
)
def test_everything_else_is_nobody(value: object) -> None:
    """Quotes, comments, names, lists, control characters, and letters beyond ASCII."""
    assert email_address(value) is None
