"""What Apple's push service answers, and which device tokens make the stand-in answer it.

Statuses and reasons: developer.apple.com, "Handling notification responses from APNs".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from quorumkey_relay.standins.exchange import Behaviour

if TYPE_CHECKING:
    from collections.abc import Mapping

Environment = Literal["production", "sandbox"]

#: Every reason of Apple's table with its status.
STATUSES: Final[Mapping[str, int]] = {
    "BadCollapseId": 400,
    "BadDeviceToken": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadTopic": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "IdleTimeout": 400,
    "InvalidPushType": 400,
    "MissingDeviceToken": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "BadEnvironmentKeyIdInToken": 403,
    "ExpiredProviderToken": 403,
    "Forbidden": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "ExpiredToken": 410,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyProviderTokenUpdates": 429,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}

SLOW_SECONDS: Final = 3.0
#: When tokens that are gone "since before" were: long before any test registered one.
LONG_AGO_MS: Final = 1_454_948_015_990
_HTML: Final = b"<html><body><h1>503 Service Unavailable</h1></body></html>"


def _behaviours() -> dict[str, Behaviour]:
    own = [
        Behaviour("ok", "accepted"),
        Behaviour("slow", f"accepted after {SLOW_SECONDS:g} seconds", delay_seconds=SLOW_SECONDS),
        Behaviour("silent", "never answered", action="silence"),
        Behaviour("reset", "RST_STREAM instead of an answer", action="reset"),
        Behaviour("close", "the connection is lost instead of an answer", action="close"),
        Behaviour("html", "503 with a page in HTML", 503, "html", body=_HTML),
        Behaviour("empty", "500 with no body", 500, "empty", body=b""),
        Behaviour("gone-before", "410 Unregistered since 2016", 410, "Unregistered"),
    ]
    listed = [Behaviour(reason, str(status), status, reason) for reason, status in STATUSES.items()]
    return {one.name: one for one in (*own, *listed)}


#: By name; their order gives each its code in a token.
BEHAVIOURS: Final[Mapping[str, Behaviour]] = _behaviours()

_PREFIX: Final = "57a9d1"  # tells tokens made here from others
_TOKEN_CHARS: Final = 64
_NUMBER_CHARS: Final = _TOKEN_CHARS - len(_PREFIX) - 4
_SANDBOX: Final = 1
_ONCE: Final = 2
_CODES: Final = {name: code for code, name in enumerate(BEHAVIOURS)}
_NAMES: Final = dict(enumerate(BEHAVIOURS.values()))


def apns_token(
    behaviour: str = "ok",
    number: int = 0,
    *,
    environment: Environment = "production",
    once: bool = False,
) -> str:
    """Return a device token, 64 hex digits, that is treated as ``BEHAVIOURS`` says.

    With ``once`` the first push to it is treated so, and all later ones are accepted.
    """
    flags = _SANDBOX * (environment == "sandbox") + _ONCE * once
    code = _CODES[behaviour]
    return f"{_PREFIX}{code:02x}{flags:02x}{number:0{_NUMBER_CHARS}x}"


def behaviour_of(token: str, environment: Environment) -> tuple[Behaviour, bool] | None:
    """Return how a token is treated and whether only once; None if it is nobody's here."""
    if len(token) != _TOKEN_CHARS or not token.startswith(_PREFIX):
        return None
    try:
        code, flags = bytes.fromhex(token[len(_PREFIX) : len(_PREFIX) + 4])
    except ValueError:
        return None
    if code not in _NAMES or flags > _SANDBOX + _ONCE:
        return None
    if bool(flags & _SANDBOX) != (environment == "sandbox"):
        return None
    return _NAMES[code], bool(flags & _ONCE)
