"""What cannot be meant in the settings of eligibility, a sentence each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from quorumkey_relay.identity.published import is_trustworthy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quorumkey_relay.jit_settings import EligibilitySettings

#: As Cloud Asset Inventory takes it.
_SCOPE: Final = re.compile(
    r"(?:organizations|folders)/[0-9]{1,30}|projects/[a-z0-9][a-z0-9.:-]{0,99}", re.ASCII
)


def eligibility_problems(settings: EligibilitySettings) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong."""
    google = settings.google
    if (settings.file is not None) + settings.api + (google is not None) != 1:
        yield "eligibility must have exactly one of file, api and google."
    if google is None:
        return
    path = "eligibility.google"
    if _SCOPE.fullmatch(google.scope) is None:
        yield f"{path}.scope must be organizations/NUMBER, folders/NUMBER or projects/ID."
    if not is_trustworthy(google.asset_url):
        yield f"{path}.asset_url must be an https address."
    if not is_trustworthy(google.groups_url):
        yield f"{path}.groups_url must be an https address."
