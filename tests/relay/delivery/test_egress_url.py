"""How a URL of somebody else is read: one spelling of each host, and no two opinions of it."""

from __future__ import annotations

import pytest

from quorumkey_relay.clock import SystemClock
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.delivery.egress_url import EgressRefused, host_of, read_url

UNSAFE = frozenset({"localhost", "127.0.0.1", "::1"})


def reason(url: str, unsafe_hosts: frozenset[str] = frozenset()) -> str:
    """Why a URL is refused."""
    with pytest.raises(EgressRefused) as caught:
        read_url(url, unsafe_hosts)
    return caught.value.reason


@pytest.mark.parametrize(
    ("url", "host", "port", "built"),
    [
        ("https://example.com", "example.com", 443, "https://example.com/"),
        ("https://example.com:443/a", "example.com", 443, "https://example.com/a"),
        ("HTTPS://Example.COM/A?b=C", "example.com", 443, "https://example.com/A?b=C"),
        ("https://a_b.example.com:8443/", "a_b.example.com", 8443, "https://a_b.example.com:8443/"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, None),
        ("https://example.com?a", "example.com", 443, "https://example.com/?a"),
        ("https://example.com/%20/..;/@:", "example.com", 443, None),
        ("https://8.8.8.8/", "8.8.8.8", 443, None),
        ("https://[2606:4700:0:0::1111]/", "2606:4700::1111", 443, "https://[2606:4700::1111]/"),
        (
            "https://[::FFFF:8.8.8.8]:1024/",
            "::ffff:808:808",
            1024,
            "https://[::ffff:808:808]:1024/",
        ),
        ("https://example.com:65535/", "example.com", 65_535, None),
    ],
)
def test_what_is_read(url: str, host: str, port: int, built: str | None) -> None:
    """Scheme and host are lower-case, the default port is left out, path and query stay."""
    target = read_url(url)

    assert (host, port, built or url) == (target.host, target.port, target.url)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.0x1",
        "127.0.0.1.1",
        "256.0.0.1",
        "1.2.3.4.5",
        "example.1",
        "example.0x7f",
        "１２７.0.0.1",  # noqa: RUF001 - what is tested
        "127。0。0。1",
        "①②⑦.0.0.1",
        "%31%32%37.0.0.1",
        "127%2e0.0.1",
        "loc\u00adalhost",
        "\u212aelvin.example",
        "bücher.example",
        "xn--a",
        "127.0.0.xn--1-",
        "[::1%25lo]",
        "[fe80::1%eth0]",
        "[fe80::1%251]",
        "[::1",
        "::1",
        "[127.0.0.1]",
        "[::ffff:0177.0.0.1]",
        "[v1.fe80::a]",
        "[]",
        "[::1].example",
        "example.com.",
        ".example.com",
        "example..com",
        "-example.com",
        "example-.com",
        f"{'a' * 64}.com",
        f"{'a.' * 127}com",
        "exam ple.com",
        "exam\tple.com",
        "example.com\\",
        "example.com\\.other.example",
        "example.com:",
        "example.com:0443",
        "example.com:+443",
        "example.com:443x",
        "example.com:٤٤٣",
        "",
        ":443",
        "!example.com",
        "example,com",
        "a=b",
    ],
)
def test_a_host_in_any_other_spelling_is_refused(host: str) -> None:
    """What two parsers might read differently is read by none."""
    assert reason(f"https://{host}/") in {"malformed_host", "malformed_url"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "https:/example.com/",
        "https:\\\\example.com/",
        " https://example.com/",
        "https://example.com/ ",
        "https://example.com/\n",
        "https://example.com/\x00",
        "https://example.com/ä",
        "https://example.com/%",
        "https://example.com/%zz",
        "https://example.com/a b",
        "https://example.com/a\\b",
        "https://example.com/[]",
        'https://example.com/"',
        "https://example.com/<a>",
        "https://example.com/?a|b",
        "https://example.com/" + "a" * 2_048,
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    """Nothing is trimmed, guessed or escaped."""
    assert "malformed_url" == reason(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com/", "not_https"),
        ("ftp://example.com/", "not_https"),
        ("file://localhost/etc/passwd", "not_https"),
        ("gopher://example.com/", "not_https"),
        ("https://user@example.com/", "user_information"),
        ("https://user:secret@example.com/", "user_information"),
        ("https://@example.com/", "user_information"),
        ("https://example.com\\@127.0.0.1/", "user_information"),
        ("https://example.com#@127.0.0.1/", "fragment"),
        ("https://example.com/#", "fragment"),
        ("https://example.com:22/", "refused_port"),
        ("https://example.com:80/", "refused_port"),
        ("https://example.com:1023/", "refused_port"),
        ("https://example.com:65536/", "refused_port"),
        ("https://example.com:99999/", "refused_port"),
    ],
)
def test_what_is_refused_says_why(url: str, expected: str) -> None:
    """A word for each rule, which the API turns into advice."""
    assert expected == reason(url)


@pytest.mark.parametrize("url", ["http://localhost/", "http://localhost:22/", "http://[::1]:80/"])
def test_unsafe_hosts_may_be_plain_on_any_port(url: str) -> None:
    """In development a host that is named is read with http and any port."""
    assert url.replace(":80/", "/") == read_url(url, UNSAFE).url


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost.example.com/",
        "http://evil-localhost/",
        "http://a.localhost/",
        "http://127.0.0.2/",
        "http://user@localhost/",
        "ftp://localhost/",
    ],
)
def test_unsafe_hosts_are_whole_hosts(url: str) -> None:
    """A host beside, above or below a named one is like any other."""
    assert reason(url, UNSAFE) in {"not_https", "user_information"}


def test_what_holds_secrets_is_not_shown() -> None:
    """The text of a target has neither path nor query."""
    assert "c4n4ry" not in repr(read_url("https://example.com/c4n4ry?c4n4ry"))


def test_a_public_name_passes_without_a_lookup() -> None:
    """What the check at creation says of a name, it says without asking for it."""
    egress = Egress(clock=SystemClock())

    egress.check_url("https://surely-not-there.example/")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Localhost:80/c4n4ry", "localhost"),
        ("https://[::1]/c4n4ry", "::1"),
        ("https://user@c4n4ry/", "unknown"),
        ("https://c4n4ry c4n4ry/", "unknown"),
        ("c4n4ry", "unknown"),
    ],
)
def test_a_log_line_has_the_host_alone(url: str, host: str) -> None:
    """Of what cannot be read nothing is shown."""
    assert host == host_of(url)
