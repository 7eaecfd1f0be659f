"""Google Cloud as a stand-in: IAM policies of projects, and the token endpoint beside them.

Rules: cloud.google.com, "Resource Manager API", v1 ``projects.getIamPolicy`` and
``projects.setIamPolicy``. A policy has an etag that changes with it; whoever writes one that was
read before somebody else's change is refused.
"""

from __future__ import annotations

import contextlib
import json
import time
from base64 import b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote

from quorumkey_relay.standins import credentials
from quorumkey_relay.standins.credentials import Files
from quorumkey_relay.standins.exchange import Reply, Request, json_object, json_reply
from quorumkey_relay.standins.faults import Faults
from quorumkey_relay.standins.google_policy import (
    CONDITIONAL_VERSION,
    PolicyRefusedError,
    holds,
    is_conditional,
    read_policy,
)
from quorumkey_relay.standins.ledger import Numbers, Received
from quorumkey_relay.standins.oauth import CLOUD_PLATFORM_SCOPE, TokenEndpoint
from quorumkey_relay.standins.stand import Stand

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    #: Answers a request whose token is good; None where it is another's.
    Route = Callable[[Request], Reply | None]

_PROJECTS: Final = "/v1/projects/"
_VERSIONS: Final = (0, 1, CONDITIONAL_VERSION)
#: What a status is called in Google's errors.
_WORDS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@dataclass(slots=True)
class CloudFaults:
    """What goes wrong with the next calls of the Resource Manager; each is used up.

    Attributes:
        statuses: the next calls are answered with these, and not looked at.
        bodies: the next calls are answered with these and ``body_status``, as of a proxy between.
        written_bodies: the next writes are done and answered 200 with these, as by a proxy.
        hangs: so many of the next calls are never answered, and not looked at.
        conflicts: before so many of the next writes somebody else has changed the policy.
        conflict_status: what such a write is answered with: 409, or 412.
        lost_answers: so many of the next writes are done, and the connection is lost.
    """

    statuses: list[int] = field(default_factory=list[int])
    bodies: list[bytes] = field(default_factory=list[bytes])
    body_status: int = HTTPStatus.OK
    written_bodies: list[bytes] = field(default_factory=list[bytes])
    hangs: int = 0
    conflicts: int = 0
    conflict_status: int = HTTPStatus.CONFLICT
    lost_answers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the Resource Manager, and the status of its answer; 0 where there was none."""

    method: str
    project: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, object] = field(repr=False)
    status: int


class GoogleCloud:
    """Projects with policies, while ``start_google_cloud`` holds it open."""

    def __init__(self, files: Files, now: Callable[[], float]) -> None:
        """Know no project; ``now`` is the clock that conditions and tokens are judged by."""
        self.files = files
        self.faults = CloudFaults()
        #: Every call in order.
        self.calls: list[Call] = []
        #: The door: connections, counters, and what is wrong with them.
        self.stand = Stand("google", faults=Faults(), numbers=Numbers(), on_received=_nobody)
        self._now = now
        self._policies: dict[str, dict[str, object]] = {}
        self._edition = 0
        self._routes: list[Route] = []
        self._tokens = TokenEndpoint(
            key=credentials.service_account_public_key(files),
            client_email=files.fcm_client_email,
            ledger=self.stand.ledger,
            faults=self.stand.faults,
            now=now,
            scope=CLOUD_PLATFORM_SCOPE,
        )

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return self.stand.url

    @property
    def token_endpoint(self) -> TokenEndpoint:
        """Google's token endpoint; ``revoke`` takes back its access tokens."""
        return self._tokens

    @property
    def projects(self) -> tuple[str, ...]:
        """The projects that there are."""
        return tuple(sorted(self._policies))

    def put_policy(self, project: str, bindings: Sequence[Mapping[str, object]]) -> None:
        """Set the policy of a project, which is made where it is new."""
        policy = read_policy({"version": CONDITIONAL_VERSION, "bindings": list(bindings)})
        self._keep(project, policy)

    def policy(self, project: str) -> dict[str, object]:
        """Return the policy of a project as ``getIamPolicy`` has it; raises ``KeyError``."""
        return cast("dict[str, object]", json.loads(json.dumps(self._policies[project])))

    def bindings(self, project: str) -> list[dict[str, object]]:
        """Return the bindings of a project; raises ``KeyError``."""
        return cast("list[dict[str, object]]", self.policy(project).get("bindings", []))

    def has_role(self, email: str, project: str, role: str) -> bool:
        """Say whether a binding gives somebody a role now, on at least some resource."""
        return any(
            binding["role"] == role
            and f"user:{email}" in cast("list[str]", binding["members"])
            and self._holds(binding.get("condition"))
            for binding in self.bindings(project)
        )

    def serve_also(self, route: Route) -> None:
        """Have other paths answered, for callers with a good token."""
        self._routes.append(route)

    def answer(self, request: Request) -> Reply | Awaitable[Reply]:
        """Hand out a token, or judge a call of an API."""
        if request.path == self._tokens.path:
            return self._tokens.answer(request)
        if request.path.startswith(_PROJECTS) and ":" in request.path:
            return self._resource_manager(request)
        if not self._is_known(request):
            return _error(HTTPStatus.UNAUTHORIZED, "The access token is not good.")
        for route in self._routes:
            reply = route(request)
            if reply is not None:
                return reply
        return _error(HTTPStatus.NOT_FOUND, "There is no such method.")

    def forget(self) -> None:
        """Forget calls; policies stay."""
        self.calls.clear()

    # ------------------------------------------------------------ policies

    def _resource_manager(self, request: Request) -> Reply:
        project, _, method = request.path.removeprefix(_PROJECTS).partition(":")
        project = unquote(project)
        body = json_object(request.body) or {}
        reply = self._judged(request, method, project, body)
        is_answered = reply.action == "answer"
        self.calls.append(
            Call(
                method=method,
                project=project,
                headers=request.headers,
                body=body,
                status=reply.status if is_answered else 0,
            )
        )
        return reply

    def _judged(
        self, request: Request, method: str, project: str, body: Mapping[str, object]
    ) -> Reply:
        fault = self._fault()
        if fault is not None:
            return fault
        judge = {"getIamPolicy": self._read, "setIamPolicy": self._write}.get(method)
        if judge is None or request.method != "POST":
            return _error(HTTPStatus.NOT_FOUND, "There is no such method.")
        if not self._is_known(request):
            return _error(HTTPStatus.UNAUTHORIZED, "The access token is not good.")
        if project not in self._policies:
            return _error(HTTPStatus.FORBIDDEN, "The caller does not have permission.")
        try:
            return judge(project, body)
        except PolicyRefusedError as refused:
            return _error(HTTPStatus.BAD_REQUEST, str(refused))

    def _fault(self) -> Reply | None:
        """Use up what goes wrong with this call whatever it is."""
        if self.faults.hangs:
            self.faults.hangs -= 1
            return Reply(0, action="silence")
        if self.faults.bodies:
            return Reply(self.faults.body_status, body=self.faults.bodies.pop(0))
        if self.faults.statuses:
            return _error(self.faults.statuses.pop(0), "A fault that was asked for.")
        return None

    def _read(self, project: str, body: Mapping[str, object]) -> Reply:
        options = body.get("options", {})
        version = cast("dict[str, object]", options).get("requestedPolicyVersion", 1)
        if version not in _VERSIONS:
            raise PolicyRefusedError("options.requestedPolicyVersion must be 0, 1 or 3")
        policy = self._policies[project]
        if is_conditional(policy) and version != CONDITIONAL_VERSION:
            raise PolicyRefusedError("a policy with conditions is read as version 3")
        return json_reply(HTTPStatus.OK, policy, is_trusted=True)

    def _write(self, project: str, body: Mapping[str, object]) -> Reply:
        if self.faults.conflicts:
            self.faults.conflicts -= 1
            self._keep(project, self._policies[project])
        policy = read_policy(body.get("policy"))
        if is_conditional(self._policies[project]) and policy.get("version") != CONDITIONAL_VERSION:
            raise PolicyRefusedError("a policy with conditions is written as version 3")
        if policy.get("etag") != self._policies[project]["etag"]:
            message = (
                "There were concurrent policy changes. Please retry the whole read-modify-write."
            )
            return _error(self.faults.conflict_status, message)
        self._keep(project, policy)
        if self.faults.lost_answers:
            self.faults.lost_answers -= 1
            return Reply(0, action="close")
        if self.faults.written_bodies:
            return Reply(HTTPStatus.OK, body=self.faults.written_bodies.pop(0))
        return json_reply(HTTPStatus.OK, self._policies[project], is_trusted=True)

    def _keep(self, project: str, policy: Mapping[str, object]) -> None:
        self._edition += 1
        etag = b64encode(b"standin %d" % self._edition).decode()
        self._policies[project] = {**policy, "etag": etag}

    def _is_known(self, request: Request) -> bool:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._tokens.is_good(bearer)

    def _holds(self, condition: object) -> bool:
        if condition is None:
            return True
        return holds(str(cast("dict[str, object]", condition)["expression"]), self._now())


def _nobody(_push: Received) -> None:
    """Tell nobody: there are no pushes."""


def _error(status: int, message: str) -> Reply:
    word = _WORDS.get(status, "UNKNOWN")
    return json_reply(status, {"error": {"code": status, "message": message, "status": word}})


@contextlib.asynccontextmanager
async def start_google_cloud(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    now: Callable[[], float] = time.time,
) -> AsyncGenerator[GoogleCloud, None]:
    """Serve Google Cloud on loopback until the block ends.

    Keys, certificates and the service account are made in ``folder`` where they are missing.
    Raises ``OSError`` where the port cannot be taken.
    """
    files = Files(folder)
    credentials.prepare(files)
    cloud = GoogleCloud(files, now)
    tls = credentials.server_context(files, "h2", "http/1.1")
    await cloud.stand.open(cloud, cloud.forget, tls, host=host, port=port)
    try:
        tokens = cloud.token_endpoint
        tokens.url = f"{cloud.url}{tokens.path}"
        credentials.write_service_account(files, tokens.url)
        yield cloud
    finally:
        await cloud.stand.close()
