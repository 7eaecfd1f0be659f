"""Where a device wants to be woken: the ``push`` member of a push statement (section 4.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeAlias

from quorumkey.protocol._members import Members, choice_of, members_of, object_of, refuse, text_of
from quorumkey.protocol.encoding import b64url_decode
from quorumkey.protocol.limits import (
    MAX_APNS_TOKEN_CHARS,
    MAX_APNS_TOPIC_CHARS,
    MAX_ENDPOINT_CHARS,
    MAX_FCM_TOKEN_CHARS,
    WEB_PUSH_AUTH_BYTES,
    WEB_PUSH_KEY_BYTES,
)
from quorumkey.protocol.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol.encoding import JsonValue

__all__ = [
    "ApnsAddress",
    "FcmAddress",
    "NoPushAddress",
    "PushAddress",
    "WebPushAddress",
    "parse_push_address",
]

ApnsEnvironment: TypeAlias = Literal["production", "sandbox"]
_ENVIRONMENTS: Final[Mapping[str, ApnsEnvironment]] = MappingProxyType(
    {"production": "production", "sandbox": "sandbox"}
)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)
_TOPIC: Final = re.compile(r"[A-Za-z0-9.-]+", re.ASCII)
_VISIBLE_ASCII: Final = re.compile(r"[!-~]+", re.ASCII)
_UNCOMPRESSED_POINT: Final = 0x04


def _check_pattern(
    value: object, pattern: re.Pattern[str], *, maximum: int, field: str, form: str
) -> None:
    text = text_of(value, field=field)
    if len(text) > maximum or not pattern.fullmatch(text):
        message = f"{field} must be {form}, at most {maximum} characters."
        raise refuse(message)


@dataclass(frozen=True, slots=True)
class NoPushAddress:
    """The device is not woken; it listens or asks by itself."""

    channel: ClassVar[Literal["none"]] = "none"

    def to_json(self) -> dict[str, JsonValue]:
        """The address's JSON object."""
        return {"channel": self.channel}


@dataclass(frozen=True, slots=True)
class ApnsAddress:
    """A device of Apple's push service.

    Attributes:
        token: the device token in hex.
        topic: the app's bundle id.
        environment: which of Apple's two environments the token belongs to.
    """

    channel: ClassVar[Literal["apns"]] = "apns"
    token: str = field(repr=False)
    topic: str
    environment: ApnsEnvironment

    def __post_init__(self) -> None:
        """Check the form of each member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        _check_pattern(
            self.token, _HEX, maximum=MAX_APNS_TOKEN_CHARS, field="push.token", form="hex"
        )
        _check_pattern(
            self.topic,
            _TOPIC,
            maximum=MAX_APNS_TOPIC_CHARS,
            field="push.topic",
            form="a bundle id",
        )
        choice_of(self.environment, _ENVIRONMENTS, field="push.environment")

    def to_json(self) -> dict[str, JsonValue]:
        """The address's JSON object."""
        return {
            "channel": self.channel,
            "token": self.token,
            "topic": self.topic,
            "environment": self.environment,
        }


@dataclass(frozen=True, slots=True)
class FcmAddress:
    """A device of Firebase Cloud Messaging.

    Attributes:
        token: the registration token.
    """

    channel: ClassVar[Literal["fcm"]] = "fcm"
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        """Check the form of the token.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        _check_pattern(
            self.token,
            _VISIBLE_ASCII,
            maximum=MAX_FCM_TOKEN_CHARS,
            field="push.token",
            form="visible ASCII",
        )

    def to_json(self) -> dict[str, JsonValue]:
        """The address's JSON object."""
        return {"channel": self.channel, "token": self.token}


@dataclass(frozen=True, slots=True)
class WebPushAddress:
    """A browser's push subscription (RFC 8030, RFC 8291).

    Attributes:
        endpoint: the push service's https address. Whether it may be called is not decided here.
        p256dh: the browser's P-256 point, uncompressed, 65 bytes, base64url without padding.
        auth: the browser's authentication secret, 16 bytes, base64url without padding.
    """

    channel: ClassVar[Literal["webpush"]] = "webpush"
    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)

    def __post_init__(self) -> None:
        """Check the form of each member.

        Raises:
            ProtocolError: ``invalid_request``.
        """
        _check_endpoint(self.endpoint)
        point = b64url_decode(self.p256dh, field="push.p256dh", length=WEB_PUSH_KEY_BYTES)
        if point[0] != _UNCOMPRESSED_POINT:
            message = "push.p256dh must be an uncompressed P-256 point."
            raise refuse(message)
        b64url_decode(self.auth, field="push.auth", length=WEB_PUSH_AUTH_BYTES)

    def to_json(self) -> dict[str, JsonValue]:
        """The address's JSON object."""
        return {
            "channel": self.channel,
            "endpoint": self.endpoint,
            "p256dh": self.p256dh,
            "auth": self.auth,
        }


def _check_endpoint(endpoint: str) -> None:
    _check_pattern(
        endpoint,
        _VISIBLE_ASCII,
        maximum=MAX_ENDPOINT_CHARS,
        field="push.endpoint",
        form="visible ASCII",
    )
    if not origin_of(endpoint).startswith("https:"):
        message = "push.endpoint must be an https address."
        raise refuse(message)


#: One of the four channels' addresses; ``channel`` tells which.
PushAddress: TypeAlias = NoPushAddress | ApnsAddress | FcmAddress | WebPushAddress


def _members(value: Members, *names: str) -> list[str]:
    wanted = frozenset((*names, "channel"))
    members = members_of(value, field="push", required=wanted, allowed=wanted)
    return [text_of(members[name], field=f"push.{name}") for name in names]


def parse_push_address(value: JsonValue) -> PushAddress:
    """Read a push address from its JSON value.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    members = object_of(value, field="push")
    match members.get("channel"):
        case "none":
            _members(members)
            return NoPushAddress()
        case "apns":
            token, topic, environment = _members(members, "token", "topic", "environment")
            return ApnsAddress(
                token, topic, choice_of(environment, _ENVIRONMENTS, field="push.environment")
            )
        case "fcm":
            return FcmAddress(*_members(members, "token"))
        case "webpush":
            return WebPushAddress(*_members(members, "endpoint", "p256dh", "auth"))
        case _:
            message = "push.channel must be one of none, apns, fcm, webpush."
            raise refuse(message)
