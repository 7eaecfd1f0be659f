"""Granting by a conditional binding in the IAM policy of a Google Cloud project.

Rules: cloud.google.com, "Resource Manager API", v1 ``projects.getIamPolicy`` and
``projects.setIamPolicy``. A policy is read, changed and written as a whole; its etag tells Google
whether somebody else has changed it meanwhile.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote
from weakref import WeakValueDictionary

import msgspec

from quorumkey_relay.delivery.google.access_token import TokenRefused, TokenUnavailable
from quorumkey_relay.delivery.google.api import CALL_TIMEOUT_SECONDS
from quorumkey_relay.delivery.transport import TransportFailed
from quorumkey_relay.executors.iam_policy import (
    VERSION,
    NotAPolicyError,
    UnusableConditionError,
    with_access,
    without_access,
)
from quorumkey_relay.usecases.jit.ports import GrantFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.delivery.google.api import GoogleApi
    from quorumkey_relay.delivery.transport import Answer
    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.executors.iam_policy import Policy

#: How often a policy is read and changed again that somebody else has changed meanwhile.
MAX_RETRIES: Final = 4
PAUSE_SECONDS: Final = 0.2

#: Google documents 409 ABORTED for an etag that is out of date, and has answered 412.
_CHANGED_MEANWHILE: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
_NOT_NOW: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_WISH: Final = msgspec.json.encode({"options": {"requestedPolicyVersion": VERSION}})
#: What a header may hold besides letters and digits; anything else is written in percent.
_VISIBLE: Final = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class GcpIamExecutor:
    """Changes policies: one change of a project at a time, so that two never meet each other."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        api: GoogleApi,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> None:
        """Use ``api``, which belongs to this object from now on; ``pause`` waits some seconds.

        ``timeout_seconds`` is for each call of Google.
        """
        self._name = name
        self._url = f"{url}/v1/projects"
        self._api = api
        self._pause = pause
        self._timeout_seconds = timeout_seconds
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def name(self) -> str:
        """Name in the settings."""
        return self._name

    @property
    def description(self) -> str:
        """Say what it does, and who ends what it grants."""
        return (
            "Adds a binding to the IAM policy of the Google Cloud project, whose condition ends it"
            " by itself in time."
        )

    @property
    def expires_by_itself(self) -> bool:
        """Say that the binding's condition ends it."""
        return True

    async def grant(self, activation: Activation, evidence: bytes | None) -> None:
        """Bind the person to the role for the window, instead of earlier temporary bindings."""
        del evidence
        try:
            await self._change(activation, with_access)
        except UnusableConditionError:
            message = "What the role is limited to cannot be written into an IAM condition."
            raise GrantFailed(message, is_final=True) from None

    async def revoke(self, activation: Activation) -> None:
        """Leave temporary bindings of the person to the role out of the policy."""
        await self._change(activation, without_access)

    async def close(self) -> None:
        """Close connections."""
        await self._api.close()

    async def _change(
        self, activation: Activation, change: Callable[[Policy, Activation], Policy]
    ) -> None:
        project = activation.entitlement.project
        lock = self._locks.setdefault(project, asyncio.Lock())
        async with lock:
            for attempt in range(MAX_RETRIES + 1):
                if attempt:
                    await self._pause(PAUSE_SECONDS)
                policy = await self._read(activation)
                try:
                    changed = change(policy, activation)
                except NotAPolicyError:
                    raise _unreadable(project) from None
                if changed is policy or await self._write(changed, activation):
                    return
        message = (
            f"There were concurrent modifications of the IAM policy of {project};"
            " nothing was changed."
        )
        raise GrantFailed(message, is_final=False)

    async def _read(self, activation: Activation) -> Policy:
        project = activation.entitlement.project
        answer = await self._call("getIamPolicy", activation, _WISH)
        if answer.status != HTTPStatus.OK:
            raise _refused("read", project, answer)
        return _policy(answer, project)

    async def _write(self, policy: Policy, activation: Activation) -> bool:
        """Say whether the policy was written; False where it has changed since it was read."""
        project = activation.entitlement.project
        body = msgspec.json.encode({"policy": policy})
        answer = await self._call("setIamPolicy", activation, body)
        if answer.status in _CHANGED_MEANWHILE:
            return False
        if answer.status != HTTPStatus.OK:
            raise _refused("change", project, answer)
        _policy(answer, project)
        return True

    async def _call(self, method: str, activation: Activation, body: bytes) -> Answer:
        project = activation.entitlement.project
        try:
            return await self._api.post(
                f"{self._url}/{quote(project, safe='')}:{method}",
                body,
                headers={"x-goog-request-reason": quote(activation.justification, _VISIBLE)},
                timeout_seconds=self._timeout_seconds,
            )
        except TokenRefused as refused:
            message = f"Google gives the service account no access token: {refused.reason}."
            raise GrantFailed(message, is_final=True) from None
        except TokenUnavailable:
            message = "Google gives no access token at the moment."
            raise GrantFailed(message, is_final=False) from None
        except TransportFailed as failure:
            message = f"Google Cloud did not answer {method} of {project}: {failure.reason}."
            raise GrantFailed(message, is_final=False) from None


def _policy(answer: Answer, project: str) -> Policy:
    """Read a policy; without an etag it could be written over what somebody else has written."""
    try:
        policy = msgspec.json.decode(answer.body, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        policy = {}
    if not isinstance(policy.get("etag"), str) or not policy["etag"]:
        raise _unreadable(project)
    return policy


def _unreadable(project: str) -> GrantFailed:
    return GrantFailed(
        f"Google Cloud gave an IAM policy of {project} that cannot be read.", is_final=False
    )


def _refused(what: str, project: str, answer: Answer) -> GrantFailed:
    status = answer.status
    is_final = (
        status < HTTPStatus.INTERNAL_SERVER_ERROR
        and status not in _NOT_NOW
        and status not in _CHANGED_MEANWHILE
    )
    return GrantFailed(
        f"Google Cloud did not {what} the IAM policy of {project}:"
        f" {status} {_word(answer)}".rstrip()
        + ".",
        is_final=is_final,
    )


def _word(answer: Answer) -> str:
    """Return Google's word for an error, such as ``PERMISSION_DENIED``, or nothing."""
    try:
        error = msgspec.json.decode(answer.body, type=dict[str, object]).get("error")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    word = cast("dict[str, object]", error).get("status") if isinstance(error, dict) else None
    is_word = isinstance(word, str) and word.replace("_", "").isalpha() and word.isascii()
    return cast("str", word)[:64] if is_word else ""
