"""Who pushes: ``python -m bench.pushers KIND`` sends pushes to the stand-ins when it is told to.

The environment holds the settings that ``quorumkey-relay stand-ins`` printed. Each line of
standard input is a number of pushes; for each the process answers a line of JSON with
``seconds`` and ``cpu_seconds``, user and system time of all its threads. What is pushed is made
beforehand; what is timed is what a sender does with it. Every sender has what the relay gives its
own: uvloop where it is asynchronous, and the relay's settings of the garbage collector.

* ``apns``: the relay's own channel;
* ``aioapns`` and ``httpx``: those libraries as their own pages show them, with the same payload;
* ``fcm``: the relay's own channel;
* ``pyfcm``: its ``notify`` over one kept connection, one message after the other;
* ``pyfcm-async``: its ``async_notify_multiple_devices``, a batch a call.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import resource
import ssl
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

import uvloop

from bench.pushed import IN_FLIGHT, LIFE_SECONDS, Pushed, to_androids, to_iphones
from quorumkey_relay.channels import push_channels
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.config import load_settings
from quorumkey_relay.delivery.channel import Accepted
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.option_table import ENVIRONMENT_PREFIX
from quorumkey_relay.server import settle_memory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from quorumkey_relay.settings import Settings

#: Messages that one call of pyfcm's batch is given, as many as are in flight elsewhere.
BATCH: Final = IN_FLIGHT

T = TypeVar("T")


class PushError(Exception):
    """A push was not accepted, so there is nothing to compare."""


class Pusher(Protocol):
    """Sends everything it is given, and returns when all of it was accepted."""

    def push(self, messages: Sequence[Pushed]) -> None:
        """Send."""
        ...


class Concurrent:
    """Sends with a number of messages in flight, on the event loop that a relay runs on."""

    def __init__(
        self, opened: Callable[[], Awaitable[Callable[[Pushed], Awaitable[None]]]]
    ) -> None:
        """Open the sender on a loop that stays."""
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._send = self._runner.run(_awaited(opened))

    def push(self, messages: Sequence[Pushed]) -> None:
        """Send."""
        self._runner.run(self._all(messages))

    async def _all(self, messages: Sequence[Pushed]) -> None:
        left = iter(messages)

        async def work() -> None:
            for message in left:
                await self._send(message)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


def _nobody(kind: str, what: str, sentence: str) -> None:
    """Tell nobody of an alarm: a push that was not accepted ends everything anyway."""
    del kind, what, sentence


async def _awaited(opened: Callable[[], Awaitable[T]]) -> T:
    return await opened()


def _channel(settings: Settings, name: str) -> Concurrent:
    """The relay's own channel."""

    async def opened() -> Callable[[Pushed], Awaitable[None]]:
        clock = SystemClock()
        egress = Egress(clock=clock, unsafe_hosts=frozenset(), roots=None)
        channels = push_channels(settings, clock, egress=egress, tell=_nobody)
        (channel,) = (one for one in channels if one.name == name)

        async def send(pushed: Pushed) -> None:
            outcome = await channel.send(pushed.message)
            if not isinstance(outcome, Accepted):
                raise PushError(repr(outcome))

        return send

    return Concurrent(opened)


def apns(settings: Settings) -> Pusher:
    """The relay's own way to Apple."""
    return _channel(settings, "apns")


def fcm(settings: Settings) -> Pusher:
    """The relay's own way to Google."""
    return _channel(settings, "fcm")


def with_aioapns(settings: Settings) -> Pusher:
    """aioapns: one client, a notification a push."""
    import aioapns  # noqa: PLC0415 - each process loads the one library that it measures
    from aioapns.connection import APNsProductionClientProtocol  # noqa: PLC0415 - as above

    address = urlsplit(settings.apns_url)

    class StandIn(APNsProductionClientProtocol):
        APNS_SERVER = address.hostname or ""
        APNS_PORT = address.port or 443

    async def opened() -> Callable[[Pushed], Awaitable[None]]:
        client = aioapns.APNs(
            key=_text(settings.apns_key_file),
            key_id=settings.apns_key_id,
            team_id=settings.apns_team_id,
            topic=settings.apns_topics[0],
            ssl_context=_trusting(settings),
        )
        client.pool.protocol_class = StandIn

        async def send(pushed: Pushed) -> None:
            result = await client.send_notification(
                aioapns.NotificationRequest(
                    device_token=pushed.token,
                    message=pushed.payload,
                    time_to_live=LIFE_SECONDS,
                    priority=10,
                    collapse_key=pushed.request_id,
                    push_type=aioapns.PushType.ALERT,
                )
            )
            if not result.is_successful:
                raise PushError(result.description)

        return send

    return Concurrent(opened)


def with_httpx(settings: Settings) -> Pusher:
    """Httpx with HTTP/2: one client, and the provider token made once."""
    import httpx  # noqa: PLC0415 - each process loads the one library that it measures
    import jwt  # noqa: PLC0415 - as above

    async def opened() -> Callable[[Pushed], Awaitable[None]]:
        client = httpx.AsyncClient(
            base_url=settings.apns_url,
            http2=True,
            http1=False,
            verify=_trusting(settings),
            trust_env=False,
            timeout=10,
        )
        provider_token = jwt.encode(
            {"iss": settings.apns_team_id, "iat": int(time.time())},
            _text(settings.apns_key_file),
            algorithm="ES256",
            headers={"kid": settings.apns_key_id},
        )
        headers = {
            "authorization": f"bearer {provider_token}",
            "apns-topic": settings.apns_topics[0],
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": str(int(time.time()) + LIFE_SECONDS),
        }

        async def send(pushed: Pushed) -> None:
            answer = await client.post(
                f"/3/device/{pushed.token}",
                content=json.dumps(pushed.payload, ensure_ascii=False).encode(),
                headers={**headers, "apns-collapse-id": pushed.request_id},
            )
            if not answer.is_success:
                raise PushError(answer.text)

        return send

    return Concurrent(opened)


class WithPyfcm:
    """pyfcm: ``notify`` over its kept session."""

    def __init__(self, settings: Settings) -> None:
        """Make the client, which asks for its access token at the first message."""
        pyfcm: Any = importlib.import_module("pyfcm")
        if settings.fcm_service_account is None or settings.ca_file is None:
            message = "the stand-ins named no service account or no root"
            raise PushError(message)
        # Both of its HTTP clients read their roots from the environment.
        os.environ |= {
            "REQUESTS_CA_BUNDLE": str(settings.ca_file),
            "SSL_CERT_FILE": str(settings.ca_file),
        }
        account = json.loads(settings.fcm_service_account.read_text(encoding="utf-8"))
        self._client = pyfcm.FCMNotification(
            service_account_file=str(settings.fcm_service_account),
            project_id=account["project_id"],
        )
        self._client.FCM_END_POINT_BASE = f"{settings.fcm_url}/v1/projects"

    def push(self, messages: Sequence[Pushed]) -> None:
        """Send one after the other."""
        for pushed in messages:
            self._client.notify(**_fcm_arguments(pushed))


class WithPyfcmAsync(WithPyfcm):
    """pyfcm: ``async_notify_multiple_devices``, a connection a message."""

    def push(self, messages: Sequence[Pushed]) -> None:
        """Send batch after batch."""
        for start in range(0, len(messages), BATCH):
            batch = [_fcm_arguments(pushed) for pushed in messages[start : start + BATCH]]
            for answer in self._client.async_notify_multiple_devices(batch):
                if "name" not in answer:
                    raise PushError(json.dumps(answer))


def _fcm_arguments(pushed: Pushed) -> dict[str, object]:
    return {
        "fcm_token": pushed.token,
        "data_payload": pushed.payload,
        "android_config": {"priority": "HIGH", "ttl": f"{LIFE_SECONDS}s"},
    }


def _trusting(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.set_alpn_protocols(["h2"])
    return context


def _text(path: os.PathLike[str] | None) -> str:
    if path is None:
        message = "the stand-ins named no key file"
        raise PushError(message)
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - any path
        return file.read()


KINDS: Final[dict[str, Callable[[Settings], Pusher]]] = {
    "apns": apns,
    "aioapns": with_aioapns,
    "httpx": with_httpx,
    "fcm": fcm,
    "pyfcm": WithPyfcm,
    "pyfcm-async": WithPyfcmAsync,
}


def timed(pusher: Pusher, messages: Sequence[Pushed]) -> dict[str, float]:
    """Send and say what it took."""
    settle_memory()
    worked, started = _cpu_seconds(), time.perf_counter()
    pusher.push(messages)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": _cpu_seconds() - worked,
    }


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Read the command line, then numbers of pushes until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m bench.pushers")
    parser.add_argument("kind", choices=KINDS)
    kind: str = parser.parse_args().kind
    environ = {
        name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT_PREFIX)
    }
    settings = load_settings(environ, {})
    pusher = KINDS[kind](settings)

    def pushes(count: int) -> Sequence[Pushed]:
        return to_androids(count) if "fcm" in kind else to_iphones(count, settings.apns_topics[0])

    pusher.push(pushes(1))  # until a first push was accepted, Apple allows one stream
    pusher.push(pushes(IN_FLIGHT))
    print("{}", flush=True)
    for line in sys.stdin:
        messages = pushes(int(line))
        pusher.push(messages[:1])  # aioapns has closed its connection meanwhile, and opens another
        print(json.dumps(timed(pusher, messages)), flush=True)


if __name__ == "__main__":
    main()
