"""What Apple's refusals mean for a push: one row for each status and reason; 200 is no refusal.

Statuses and reasons: developer.apple.com, "Handling notification responses from APNs".
"""

from __future__ import annotations

from enum import Enum, unique
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@unique
class Reaction(Enum):
    """What to do about an answer; some try once more by themselves before they give up."""

    OTHER_ENVIRONMENT = "the other environment once; then the token is wrong, at the second time"
    WRONG_APP = "the token is of another app: wrong, at the second time"
    OUR_FAULT = "the push is wrong: never again"
    REOPEN = "a new connection, and at once again"
    SIGN_ANEW = "a new provider token if the old one may be replaced, and at once again"
    CREDENTIAL = "nothing to this credential until a human has looked"
    GONE = "the device token is dead if it was registered before Apple says so"
    SMALLER = "again without the challenge; never again if that is too large too"
    SLOW_DOWN = "nothing to this device token for a while"
    SIGN_LESS = "the provider token was renewed too often: keep it, leave this connection"
    LATER = "again by the schedule"
    ELSEWHERE = "again by the schedule, over a new connection"


REACTIONS: Final[Mapping[tuple[int, str], Reaction]] = MappingProxyType(
    {
        (400, "BadDeviceToken"): Reaction.OTHER_ENVIRONMENT,
        (400, "DeviceTokenNotForTopic"): Reaction.WRONG_APP,
        (400, "TopicDisallowed"): Reaction.OUR_FAULT,
        (400, "MissingTopic"): Reaction.OUR_FAULT,
        (400, "BadTopic"): Reaction.OUR_FAULT,
        (400, "BadCollapseId"): Reaction.OUR_FAULT,
        (400, "BadExpirationDate"): Reaction.OUR_FAULT,
        (400, "BadMessageId"): Reaction.OUR_FAULT,
        (400, "BadPriority"): Reaction.OUR_FAULT,
        (400, "InvalidPushType"): Reaction.OUR_FAULT,
        (400, "PayloadEmpty"): Reaction.OUR_FAULT,
        (400, "DuplicateHeaders"): Reaction.OUR_FAULT,
        (400, "MissingDeviceToken"): Reaction.OUR_FAULT,
        (400, "IdleTimeout"): Reaction.REOPEN,
        (403, "ExpiredProviderToken"): Reaction.SIGN_ANEW,
        (403, "InvalidProviderToken"): Reaction.CREDENTIAL,
        (403, "MissingProviderToken"): Reaction.CREDENTIAL,
        (403, "UnrelatedKeyIdInToken"): Reaction.CREDENTIAL,
        (403, "BadEnvironmentKeyIdInToken"): Reaction.CREDENTIAL,
        (403, "BadCertificate"): Reaction.CREDENTIAL,
        (403, "BadCertificateEnvironment"): Reaction.CREDENTIAL,
        (403, "Forbidden"): Reaction.CREDENTIAL,
        (404, "BadPath"): Reaction.OUR_FAULT,
        (405, "MethodNotAllowed"): Reaction.OUR_FAULT,
        (410, "Unregistered"): Reaction.GONE,
        (410, "ExpiredToken"): Reaction.GONE,
        (413, "PayloadTooLarge"): Reaction.SMALLER,
        (429, "TooManyRequests"): Reaction.SLOW_DOWN,
        (429, "TooManyProviderTokenUpdates"): Reaction.SIGN_LESS,
        (500, "InternalServerError"): Reaction.LATER,
        (503, "ServiceUnavailable"): Reaction.LATER,
        (503, "Shutdown"): Reaction.ELSEWHERE,
    }
)

#: What a status means whose reason is unknown, or that came without one.
REACTIONS_TO_STATUS: Final[Mapping[int, Reaction]] = MappingProxyType(
    {
        403: Reaction.CREDENTIAL,
        410: Reaction.GONE,
        413: Reaction.SMALLER,
        429: Reaction.SLOW_DOWN,
    }
)
_CLIENT_ERRORS: Final = range(400, 500)


def reaction_to(status: int, reason: str) -> Reaction:
    """Return the reaction to an answer; a reason that nobody listed is judged by its status."""
    known = REACTIONS.get((status, reason)) or REACTIONS_TO_STATUS.get(status)
    if known is not None:
        return known
    return Reaction.OUR_FAULT if status in _CLIENT_ERRORS else Reaction.LATER
