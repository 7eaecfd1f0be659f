"""Phones that nobody connects: what the stand-ins get for them, and what is in it."""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from quorumkey.protocol import ApnsAddress, FcmAddress
from quorumkey_relay.demo.phones import PhoneFailedError
from quorumkey_relay.standins import apns_token, fcm_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from quorumkey.protocol import Action, JsonValue, PushAddress
    from quorumkey_relay.demo.scenario import Person
    from quorumkey_relay.standins import Received, Stand, StandIns

_PROVIDERS: Final = {"apns": "Apple", "fcm": "Google"}
#: A shorter word may be in a signature by chance.
_LEAST_CHARS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A push as the phone's system hands it to the app, and as the provider saw it."""

    person: str
    channel: str
    type: str
    title: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where the pushes for one phone come in."""

    person: Person
    stand: Stand
    address: ApnsAddress | FcmAddress

    @property
    def provider(self) -> str:
        """Whose push service it is."""
        return _PROVIDERS[self.address.channel]

    async def arrivals(self) -> AsyncGenerator[Received]:
        """Yield each push that the provider accepts for this phone, for as long as wanted."""
        newest = 0
        while True:
            fresh = [
                push
                for push in self.stand.received
                if push.number > newest and push.token == self.address.token and push.accepted
            ]
            for push in fresh:
                newest = push.number
                yield push
            if not fresh:
                await self.stand.ledger.change()

    def described(self, push: Received) -> Push:
        """Return what can be told of a push."""
        data = self.data(push)
        title = data.get("title")
        if title is None:
            aps = cast("dict[str, dict[str, str]]", data["aps"])
            title = aps["alert"]["title"]
        return Push(
            person=self.person.id,
            channel=self.address.channel,
            type=str(data["type"]),
            title=str(title),
            size_bytes=len(push.body),
        )

    def data(self, push: Received) -> dict[str, JsonValue]:
        """Return what the app gets: Apple's whole payload, or the data of Google's message."""
        payload = cast("dict[str, JsonValue]", push.payload)
        if self.address.channel == "apns":
            return payload
        message = cast("dict[str, dict[str, JsonValue]]", payload["message"])
        return message["data"]


def mailbox_of(person: Person, stands: StandIns, number: int) -> Mailbox | None:
    """Return where a person's pushes come in; None for a phone that stays connected."""
    match person.woken_by:
        case "apns":
            token = apns_token(number=number)
            topic = stands.files.apns_topic
            return Mailbox(person, stands.apns, ApnsAddress(token, topic, "production"))
        case "fcm":
            return Mailbox(person, stands.fcm, FcmAddress(fcm_token(number=number)))
        case _:
            return None


def push_address_of(mailbox: Mailbox | None) -> PushAddress | None:
    """Return what the phone enrols with."""
    return None if mailbox is None else mailbox.address


def check_tells_nothing(push: Received, action: Action) -> None:
    """Raise ``PhoneFailedError`` where a word of the action is in what the provider was sent.

    The signed challenge is looked into as well: it is encoded, not encrypted.
    """
    seen = "\n".join(_readable(push.payload))
    for word in _words(action):
        if word in seen:
            message = f"the push tells the provider what is asked: {word!r} is in it"
            raise PhoneFailedError(message)


def _words(action: Action) -> Iterator[str]:
    """The action's own texts, those of its parameters with their names too."""
    values = [value for value in action.params.values() if isinstance(value, str)]
    for word in (action.type, action.description, *action.params, *values):
        if len(word) >= _LEAST_CHARS:
            yield word


def _readable(value: object) -> Iterator[str]:
    """Every text in a JSON value, and what is behind those that are base64 or JSON."""
    if isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            yield name
            yield from _readable(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _readable(inner)
    elif isinstance(value, str):
        yield value
        yield from _decoded(value)


def _decoded(text: str) -> Iterator[str]:
    for piece in text.split('"'):  # a challenge is JSON in a text, on its way to Android
        with suppress(ValueError):
            yield base64.b64decode(piece, validate=True).decode("utf-8", "replace")
