"""Settings: where they come from, what is refused, and what the mode asks for."""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path

import pytest

from quorumkey_attestation.android.fetch import STATUS_URL
from quorumkey_attestation.webauthn import FORMATS
from quorumkey_relay.config import OPTIONS, load_settings
from quorumkey_relay.option_kinds import AndroidApp
from quorumkey_relay.option_table import ENVIRONMENT_PREFIX, ConfigError
from quorumkey_relay.settings import Settings

PRODUCTION = {
    "mode": "production",
    "public_url": "https://relay.example.com",
    "attestation": "required",
}


def problems_of(environ: dict[str, str], overrides: dict[str, str]) -> tuple[str, ...]:
    """Return the sentences that a refused start shows."""
    with pytest.raises(ConfigError) as caught:
        load_settings(environ, overrides)
    return caught.value.problems


def test_defaults() -> None:
    """Without anything given, the defaults hold and the loopback address means development."""
    settings = load_settings({}, {})

    assert settings == Settings()
    assert settings.mode == "development"


def test_every_field_is_an_option() -> None:
    """The table of options has one row for each field of the settings."""
    assert [option.name for option in OPTIONS] == [
        field.name for field in dataclasses.fields(Settings)
    ]
    assert all(option.help.endswith(".") for option in OPTIONS)


def test_names_derive_from_the_table() -> None:
    """An option's variable and flag come from its name."""
    option = next(option for option in OPTIONS if option.name == "rate_ip_failures")

    assert option.env == "QUORUMKEY_RELAY_RATE_IP_FAILURES"
    assert option.flag == "--rate-ip-failures"
    assert (option.default, option.unit, option.kind.label) == ("60", "per minute", "number")


def test_flags_win_over_the_environment() -> None:
    """A flag is stronger than the environment, which is stronger than the default."""
    environ = {"QUORUMKEY_RELAY_PORT": "9000", "QUORUMKEY_RELAY_HOST": "127.0.0.2", "PATH": "/bin"}

    settings = load_settings(environ, {"port": "9001"})

    assert (settings.host, settings.port) == ("127.0.0.2", 9001)


def test_every_kind_is_read() -> None:
    """Paths, hosts, origins, lists, networks and secrets are read from their text."""
    settings = load_settings(
        {},
        {
            "data_dir": "/srv/relay",
            "host": "::1",
            "public_url": "HTTPS://Relay.Example.com:443/",
            "origins": "https://a.example, https://b.example:8443",
            "trusted_proxies": "10.0.0.0/8,2001:db8::/32",
            "unsafe_http_hosts": "",
            "metrics_token": "0123456789abcdef",
        },
    )

    assert settings.data_dir == Path("/srv/relay")
    assert settings.host == "::1"
    assert settings.public_url == "https://relay.example.com"
    assert settings.origins == ("https://a.example", "https://b.example:8443")
    assert settings.trusted_proxies == (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("2001:db8::/32"),
    )
    assert settings.unsafe_http_hosts == ()


def test_unknown_variable_names_the_nearest() -> None:
    """A misspelt variable stops the start and names the one that was meant."""
    (problem,) = problems_of({"QUORUMKEY_RELAY_RATE_APIKEY": "1"}, {})

    assert problem == (
        "QUORUMKEY_RELAY_RATE_APIKEY is not a setting of the relay;"
        " did you mean QUORUMKEY_RELAY_RATE_API_KEY?"
    )


def test_unknown_variable_without_a_near_name() -> None:
    """A variable like no other, or an unknown option name, is refused without a guess."""
    assert problems_of({f"{ENVIRONMENT_PREFIX}ZZZZZZZZZZZZZZ": "1"}, {"zzzz": "1"}) == (
        "QUORUMKEY_RELAY_ZZZZZZZZZZZZZZ is not a setting of the relay.",
        "zzzz is not a setting of the relay.",
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("port", "65536", "a whole number from 0 to 65535 (it is '65536')"),
        ("port", "-1", "a whole number from 0 to 65535 (it is '-1')"),
        ("port", "8e3", "a whole number from 0 to 65535 (it is '8e3')"),
        ("rate_device", "0", "a whole number from 1 to 100000000 (it is '0')"),
        ("request_retention_days", "89", "a whole number from 90 to 36500 (it is '89')"),
        ("event_retention_days", "6", "a whole number from 7 to 36500 (it is '6')"),
        ("mode", "prod", "development or production (it is 'prod')"),
        ("attestation", "on", "off or preferred or required (it is 'on')"),
        ("host", "no host", "a host name or an IP address (it is 'no host')"),
        ("data_dir", "", "a path (it is '')"),
        ("trusted_proxies", "10.0.0.1/8", "networks such as 10.0.0.0/8 or 2001:db8::/32"),
        ("metrics_token", "short", "at least 16 printable ASCII characters."),
        ("app_attest_apps", "com.example.approve", "app ids such as ABCDE12345.com.example"),
        ("android_apps", "approve=" + "5a" * 32, "apps such as com.example.approve=SHA-256"),
        ("android_apps", "com.example.approve", "a SHA-256 as 64 hex digits"),
        ("android_boot_keys", "5a", "a SHA-256 as 64 hex digits, with or without colons"),
        ("android_min_os_patch", "202613", "a year and month such as 202601 (it is '202613')"),
        ("android_revocation", "http://status.example", "a path or an https address"),
        ("android_revocation", "https://[::1", "a path or an https address"),
        ("android_revocation", "https://a@b.example", "a path or an https address"),
        ("android_revocation", "", "a path (it is '')"),
        ("webauthn_formats", "none,android-safetynet", "none or packed or tpm or android-key"),
        ("attestation_floor", "none", "software or passkey or tee"),
    ],
)
def test_bad_value(name: str, text: str, expected: str) -> None:
    """A value that is not of its kind stops the start, saying what it must be."""
    (problem,) = problems_of({}, {name: text})

    assert problem.startswith(f"--{name.replace('_', '-')} must be {expected}")


@pytest.mark.parametrize(
    "text",
    [
        "relay.example.com",
        "ftp://relay.example.com",
        "https://",
        "https://user@relay.example.com",
        "https://relay.example.com/path",
        "https://relay.example.com?",
        "https://relay.example.com#",
        "https://relay.example.com:port",
        "https://[::1",
        "https://bad_host.example",
    ],
)
def test_bad_origin(text: str) -> None:
    """An origin is scheme, host and port and nothing else."""
    (problem,) = problems_of({}, {"public_url": text})

    assert problem.startswith("--public-url must be ")


def test_a_bad_secret_is_not_shown() -> None:
    """The sentence about a bad secret does not repeat it."""
    (problem,) = problems_of({"QUORUMKEY_RELAY_METRICS_TOKEN": "canary"}, {})

    assert "canary" not in problem


def test_a_long_value_is_shortened() -> None:
    """A long bad value is shown by its beginning."""
    (problem,) = problems_of({}, {"port": "9" * 500})

    assert len(problem) < 200


def test_every_problem_is_told() -> None:
    """One start tells everything that is wrong, a sentence a line."""
    with pytest.raises(ConfigError, match=r"(?s)--port.*\n.*--mode") as caught:
        load_settings({}, {"mode": "x", "port": "x"})

    assert len(str(caught.value).splitlines()) == len(caught.value.problems) == 2


def test_secrets_stay_out_of_repr() -> None:
    """The text form of the settings has no secret."""
    assert "canary" not in repr(Settings(metrics_token="canary-0123456789"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "relay.internal"])  # noqa: S104 - read, not bound
def test_other_addresses_mean_production(host: str) -> None:
    """On an address others can reach, the mode is production unless decided otherwise."""
    assert problems_of({}, {"host": host}) == (
        "In production, decide attestation: off, preferred or required.",
        "In production, public_url must be the https address that devices reach.",
    )
    assert load_settings({}, {"host": host, "mode": "development"}).mode == "development"


@pytest.mark.parametrize("host", ["localhost", "::1", "127.8.8.8", "relay.localhost"])
def test_loopback_means_development(host: str) -> None:
    """Every loopback address means development."""
    assert load_settings({}, {"host": host}).mode == "development"


def test_production_starts_when_decided() -> None:
    """Production starts with attestation decided and an https public URL."""
    settings = load_settings({}, PRODUCTION)

    assert settings.mode == "production"
    assert settings.audiences == {"https://relay.example.com"}


def test_production_refuses_plain_http() -> None:
    """The public URL of production is https, even on loopback."""
    assert problems_of({}, {**PRODUCTION, "public_url": "http://localhost"}) == (
        "In production, public_url must be the https address that devices reach.",
    )


def test_production_refuses_unsafe_options() -> None:
    """No unsafe option passes in production."""
    assert problems_of({}, {**PRODUCTION, "unsafe_http_hosts": "printer.lan"}) == (
        "In production, unsafe_http_hosts is not allowed.",
    )


def test_plain_http_only_for_named_hosts() -> None:
    """In development plain http is for loopback and the hosts that were named."""
    addresses = {"public_url": "http://box.lan", "origins": "http://127.0.0.1:8080"}

    assert problems_of({}, addresses) == (
        "http://box.lan must be https: plain http is for loopback and unsafe_http_hosts.",
    )
    assert load_settings({}, {**addresses, "unsafe_http_hosts": "box.lan"}).url == "http://box.lan"


def test_rp_id_covers_the_passkey_origins() -> None:
    """A passkey origin outside the relying party id is refused."""
    app = {"app_origin": "https://app.example.com", "rp_id": "example.com"}

    assert load_settings({}, app).passkey_rp_id == "example.com"
    assert problems_of({}, {**app, "webauthn_origins": "https://badexample.com"}) == (
        "The passkey origin https://badexample.com does not belong to the rp_id example.com.",
    )


def test_addresses_without_a_public_url() -> None:
    """In development the bound address is the relay's, and devices may dial it by any name."""
    settings = load_settings({}, {"host": "::1", "port": "0"}).bound_to(4321)

    assert settings.url == settings.app_url == "http://[::1]:4321"
    assert settings.audiences == frozenset()
    assert settings.passkey_rp_id == "::1"
    assert settings.passkey_origins == ("http://[::1]:4321",)


def test_addresses_of_a_separate_app() -> None:
    """With an app origin, pairing links and passkeys belong to it, audiences do not."""
    settings = load_settings({}, {**PRODUCTION, "app_origin": "https://approve.example.org"})

    assert settings.app_url == "https://approve.example.org"
    assert settings.passkey_rp_id == "approve.example.org"
    assert settings.passkey_origins == ("https://approve.example.org",)
    assert settings.audiences == {"https://relay.example.com"}


def test_configured_origins_are_the_audiences() -> None:
    """Configured origins replace the public URL as the only audiences."""
    settings = load_settings({}, {**PRODUCTION, "origins": "https://a.example,https://b.example"})

    assert settings.audiences == {"https://a.example", "https://b.example"}


# Attestation

SIGNER = "5a" * 32


def test_what_apps_count_is_read() -> None:
    """App ids, packages with their signers as keytool writes them, months and locations."""
    settings = load_settings(
        {},
        {
            "app_attest_apps": "ABCDE12345.com.example.approve,ABCDE12345.com.example.other",
            "android_apps": "com.example.approve=" + ":".join(["5A"] * 32),
            "android_boot_keys": SIGNER.upper(),
            "android_min_os_patch": "202601",
            "android_revocation": "status.json",
            "webauthn_formats": "none,packed",
        },
    )

    assert settings.app_attest_apps == (
        "ABCDE12345.com.example.approve",
        "ABCDE12345.com.example.other",
    )
    assert settings.android_apps == (AndroidApp("com.example.approve", SIGNER),)
    assert str(settings.android_apps[0]) == f"com.example.approve={SIGNER}"
    assert settings.android_boot_keys == (SIGNER,)
    assert settings.android_min_os_patch == 202601
    assert settings.android_revocation == Path("status.json")
    assert settings.webauthn_formats == ("none", "packed")


def test_the_revocation_list_is_google_s_unless_told() -> None:
    """The default is the address that Google publishes, and any https address may stand there."""
    elsewhere = "https://mirror.example/status?tenant=1"

    assert load_settings({}, {}).android_revocation == STATUS_URL
    assert load_settings({}, {"android_revocation": elsewhere}).android_revocation == elsewhere


def test_the_webauthn_formats_are_the_verifier_s() -> None:
    """Every format that can be judged can be configured, and no other."""
    everything = ",".join(sorted(FORMATS))

    assert FORMATS == frozenset(
        load_settings({}, {"webauthn_formats": everything}).webauthn_formats
    )


@pytest.mark.parametrize(
    "reaching",
    [
        {"attestation_floor": "tee"},
        {"attestation_floor": "passkey", "webauthn_formats": ""},
        {"attestation_floor": "secure_enclave", "android_apps": f"com.example.a={SIGNER}"},
        {"attestation_floor": "strongbox", "app_attest_apps": "ABCDE12345.com.example.a"},
        {"webauthn_formats": "packed", "webauthn_roots": "makers.pem"},
        {"webauthn_formats": "android-key"},
    ],
    ids=["apple passkeys", "any passkey", "android", "iphone", "makers", "android passkeys"],
)
def test_a_floor_that_some_device_reaches_starts(reaching: dict[str, str]) -> None:
    """Attestation may be required where at least one accepted format reaches the floor."""
    assert load_settings({}, {"attestation": "required", **reaching}).attestation == "required"


@pytest.mark.parametrize(
    "short",
    [
        {"attestation_floor": "secure_enclave"},
        {"attestation_floor": "strongbox", "webauthn_formats": "none,packed,apple"},
        {"webauthn_formats": "none,packed"},
        {"webauthn_formats": ""},
    ],
    ids=["passkeys alone", "passkeys named", "no root", "no format"],
)
def test_a_floor_that_no_device_reaches_is_refused(short: dict[str, str]) -> None:
    """Required attestation that nobody could give is a mistake, found at the start."""
    (problem,) = problems_of({}, {"attestation": "required", **short})

    assert problem.startswith("No device can reach the attestation_floor ")
    assert "app_attest_apps or android_apps" in problem


def test_a_floor_without_required_attestation_is_refused() -> None:
    """A floor that would count for nothing is told."""
    assert problems_of({}, {"attestation": "preferred", "attestation_floor": "tee"}) == (
        "attestation_floor counts only where attestation is required.",
    )


def test_production_refuses_test_roots() -> None:
    """Evidence of tests never counts in production."""
    assert problems_of({}, {**PRODUCTION, "unsafe_test_root": "roots.pem"}) == (
        "In production, unsafe_test_root is not allowed.",
    )


APNS = {
    "apns_key_file": "key.p8",
    "apns_key_id": "KEY1234567",
    "apns_team_id": "TEAM123456",
    "apns_topics": "com.example.approve",
}


def test_the_four_settings_of_apns_start() -> None:
    """With all four the channel is on, in both environments."""
    settings = load_settings({}, APNS)

    assert settings.apns_topics == ("com.example.approve",)
    assert settings.apns_environments == ("production", "sandbox")


@pytest.mark.parametrize("missing", list(APNS))
def test_a_part_of_apns_is_refused(missing: str) -> None:
    """Three of the four notify nobody: the start says which one is missing."""
    given = {name: text for name, text in APNS.items() if name != missing}
    (problem,) = problems_of({}, given)

    assert problem.startswith(f"The channel apns needs {missing} beside ")


def test_several_missing_settings_are_one_sentence() -> None:
    """Whatever is missing is named once, in the order of the table."""
    assert problems_of({}, {"apns_key_id": "KEY1234567", "apns_client": "aioapns"}) == (
        "The channel apns needs apns_key_file, apns_team_id and apns_topics beside apns_key_id.",
    )


def test_apns_without_an_environment_is_refused() -> None:
    """A channel that may send nowhere cannot be meant."""
    assert problems_of({}, {**APNS, "apns_environments": ""}) == (
        "apns_environments must name at least one of Apple's environments.",
    )


@pytest.mark.parametrize(
    ("name", "text", "switch"),
    [
        ("apns_client", "aioapns", "apns_key_file"),
        ("apns_url", "https://localhost:2197", "apns_key_file"),
        ("fcm_client", "pyfcm", "fcm_service_account"),
        ("fcm_url", "https://localhost:8443", "fcm_service_account"),
        ("webpush_key_file", "vapid.pem", "webpush_subject"),
        ("webpush_services", "push.example.com", "webpush_subject"),
    ],
)
def test_settings_of_a_channel_that_is_off_are_refused(name: str, text: str, switch: str) -> None:
    """What says how a channel works is no use without what turns it on."""
    assert problems_of({}, {name: text}) == (
        f"{name} counts only with {switch}, which turns that channel on.",
    )
