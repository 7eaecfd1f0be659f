"""The one reading of an e-mail address that names a person."""

from __future__ import annotations

import re
from typing import Final

MAX_ADDRESS_CHARS: Final = 254  # RFC 5321, section 4.5.3.1.3, without the angle brackets
MAX_LOCAL_CHARS: Final = 64

_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ADDRESS: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@{_LABEL}(?:\.{_LABEL})*")


def email_address(text: object) -> str | None:
    """Return an address in lower case, or None where ``text`` is none.

    Only the plain form is one (RFC 5321, dot-string and domain): no quotes, no comments, no name
    before it, and no letter beyond ASCII, whose lower case could be somebody else's address.
    """
    if not isinstance(text, str) or len(text) > MAX_ADDRESS_CHARS or not text.isascii():
        return None
    address = text.lower()
    found = _ADDRESS.fullmatch(address)
    if found is None or len(found[1]) > MAX_LOCAL_CHARS:
        return None
    return address
