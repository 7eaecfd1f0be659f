"""What just-in-time access needs from outside: who is eligible, who grants, who is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.entitlement import ActivationType, EntitlementId, Listing
    from quorumkey_relay.domain.jit.request import AccessRequest, ApprovalMode, WindowFrom
    from quorumkey_relay.domain.model import RejectPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who has proved who they are for this call.

    ``email`` is lower-case and is their approver id. ``device_id`` and ``access_levels`` are what
    a proxy said of the machine they sit at, for the audit log.
    """

    email: str
    device_id: str | None = None
    access_levels: tuple[str, ...] = ()


#: The refusal of who has yet to sign in, or has to again.
NOT_SIGNED_IN: Final = Refusal("unauthorized", "You are not signed in.")


class People(Protocol):
    """Finds out who calls, from what an identity provider or a proxy has signed."""

    async def identify(self, headers: Mapping[bytes, bytes]) -> Person | Refusal:
        """Return who calls, or a refusal.

        It is `NOT_SIGNED_IN` where a call bears no credential, or the cookie of a sign-in that is
        over; another one with ``unauthorized`` where its credential does not hold; and one with
        ``backend_failed`` where the keys to judge that by are out of reach.
        """
        ...


class SourceUnavailable(Exception):  # noqa: N818 - says what happened, as StoreUnavailable does
    """Whoever knows the policies cannot say now; the message names it and no person."""


class EligibilitySource(Protocol):
    """Knows who may activate what. Every answer is as new as a check at this moment can be.

    Each method raises `SourceUnavailable`. An unknown project is one without entitlements.
    """

    async def projects(self, person: str) -> tuple[str, ...]:
        """Return the projects in which a person may activate something, sorted."""
        ...

    async def listing(self, person: str, project: str) -> Listing:
        """Return what a person may activate in a project, and what a policy says is active."""
        ...

    async def is_eligible(
        self, person: str, entitlement: EntitlementId, activation_type: ActivationType
    ) -> bool:
        """Say whether a binding lets a person activate this, alone or with peers.

        Where one role has bindings of both kinds, each answers for itself.
        """
        ...

    async def holders(self, entitlement: EntitlementId) -> frozenset[str]:
        """Return who may activate this with peers, so who may approve it for others."""
        ...


class GrantFailed(Exception):  # noqa: N818 - says what happened
    """A target did not do what an activation asks for.

    ``is_final`` says that it refused, so that trying again is of no use, and that nothing was
    changed; otherwise it may or may not have been done. The message is a sentence for operators,
    without secrets.
    """

    def __init__(self, message: str, *, is_final: bool) -> None:
        """Keep the sentence and whether it is the last word."""
        super().__init__(message)
        self.message = message
        self.is_final = is_final


class Executor(Protocol):
    """Grants roles at one kind of target. Each call may be made again and then changes nothing."""

    @property
    def name(self) -> str:
        """Name in the settings; activations carry it."""
        ...

    @property
    def description(self) -> str:
        """A sentence for people: what it does, and who ends what it grants."""
        ...

    @property
    def expires_by_itself(self) -> bool:
        """Whether the target ends a grant in time without being asked."""
        ...

    async def grant(self, activation: Activation, evidence: bytes | None) -> None:
        """Give the role from ``start`` until ``end``; earlier temporary grants of it go.

        ``evidence`` is the receipt of the approval as JSON, where devices have approved.
        Returns once the target has confirmed. Raises `GrantFailed`.
        """
        ...

    async def revoke(self, activation: Activation) -> None:
        """Take the role back, whether or not it was given. Raises `GrantFailed`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Executors(Protocol):
    """Which executor serves a project."""

    def for_project(self, project: str) -> Executor | None:
        """Return the first executor whose patterns name the project."""
        ...

    def named(self, name: str) -> Executor | None:
        """Return an executor by name."""
        ...


class Bell(Protocol):
    """Tells operators what they have to look at; see ``observe.alarms``."""

    def raise_alarm(self, kind: str, what: str, sentence: str) -> None:
        """Have an alarm stand."""
        ...

    def clear(self, kind: str, what: str) -> None:
        """Take an alarm back, if it stands."""
        ...


class MailFailed(Exception):  # noqa: N818 - says what happened
    """The mail server did not take a message; ``is_final`` says that it never will."""

    def __init__(self, message: str, *, is_final: bool) -> None:
        """Keep the sentence and whether it is the last word."""
        super().__init__(message)
        self.message = message
        self.is_final = is_final


class Mailer(Protocol):
    """Hands messages to a mail server."""

    async def send(self, message: bytes, recipients: tuple[str, ...]) -> None:
        """Return once the server has taken the message for all recipients. Raises `MailFailed`."""
        ...


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail as it goes out, and the addresses it goes to."""

    recipients: tuple[str, ...]
    message: bytes = field(repr=False)


class Letters(Protocol):
    """Writes the e-mails about a request for a role; those about one request are one thread.

    Each raises `MailFailed` where somebody has no address. ``now`` is in seconds.
    """

    def requested(self, request: AccessRequest, *, url: str, now: int) -> Letter:
        """Ask the reviewers, with a copy for who asks; ``url`` leads to the request."""
        ...

    def approved(self, request: AccessRequest, activation: Activation, *, now: int) -> Letter:
        """Tell who asked that the role is theirs, with a copy for the reviewers."""
        ...

    def denied(self, request: AccessRequest, *, reviewer: str, now: int) -> Letter:
        """Tell who asked that a reviewer denied it, with a copy for the reviewers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JitRules:
    """The settings that just-in-time use cases depend on; durations in seconds.

    ``notifies_by_mail`` and ``notifies_by_push`` say how reviewers hear of requests.
    """

    integrator_id: str
    public_url: str
    max_duration_seconds: int = 7_200
    request_timeout_seconds: int = 3_600
    max_roles: int = 10
    min_reviewers: int = 1
    max_reviewers: int = 10
    required: int = 1
    reject_policy: RejectPolicy = "any"
    window_from: WindowFrom = "request"
    approval: ApprovalMode = "device"
    is_stateless: bool = False
    justification_pattern: str = ".*"
    justification_hint: str = "Bug or case number"
    notifies_by_mail: bool = False
    notifies_by_push: bool = True
    version: str = field(default="0")
