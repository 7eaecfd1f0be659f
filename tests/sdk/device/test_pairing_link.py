from __future__ import annotations

import pytest

from quorumkey.device.pairing_link import PairingLink
from quorumkey.errors import ConfigurationError
from quorumkey.protocol import b64url_encode

RELAY = "a" * 64
SECRET = bytes(range(32))
LINK = f"https://r.example/app/pair#code=7Q4M2XKD90FZ&relay={RELAY}"


def test_a_link_tells_everything() -> None:
    """A link names the relay, its key, the code and the secret."""
    link = PairingLink.parse(f" {LINK}&secret={b64url_encode(SECRET)}&new=1\n")

    assert ("https://r.example", "7Q4M2XKD90FZ", RELAY, SECRET) == (
        link.address.base,
        link.code,
        link.relay,
        link.secret,
    )


def test_a_link_below_a_path() -> None:
    """A relay below a path is found from the link."""
    link = PairingLink.parse(LINK.replace("r.example", "r.example/qk"))

    assert "https://r.example/qk" == link.address.base


def test_a_link_of_a_page_elsewhere() -> None:
    """Where the page is served by somebody else, the relay's address is given beside it."""
    link = PairingLink.parse(
        LINK.replace("r.example/app/pair", "pages.example/x"), relay_url="https://relay.example"
    )

    assert "https://relay.example" == link.address.base


@pytest.mark.parametrize("code", ["7Q4M-2XKD-90FZ", "7q4m 2xkd 9ofz", "7Q4M2XKD90FZ"])
def test_a_typed_code(code: str) -> None:
    """A typed code is read as people type it; it has neither relay key nor secret."""
    link = PairingLink.parse(code, relay_url="https://r.example")

    assert ("7Q4M2XKD90FZ", None, None) == (link.code, link.relay, link.secret)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7Q4M-2XKD",
        "7Q4M-2XKD-90FZ",
        "https://r.example/app/pair",
        f"https://r.example/app/pair#relay={RELAY}",
        "https://r.example/app/pair#code=7Q4M2XKD90FZ",
        LINK.replace("/app/pair", "/other"),
        LINK.replace("https", "http"),
        LINK.replace("7Q4M", "!!!!"),
        LINK.replace("aaaa", "AAAA"),
        f"{LINK}&secret=AAAA",
        f"{LINK}&secret=!",
        LINK + "x" * 3000,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    """What is neither a whole link nor a code with an address is refused."""
    with pytest.raises(ConfigurationError):
        PairingLink.parse(text)


def test_no_secret_shows() -> None:
    """The repr shows neither code nor secret."""
    shown = repr(PairingLink.parse(f"{LINK}&secret={b64url_encode(SECRET)}"))

    assert "7Q4M" not in shown
    assert repr(SECRET) not in shown
