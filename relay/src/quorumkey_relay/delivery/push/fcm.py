"""Android phones, by Firebase Cloud Messaging: HTTP v1 over one HTTP/2 client."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import FcmAddress
from quorumkey_relay.delivery.channel import Gone, Misconfigured, Rejected, Retry
from quorumkey_relay.delivery.google.access_token import (
    EXPIRES_AFTER_SECONDS,
    LEAST_SECONDS_BETWEEN,
    MESSAGING_SCOPE,
    REFRESH_AFTER_SECONDS,
    AccessTokens,
    ServiceAccount,
    TokenRefused,
    TokenUnavailable,
)
from quorumkey_relay.delivery.push.fcm_reactions import (
    QUOTA_EXCEEDED,
    SENDER_ID_MISMATCH,
    reaction_to,
)
from quorumkey_relay.delivery.push.payload import fcm_message
from quorumkey_relay.delivery.push.unanswered import unanswered
from quorumkey_relay.delivery.reconnecting import ReconnectingClient
from quorumkey_relay.delivery.renewal import Renewal
from quorumkey_relay.delivery.transport import TransportFailed, extra_roots, http2_client
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey.protocol import PushAddress
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Channel, Message, Outcome
    from quorumkey_relay.delivery.transport import Answer
    from quorumkey_relay.settings import Settings

NAME: Final = "fcm"
SEND_TIMEOUT_SECONDS: Final = 10.0
#: Later than this after the first try began, the message does not go out again.
TOTAL_SECONDS: Final = 20.0
#: What has lost its use while it waited for an access token is looked at again.
NOT_WANTED: Final = Retry(0, "not_wanted")
#: Who sends to a phone of another Firebase project has the wrong account, or the app has.
OTHER_PROJECT: Final = (
    "Phones have given registration tokens of another Firebase project than that of"
    " fcm_service_account; they are not notified."
)


def fcm_channel(
    settings: Settings, clock: Clock, tell: Callable[[str, str, str], None]
) -> Channel | None:
    """Return the channel, None where it is not turned on; raises ``ConfigError``.

    ``tell`` raises an alarm: its kind, what it is about, and a sentence.
    """
    if settings.fcm_service_account is None:
        return None
    account = ServiceAccount.read(settings.fcm_service_account)
    if settings.fcm_client == "pyfcm":
        try:
            from quorumkey_relay.delivery.push.fcm_pyfcm import (  # noqa: PLC0415 - an extra
                pyfcm_channel,
            )
        except ImportError:
            raise ConfigError(
                ("fcm_client pyfcm needs the extra: pip install 'quorumkey-relay[pyfcm]'.",)
            ) from None
        return pyfcm_channel(settings, account, clock)
    roots = extra_roots(settings.ca_file)
    return FcmChannel(
        url=settings.fcm_url,
        account=account,
        client=ReconnectingClient(lambda: http2_client(roots=roots)),
        clock=clock,
        tell=tell,
    )


class FcmChannel:
    """Sends one request for each message; there is no endpoint that takes several."""

    name = NAME

    def __init__(
        self,
        *,
        url: str,
        account: ServiceAccount,
        client: ReconnectingClient,
        clock: Clock,
        tell: Callable[[str, str, str], None],
    ) -> None:
        """Use ``client``, which belongs to this object from now on."""
        self._url = f"{url}/v1/projects/{account.project_id}/messages:send"
        self._client = client
        self._clock = clock
        self._tell = tell
        self._tokens = Renewal(
            AccessTokens(account, client, clock, MESSAGING_SCOPE).obtain,
            monotonic=clock.monotonic,
            refresh_after_seconds=REFRESH_AFTER_SECONDS,
            expires_after_seconds=EXPIRES_AFTER_SECONDS,
            least_seconds_between=LEAST_SECONDS_BETWEEN,
        )
        self._paused_until = float("-inf")  # of the monotonic clock

    def lane(self, address: PushAddress | None) -> str:
        """Return the one lane: all phones are reached with one account."""
        del address
        return NAME

    async def send(self, message: Message) -> Outcome:
        """Send once, and once more with a new access token where Google refused the old one."""
        address = message.address
        if not isinstance(address, FcmAddress):
            return Rejected("no_address")
        paused_seconds = self._paused_until - self._clock.monotonic()
        if paused_seconds > 0:
            return Retry(math.ceil(paused_seconds), QUOTA_EXCEEDED)
        now = self._clock.now()
        seconds_left = message.delivery.not_after - now
        if seconds_left <= 0:
            return Rejected("too_late")
        body = fcm_message(message, address.token, now)
        try:
            return await self._send(message, body, now, min(SEND_TIMEOUT_SECONDS, seconds_left))
        except (TokenRefused, TokenUnavailable, TransportFailed) as failure:
            return _failed(failure)

    async def _send(
        self, message: Message, body: bytes, now: int, timeout_seconds: float
    ) -> Outcome:
        begun = self._clock.monotonic()
        try:
            token = await self._tokens.current()
        except TransportFailed as failure:
            return Retry(None, failure.reason)  # the message itself has not gone out
        if not message.is_wanted():
            return NOT_WANTED
        answer = await self._post(body, token, timeout_seconds)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            try:
                newer = await self._tokens.refused(token)
            except TransportFailed as failure:
                return Retry(None, failure.reason)  # refused, so Google has not taken it
            seconds_left = begun + TOTAL_SECONDS - self._clock.monotonic()
            if newer is not None and not message.is_wanted():
                return NOT_WANTED
            if newer is not None and seconds_left > 0:
                answer = await self._post(body, newer, min(timeout_seconds, seconds_left))
        return self._noted(reaction_to(answer, now=now))

    async def close(self) -> None:
        """End a renewal that is under way, and the connections."""
        await self._tokens.close()
        await self._client.close()

    def _post(self, body: bytes, authorization: str, timeout_seconds: float) -> Awaitable[Answer]:
        headers = {"authorization": authorization, "content-type": "application/json"}
        return self._client.post(
            self._url, headers=headers, body=body, timeout_seconds=timeout_seconds
        )

    def _noted(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Retry) and outcome.reason == QUOTA_EXCEEDED:
            # The whole project's quota: whatever else is sent now only makes it longer.
            wait = outcome.after_seconds or 0
            self._paused_until = max(self._paused_until, self._clock.monotonic() + wait)
        elif isinstance(outcome, Gone) and outcome.reason == SENDER_ID_MISMATCH:
            self._tell("sender_id_mismatch", NAME, OTHER_PROJECT)
        return outcome


def _failed(failure: TokenRefused | TokenUnavailable | TransportFailed) -> Outcome:
    match failure:
        case TokenRefused():
            return Misconfigured(f"token_{failure.reason}")
        case TokenUnavailable():
            return Retry(None, "token_unavailable")
        case TransportFailed():
            return unanswered(failure)
