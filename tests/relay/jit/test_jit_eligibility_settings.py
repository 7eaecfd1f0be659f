"""What cannot be meant in the settings of eligibility."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorumkey_relay.eligibility.eligibility_problems import eligibility_problems
from quorumkey_relay.jit_settings import EligibilitySettings, GoogleSource

SCOPE = "eligibility.google.scope must be organizations/NUMBER, folders/NUMBER or projects/ID."
FILE = Path("file")


def google(
    scope: str = "organizations/1",
    asset_url: str = "https://cloudasset.googleapis.com",
    groups_url: str = "http://127.0.0.1:1",
) -> EligibilitySettings:
    """Settings that name Google."""
    source = GoogleSource(
        scope=scope, service_account_file=FILE, asset_url=asset_url, groups_url=groups_url
    )
    return EligibilitySettings(google=source)


@pytest.mark.parametrize(
    "settings",
    [
        EligibilitySettings(file=FILE),
        EligibilitySettings(api=True),
        google(),
        google("folders/12"),
        google("projects/example.com:project-1"),
    ],
    ids=["file", "api", "organization", "folder", "project"],
)
def test_eligibility_settings(settings: EligibilitySettings) -> None:
    """One source, with a scope that Google takes."""
    assert [] == list(eligibility_problems(settings))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (EligibilitySettings(), "eligibility must have exactly one of file, api and google."),
        (
            EligibilitySettings(file=FILE, api=True),
            "eligibility must have exactly one of file, api and google.",
        ),
        (google("organizations/x"), SCOPE),
        (google("projects/"), SCOPE),
        (google("projects/a/b"), SCOPE),
        (google("folders/1\n"), SCOPE),
        (
            google(asset_url="http://cloudasset.example.com"),
            "eligibility.google.asset_url must be an https address.",
        ),
        (
            google(groups_url="cloudidentity.googleapis.com"),
            "eligibility.google.groups_url must be an https address.",
        ),
    ],
    ids=["none", "two", "name", "no project", "path", "line", "asset_url", "groups_url"],
)
def test_eligibility_settings_that_cannot_be_meant(
    settings: EligibilitySettings, problem: str
) -> None:
    """Each problem is a sentence; an access token goes nowhere without TLS."""
    assert [problem] == list(eligibility_problems(settings))
