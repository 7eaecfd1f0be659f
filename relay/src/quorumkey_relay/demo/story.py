"""The course of the demonstration, act by act."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey.client import Approved, AsyncClient, group
from quorumkey.device import (
    RequestArrived,
    RequestProgressed,
    RequestResolved,
    RequestWithdrawn,
    SoftwareDevice,
    visible,
    visible_json,
)
from quorumkey.protocol import strict_json
from quorumkey_relay.demo.phones import Phone, Phones, home_of
from quorumkey_relay.demo.process import initialise, served
from quorumkey_relay.demo.proof import refusal, verify, with_one_byte_changed
from quorumkey_relay.demo.pushes import (
    Push,
    check_tells_nothing,
    mailbox_of,
    push_address_of,
)
from quorumkey_relay.demo.stage import Board, Seat
from quorumkey_relay.standins import start_stand_ins

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.client import ConfirmedDevice, CreatedRequest, Outcome
    from quorumkey.device import DeviceEvent, DeviceRequest
    from quorumkey.errors import ReceiptRefused
    from quorumkey.protocol import Action
    from quorumkey_relay.demo.process import Initialised, Serving
    from quorumkey_relay.demo.pushes import Mailbox
    from quorumkey_relay.demo.scenario import Answer, Person, Question, Scenario
    from quorumkey_relay.demo.stage import Stage
    from quorumkey_relay.standins import Received, StandIns

POLL_SECONDS: Final = 0.05
PATIENCE_SECONDS: Final = 20
_SHORT_CHARS: Final = 16


class UnexpectedOutcomeError(Exception):
    """The demonstration did not end as its scenario says; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What happened, for ``--json``."""

    approved_by: tuple[str, ...]
    refused: tuple[str, ...]
    denied: str
    pushes: tuple[Push, ...]


async def play(scenario: Scenario, stage: Stage, folder: Path) -> Summary:
    """Run the whole demonstration in ``folder``.

    Raises ``RelayFailedError``, ``PhoneFailedError``, ``UnexpectedOutcomeError``,
    ``ForgeryAcceptedError`` or an error of the SDK.
    """
    data = folder / "relay"
    stage.act("A relay of your own")
    made = await initialise(stage, data, scenario.integrator)
    async with (
        start_stand_ins(folder / "stand-ins") as stands,
        served(stage, data, stands.settings()) as serving,
    ):
        stage.say(f"{serving.url} serves, with its database in {data / 'relay.db'}")
        stage.say(f"{stands.apns.url} stands in for Apple's push service")
        stage.say(f"{stands.fcm.url} stands in for Google's")
        async with await trusting_client(made, serving) as client:
            return await _with_client(client, scenario, stage, folder, stands)


async def trusting_client(made: Initialised, serving: Serving) -> AsyncClient:
    """Return the integrator's client, which trusts the key that ``init`` named and no other.

    Raises ``UnexpectedOutcomeError`` where another relay answers.
    """
    async with AsyncClient(serving.url, made.api_key) as stranger:
        key = (await stranger.info()).relay_public_key
    if key.fingerprint != made.relay:
        message = "another relay answers than the one that was made"
        raise UnexpectedOutcomeError(message)
    return AsyncClient(
        serving.url, made.api_key, relay_public_keys=[key], integrator_id=made.integrator.id
    )


async def _with_client(
    client: AsyncClient, scenario: Scenario, stage: Stage, folder: Path, stands: StandIns
) -> Summary:
    stage.act("Phones, each with a key that never leaves it")
    people = [(person, circle.name) for circle in scenario.groups for person in circle.people]
    phones = [
        await _enrol(client, stage, folder, person, name, mailbox_of(person, stands, number))
        for number, (person, name) in enumerate(people)
    ]
    try:
        return await _Play(client, scenario, stage, folder, phones).run()
    finally:
        for phone in phones:
            await phone.device.close()


async def _enrol(  # noqa: PLR0913, PLR0917 - who, where, and how to be reached
    client: AsyncClient,
    stage: Stage,
    folder: Path,
    person: Person,
    group_name: str,
    mailbox: Mailbox | None,
) -> Phone:
    """Pair a person's device through a link, and check that the key is the device's own."""
    pairing = await client.pairings.create(person.id, person.name)
    device = SoftwareDevice(home_of(folder, person))
    enrolled = await device.enroll(pairing.url, push=push_address_of(mailbox))
    confirmed = await client.pairings.confirm(pairing)
    pictogram = " ".join(device.identity.pictogram)
    woken = "" if mailbox is None else f", woken by {mailbox.provider}"
    stage.say(
        f"{person.name} of {group_name}: {enrolled.fingerprint[:_SHORT_CHARS]}… {pictogram}"
        f"  paired with {enrolled.integrator.name}{woken}"
    )
    await stage.beat()
    return Phone(person, group_name, device, confirmed, pictogram, mailbox)


class _Play:
    """The two requests, with everybody connected."""

    def __init__(
        self,
        client: AsyncClient,
        scenario: Scenario,
        stage: Stage,
        folder: Path,
        phones: list[Phone],
    ) -> None:
        self._client = client
        self._scenario = scenario
        self._stage = stage
        self._folder = folder
        self._phones = Phones(phones, self._noticed, self._got)
        self._board = self._new_board("")
        self._asked: Action | None = None
        self._pushes: list[Push] = []
        self._endings: list[tuple[str, str]] = []

    async def run(self) -> Summary:
        async with asyncio.TaskGroup() as tasks:
            listening = [
                tasks.create_task(self._phones.listen(phone)) for phone in self._phones.all
            ]
            await self._phones.until(
                lambda: all(phone.is_connected for phone in self._phones.all),
                "every phone that stays connected is",
            )
            created, outcome = await self._ask(self._scenario.approved)
            if not isinstance(outcome, Approved):
                raise _unexpected(outcome)
            approved_by = outcome.groups_satisfied
            self._stage.say(f"approved by: {', '.join(approved_by)}", mood="approved")
            refused = await self._prove(created, outcome)
            _, outcome = await self._ask(self._scenario.denied)
            if isinstance(outcome, Approved):
                raise _unexpected(outcome)
            self._stage.say(
                f"{outcome.status.value}: {self._scenario.integrator} does not act, and is not told"
                " who denied",
                mood=outcome.status.value,
            )
            for task in listening:
                task.cancel()
        return Summary(
            approved_by=approved_by,
            refused=tuple(refusal.reason.value for refusal in refused),
            denied=outcome.status.value,
            pushes=tuple(self._pushes),
        )

    # ------------------------------------------------------------ a request

    async def _ask(self, question: Question) -> tuple[CreatedRequest, Outcome]:
        """Send a request, let people answer, and wait until it has ended."""
        self._asked = action = question.asked()
        self._stage.act(f"{self._scenario.integrator} asks: {visible(action.description)}")
        self._board = self._new_board(visible(action.description))
        with self._stage.watching(self._board):
            created = await self._client.requests.create(
                action=action,
                groups=[
                    group(circle.name, *self._devices(circle.name))
                    for circle in self._scenario.groups
                ],
                required=self._scenario.required,
                expires_in_seconds=question.expires_in_seconds,
            )
            await self._everybody_notified(created)
            for answer in question.answers:
                await self._stage.beat()
                await self._answer(created.request_id, answer)
            outcome = await self._client.requests.wait(created, timeout=PATIENCE_SECONDS)
            self._board.status = outcome.status.value
            await self._withdrawn(created.request_id, question.answers[-1])
        return created, outcome

    def _devices(self, group_name: str) -> list[ConfirmedDevice]:
        return [phone.confirmed for phone in self._phones.all if phone.group == group_name]

    def _new_board(self, title: str) -> Board:
        board = Board(title, self._scenario.required)
        for phone in self._phones.all:
            person = phone.person
            board.seats[person.id] = Seat(phone.group, person.name, phone.pictogram)
        return board

    async def _everybody_notified(self, created: CreatedRequest) -> None:
        """Wait for the phones, then for the relay's own word on each group."""
        await self._phones.until(
            lambda: all(created.request_id in phone.arrived for phone in self._phones.all),
            "every phone has the request",
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                groups = await self._client.requests.deliveries(created.request_id)
                counts = [
                    (one.group, channel, found.acknowledged)
                    for one in groups
                    for channel, found in one.channels.items()
                ]
                if sum(shown for _, _, shown in counts) == len(self._phones.all):
                    break
                await asyncio.sleep(POLL_SECONDS)
        shown = ", ".join(f"{name} {shown} by {channel}" for name, channel, shown in counts)
        self._stage.say(f"notified and shown: {shown}")

    async def _answer(self, request_id: str, answer: Answer) -> None:
        """Let a person read the request and decide."""
        phone = self._phones.of(answer.person)
        request = phone.arrived[request_id]
        self._show(phone, request)
        await self._stage.beat()
        if answer.decision == "approve":
            answered = await phone.device.approve(request)
        else:
            answered = await phone.device.deny(request, reason=answer.reason)
        because = "" if answer.reason is None else f": {answer.reason}"
        decision = answered.decision.value
        self._stage.say(
            f"{phone.person.name} signs {decision}{because} → {answered.status.value},"
            f" {answered.groups_satisfied_count} of {answered.groups_required} groups",
            mood=decision,
        )
        self._board.satisfied = answered.groups_satisfied_count
        self._board.seats[phone.person.id].state = decision
        self._stage.changed()
        await self._others_told(request_id, phone, answered.groups_satisfied_count)

    async def _withdrawn(self, request_id: str, last: Answer) -> None:
        """Wait until every sleeping phone is told, but the one whose answer ended the request."""
        asleep = [
            phone
            for phone in self._phones.all
            if phone.mailbox is not None and phone.person.id != last.person
        ]
        await self._phones.until(
            lambda: all(request_id in phone.resolved for phone in asleep),
            "the sleeping phones' notifications are withdrawn",
        )
        for title, size in self._endings:
            self._show_push(title, size)
        self._endings.clear()

    async def _others_told(self, request_id: str, decided: Phone, count: int) -> None:
        """Wait until every other connected phone knows how far it is, or that it is over."""
        others = [
            phone for phone in self._phones.all if phone is not decided and phone.mailbox is None
        ]
        await self._phones.until(
            lambda: all(
                request_id in phone.resolved or phone.progress.get(request_id) == count
                for phone in others
            ),
            "the other phones are told",
        )

    def _show(self, phone: Phone, request: DeviceRequest) -> None:
        """Print what the phone has checked and shows before it asks."""
        document = request.document
        if document is None:  # the phone would have had a problem with it
            raise AssertionError
        self._stage.say(f"{phone.person.name}'s phone shows, checked against the relay's key:")
        self._stage.row("  from", visible(document.integrator.name or document.integrator.id))
        self._stage.row("  action", visible(document.action.description))
        for name, value in document.action.params.items():
            self._stage.row(f"  {visible(name)}", visible_json(value))
        names = ", ".join(visible(one.name) for one in document.policy.groups)
        self._stage.row("  quorum", f"{document.policy.required} of {names}")
        self._stage.row(
            "  you are", f"{visible(request.group or '')}, {request.seconds_left} s left"
        )

    def _got(self, mailbox: Mailbox, push: Received) -> None:
        """Show what a provider was sent, and see to it that the action is not in it."""
        if self._asked is not None:
            check_tells_nothing(push, self._asked)
        told = mailbox.described(push)
        self._pushes.append(told)
        names = ", ".join(mailbox.data(push))
        title = f"{mailbox.provider} is sent for {mailbox.person.name}'s phone: “{told.title}”"
        size = f"  {told.size_bytes} bytes: {names}; not a word of the action"
        if told.type == "request_resolved":
            self._endings.append((title, size))  # shown when the answer that caused it was
        else:
            self._show_push(title, size)

    def _show_push(self, title: str, size: str) -> None:
        self._stage.say(visible(title))
        self._stage.say(size, mood="dim")

    def _noticed(self, phone: Phone, event: DeviceEvent | RequestWithdrawn) -> None:
        """Put on the board what a phone was told."""
        seat = self._board.seats[phone.person.id]
        if isinstance(event, RequestArrived):
            seat.state = "notified"
        elif isinstance(event, RequestProgressed):
            seat.news = f"told: {event.groups_satisfied_count} of {event.groups_required}"
        elif isinstance(event, RequestResolved):
            seat.news = f"told: {event.status.value}"
        elif isinstance(event, RequestWithdrawn):
            seat.news = "notification withdrawn"
        self._stage.changed()

    # ------------------------------------------------------------ the proof

    async def _prove(self, created: CreatedRequest, outcome: Approved) -> list[ReceiptRefused]:
        """Verify the receipt from files alone, then two that prove nothing."""
        self._stage.act("The receipt, without the relay")
        receipt, policy = self._folder / "receipt.json", self._folder / "policy.json"
        receipt.write_bytes(outcome.receipt.encode())
        policy.write_bytes(strict_json.dumps(created.policy.to_json()))
        evidence = receipt.read_bytes()
        verified = verify(evidence, policy)
        signers = ", ".join(self._person(one.device) for one in verified.decisions)
        self._stage.say(f"{receipt} against {policy}: valid", mood="approved")
        self._stage.row("  action", visible(verified.request.action.description))
        self._stage.row("  groups", ", ".join(verified.groups_satisfied))
        self._stage.row("  signed by", signers)
        await self._stage.beat()
        other = self._scenario.other()
        attempts = (
            ("with one byte changed", refusal(with_one_byte_changed(evidence), policy)),
            (f"for “{visible(other.description)}”", refusal(evidence, policy, action=other)),
        )
        for what, refused in attempts:
            self._stage.say(
                f"the receipt {what}: refused at step {refused.step}"
                f" ({refused.reason.value}): {refused.message}",
                mood="rejected",
            )
            await self._stage.beat()
        return [refused for _, refused in attempts]

    def _person(self, fingerprint: str) -> str:
        return next(
            phone.person.name
            for phone in self._phones.all
            if phone.confirmed.fingerprint == fingerprint
        )


def _unexpected(outcome: Outcome) -> UnexpectedOutcomeError:
    return UnexpectedOutcomeError(f"the request ended as {outcome.status.value}")
