"""FCM through pyfcm, for who has to use it: the extra ``pyfcm`` and ``fcm_client=pyfcm``.

pyfcm 2.1 tells 404 from 403 but not why, sleeps through a Retry-After and cannot read a date in it,
gets an access token for each thread, and blocks; so it is kept to a few threads, and what it cannot
tell is read on the side that drops nobody's address, where there is such a side. The default client
has none of these faults.
"""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quorumkey.protocol import FcmAddress
from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry
from quorumkey_relay.delivery.google.access_token import (
    MESSAGING_SCOPE,
    TOKEN_TIMEOUT_SECONDS,
    TokenRefused,
    TokenUnavailable,
    granted,
    token_request,
)
from quorumkey_relay.delivery.push.fcm_reactions import reaction_to
from quorumkey_relay.delivery.push.payload import fcm_message
from quorumkey_relay.delivery.transport import Answer

if TYPE_CHECKING:
    from quorumkey.protocol import PushAddress
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.delivery.google.access_token import ServiceAccount
    from quorumkey_relay.settings import Settings

NAME: Final = "fcm"
SEND_TIMEOUT_SECONDS: Final = 10.0
#: A thread that sleeps through a Retry-After is not waited for any longer than this.
TOTAL_SECONDS: Final = 20.0
MAX_THREADS: Final = 16

# Neither it nor what it stands on has types.
_pyfcm: Any = import_module("pyfcm")
_errors: Any = import_module("pyfcm.errors")
_requests: Any = import_module("requests")
_adapters: Any = import_module("requests.adapters")
_urllib3_errors: Any = import_module("urllib3.exceptions")
_service_account: Any = import_module("google.oauth2.service_account")


def pyfcm_channel(settings: Settings, account: ServiceAccount, clock: Clock) -> PyFcmChannel:
    """Return the channel; the settings name the account's file."""
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        context.load_verify_locations(settings.ca_file)
    credentials = _service_account.Credentials.from_service_account_file(
        str(settings.fcm_service_account), scopes=[MESSAGING_SCOPE]
    )
    # One pool of connections for all threads, and no retries below the outbox's own.
    adapter = _adapter(context)
    session = _session(adapter)
    client = _pyfcm.FCMNotification(
        credentials=credentials, project_id=account.project_id, adapter=adapter
    )
    client.FCM_END_POINT_BASE = f"{settings.fcm_url}/v1/projects"

    def access_token() -> str:
        # Its own way reads the machine's clock, and knows no roots but the public ones.
        answer = session.post(
            account.token_uri,
            data=token_request(account, clock.now(), MESSAGING_SCOPE),
            headers={"content-type": "application/x-www-form-urlencoded"},
            timeout=TOKEN_TIMEOUT_SECONDS,
        )
        authorization = granted(Answer(answer.status_code, {}, answer.content))
        return authorization.removeprefix("Bearer ")

    client._get_access_token = access_token  # noqa: SLF001 - there is no other way in
    return PyFcmChannel(client, clock)


class PyFcmChannel:
    """Sends in threads; what cannot be told from pyfcm's exceptions is not told."""

    name = NAME

    def __init__(self, client: Any, clock: Clock) -> None:  # noqa: ANN401 - it has no types
        """Use an ``FCMNotification``."""
        self._client = client
        self._clock = clock
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix=NAME)

    def lane(self, address: PushAddress | None) -> str:
        """Return the one lane."""
        del address
        return NAME

    async def send(self, message: Message) -> Outcome:
        """Send in one of the threads; one that does not come back is left to itself."""
        address = message.address
        if not isinstance(address, FcmAddress):
            return Rejected("no_address")
        now = self._clock.now()
        seconds_left = message.delivery.not_after - now
        if seconds_left <= 0:
            return Rejected("too_late")
        timeout_seconds = min(SEND_TIMEOUT_SECONDS, seconds_left)
        body = msgspec.json.decode(fcm_message(message, address.token, now))["message"]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await loop.run_in_executor(
                    self._threads, self._notify, body, now, timeout_seconds
                )
        except TimeoutError:
            return Retry(None, "timeout", ambiguous=True)

    async def close(self) -> None:
        """Take no more messages; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _notify(self, body: dict[str, Any], now: int, timeout_seconds: float) -> Outcome:
        try:
            # Each thread has a session of its own, made at its first use.
            self._client.requests_session.trust_env = False
            answer = self._client.notify(
                fcm_token=body["token"],
                data_payload=body["data"],
                android_config=body["android"],
                timeout=timeout_seconds,
            )
        except Exception as error:  # noqa: BLE001 - it lets pass whatever its libraries raise
            return _outcome(error, now)
        return Accepted() if "name" in answer else Retry(None, "unreadable", ambiguous=True)


# The first row that an exception is of counts; where it says less than Google did, so does the row.
_OUTCOMES: Final[tuple[tuple[Any, Outcome], ...]] = (
    (_errors.FCMNotRegisteredError, Gone(None, "UNREGISTERED")),  # or any other 404
    (_errors.FCMSenderIdMismatchError, Misconfigured("PERMISSION_DENIED")),  # or another project
    (_errors.AuthenticationError, Misconfigured("UNAUTHENTICATED")),
    (TokenUnavailable, Retry(None, "token_unavailable")),
    (_errors.FCMServerError, Retry(None, "UNAVAILABLE")),  # or any other status
    (_requests.exceptions.ConnectTimeout, Retry(None, "timeout")),
    (_requests.exceptions.Timeout, Retry(None, "timeout", ambiguous=True)),
    (_requests.exceptions.ConnectionError, Retry(None, "broken", ambiguous=True)),
)


def _outcome(error: Exception, now: int) -> Outcome:
    """Return what an exception of pyfcm's means, as far as it tells."""
    if isinstance(error, _errors.InvalidDataError):  # its text is the body of a 400
        return reaction_to(Answer(HTTPStatus.BAD_REQUEST, {}, str(error).encode()), now=now)
    if isinstance(error, TokenRefused):
        return Misconfigured(f"token_{error.reason}")
    if _is_unreachable(error):
        return Retry(None, "unreachable")
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return outcome
    return Retry(None, "unreadable", ambiguous=True)


def _is_unreachable(error: Exception) -> bool:
    """Say whether no connection was made; the library's own exceptions do not tell."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), _urllib3_errors.NewConnectionError)


def _adapter(context: ssl.SSLContext) -> Any:  # noqa: ANN401 - it has no types
    adapter = _adapters.HTTPAdapter(pool_maxsize=MAX_THREADS, max_retries=0)
    adapter.init_poolmanager(1, MAX_THREADS, ssl_context=context)
    return adapter


def _session(adapter: Any) -> Any:  # noqa: ANN401 - as above
    session = _requests.Session()
    session.trust_env = False
    session.mount("https://", adapter)
    return session
