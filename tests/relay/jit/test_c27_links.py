"""The form of tokens in links."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.relay.jit import forged

from quorumkey_relay.identity.activation_tokens import activation_link, obfuscated, plain


@pytest.mark.parametrize(
    ("token", "form"),
    [
        ("eyA.eyB.C", "A~~B~C"),
        ("eyA.B.C", "A~B~C"),
        ("eyA.eyB.eyC", "A~~B~~C"),
        ("eyA.eyBey.C", "A~~Bey~C"),
    ],
)
def test_c27_dots_and_the_beginnings_of_objects_are_replaced(token: str, form: str) -> None:
    """The leading "ey" goes, ".ey" becomes "~~" and "." becomes "~"; all of it can be undone."""
    assert form == obfuscated(token)
    assert token == plain(form)


def test_c27_a_plain_token_is_taken_too() -> None:
    """A person may bring either form."""
    assert "eyA.eyB.C" == plain("eyA.eyB.C")


@given(st.binary(min_size=1), st.binary(min_size=1), st.binary(min_size=1))
def test_c27_every_token_comes_back(header: bytes, claims: bytes, signature: bytes) -> None:
    """Whatever the claims and the signature are; a header is always an object."""
    token = ".".join(forged.part(one) for one in (b'{"' + header, claims, signature))

    assert token == plain(obfuscated(token))


def test_c27_the_link_leads_to_the_page() -> None:
    """With the token and the project, which may hold any character."""
    link = activation_link("https://relay.example", "eyA.eyB.C", project="a b&c=d/é")
    parts = urlsplit(link)

    assert "https://relay.example/jit/?activation=A~~B~C&projectId=a%20b%26c%3Dd%2F%C3%A9" == link
    assert {"activation": ["A~~B~C"], "projectId": ["a b&c=d/é"]} == parse_qs(parts.query)
